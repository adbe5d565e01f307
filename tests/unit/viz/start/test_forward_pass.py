"""The forward-pass picture: hand-derived records, the figure by its traces, its words, its scales."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pages.shared.figure.export import print_figure
from viz.start.figure import forward_pass_figure, wide_figure
from viz.start.forward_pass import (
    Block,
    Candidate,
    ForwardPass,
    TokenRow,
    forward_pass_record,
    shown_positions,
)
from viz.start.stream import stream_scale
from viz.start.words import sentences, stage_sentences, table

STAGES = ("<b>①", "<b>②", "<b>③", "<b>④", "<b>⑤")
HOSTILE = "<img src=x onerror=alert(1)>$x$ %{y}\u202e"


def record_with(**changes: Any) -> ForwardPass:
    """Two tokens, two layers, a vocabulary of twelve whose logits are the logarithms of 1 to 12."""
    values: dict[str, Any] = {
        "token_texts": ["Hi", " you"],
        "token_ids": [7, 3],
        "selected": 1,
        "selected_layer": 0,
        "embedding": np.array([[0.0] * 12, [0.5] * 12], dtype=np.float32),
        "attention_lengths": np.array([3.0, 2.0]),
        "mlp_lengths": np.array([1.0, 6.0]),
        "stream_lengths": np.array([6.0, 8.0, 12.0]),
        "final_length": 4.0,
        "logits": np.log(np.arange(1, 13)),
        "text_of": lambda token_id: f" t{token_id}",
        "norm": "RMSNorm",
    }
    return forward_pass_record(**{**values, **changes})


def test_the_record_holds_the_numbers_of_the_trace() -> None:
    record = record_with()
    assert record.rows == (TokenRow(0, "Hi", 7, (0.0,) * 10), TokenRow(1, " you", 3, (0.5,) * 10))
    assert record.selected == record.rows[1]
    assert record.blocks == (Block(0, 6.0, 3.0, 1.0, 8.0), Block(1, 8.0, 2.0, 6.0, 12.0))
    assert record.stream_lengths == (6.0, 8.0, 12.0)
    assert record.candidates[0] == Candidate(11, " t11", pytest.approx(12 / 78), 1)
    assert len(record.candidates) == 10
    assert record.rest_probability == pytest.approx((1 + 2) / 78)
    assert record.followed_by is None


def test_shares_are_parts_of_the_lengths_that_meet() -> None:
    first, second = record_with().blocks
    assert (first.attention_share, first.mlp_share) == (0.3, 0.1)
    assert (second.attention_share, second.mlp_share) == (0.125, 0.375)
    assert Block(0, 0.0, 0.0, 0.0, 0.0).attention_share == 0


def test_an_earlier_token_tells_what_the_prompt_has_next() -> None:
    record = record_with(selected=0)
    assert record.followed_by == Candidate(3, " t3", pytest.approx(4 / 78), 9)
    assert "In the prompt “·t3” follows: rank 9" in sentences(record)


def test_equal_logits_are_ordered_by_id() -> None:
    record = record_with(logits=np.zeros(12))
    assert [candidate.id for candidate in record.candidates] == list(range(10))
    assert {candidate.rank for candidate in record.candidates} == {1}


@pytest.mark.parametrize(
    "changes",
    [
        {"token_ids": [1]},
        {"embedding": np.zeros((3, 4))},
        {"mlp_lengths": np.zeros(3)},
        {"stream_lengths": np.zeros(2)},
    ],
)
def test_arrays_that_disagree_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        record_with(**changes)


@pytest.mark.parametrize(
    ("n_tokens", "selected"), [(1, 0), (14, 3), (15, 0), (1024, 511), (1024, 1023), (16, 14)]
)
def test_rows_are_few_in_order_and_hold_the_ends_and_the_selection(n_tokens: int, selected: int) -> None:
    rows = shown_positions(n_tokens, selected)
    shown = [row for row in rows if row is not None]
    assert len(rows) <= 14
    assert shown == sorted(set(shown))
    assert {0, n_tokens - 1, selected} <= set(shown)
    for before, gap, after in zip(rows, rows[1:], rows[2:], strict=False):
        if gap is None:
            assert before is not None
            assert after is not None
            assert after > before + 1


def test_left_out_tokens_are_counted_and_said() -> None:
    record = record_with(
        token_texts=["x"] * 1024, token_ids=[1] * 1024, selected=500, embedding=np.zeros((1024, 12))
    )
    shown = sum(row is not None for row in record.rows)
    assert record.n_left_out == 1024 - shown
    assert f"1,024 tokens, of which {shown} are drawn" in stage_sentences(record)[0]
    texts = [annotation.text for annotation in wide_figure(record, (record,)).layout.annotations]
    assert any("more tokens" in text for text in texts)


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_the_figure_draws_the_shares_from_the_edges_of_the_stream() -> None:
    record = record_with()
    drawn = traces(forward_pass_figure(record).figure)
    scale = stream_scale((record,), 346, 38)
    assert drawn["attention adds"].y == (0.3, 0.125)
    assert drawn["attention adds"].base == pytest.approx(scale.half_band)
    assert drawn["MLP adds"].y == (-0.1, -0.375)
    assert drawn["MLP adds"].base == pytest.approx(-scale.half_band)
    assert drawn["length of the stream"].y == (6.0, 8.0, 12.0)
    assert drawn["next token"].x == tuple(candidate.probability for candidate in record.candidates)
    assert drawn["all others"].x == (record.rest_probability,)


def test_clicks_name_their_target() -> None:
    drawn = traces(forward_pass_figure(record_with()).figure)
    assert [list(data) for data in drawn["tokens"].customdata] == [["token", 0], ["token", 1]]
    assert [list(data) for data in drawn["blocks"].customdata] == [["layer", 0], ["layer", 1]]
    assert list(drawn["next token"].customdata[0]) == ["candidate", 11]


def test_the_phone_has_the_same_numbers_running_downwards() -> None:
    drawn = forward_pass_figure(record_with())
    wide, narrow = traces(drawn.figure), traces(drawn.narrow_figure)
    assert narrow.keys() == wide.keys()
    assert narrow["attention adds"].x == wide["attention adds"].y
    assert narrow["attention adds"].y == wide["attention adds"].x
    low, high = drawn.narrow_figure.layout.xaxis2.range
    assert low > high, "attention's side is on the left"


def test_two_records_share_their_scales() -> None:
    small, large = (
        record_with(),
        record_with(attention_lengths=np.array([90.0, 2.0]), logits=np.eye(12)[0] * 9),
    )
    one, other = (
        forward_pass_figure(record, beside=[small, large]).figure.layout for record in (small, large)
    )
    for axis in ("yaxis2", "yaxis3", "xaxis4"):
        assert one[axis].range == other[axis].range, axis
    alone = forward_pass_figure(small).figure.layout
    assert alone.yaxis2.range != one.yaxis2.range


def test_hostile_text_is_inert_everywhere() -> None:
    record = record_with(token_texts=["a", HOSTILE], text_of=lambda token_id: HOSTILE)
    drawn = forward_pass_figure(record)
    assert drawn.narrow_figure is not None
    for figure in (drawn.figure, drawn.narrow_figure):
        written = figure.to_json()
        assert "<img" not in written
        assert "\\u003cimg" not in written
        assert "\u202e" not in written
        assert "%{y}" not in written
        assert "$x$" not in written


def test_every_figure_names_our_template_and_a_phone_fits_its_screen() -> None:
    drawn = forward_pass_figure(record_with())
    assert drawn.narrow_figure is not None
    for figure in (drawn.figure, drawn.narrow_figure):
        assert figure.layout.template.layout.font.family
        assert figure.layout.height < 1_500


def test_many_layers_thin_their_numbers() -> None:
    n = 80
    record = record_with(
        attention_lengths=np.ones(n), mlp_lengths=np.ones(n), stream_lengths=np.ones(n + 1), selected_layer=41
    )
    figure = wide_figure(record, (record,))
    numbers = [a.text for a in figure.layout.annotations if a.xref == "x2" and a.text.strip("</b>").isdigit()]
    assert "<b>41</b>" in numbers
    assert len(numbers) <= 17
    assert "40" not in numbers, "a neighbour would touch the selected layer's number"


def test_a_family_without_final_norm_says_so() -> None:
    record = record_with(final_length=None)
    assert "no final norm" in stage_sentences(record)[3]
    assert "final norm" not in table(record)["part"]
    forward_pass_figure(record)


def test_the_table_is_exact_and_even() -> None:
    record = record_with()
    columns = table(record)
    assert len({len(column) for column in columns.values()}) == 1
    rows = list(zip(*columns.values(), strict=True))
    assert ("block 1", "MLP", "length", 6.0) in rows
    assert ("token", "1 ·you", "id", 3) in rows
    assert sum(1 for row in rows if row[2] == "probability") == 11


def test_experts_are_called_experts() -> None:
    record = replace(record_with(), mlp_name="MLP (experts)")
    assert "MLP (experts) adds" in traces(forward_pass_figure(record).figure)
    assert "MLP (experts)" in sentences(record)


def test_exports_are_wide_enough_for_five_stages() -> None:
    drawn = forward_pass_figure(record_with())
    printed = print_figure(json.loads(drawn.figure.to_json()), "caption")
    assert printed["layout"]["width"] == 960


def test_a_picture_is_built_in_a_fraction_of_a_second() -> None:
    """plotly's add_annotation copies all earlier ones: used one by one this took two seconds."""
    many = 80
    record = record_with(
        token_texts=["x"] * 1024,
        token_ids=[1] * 1024,
        selected=500,
        embedding=np.zeros((1024, 12)),
        attention_lengths=np.ones(many),
        mlp_lengths=np.ones(many),
        stream_lengths=np.ones(many + 1),
    )
    forward_pass_figure(record)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        forward_pass_figure(record)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.6


def test_between_phone_and_desk_the_same_numbers_stand_closer_in_fewer_words() -> None:
    drawn = forward_pass_figure(record_with(token_ids=[7, 33_391]))
    assert drawn.middle_figure is not None
    wide, middle = traces(drawn.figure), traces(drawn.middle_figure)
    assert middle.keys() == wide.keys()
    assert middle["attention adds"].y == wide["attention adds"].y
    words = {
        name: [a.text for a in getattr(drawn, name).layout.annotations]
        for name in ("figure", "middle_figure")
    }
    assert all(len(text) < 40 for text in words["middle_figure"])
    assert "Length (log scale): 6 → 12" in words["middle_figure"]
    for texts in words.values():
        assert "33,391" in texts
    # At 620 pixels each stage's name, in bold letters of 14 pixels, ends before the next begins.
    heads = [a for a in drawn.middle_figure.layout.annotations if a.text.startswith(STAGES)]
    assert len(heads) == 5
    for one, following in pairwise(heads):
        assert (following.x - one.x) * 612 > 8 * len(one.text.removeprefix("<b>").removesuffix("</b>")), (
            one.text
        )
