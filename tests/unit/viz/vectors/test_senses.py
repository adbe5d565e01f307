"""Cosines and paths of one word: what is said beside the baseline, and what a click carries."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from model_runtime.records import SensePaths, Token
from viz.vectors.senses import (
    SenseCurves,
    cosines_sentence,
    embedding_sentence,
    sense_curves_record,
    sense_path_record,
    verdict,
)
from viz.vectors.senses_figure import sense_curves_figure, sense_paths_figure


@dataclass
class Found:
    """What `model_runtime.vectors.senses.senses` gives, as far as it is drawn."""

    sentence: str
    tokens: tuple[Token, ...]


@dataclass
class Compared:
    occurrences: tuple[Found, ...]
    pairs: tuple[tuple[int, int], ...]
    cosines: np.ndarray
    baseline: np.ndarray | None
    low: np.ndarray | None
    high: np.ndarray | None
    n_unrelated: int = 6


MOLE = Token(7, " mole", b" mole")
COMPARED = Compared(
    (Found("a mole", (MOLE,)), Found("<b>mole", (Token(8, "mole", b"mole"),)), Found("one mole", (MOLE,))),
    ((0, 1), (0, 2), (1, 2)),
    np.array([[0.5, 0.25], [1.0, 0.75], [0.5, 0.5]]),
    np.array([0.0, 0.5]),
    np.array([-0.25, 0.375]),
    np.array([0.25, 0.625]),
)


def curves(depth: int = 1) -> SenseCurves:
    return sense_curves_record(COMPARED, " mole ", depth)


def test_the_record_has_the_least_alike_pair_and_the_bottom_of_the_axis() -> None:
    record = curves()
    assert record.word == "mole"
    assert record.same_token == (False, True, False)
    assert (record.farthest, record.bottom) == (0, -0.25)
    assert curves(depth=99).depth == 1


def test_the_verdict_stands_beside_the_baseline() -> None:
    record = curves()
    assert "less alike than nearly all unrelated" in verdict(record)
    middle = replace(record, low=(-0.25, 0.125))
    assert "no more alike than many tokens" in verdict(middle)
    assert "even 1 and 2, the least alike, are more alike" in verdict(replace(record, high=(0.25, 0.1)))
    alone = replace(record, baseline=(), low=(), high=())
    assert cosines_sentence(alone).endswith("These sentences have no other tokens to compare with.")
    assert "1 and 2: 0.250; 1 and 3: 0.750; 2 and 3: 0.500" in cosines_sentence(record)
    assert "0.500 on average, nine of ten pairs between 0.375 and 0.625" in cosines_sentence(record)


def test_other_tokens_of_one_word_are_named() -> None:
    said = embedding_sentence(curves())
    assert said.startswith("Sentences 1 and 2, 2 and 3 do not end the word in the same token")
    same = replace(curves(), same_token=(True, True, True))
    assert "cosine 1" in embedding_sentence(same)


def test_curves_carry_the_depth_and_hold_the_axis() -> None:
    drawn = sense_curves_figure(curves())
    pair = next(trace for trace in drawn.figure.data if trace.name == "sentences 1 and 3")
    assert list(pair.customdata) == [0, 1]
    assert list(pair.y) == [1.0, 0.75]
    assert drawn.figure.layout.yaxis.range[0] == pytest.approx(-0.28)
    assert drawn.table["cosine, 1 and 2"] == [0.5, 0.25]
    assert drawn.table["unrelated tokens, mean"] == [0.0, 0.5]
    assert drawn.figure.layout.title.text == "“mole”: cosine 0.500 at the embedding, 0.250 after block 0"
    ends = {note.text for note in drawn.figure.layout.annotations}
    assert {"1 and 2", "1 and 3", "2 and 3", "unrelated tokens"} <= ends


def test_without_others_there_is_no_band() -> None:
    bare = replace(COMPARED, baseline=None, low=None, high=None, n_unrelated=0)
    drawn = sense_curves_figure(sense_curves_record(bare, "mole", 1))
    assert len(drawn.figure.data) == 3
    assert "unrelated tokens, mean" not in drawn.table


@pytest.mark.parametrize("apart", [False, True])
def test_paths_are_one_a_sentence_with_a_ring_at_the_depth(apart: bool) -> None:
    coordinates = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    paths = SensePaths(coordinates, (0.5, 0.25), unit=True, apart=apart)
    record = sense_path_record(paths, COMPARED, "mole", 1)
    drawn = sense_paths_figure(record)
    paths = [trace for trace in drawn.figure.data if trace.mode != "markers"]
    assert [list(trace.x) for trace in paths] == [[0, 2], [4, 6], [8, 10]]
    assert list(paths[0].customdata) == [0, 1]
    rings = [trace for trace in drawn.figure.data if trace.mode == "markers"]
    assert [(ring.x[0], ring.y[0]) for ring in rings] == [(2, 3), (6, 7), (10, 11)]
    assert "75.0\xa0%" in drawn.figure.layout.title.text
    assert "&lt;b&gt;mole" in paths[1].name
    assert drawn.table["place"] == ["embedding", "after block 0"] * 3
    assert ("less their mean" in drawn.alt) is apart
