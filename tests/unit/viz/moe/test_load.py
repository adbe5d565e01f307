"""Records, words and figures of the load, and of the recorded collapse."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.moe.load import dispatch
from model_runtime.moe.load import variation as measured_variation
from viz.moe.collapse import collapse_figure, collapse_record, collapse_sentence
from viz.moe.load import LoadRecord, load_figure, load_record, load_title, load_words, variation

TEXTS = ["<b>", " the", "\n", "$x$"]
CHOSEN = np.array([[0, 1], [0, 2], [0, 1], [0, 3]])


def record(factor: float = 0.0, chosen: np.ndarray = CHOSEN, n_experts: int = 4) -> LoadRecord:
    found = dispatch(chosen, n_experts, factor)
    texts = (TEXTS * len(chosen))[: len(chosen)]
    capacity = found.capacity if factor else None
    return load_record(chosen, found.kept, found.taken, found.dropped, texts, layer=3, capacity=capacity)


def test_without_a_limit() -> None:
    found = record()
    assert found.counts == (4, 2, 1, 1)
    assert (found.n_slots, found.mean, found.top, found.lost) == (8, 2, 4, ())
    assert load_title(found) == "L3: E0 gets 50.0\u00a0% of the work"
    # Deviations 2, 0, -1, -1: sqrt(6 / 4) / 2 = 0.612
    assert "Coefficient of variation 0.612." in load_words(found)
    assert variation(found.counts) == pytest.approx(measured_variation(np.array(found.counts)))


def test_with_two_places_each() -> None:
    found = record(1.0)
    assert found.taken == (2, 2, 1, 1)
    assert found.dropped == (2, 0, 0, 0)
    assert load_title(found).endswith("; 25.0\u00a0% dropped")
    assert load_words(found).endswith("at most 2: 2 slots dropped; every token still has an expert.")


def test_tokens_without_an_expert_are_named() -> None:
    found = record(1.0, np.zeros((4, 1), dtype=np.int64), 2)
    assert found.lost == (2, 3)
    assert load_words(found).endswith("No expert works on “↵” (2), “$x$” (3).")


def test_idle_experts_are_said() -> None:
    assert load_title(record(chosen=CHOSEN[:1])).endswith("; 2 of 4 idle")


def test_the_figure_is_safe_and_marks_what_is_dropped() -> None:
    drawn = load_figure(record(1.0))
    kept, dropped, taken, lost = drawn.figure.data
    assert len(kept.x) == 6
    assert list(dropped.x) == [2, 3]
    assert list(dropped.y) == [0, 0]
    assert dropped.marker.symbol == "x-thin"
    assert list(taken.x) == [2, 2, 1, 1]
    assert list(lost.x) == [2, 0, 0, 0]
    assert list(taken.text) == ["", "2", "1", "1"]
    assert lost.text[0] == "2 + 2"
    assert "<b>" not in kept.hovertext[0]
    assert "<b>" not in drawn.figure.layout.xaxis.ticktext
    assert [shape.x0 for shape in drawn.figure.layout.shapes] == [2, 2]
    assert drawn.table["dropped"] == [2, 0, 0, 0]


@pytest.mark.parametrize(("n_tokens", "n_experts", "k"), [(1, 2, 1), (1024, 128, 8), (60, 60, 4)])
def test_any_shape_is_drawn(n_tokens: int, n_experts: int, k: int) -> None:
    rng = np.random.default_rng(0)
    chosen = rng.permuted(np.tile(np.arange(n_experts), (n_tokens, 1)), axis=1)[:, :k]
    figure = load_figure(record(1.0, chosen, n_experts)).figure
    assert figure.layout.height <= 620
    assert sum(len(trace.x) for trace in figure.data[:2]) == n_tokens * k


def collapsed() -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    even = np.full((2, 1, 4), 0.25)
    fallen = np.array([[[0.25] * 4], [[0.01, 0.01, 0.97, 0.01]]])
    return [0, 1000], [even, fallen], [np.array([8.0, 3.0]), np.array([8.0, 3.5])]


def test_the_collapse_is_told_with_its_numbers() -> None:
    found = collapse_record(*collapsed(), 0)
    assert found.largest == (0.25, 0.97)
    assert found.unused == (0, 3)
    words = collapse_sentence(found)
    assert "takes 25.0\u00a0% of the work with the loss and 97.0\u00a0% without it" in words
    drawn = collapse_figure(found)
    assert drawn.figure.layout.title.text == (
        "L0: the busiest expert ends at 25.0\u00a0% with the loss, 97.0\u00a0% without"
    )
    assert {trace.stackgroup for trace in drawn.figure.data} == {"shares", "shares2"}
    named = [note.text for note in drawn.figure.layout.annotations if note.text.startswith("E")]
    assert named == ["E0", "E1", "E2", "E3", "E2"]
    assert len(drawn.table["step"]) == 8
