"""The walk through the forward pass: its words by hand-made records, and where its stops are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_runtime.records.start import AttentionReading, EarlyGuess, EarlyGuesses
from tests.unit.viz.start.test_forward_pass import HOSTILE, record_with
from viz.start.figure import forward_pass_figure
from viz.start.walk import N_STEPS, Walk, block_to_visit, invitation, stops, walk_record

WALK = Walk(((0, "Hi", 2.5), (1, " you", 0.5)), visited=1, before=0.02, after=0.4)


def says(record: Any = None, walk: Walk = WALK) -> list[str]:
    return [stop.says for stop in stops(record or record_with(), walk)]


def test_each_step_says_this_runs_numbers() -> None:
    cut, row, read, added, scaled, end = says()
    assert "2 pieces" in cut
    assert "number 3." in cut
    assert "12 numbers" in row
    assert "length 6" in row
    assert "length 3; the longest pieces come from “Hi” (2.50) and “·you” itself (0.500)." in read
    assert "After the first, block 1 adds most (attention 12.5 %, the MLP 37.5 %" in added.replace(
        "\u00a0", " "
    )
    assert "“·t11” rises from 2.00 % to 40.0 %" in added.replace("\u00a0", " ")
    assert "length 12; RMSNorm brings it to 4" in scaled
    assert "all 12 tokens" in end
    assert "“·t11” gets 15.4 %" in end.replace("\u00a0", " ")  # 12 / 78


def test_the_block_after_the_first_that_adds_most_is_visited() -> None:
    record = record_with(
        attention_lengths=np.array([9.0, 1.0, 2.0, 1.0]),
        mlp_lengths=np.array([9.0, 1.0, 2.0, 1.0]),
        stream_lengths=np.array([1.0, 9.0, 9.0, 9.0, 9.0]),
    )
    assert block_to_visit(record) == 2


def test_a_model_of_one_block_visits_it() -> None:
    one = record_with(
        attention_lengths=np.array([1.0]), mlp_lengths=np.array([1.0]), stream_lengths=np.array([1.0, 2.0])
    )
    assert block_to_visit(one) == 0
    added = says(one, replace(WALK, visited=0))[3]
    assert added.startswith("The only block adds (")
    assert "After one block the stream" in says(one, replace(WALK, visited=0))[4]


def test_the_first_token_reads_itself_alone() -> None:
    assert (
        "nobody but itself" in says(record_with(selected=0), replace(WALK, first_read=((0, "Hi", 3.0),)))[2]
    )


@pytest.mark.parametrize(("after", "words"), [(0.01, "falls from"), (0.02, "stays at"), (0.03, "rises from")])
def test_the_guess_is_said_to_go_where_it_goes(after: float, words: str) -> None:
    assert words in says(walk=replace(WALK, after=after))[3]


def test_a_family_without_final_norm_says_so() -> None:
    assert "no final norm" in says(record_with(final_length=None))[4]


def test_measurements_become_the_walks_numbers() -> None:
    lengths = np.array([0.5, 2.0, 0.0, 1.0, 9.0], dtype=np.float32)  # the last key is after the token
    nothing = np.zeros(2, dtype=np.float32)
    reading = AttentionReading(0, 3, lengths, nothing, nothing.astype(np.int64), nothing)
    guesses = [
        EarlyGuess(p, (1,), (0.5,), share, 2) for p, share in (("resid_pre", 0.1), ("resid_post", 0.3))
    ]
    walk = walk_record(reading, EarlyGuesses(7, 3, 5, tuple(guesses), ()), lambda at: f"t{at}")
    assert walk.first_read == ((1, "t1", 2.0), (3, "t3", 1.0), (0, "t0", 0.5))
    assert (walk.visited, walk.before, walk.after) == (7, 0.1, 0.3)


def walked(**changes: Any) -> list[dict[str, Any]]:
    drawn = forward_pass_figure(record_with(**changes), walk=WALK)
    assert len(drawn.walk) == N_STEPS
    return [figure.layout.meta["walk"] for figure in (drawn.figure, drawn.middle_figure, drawn.narrow_figure)]


def test_every_layout_has_all_stops_within_the_picture_and_the_path_goes_on_at_each() -> None:
    for plan in walked():
        assert len(plan["stops"]) == N_STEPS
        drawn = [stop["drawn"] for stop in plan["stops"]]
        assert drawn == sorted(set(drawn))
        assert drawn[-1] == len(plan["path"])
        assert [command[0] for command in plan["path"]].count("M") == 1
        for stop in plan["stops"]:
            for left, top, right, bottom in stop["lit"]:
                assert 0 <= left < right <= 1.0025
                assert -0.2 < top < bottom <= 1.05


def test_the_column_that_is_lit_is_the_visited_blocks() -> None:
    wide = forward_pass_figure(record_with(), walk=WALK).figure
    low, high = wide.layout.xaxis2.domain
    left, _, right, _ = wide.layout.meta["walk"]["stops"][3]["lit"][-1]
    middle = low + (1 + 0.6) / 2.2 * (high - low)  # block 1 of two, on an axis from -0.6 to 1.6
    assert (left + right) / 2 == pytest.approx(middle, abs=1e-3)


def test_without_a_walk_the_picture_has_no_stops() -> None:
    drawn = forward_pass_figure(record_with())
    assert drawn.walk == ()
    assert drawn.figure.layout.meta is None


def test_strangers_text_stays_visible_text() -> None:
    record = record_with(token_texts=["a", HOSTILE], text_of=lambda token_id: HOSTILE)
    for said in (invitation(record), *says(record)):
        assert "\u202e" not in said
