"""One number of a pattern: record by hand, figures, and the equation with its numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.model_runtime.attention.stages_by_hand import TOKENS, stages_by_hand, terms_by_hand
from viz.attention.number import words
from viz.attention.number.figure import one_number_figure
from viz.attention.number.record import MOST_BARS, OneNumber, one_number_record, softmax_row_record
from viz.attention.number.row import softmax_row_figure
from viz.attention.pattern import attention_pattern_record
from viz.attention.pattern_map import cell_map_figure

P = 1 / (1 + math.exp(-2))


def record(d_rotary: int = 0, **changes: object) -> OneNumber:
    stages = stages_by_hand(layer=3, head=1, pattern=np.full((3, 3), P + 1e-8))
    return one_number_record(terms_by_hand(**changes), stages, TOKENS, d_rotary=d_rotary)


def test_the_terms_by_hand() -> None:
    made = record(d_rotary=4)
    assert made.running == (2.0, 6.0, 6.0, 6.0)
    assert made.largest == (1, 0, 2)
    assert made.vector_limit == 4.0
    assert made.sum_range == (0.0, 6.0)
    assert made.difference == pytest.approx(1e-8)
    assert [made.pair_of(i) for i in range(4)] == [2, 3, 0, 1]
    assert [record(d_rotary=2).pair_of(i) for i in range(4)] == [1, 0, None, None]


def test_two_runs_share_their_scales() -> None:
    other = terms_by_hand(q=terms_by_hand().q * -9, products=terms_by_hand().products * -9)
    made = one_number_record(terms_by_hand(), stages_by_hand(), TOKENS, shared_with=(terms_by_hand(), other))
    assert (made.vector_limit, made.sum_range) == (9.0, (-54.0, 6.0))


def test_the_figure_has_both_vectors_their_products_and_the_sum() -> None:
    drawn = one_number_figure(record(d_rotary=4))
    q, k, products, running = drawn.figure.data
    assert (list(q.z[0]), list(k.z[0])) == ([1, 1, 0, 0], [2, 4, 0, 0])
    assert list(products.y) == [2, 4, 0, 0]
    assert list(running.y)[-1] == 6
    assert "turned together with dimension 3" in products.customdata[1][1]
    assert drawn.figure.layout.shapes[0].x0 == 1.5
    assert drawn.table["sum so far"] == [2.0, 6.0, 6.0, 6.0]
    assert "dimension 1 +4" in drawn.alt


def test_the_row_by_hand() -> None:
    made = softmax_row_record(stages_by_hand(), terms_by_hand(), TOKENS)
    assert [bar.visible for bar in made.bars] == [True, True, False]
    assert [bar.probability for bar in made.bars] == pytest.approx([P, 1 - P, 0])
    assert [bar.score for bar in made.bars] == [3.0, 1.0, 3.0]  # the hidden one would have scored as much
    drawn = softmax_row_figure(made)
    assert [trace.name for trace in drawn.figure.data] == ["other keys", "this key", "masked"]
    assert drawn.figure.data[2].marker.pattern.shape == "/"
    assert drawn.table["score"] == [3.0, 1.0, "masked"]
    assert "One key is masked" in drawn.alt


def test_a_row_of_many_keys_keeps_the_chosen_one() -> None:
    n = MOST_BARS + 10
    scores = np.zeros((n, n), dtype=np.float32)
    visible = np.ones((n, n), dtype=bool)
    stages = stages_by_hand(scaled=scores, visible=visible)
    terms = terms_by_hand(query_pos=0, key_pos=n - 1, row_max=0.0, denominator=float(n))
    made = softmax_row_record(stages, terms, ["x"] * n)
    assert made.bars[-1].chosen
    assert len(made.bars) == MOST_BARS // 4 + 1
    assert made.others == pytest.approx(1 - len(made.bars) / n)
    assert softmax_row_figure(made).figure.data


def test_the_equation_has_the_numbers() -> None:
    made = record()
    assert r"q_{1} k_{1} &= 1 \cdot 4 &&= 4" in words.dot_line(made)
    assert r"q \cdot k & &&= 6 \end{aligned}" in words.dot_line(made)
    assert r"\frac{6}{\sqrt{4}} = 3" in words.scale_line(made.terms)
    assert r"\frac{1}{1.1353} = 0.8808" in words.softmax_line(made.terms)
    assert "both keys" in words.softmax_words(made.terms)
    assert "difference is 1" in words.agreement(made, "float32")


def test_a_hidden_cell_is_explained() -> None:
    hidden = record(key_pos=2, visible=False, exp=0.0, probability=0.0)
    assert "stands after the query" in words.mask_words(hidden.terms)
    assert r"e^{-\infty" in words.softmax_line(hidden.terms)
    assert "the mask of this layer" in words.mask_words(record(key_pos=0, visible=False).terms)


def test_cap_sink_and_own_scales_are_said() -> None:
    capped = record(softcap=2.0, capped=2 * math.tanh(1.5), scaling=0.3)
    assert r"\tanh" in words.scale_line(capped.terms)
    assert r"6 \times 0.3" in words.scale_line(capped.terms)
    assert "no score exceeds ±2" in words.scale_words(capped.terms, False)
    sunk = record(sink_term=0.5, denominator=1 + math.exp(-2) + 0.5)
    assert r"\text{sink}" in words.softmax_line(sunk.terms)
    assert "learned sink" in words.softmax_words(sunk.terms)
    assert "divides q by √4 before" in words.scale_words(record(scaling=1.0).terms, True)
    assert "does not divide" in words.scale_words(record(scaling=1.0).terms, False)


def test_the_small_map_marks_query_and_key() -> None:
    pattern = attention_pattern_record(stages_by_hand().pattern, TOKENS, layer=0, head=0, selected=1)
    shapes = cell_map_figure(pattern, 0).figure.layout.shapes
    assert [(shape.x0, shape.y0, shape.line.dash) for shape in shapes] == [
        (-0.5, 0.5, None),
        (-0.5, -0.5, "dot"),
    ]
