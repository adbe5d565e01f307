"""One head stage by stage: record by hand, reduced matrices, the figure's traces, clicks, scales, words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.io as pio
import pytest

from tests.unit.model_runtime.attention.stages_by_hand import TOKENS, stages_by_hand
from viz.attention.stages import words
from viz.attention.stages.figure import head_stages_figure, trace_stage
from viz.attention.stages.record import (
    MATRICES,
    HeadStagesRecord,
    Path,
    difference_record,
    head_stages_record,
    shared_limits,
    vector_length,
)
from viz.attention.stages.scale import scale_effect_figure, scale_effect_record
from viz.token_map import largest_in

PLACE: dict[str, Any] = {"query": 2}


def record(**changes: Any) -> HeadStagesRecord:
    return head_stages_record(stages_by_hand(), TOKENS, **{**PLACE, **changes})


def test_the_record_by_hand() -> None:
    made = record(key=1)
    assert made.path == Path(dot=0.0, scaled=0.0, capped=None, visible=True, probability=0.25)
    assert made.stage("dots").cells == ((2.0, 0.0, 6.0), (6.0, 2.0, 6.0), (0.0, 0.0, pytest.approx(1.386294)))
    assert made.stage("scores").cells[0] == (1.0, None, None)
    assert made.stage("pattern").cells[2] == (0.25, 0.25, 0.5)
    assert made.stage("z").cells[2] == (9.0, 0.0, 0.0, 0.0)
    assert made.stage("result").shape == (3, 8)
    ends = made.stage("dots")
    assert (ends.low, ends.high, ends.limit) == (0.0, 6.0, 6.0)
    assert made.stage("pattern").limit == 1.0
    assert [stage.key for stage in made.stages] == [name for name, *_ in MATRICES if name != "capped"]


def test_the_strongest_key_is_chosen_where_none_is() -> None:
    assert record().key == 2
    assert record(query=1).key == 0


def test_a_soft_cap_is_a_stage_of_its_own() -> None:
    scaled = stages_by_hand().scaled
    capped = stages_by_hand(capped=np.tanh(scaled / 2) * 2, softcap=2.0)
    made = head_stages_record(capped, TOKENS, **PLACE)
    assert [stage.key for stage in made.stages][3:6] == ["scaled", "capped", "scores"]
    assert made.path.capped == pytest.approx(2 * math.tanh(math.log(2) / 2))
    assert any("±2" in note.text for note in head_stages_figure(made).figure.layout.annotations)


def test_matrices_of_another_prompt_are_refused() -> None:
    with pytest.raises(ValueError, match="2 tokens"):
        head_stages_record(stages_by_hand(), TOKENS[:2], **PLACE)


def test_every_axis_that_means_tokens_is_linked() -> None:
    linked = head_stages_figure(record()).figure.layout.meta["linked_axes"]
    # q, k, dots, scaled, scores, pattern, v, z, result
    assert [linked["y" + ("" if at == 0 else str(at + 1))] for at in range(9)] == [
        *("query", "key", "query", "query", "query", "query", "key", "query", "query")
    ]
    assert {axis for axis in linked if axis.startswith("x")} == {"x3", "x4", "x5", "x6"}


def test_clicks_choose_what_the_axes_mean() -> None:
    made = record()
    names = [trace.name for trace in head_stages_figure(made).figure.data]
    expected = {
        "queries": {"token": 1},
        "keys": {"key": 1},
        "dot products": {"token": 1, "key": 0},
        "mask, hidden": {"token": 1, "key": 0},
        "values": {"key": 1},
        "added to the stream": {"token": 1},
    }
    for name, choice in expected.items():
        stage = trace_stage(made, names.index(name))
        assert stage is not None
        assert made.chosen(stage, (1, 0)) == choice
        assert made.chosen(stage, (99, 0)) == {}
    assert trace_stage(made, 99) is None


def test_scales_are_signed_but_for_the_pattern() -> None:
    figure = head_stages_figure(record()).figure
    by_name = {trace.name: trace for trace in figure.data}
    assert (by_name["dot products"].zmin, by_name["dot products"].zmax) == (-6, 6)
    assert (by_name["probabilities"].zmin, by_name["probabilities"].zmax) == (0, 1)
    assert np.isnan(by_name["mask"].z[0][1])
    assert by_name["mask, hidden"].z[0][1] == 1


def test_two_runs_share_their_scales() -> None:
    larger = stages_by_hand(dots=10 * stages_by_hand().dots)
    limits = shared_limits(stages_by_hand(), larger)
    assert (limits["dots"], limits["q"], limits["pattern"]) == (60.0, 1.0, 1.0)
    assert head_stages_record(stages_by_hand(), TOKENS, limits=limits, **PLACE).stage("dots").limit == 60


def test_shapes_ends_and_names_stand_in_all_three_layouts() -> None:
    drawn = head_stages_figure(record())
    assert drawn.middle_figure is not None
    layouts = (
        [note.text for note in drawn.figure.layout.annotations],
        [note.text for note in drawn.middle_figure.layout.annotations],
        [note["text"] for note in dict[str, Any](drawn.narrow_layout)["annotations"]],
    )
    for said in layouts:
        assert said.count("[3 × 4]") == 4
        assert said.count("[3 × 3]") == 4
        assert "[3 × 8]" in said
        assert "0 to 6" in said
        assert "<b>÷ √4</b> scaled" in said
        assert "<b>&lt;c&gt;</b>" in said
        assert not any("<c>" in text for text in said)


def test_domains_stay_inside_the_picture() -> None:
    drawn = head_stages_figure(record())
    assert drawn.middle_figure is not None
    for layout in (drawn.figure.layout, drawn.middle_figure.layout):
        for at in range(9):
            for letter in "xy":
                low, high = layout[f"{letter}axis{'' if at == 0 else at + 1}"].domain
                assert 0 <= low < high <= 1.0001
    axes = [axis for name, axis in drawn.narrow_layout.items() if name[1:].startswith("axis")]
    assert len(axes) == 18
    for axis in axes:
        low, high = dict[str, Any](axis)["domain"]  # type: ignore[call-overload]
        assert 0 <= low < high <= 1.0001


def test_largest_by_size_in_blocks_and_where_it_stood() -> None:
    values = np.arange(-6.0, 6.0).reshape(3, 4)
    found, where = largest_in(values, 2, 3)
    assert found.tolist() == [[-6.0, -3.0], [4.0, 5.0]]
    assert where.tolist() == [[[0, 0], [0, 3]], [[2, 2], [2, 3]]]


def test_long_prompts_are_reduced_and_said_to_be() -> None:
    n = 130
    rng = np.random.default_rng(0)
    visible = np.tril(np.ones((n, n), dtype=bool))
    square = rng.normal(size=(n, n)).astype(np.float32)
    scores = np.where(visible, square, -np.inf)
    pattern = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    tall = rng.normal(size=(n, 4)).astype(np.float32)
    long = stages_by_hand(
        q=tall,
        k=tall,
        v=tall,
        z=tall,
        result=np.tile(tall, 2),
        dots=square,
        scaled=square,
        scores=scores,
        pattern=pattern,
        visible=visible,
    )
    made = head_stages_record(long, ["x"] * n, query=100, key=77)
    stage = made.stage("dots")
    assert (len(stage.cells), stage.row_block, stage.shape) == (44, 3, (130, 130))
    row, column = stage.origin(33, 25)
    assert abs(square[row, column]) == np.abs(square[99:102, 75:78]).max()
    assert made.chosen(stage, (33, 25)) == {"token": row, "key": column}
    assert (stage.low, stage.high) == (square.min(), square.max())
    assert made.path.probability == pytest.approx(float(pattern[100, 77]))
    assert "a row stands for 3 tokens" in words.block_sentence(made)
    drawn = head_stages_figure(made)
    sent = len(pio.to_json(drawn.figure)) + len(pio.to_json(drawn.middle_figure))
    assert sent < 500_000


def test_a_head_that_may_read_nothing_is_drawn() -> None:
    none = np.zeros((3, 3), dtype=bool)
    empty = stages_by_hand(
        visible=none, scores=np.full((3, 3), -np.inf), pattern=np.full((3, 3), np.nan, dtype=np.float32)
    )
    made = head_stages_record(empty, TOKENS, **PLACE)
    assert made.stage("scores").cells == ((None,) * 3,) * 3
    assert head_stages_figure(made).figure.data
    assert scale_effect_record(empty, TOKENS, 2) is None


def test_a_difference_is_matrix_by_matrix() -> None:
    other = stages_by_hand(dots=stages_by_hand().dots - 1, pattern=stages_by_hand().pattern * 0.5)
    made = difference_record(stages_by_hand(), other, TOKENS, key=2, **PLACE)
    assert made is not None
    assert made.is_difference
    assert made.stage("dots").cells == ((1.0,) * 3,) * 3
    assert made.path.probability == pytest.approx(0.25)
    assert made.stage("pattern").limit == pytest.approx(0.5)
    figure = head_stages_figure(made).figure
    shares = next(trace for trace in figure.data if trace.name == "probabilities")
    assert (shares.zmin, shares.zmax) == (-0.5, 0.5)
    assert "+25 points" in words.title(made)
    assert difference_record(stages_by_hand(), stages_by_hand(z=np.zeros((3, 5))), TOKENS, **PLACE) is None


def test_words_of_the_selection() -> None:
    made = record(query=1, key=2)
    assert words.title(made) == "<b>“·b”</b> reads <b>“&lt;c&gt;”</b>: 6 → 3 → masked: −∞ → <b>0\xa0%</b>"
    assert vector_length(stages_by_hand(), 2) == pytest.approx(9 * math.sqrt(2))
    assert "length 2.00, added to a stream of length 4" in words.length_sentence(made, 1.999, 4.0)
    assert "adds nothing" in words.length_sentence(made, 0.0, 4.0)
    assert "key and value head 1, which H3 shares with H2" in words.group_sentence(3, 1, (2, 3))
    assert words.group_sentence(3, 3, (3,)) == ""


def test_the_scale_by_hand() -> None:
    made = scale_effect_record(stages_by_hand(), TOKENS, 2)
    assert made is not None
    first, last = made.steps[0], made.steps[-1]
    assert (first.divisor, last.divisor) == (2.0, pytest.approx(1.0))
    assert first.probabilities == pytest.approx((0.25, 0.25, 0.5))
    assert last.probabilities == pytest.approx((1 / 6, 1 / 6, 4 / 6))  # e^(2 ln 2) = 4
    assert first.entropy == pytest.approx(1.5 * math.log(2))
    figure = scale_effect_figure(made).figure
    assert len(figure.frames) == len(made.steps)
    assert figure.frames[0].name.startswith("Divided by 2 (√4), as this model does: largest share 50.0")
    assert figure.frames[-1].name.startswith("Not divided: largest share 66.7")
    assert {frame.data[0].type for frame in figure.frames} == {"bar"}
    title = scale_effect_figure(made).narrow_layout["title"]
    assert title["text"].split("<br>")[1] == "undivided <b>66.7\xa0%</b>"


def test_a_sink_is_not_scaled_but_takes_its_share() -> None:
    made = scale_effect_record(stages_by_hand(), TOKENS, 2, sink_logit=math.log(4))
    assert made is not None
    assert made.steps[0].probabilities == pytest.approx((1 / 8, 1 / 8, 2 / 8))


def test_a_model_that_does_not_divide_is_shown_divided() -> None:
    stages = stages_by_hand(scaling=1.0, scaled=stages_by_hand().dots)
    made = scale_effect_record(stages, TOKENS, 2)
    assert made is not None
    assert [made.steps[0].divisor, made.steps[-1].divisor] == [1.0, pytest.approx(2.0)]
    handed = scale_effect_record(stages_by_hand(scaling=1.0, q_handed_over_scaled=True), TOKENS, 2)
    assert handed is not None
    assert handed.steps[0].divisor == 2.0  # q came divided: taken off again, then divided as the model did
    assert handed.steps[0].probabilities == pytest.approx((1 / 6, 1 / 6, 4 / 6))


WAYS = [(15.952, "15.95 → 1.99"), (15.92, "15.9 → 1.99"), (-15.952, "−15.95 → −1.99")]


@pytest.mark.parametrize(("dot", "way"), WAYS)
def test_the_way_in_the_title_comes_out_on_a_calculator(dot: float, way: str) -> None:
    """Divided by the root of 64, as the figure says below the title."""
    made = replace(record(), scaling=1 / 8, path=Path(dot, dot / 8, None, True, 0.496))
    said = words.title(made).split(":")[1].split("→")
    printed, scaled = (float(part.strip().replace("−", "-")) for part in said[:2])
    assert float(f"{printed / 8:.3g}") == scaled
    assert way in words.title(made)


def test_where_no_digits_come_out_the_way_says_so() -> None:
    made = replace(record(), scaling=1 / 8, path=Path(16.0, 1.5, None, True, 0.5))
    assert "16 → ≈ 1.50 →" in words.title(made)
