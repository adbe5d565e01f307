"""What a block changed: a hand-made record, its sentences and its figure on every screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_runtime.records.start import AttentionReading, EarlyGuess, EarlyGuesses
from tests.unit.viz.start.test_forward_pass import HOSTILE
from viz.start.change import (
    BlockChange,
    attention_sentence,
    block_change_figure,
    block_change_record,
    change_title,
    guess_sentence,
    mlp_sentence,
)
from viz.start.forward_pass import Block

POINTS = ("resid_pre", "resid_mid", "resid_post")


def change(points: tuple[str, ...] = POINTS, experts: Any = (), **more: Any) -> BlockChange:
    """Token 2 of three in block 4; the final guess is id 9, which is likely only at the end."""
    reading = AttentionReading(
        layer=4,
        position=2,
        key_lengths=np.array([1.0, 4.0, 2.0], dtype=np.float32),
        head_lengths=np.array([1.0, 5.0], dtype=np.float32),
        head_reads=np.array([0, 1]),
        head_shares=np.array([0.4, 0.8], dtype=np.float32),
    )
    shares = {"resid_pre": (0.01, 40), "resid_mid": (0.1, 3), "resid_post": (0.5, 1)}
    guesses = tuple(
        EarlyGuess(p, (9, 3) if p == "resid_post" else (3, 4), (0.5, 0.3), *shares[p]) for p in points
    )
    values = {"mlp_name": "MLP", "is_last": False, "text_at": "abc".__getitem__, "text_of": "t{}".format}
    block = Block(4, before=6.0, attention=3.0, mlp=1.0, after=8.0)
    return block_change_record(reading, EarlyGuesses(4, 2, 9, guesses, experts), block, **{**values, **more})


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_sentences_hold_the_numbers() -> None:
    record = change()
    assert record.read == ((1, "b", 4.0), (2, "c", 2.0), (0, "a", 1.0))
    said = plain(attention_sentence(record))
    assert "length 3 (30.0 % of the lengths" in said
    assert "Head 1 added most (5); it reads “b” most, with 80.0 %" in said
    assert "one of length 1 (10.0 %)" in plain(mlp_sentence(record))
    said = plain(guess_sentence(record))
    assert "before the block, “t3” is the likeliest, after it “t9”" in said
    assert "“t9” goes from 1.00 % (rank 40) to 50.0 % (rank 1)" in said
    assert "No block but the last is trained" in said
    assert plain(change_title(record)) == "Block 4: “t9”, read out early, 1.00 % before and 50.0 % after"


def test_the_last_blocks_guess_is_the_models_own() -> None:
    assert "the model's own guess" in guess_sentence(change(is_last=True))


def test_a_head_that_reads_the_token_itself_says_so() -> None:
    assert "it reads itself most" in attention_sentence(replace(change(), head_reads=(2, "c")))


def test_experts_are_named_with_their_weights() -> None:
    said = plain(mlp_sentence(change(experts=((3, 0.62), (5, 0.38)), mlp_name="MLP (experts)")))
    assert "The MLP (experts) added" in said
    assert said.endswith("This token asked experts 3 (62.0 %), 5 (38.0 %).")


@pytest.mark.parametrize("points", [POINTS, ("resid_pre", "resid_post")])
def test_each_point_of_the_stream_has_its_bars_and_the_final_guess_stands_out(
    points: tuple[str, ...],
) -> None:
    drawn = block_change_figure(change(points))
    for figure in (drawn.figure, drawn.narrow_figure):
        assert figure is not None
        assert [list(trace.x) for trace in figure.data] == [[4.0, 2.0, 1.0], *[[0.5, 0.3]] * len(points)]
        one, other = figure.data[-1].marker.color
        assert one != other
        assert len(set(figure.data[1].marker.color)) == 1, "it is not among the likeliest before the block"
        ranges = {figure.layout[f"xaxis{at + 2}"].range for at in range(len(points))}
        assert len(ranges) == 1, "one scale for all guesses"
    names = [guess.name for guess in change(points).guesses]
    assert names[-1] == ("After the MLP" if len(points) == 3 else "After the block")


def test_the_table_is_exact_and_even() -> None:
    columns = block_change_figure(change()).table
    rows = list(zip(*columns.values(), strict=True))
    assert ("attention took, length", "1 b", 4.0) in rows
    assert ("After attention, final guess", "t9", 0.1) in rows


def test_hostile_text_is_inert() -> None:
    drawn = block_change_figure(change(text_at=lambda at: HOSTILE, text_of=lambda token_id: HOSTILE))
    for figure in (drawn.figure, drawn.narrow_figure):
        written = figure.to_json()
        for hostile in ("<img", "\\u003cimg", "\u202e", "%{y}", "$x$"):
            assert hostile not in written
