"""Lines from one token: rows and folds, shares that add up, names, the picture's parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from viz import style
from viz.attention.layer_tops import layer_tops_figure, layer_tops_record
from viz.attention.lines import (
    MOST_ROWS,
    AttentionLines,
    Row,
    attention_lines_record,
    change_sentence,
    folded_sentence,
    lines_sentence,
    rows_of,
    shown_positions,
    title,
)
from viz.attention.lines_figure import attention_lines_figure

HOSTILE = "<img src=x onerror=alert(1)>$x$%{z}\u202e"
TOKENS = ["a", " b", " c", " d"]


def short(selected: int = 2, key: int | None = None, texts: list[str] = TOKENS) -> AttentionLines:
    others = np.array(
        [[1, 0, 0, 0], [0.95, 0.05, 0, 0], [0.5, 0.2, 0.3, 0], [0, 0, 0.4, 0.6]], dtype=np.float32
    )
    return attention_lines_record(
        others[selected], others, range(4), texts, [5, 6, 7, 8], who="L3 H1", selected=selected, key=key
    )


def long(n: int, selected: int) -> AttentionLines:
    row = np.zeros(n, dtype=np.float32)
    row[: selected + 1] = 0.5 / (selected + 1)
    row[7] += 0.5
    shown = shown_positions([float(p) for p in row[: selected + 1]], n, selected, None)
    return attention_lines_record(
        row, np.zeros((len(shown), n), np.float32), shown, ["t"] * n, [1] * n, who="x", selected=selected
    )


def test_a_short_prompt_has_a_row_for_every_token_and_what_comes_later_is_not_read() -> None:
    record = short()
    assert record.rows == (
        Row(0, 0, 0.5),
        Row(1, 1, float(np.float32(0.2))),
        Row(2, 2, float(np.float32(0.3))),
        Row(3, 3, None),
    )
    assert [key for key, _ in record.strongest] == [0, 2, 1]
    assert folded_sentence(record) == ""


def test_background_lines_are_those_of_other_tokens_from_a_tenth_on() -> None:
    found = [(query, key, round(share, 2)) for query, key, share in short().faint]
    assert found == [(0, 0, 1.0), (1, 0, 0.95), (3, 2, 0.4), (3, 3, 0.6)]


def test_folds_stand_between_shown_positions_and_add_up() -> None:
    shares = [0.1, 0.2, 0.3, 0.15, 0.25]
    rows = rows_of([0, 3, 6], shares, 8)
    assert [(row.first, row.last) for row in rows] == [(0, 0), (1, 2), (3, 3), (4, 5), (6, 6), (7, 7)]
    assert [None if row.share is None else round(row.share, 6) for row in rows] == [
        0.1,
        0.5,
        0.15,
        0.25,
        None,
        None,
    ]


@pytest.mark.parametrize(("n", "selected"), [(41, 40), (128, 60), (1024, 1023), (1024, 0)])
def test_a_long_prompt_fits_and_loses_nothing(n: int, selected: int) -> None:
    record = long(n, max(selected, 7))
    assert len(record.rows) <= 2 * MOST_ROWS
    assert sum(row.n_tokens for row in record.rows) == n
    assert sum(row.share or 0.0 for row in record.rows) == pytest.approx(1.0, abs=1e-5)
    single = {row.first for row in record.rows if not row.folded}
    assert {0, 7, max(selected, 7), n - 1} <= single
    assert folded_sentence(record).startswith(f"{n:,} tokens do not fit")


def test_words() -> None:
    assert title(short()) == "L3 H1: <b>“·c”</b> reads <b>“a”</b> most, 50.0\xa0%"
    assert lines_sentence(short()) == (
        "L3 H1: “·c” reads “a” (0) 50.0\xa0%, itself 30.0\xa0%, “·b” (1) 20.0\xa0%."
    )
    assert change_sentence(short(), short()) == "Current less pinned: the two rows are equal."
    moved = replace(short(), shares=(0.25, 0.5, 0.25))
    assert change_sentence(short(), moved) == (
        "Current less pinned, the largest changes: “·b” (1) −30.0 points, “a” (0) +25 points, itself "
        "+5.00 points."
    )


def test_the_widest_line_is_the_strongest_and_every_line_can_be_pointed_at() -> None:
    figure = attention_lines_figure(short(key=1)).figure
    lines = [trace for trace in figure.data if trace.name == "line"]
    widths = [trace.line.width for trace in lines]
    assert widths == sorted(widths, reverse=True)[:1] + widths[1:]
    assert widths[0] == pytest.approx(13 * 0.5)
    spots = next(trace for trace in figure.data if trace.name == "lines")
    assert {tuple(data) for data in spots.customdata} == {("key", 0), ("key", 1), ("key", 2)}
    keys = next(trace for trace in figure.data if trace.name == "keys")
    assert list(keys.marker.line.width) == [0, 2, 0, 0]
    assert "may not read it" in keys.hovertemplate[3]
    queries = next(trace for trace in figure.data if trace.name == "queries")
    assert [list(data) for data in queries.customdata] == [["token", i] for i in range(4)]


def test_hostile_text_stays_text_and_the_template_is_ours() -> None:
    drawn = attention_lines_figure(short(texts=[HOSTILE] * 4))
    sent = drawn.figure.to_json()
    assert "<img" not in sent
    assert "\\u003cimg" not in sent
    assert "$x$" not in sent
    assert drawn.figure.layout.template == drawn.narrow_figure.layout.template  # type: ignore[union-attr]
    assert drawn.table["probability"] == [0.5, pytest.approx(0.2), pytest.approx(0.3)]


def test_1024_tokens_are_small_to_send() -> None:
    drawn = attention_lines_figure(long(1024, 1023))
    assert len(drawn.figure.to_json()) + len(drawn.narrow_figure.to_json()) < 300_000  # type: ignore[union-attr]


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="for 4 tokens"):
        attention_lines_record(np.zeros(3), np.zeros((4, 4)), range(4), TOKENS, [1] * 4, who="", selected=0)


def test_every_head_of_a_layer_by_what_it_reads_most() -> None:
    rows = np.array([[0.1, 0.7, 0.2], [0.25, 0.25, 0.5]], dtype=np.float32)
    record = layer_tops_record(rows, ["a", HOSTILE, " c"], layer=4, head=1, selected=2)
    assert record.keys == (1, 2)
    assert record.shares == (float(np.float32(0.7)), 0.5)
    drawn = layer_tops_figure(record)
    bars, names = drawn.figure.data
    assert list(bars.marker.line.width) == [0, 2]
    assert names.text[1] == f"itself {style.share(0.5)}"
    assert "<img" not in drawn.figure.to_json()
    assert list(drawn.figure.layout.xaxis.range) == [0, 1.02]
