"""The next-token picture: records by hand-made numbers, figures by their traces, and the readable twin."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from model_runtime.records import SamplingReport
from model_runtime.sampling.settings import DEFAULT_ORDER, SamplingSettings
from model_runtime.sampling.steps import sampling_steps
from model_runtime.sampling.twin import next_token, softmax
from viz.output.next_token.browser import with_sliders
from viz.output.next_token.figure import next_token_figure
from viz.output.next_token.record import NextTokenRecord, axis_end, next_token_record
from viz.output.next_token.traces import PAIRED_TRACES, TRACES, resting_words

# Probabilities of a five-token vocabulary that a hand can follow.
FIVE = np.log(np.array([0.4, 0.3, 0.15, 0.1, 0.05], dtype=np.float64)).astype(np.float32)
WORDS = [" the", "the", "\n", "<b>$x$</b>", "\u202e"]


def record(
    sampling: SamplingSettings,
    logits: np.ndarray = FIVE,
    shown: tuple[int, ...] = (0, 1, 2),
    selected: int = 0,
    text: Callable[[int], str] = WORDS.__getitem__,
    **more: object,
) -> NextTokenRecord:
    report = sampling_steps(logits, [0], [], sampling)
    return next_token_record(report, shown, text, selected, **more)  # type: ignore[arg-type]


def test_top_p_keeps_marks_and_names_what_it_cuts() -> None:
    found = record(SamplingSettings(top_p=0.6), shown=(2, 0, 1))
    assert [candidate.token_id for candidate in found.candidates] == [0, 1, 2]  # the likeliest first
    the, second, third = found.candidates
    assert the.final == pytest.approx(0.4 / 0.7)
    assert (the.cut_by, the.entering) == (None, the.final)
    assert second.final == pytest.approx(0.3 / 0.7)
    assert third.cut_by == "top-p"
    assert third.final == 0
    assert third.entering == third.model == pytest.approx(0.15)


def test_the_rest_is_counted_and_weighed_before_and_after() -> None:
    found = record(SamplingSettings(top_k=4))
    assert found.rest.n_tokens == 2
    assert found.rest.model == pytest.approx(0.15)
    assert found.rest.final == pytest.approx(0.1 / 0.95)
    assert found.rest.n_kept == 1
    assert "2 more tokens: 15.0 %" in found.words.replace("\xa0", " ")


def test_every_step_s_bar_is_the_whole_vocabulary() -> None:
    found = record(SamplingSettings(temperature=0.5, top_k=3, top_p=0.8, min_p=0.2))
    assert [row.name for row in found.steps] == ["base", "temperature", "top_k", "top_p", "min_p", "final"]
    for row in found.steps:
        assert sum(segment.width for segment in row.segments) == pytest.approx(1)
        ends = [segment.start + segment.width for segment in row.segments]
        assert [segment.start for segment in row.segments[1:]] == pytest.approx(ends[:-1])
    by_name = {row.name: row for row in found.steps}
    # After temperature 0.5 probabilities are as the squares: 0.16, 0.09, 0.0225, 0.01, 0.0025.
    squares = np.array([0.16, 0.09, 0.0225, 0.01, 0.0025])
    cut = [segment for segment in by_name["top_k"].segments if segment.cut]
    assert [segment.token_id for segment in cut] == [None]  # the two without a row
    assert cut[0].width == pytest.approx(squares[3:].sum() / squares.sum(), rel=1e-5)
    assert by_name["top_k"].cut_mass == pytest.approx(cut[0].width)
    assert by_name["final"].cut_mass == 0
    assert by_name["final"].n_kept == 2


def test_penalties_appear_only_when_they_are_on() -> None:
    assert "repetition" not in {row.name for row in record(SamplingSettings()).steps}
    assert "repetition" in {row.name for row in record(SamplingSettings(repetition_penalty=1.5)).steps}


def test_the_order_of_the_rows_is_the_order_of_the_steps() -> None:
    order = (*(name for name in DEFAULT_ORDER if name != "temperature"), "temperature")
    found = record(SamplingSettings(order=order, temperature=0.5))
    assert [row.name for row in found.steps][1:-1] == ["top_k", "top_p", "min_p", "temperature"]


def test_greedy_says_that_nothing_is_left_to_chance() -> None:
    found = record(SamplingSettings(temperature=0))
    assert found.title == "Only “·the” is left: it is chosen every time"
    assert found.candidates[1].cut_by == "temperature"
    assert found.rest.n_kept == 0
    assert found.rest.final == 0


def test_the_likeliest_to_be_drawn_has_a_row_even_where_typical_p_moves_it_down() -> None:
    logits = np.log(np.array([0.9, *[0.1 / 30] * 30])).astype(np.float32)
    logits[17] += 0.5
    found = record(
        SamplingSettings(repetition_penalty=50.0), logits, (0, 1), 0, lambda token_id: f"t{token_id}"
    )
    assert 17 in {candidate.token_id for candidate in found.candidates}
    assert found.title.startswith("“t17” leads")


def test_a_selected_token_far_down_gets_its_own_row() -> None:
    found = record(SamplingSettings(), shown=(0, 1), selected=4)
    assert [candidate.token_id for candidate in found.candidates] == [0, 1, 4]
    assert found.candidates[-1].rank == 5


def test_ties_stand_in_the_order_of_their_ids() -> None:
    found = record(SamplingSettings(top_k=2), np.zeros(5, dtype=np.float32), (3, 1, 2, 0))
    assert [(candidate.token_id, candidate.rank) for candidate in found.candidates] == [
        (0, 1), (1, 2), (2, 3), (3, 4),
    ]  # fmt: skip
    assert found.steps[-1].n_kept == 5  # all equal the second


def test_hostile_tokens_are_inert_in_every_text() -> None:
    found = record(SamplingSettings(top_p=0.5), shown=(0, 1, 2, 3, 4), selected=3)
    drawn = next_token_figure(found)
    text = drawn.figure.to_json()
    assert "<b>$x$" not in text
    assert "\\u003cb\\u003e$x$" not in text
    assert "\u202e" not in text
    labels = [candidate.label for candidate in found.candidates]
    assert labels[:3] == ["·the", "the", "↵"]
    assert labels[3] == "&lt;b&gt;&#36;x&#36;&lt;/b&gt;"
    assert labels[4] == "⟨U+202E⟩"
    # Data is no drawing: the token's own characters, though nothing of it hides.
    assert drawn.table["token"][3:] == ["<b>$x$</b>", "⟨U+202E⟩"]
    assert "“<b>$x$</b>” 0" in drawn.alt
    assert "\u202e" not in drawn.alt


def test_traces_carry_the_record() -> None:
    found = record(SamplingSettings(top_p=0.6), selected=2)
    drawn = next_token_figure(found)
    traces = dict(zip(TRACES, drawn.figure.data, strict=True))
    assert list(traces["final"].x) == [candidate.final for candidate in found.candidates]
    assert list(traces["cut"].x) == [0, 0, found.candidates[2].entering]
    assert list(traces["model"].x) == [candidate.model for candidate in found.candidates]
    assert [list(data) for data in traces["hits"].customdata] == [[0], [1], [2]]
    assert traces["shares"].text[2] == " <b>cut by top-p</b>"
    assert drawn.figure.layout.xaxis2.range == (0, found.axis_end * 1.2)
    assert {len(column) for column in drawn.table.values()} == {3}


def test_a_number_past_the_model_s_stroke_still_belongs_to_its_bar() -> None:
    shares = next_token_figure(record(SamplingSettings(temperature=3.0, top_k=2))).figure.data[
        TRACES.index("shares")
    ]
    assert shares.text[0].startswith(" <b>")
    assert "■" not in shares.text[0]  # above the model's 40 %
    assert shares.text[2] == " cut by top-k"
    assert len({shares.textfont.color[0], shares.textfont.color[2], shares.textfont.color[3]}) == 3
    flat = next_token_figure(record(SamplingSettings(temperature=3.0))).figure.data[TRACES.index("shares")]
    assert flat.text[0].startswith(" <b>■ ")


def test_arrow_keys_reach_the_candidates_first_and_a_phone_keeps_left_and_cut() -> None:
    drawn = next_token_figure(record(SamplingSettings()))
    assert next(trace.name for trace in drawn.figure.data if trace.hoverinfo != "skip") == "hits"
    headings = {text: x for x, _, text, *_ in resting_words(record(SamplingSettings()))}
    end = drawn.narrow_layout["xaxis.range"][1]  # type: ignore[index]
    assert headings["left"] < headings["cut"] <= end < headings["nats"]


def test_a_pinned_run_stands_beside_on_the_same_axis_with_the_difference() -> None:
    pinned = {0: 0.9, 1: math.nan, 2: 0.05}
    found = record(SamplingSettings(), pinned=pinned, pinned_label="temperature 0.2")
    traces = dict(zip((*TRACES, *PAIRED_TRACES), next_token_figure(found).figure.data, strict=True))
    assert found.axis_end == 1.0  # the pinned bar fits, too
    assert list(traces["pinned"].x) == [0.9, 0.0, 0.05]
    assert traces["pinned"].xaxis == traces["final"].xaxis
    assert traces["difference"].x[0] == pytest.approx(100 * (0.4 - 0.9))
    assert traces["difference"].x[1] is None
    assert traces["points"].text == (" −50.00 ", "", " +10.00 ")


def test_the_picture_keeps_its_height_while_sliders_move() -> None:
    settings = [
        SamplingSettings(),
        SamplingSettings(temperature=0),
        SamplingSettings(top_k=1, top_p=0.2, min_p=0.5),
    ]
    heights = {next_token_figure(record(sampling)).figure.layout.height for sampling in settings}
    assert len(heights) == 1


def test_what_travels_to_the_browser_rests_while_sliders_move() -> None:
    def message(sampling: SamplingSettings) -> dict[str, object]:
        found = record(sampling)
        drawn = with_sliders(next_token_figure(found), found, FIVE, vars(sampling), [0])
        return {name: value for name, value in drawn.browser_data.items() if name != "logits"}

    assert message(SamplingSettings(temperature=0.3, top_k=2)) == message(
        SamplingSettings(top_p=0.5, min_p=0.3)
    )
    assert message(SamplingSettings(typical_p=0.5)) != message(SamplingSettings())


@pytest.mark.parametrize(("reach", "end"), [(0.0, 1e-5), (1.2e-4, 2e-4), (0.34, 0.4), (0.4, 0.4), (1.0, 1.0)])
def test_axis_ends_at_round_numbers(reach: float, end: float) -> None:
    assert axis_end(reach) == end


def test_bars_are_seen_and_their_words_stand_beside_them_at_every_temperature() -> None:
    """One token of 49,152 with e^9 times the weight of each other: exp(9/T) / (exp(9/T) + 49,151)."""
    logits = np.zeros(49_152, dtype=np.float32)
    logits[0] = 9
    for temperature in (0.5, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 100):
        found = record(SamplingSettings(temperature=temperature), logits, shown=(0, 1, 2), text=lambda _: "x")
        bar = math.exp(9 / temperature) / (math.exp(9 / temperature) + 49_151)
        assert found.candidates[0].final == pytest.approx(bar, rel=1e-5)
        assert bar <= found.axis_end <= 10 * bar  # a tenth of the axis or more
        traces = dict(zip(TRACES, next_token_figure(found).figure.data, strict=True))
        whole = next_token_figure(found).figure.layout.xaxis2.range[1]
        assert -1e-6 <= traces["shares"].x[0] - bar <= 0.4 * whole
        model = math.exp(9) / (math.exp(9) + 49_151)
        if model > whole:
            assert traces["model"].marker.symbol[0] == "triangle-right"
            assert whole * 0.9 < traces["model"].x[0] < whole
        else:
            assert traces["model"].marker.symbol[0] == "line-ns"
            assert traces["model"].x[0] == pytest.approx(model)


# The readable twin


def report_of(logits: np.ndarray, **settings: float) -> SamplingReport:
    return sampling_steps(logits, [], [], SamplingSettings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("temperature", "k", "p", "share"),
    [(1, 0, 1, 0), (0, 0, 1, 0), (0.7, 0, 0.9, 0), (1.3, 40, 1, 0), (1, 0, 1, 0.05), (0.8, 100, 0.95, 0.02)],
)
def test_the_twin_draws_the_same_tokens(temperature: float, k: int, p: float, share: float) -> None:
    from model_runtime.sampling.steps import draw, request_generator

    logits = np.random.default_rng(3).normal(0, 3, 2_000).astype(np.float32)
    report = report_of(logits, temperature=temperature, top_k=k, top_p=p, min_p=share)
    assert softmax(logits.astype(np.float64)) == pytest.approx(report.base.probabilities, abs=1e-12)
    for seed in range(40):
        ours = draw(report.final.probabilities, request_generator(seed))
        assert next_token(logits, temperature, k, p, share, seed) == ours
