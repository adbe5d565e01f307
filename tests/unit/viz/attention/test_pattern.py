"""The pattern of one head: exact cells, honest blocks, the row in words, the difference of two."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from viz import style
from viz.attention.pattern import (
    MOST_CELLS,
    attention_difference_record,
    attention_pattern_record,
    row_sentence,
    strongest_keys,
    title,
)
from viz.attention.pattern_map import (
    MOST_TICKS,
    attention_difference_figure,
    attention_pattern_figure,
    attention_row_figure,
)
from viz.attention.softmax_fraction import softmax_fraction
from viz.token_map import largest_in

PATTERN = np.array([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.125, 0.375]], dtype=np.float32)
TOKENS = ["a", " b", " c"]
HOSTILE = "<img src=x onerror=alert(1)>$x$%{z}\u202e"


def causal(n: int, seed: int = 0) -> np.ndarray:
    pattern = np.tril(np.random.default_rng(seed).random((n, n)))
    return (pattern / pattern.sum(axis=1, keepdims=True)).astype(np.float32)


def record_of(pattern: np.ndarray = PATTERN, tokens: list[str] = TOKENS, selected: int = 2, **more: object):  # type: ignore[no-untyped-def]
    return attention_pattern_record(pattern, tokens, layer=3, head=1, selected=selected, **more)  # type: ignore[arg-type]


def test_short_prompts_are_exact_and_the_future_is_none() -> None:
    record = record_of()
    assert record.block == 1
    assert record.cells == ((1.0, None, None), (0.25, 0.75, None), (0.5, 0.125, 0.375))
    assert record.row == (0.5, 0.125, 0.375)
    assert record.query_at((1, 0)) == 1


def test_the_row_ends_at_the_query() -> None:
    assert record_of(selected=1).row == (0.25, 0.75)


def test_the_row_in_words() -> None:
    assert row_sentence(record_of()) == "“·c” reads “a” (0) 50.0\xa0%, itself 37.5\xa0%, “·b” (1) 12.5\xa0%."
    assert row_sentence(record_of(off=True, key=0)) == (
        "“·c” would read “a” (0) 50.0\xa0%, itself 37.5\xa0%, “·b” (1) 12.5\xa0%. The head is off: it adds "
        "nothing to the stream."
    )
    assert title(record_of(selected=0)) == "L3 H1: <b>“a”</b> reads <b>itself</b> most, 100\xa0%"


def test_the_other_keys_are_added_up() -> None:
    pattern = np.tril(np.full((6, 6), 1.0)) / np.arange(1, 7)[:, None]
    sentence = row_sentence(record_of(pattern, ["x"] * 6, selected=5))
    assert sentence.endswith(f"2 other tokens together {style.share(1 / 3)}.")
    assert "one other token " in row_sentence(record_of(pattern, ["x"] * 6, selected=4))


def test_a_sink_is_told() -> None:
    record = record_of(PATTERN * 0.5, sink=np.array([0.5, 0.5, 0.5]))
    assert record.sink == 0.5
    assert "pays 50.0\xa0% to the learned sink" in row_sentence(record)


@pytest.mark.parametrize("shape", [(3, 2), (2, 2), (4, 4)])
def test_a_pattern_of_the_wrong_shape_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="3 tokens"):
        record_of(np.zeros(shape))


@speed(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 9))
def test_blocks_hold_their_largest_value_and_its_query(n: int, block: int, seed: int) -> None:
    signed = causal(n, seed) - causal(n, seed + 1)
    values, where = largest_in(signed, block, block)
    for row in range(len(values)):
        for column in range(len(values)):
            cells = signed[row * block : (row + 1) * block, column * block : (column + 1) * block]
            assert values[row, column] == cells.flat[np.abs(cells).argmax()]
            query, key = where[row, column]
            assert row * block <= query < n
            assert values[row, column] == signed[query, key]


def test_a_long_prompt_is_reduced_and_says_how() -> None:
    n = 1_000
    pattern = causal(n)
    record = record_of(pattern, ["x"] * n, selected=777)
    assert record.block == 8
    assert record.n_cells == 125 <= MOST_CELLS
    assert record.cells[9][3] == pattern[72:80, 24:32].max()
    assert record.row == tuple(pattern[777, :778].tolist())
    assert record.positions(124) == (992, 999)
    drawn = attention_pattern_figure(record)
    assert drawn.figure.data[0].colorbar.title.text == "largest probability in blocks of 8 × 8"
    row = attention_row_figure(record)
    assert row.figure.data[0].y == record.row
    assert len(row.table["probability"]) == 778


def test_128_tokens_are_exact_and_129_are_not() -> None:
    assert record_of(causal(128), ["x"] * 128).block == 1
    longer = record_of(causal(129), ["x"] * 129, selected=128)
    assert longer.block == 2
    assert longer.positions(64) == (128, 128)
    attention_pattern_figure(longer)


def test_the_map_is_square_from_0_to_1_query_left_key_on_top() -> None:
    figure = attention_pattern_figure(record_of()).figure
    heatmap = figure.data[0]
    assert (heatmap.zmin, heatmap.zmax) == (0, 1)
    assert np.allclose(heatmap.z, np.where(np.tri(3, dtype=bool), PATTERN, np.nan), equal_nan=True)
    assert figure.layout.xaxis.side == "top"
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.yaxis.range == (2.5, -0.5)
    assert figure.layout.plot_bgcolor == style.MASKED
    assert list(figure.layout.xaxis.tickvals) == [0, 1, 2]


def test_repeated_words_keep_their_own_columns() -> None:
    figure = attention_pattern_figure(record_of(tokens=["the", "the", "the"])).figure
    assert figure.data[0].z.shape == (3, 3)
    assert list(figure.layout.xaxis.ticktext) == ["the", "the", "<b>the</b>"]


@pytest.mark.parametrize("n", [1, 32, 33, 64, 100, 128])
def test_labels_are_thinned_but_the_selected_one_stays(n: int) -> None:
    record = record_of(causal(n), [f"t{i}" for i in range(n)], selected=n - 1)
    drawn = attention_pattern_figure(record)
    for axis, most in ((drawn.figure.layout.xaxis, MOST_TICKS), (drawn.narrow_layout["xaxis"], 14)):
        assert len(axis["tickvals"]) <= most + 1
        assert n - 1 in axis["tickvals"]
        assert f"<b>t{n - 1}</b>" in axis["ticktext"]


def test_hostile_tokens_are_inert() -> None:
    written = attention_pattern_figure(record_of(tokens=[HOSTILE] * 3)).figure.to_json()
    assert "<img" not in written
    assert "\\u003cimg" not in written
    assert "\u202e" not in written
    assert "$x$" not in written


def test_equal_shares_are_ordered_by_position() -> None:
    record = record_of(np.tril(np.ones((3, 3))) / np.array([[1], [2], [3]]))
    assert [key for key, _ in strongest_keys(record)] == [0, 1, 2]


def test_the_difference_is_signed_and_symmetric() -> None:
    other = PATTERN.copy()
    other[2] = [0.25, 0.25, 0.5]
    record = attention_difference_record(PATTERN, other, TOKENS, layer=0, head=0, selected=2)
    assert record.cells[2] == (0.25, -0.125, -0.125)
    drawn = attention_difference_figure(record)
    heatmap = drawn.figure.data[0]
    assert (heatmap.zmin, heatmap.zmax) == (-0.25, 0.25)
    assert "+25 points" in drawn.figure.layout.title.text
    with pytest.raises(ValueError, match=r"\(3, 3\) and \(2, 2\)"):
        attention_difference_record(PATTERN, PATTERN[:2, :2], TOKENS, layer=0, head=0, selected=2)


def test_equal_patterns_say_so() -> None:
    record = attention_difference_record(PATTERN, PATTERN, TOKENS, layer=0, head=0, selected=2)
    assert attention_difference_figure(record).figure.layout.title.text == "The two patterns are equal"


def test_the_softmax_fraction_is_the_pattern() -> None:
    scores = np.array([1.0, 3.0, 2.0, -np.inf], dtype=np.float32)
    fraction = softmax_fraction(scores, 2)
    whole = np.exp([1.0, 3.0, 2.0]).sum()
    assert fraction.probability == pytest.approx(np.exp(2.0) / whole)
    assert (fraction.score, fraction.top, fraction.n_keys) == (2.0, 3.0, 3)
    assert softmax_fraction(scores, 2, sink=0.5).probability == pytest.approx(np.exp(2.0) / whole / 2)


def test_a_head_that_is_off_says_so_before_what_it_reads() -> None:
    off = record_of(off=True)
    assert title(off).startswith("L3 H1 is <b>off</b>: <b>“·c”</b> would read")
    assert "switched off" in attention_pattern_figure(off).alt


def test_colour_bars_name_both_ends_and_0() -> None:
    bar = attention_pattern_figure(record_of()).figure.data[0].colorbar
    assert list(bar.ticktext) == ["0", "50\xa0%", "100\xa0%"]
    other = PATTERN.copy()
    other[2] = [0.25, 0.25, 0.5]
    record = attention_difference_record(PATTERN, other, TOKENS, layer=0, head=0, selected=2)
    assert list(attention_difference_figure(record).figure.data[0].colorbar.ticktext) == [
        "−25 points",
        "0",
        "+25 points",
    ]


def test_in_a_map_of_blocks_the_selected_token_has_its_own_number() -> None:
    drawn = attention_pattern_figure(record_of(causal(131), ["x"] * 131, selected=129))
    for axis in (drawn.figure.layout.yaxis, drawn.narrow_layout["yaxis"]):
        assert "<b>129</b>" in axis["ticktext"]
        assert "128" not in axis["ticktext"]


def test_a_chosen_cell_is_framed_and_told() -> None:
    tokens = [*"abcdef"]
    pattern = np.tril(np.arange(1.0, 7.0)[None, :].repeat(6, 0))
    pattern /= pattern.sum(axis=1, keepdims=True)
    record = record_of(pattern, tokens, selected=5, key=0)
    row, cell = attention_pattern_figure(record).figure.layout.shapes
    assert (row.x0, row.x1, row.y0, row.y1) == (-0.5, 5.5, 4.5, 5.5)
    assert (cell.x0, cell.x1, cell.y0, cell.y1) == (-0.5, 0.5, 4.5, 5.5)
    assert row_sentence(record).endswith(f" The chosen key, “a” (0), gets {style.share(1 / 21)}.")


def test_a_key_after_the_query_is_no_cell() -> None:
    record = record_of(selected=1, key=2)
    assert record.key is None
    assert len(attention_pattern_figure(record).figure.layout.shapes) == 1


@pytest.mark.parametrize("n", [5, 128, 129, 300])
def test_a_click_means_the_cell_whose_value_is_shown(n: int) -> None:
    pattern = causal(n)
    record = record_of(pattern, ["x"] * n, selected=n - 1)
    for row in range(0, record.n_cells, 7):
        for column in range(0, row + 1, 5):
            query, key = record.cell_at((row, column))
            assert key <= query == record.query_at((row, column))
            assert pattern[query, key] == record.cells[row][column]


@pytest.mark.parametrize("n", [128, 900, 1_500])
def test_a_map_is_small_to_send(n: int) -> None:
    tokens = [f" {'wordy' * 5}{i}" for i in range(n)]
    assert (
        len(attention_pattern_figure(record_of(causal(n), tokens, selected=n - 1)).figure.to_json()) < 130_000
    )


def test_the_hover_says_who_reads_whom() -> None:
    heatmap = attention_pattern_figure(record_of()).figure.data[0]
    assert list(heatmap.x) == list(heatmap.y) == ["0 “a”", "1 “·b”", "2 “·c”"]
    assert heatmap.hovertemplate.startswith("%{y} reads %{x}<br>")
    blocks = attention_pattern_figure(record_of(causal(129), ["x"] * 129, selected=128)).figure.data[0]
    assert (blocks.x[0], blocks.x[-1]) == ("tokens 0–1", "token 128")
    assert "at most" in blocks.hovertemplate
