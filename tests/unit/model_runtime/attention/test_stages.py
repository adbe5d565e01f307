"""Stages of a head and the equation of a cell, on numbers small enough to work out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model, Trace, pattern_scaled_by, saturation, score_terms
from model_runtime.attention.stages import head_stages
from model_runtime.capture.attention_function import AttentionCall
from model_runtime.errors import NotCaptured, PointUnavailable, SettingError
from model_runtime.records import HeadStages
from tests.open_runs import run_with
from tests.tiny_models import build_model, tiny_tokenizer

IDS = (9, 80, 12)
LN = math.log


def model_of(case: str = "llama") -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name="Tiny", revision="random")


def by_hand(model: Model, **changes: Any) -> Trace:
    """The trace as if layer 0 had received these: 4 heads of 8 that share 2 kv heads, 3 tokens.

    Head 0 asks with (1, 0, ...) (2, 0, ...) (0, 1, ...); the keys of kv head 0 are (ln 2, 0) (0, ln 3)
    (ln 4, ln 5). Values are the unit vectors 0, 1, 2.
    """
    query, key, value = torch.zeros(1, 4, 3, 8), torch.zeros(1, 2, 3, 8), torch.zeros(1, 2, 3, 8)
    query[0, 0, :, :2] = torch.tensor([[1.0, 0], [2, 0], [0, 1]])
    key[0, 0, :, :2] = torch.tensor([[LN(2), 0], [0, LN(3)], [LN(4), LN(5)]])
    value[0, :] = torch.eye(3, 8)
    call = AttentionCall(query, key, value, None, None, 1.0, None, None, True, False, query.device)
    trace = model.trace(IDS)
    return dataclasses.replace(trace, layers=(0,), calls={0: dataclasses.replace(call, **changes)})


def stages_of(head: int = 0, **changes: Any) -> HeadStages:
    model = model_of()
    return head_stages(run_with(by_hand(model, **changes), model), 0, head)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_stages_worked_out_by_hand() -> None:
    s = stages_of()
    close(s.dots, [[LN(2), 0, LN(4)], [2 * LN(2), 0, 2 * LN(4)], [0, LN(3), LN(5)]])
    close(s.pattern, [[1, 0, 0], [4 / 5, 1 / 5, 0], [1 / 9, 3 / 9, 5 / 9]])
    close(s.z[:, :3], s.pattern)
    assert (s.capped, s.sink, s.sink_logit, s.z_factor) == (None, None, None, None)
    assert (s.kv_head, s.group, s.scaling, s.dtype) == (0, (0, 1), 1.0, "float32")
    assert s.visible.tolist() == np.tri(3, dtype=bool).tolist()
    assert np.isneginf(s.scores[0, 1:]).all()
    assert s.pattern.dtype == s.result.dtype == s.q.dtype == np.float32
    assert s.nbytes == sum(a.nbytes for a in vars(s).values() if isinstance(a, np.ndarray))


def test_query_heads_of_a_group_read_one_kv_head() -> None:
    found = [(stages_of(head).kv_head, stages_of(head).group) for head in range(4)]
    assert found == [(0, (0, 1)), (0, (0, 1)), (1, (2, 3)), (1, (2, 3))]


def test_scaling_soft_cap_and_sink() -> None:
    half = stages_of(scaling=0.5)
    close(half.scaled, half.dots / 2)
    close(half.pattern[1], [2 / 3, 1 / 3, 0])
    capped = stages_of(softcap=0.5)
    assert capped.capped is not None
    close(capped.capped, 0.5 * np.tanh(capped.dots / 0.5))
    sink = stages_of(sinks=torch.tensor([LN(6), 0, 0, 0]))
    close(sink.pattern[2], [1 / 15, 3 / 15, 5 / 15])
    close(sink.sink, [6 / 8, 6 / 11, 6 / 15])


def test_the_equation_of_a_cell_by_hand() -> None:
    terms = score_terms(stages_of(), 2, 1)
    close(terms.products[:3], [0, LN(3), 0])
    assert terms.n_visible == 3
    close(
        (terms.dot, terms.scaled, terms.capped, terms.row_max, terms.exp, terms.denominator),
        (LN(3), LN(3), LN(3), LN(5), 3 / 5, 9 / 5),
    )
    close(terms.probability, 1 / 3)
    assert terms.probability == terms.exp / terms.denominator
    hidden = score_terms(stages_of(), 0, 2)
    assert (hidden.visible, hidden.exp, hidden.probability, hidden.n_visible) == (False, 0.0, 0.0, 1)
    close(hidden.dot, LN(4))  # the product exists; the mask hides it
    # A sink above every score is the largest, and one more term of the sum.
    terms = score_terms(stages_of(sinks=torch.tensor([LN(6), 0, 0, 0])), 2, 1)
    close((terms.row_max, terms.sink_term, terms.denominator), (LN(6), 1, 15 / 6))
    close(terms.probability, 3 / 15)
    terms = score_terms(stages_of(softcap=0.5), 2, 1)
    close(terms.capped, 0.5 * math.tanh(LN(3) / 0.5))


def test_large_scores_do_not_overflow() -> None:
    terms = score_terms(stages_of(scaling=1000.0), 2, 2)
    assert terms.probability == 1.0
    assert np.isfinite(terms.denominator)


def test_refusals() -> None:
    model = model_of()
    trace = model.trace(IDS)
    with pytest.raises(PointUnavailable, match="no layer 3"):
        head_stages(run_with(trace, model), 3, 0)
    with pytest.raises(PointUnavailable, match="head 4"):
        head_stages(run_with(trace, model), 0, 4)
    with pytest.raises(NotCaptured, match="no query 3"):
        head_stages(run_with(trace, model), 0, 0, queries=(1, 3))
    with pytest.raises(SettingError, match="no queries"):
        head_stages(run_with(trace, model), 0, 0, queries=())
    with pytest.raises(NotCaptured, match="pattern"):
        head_stages(run_with(model.trace(IDS, points="resid_post"), model), 0, 0)
    few = head_stages(run_with(trace, model), 0, 0, queries=(1,))
    with pytest.raises(NotCaptured, match="no query 2"):
        score_terms(few, 2, 0)
    with pytest.raises(PointUnavailable, match="no key 3"):
        score_terms(few, 1, 3)


def test_other_factors_sharpen_or_flatten() -> None:
    trace = by_hand(model_of(), scaling=0.5)
    close(pattern_scaled_by(run_with(trace), 0, 0, 1.0)[2], [1 / 9, 3 / 9, 5 / 9])
    close(pattern_scaled_by(run_with(trace), 0, 0, 2.0, queries=2), [[1 / 35, 9 / 35, 25 / 35]])
    close(pattern_scaled_by(run_with(trace), 0, 0, 0.0)[2], [1 / 3] * 3)


def test_saturation_by_hand() -> None:
    model = model_of()
    found = saturation(run_with(by_hand(model, scaling=0.5), model), 0, 0)
    assert found.queries.tolist() == [1, 2]  # the first token sees itself alone
    assert (found.scaling, found.scaling_off) == (0.5, 1.0)
    close(found.largest_unscaled, [4 / 5, 5 / 9])
    close(found.largest[0], 2 / 3)
    close(found.entropy[0], -(2 / 3 * LN(2 / 3) + 1 / 3 * LN(1 / 3)))
    close(found.entropy_unscaled[0], -(4 / 5 * LN(4 / 5) + 1 / 5 * LN(1 / 5)))
    close(found.entropy_uniform, [LN(2), LN(3)])


def test_opt_hands_q_over_scaled() -> None:
    """Its scaling is 1 and the division is undone by sqrt(d_head)."""
    model = model_of("opt")
    trace = model.trace(IDS)
    stages = head_stages(run_with(trace, model), 0, 0)
    assert (stages.scaling, stages.q_handed_over_scaled) == (1.0, True)
    assert saturation(run_with(trace, model), 0, 0).scaling_off == math.sqrt(8)
    np.testing.assert_allclose(stages.q * math.sqrt(8), trace.get("q", 0, 0), rtol=1e-6)
    llama = model_of()
    plain = head_stages(run_with(llama.trace(IDS), llama), 0, 0)
    assert (plain.scaling, plain.q_handed_over_scaled) == (8**-0.5, False)
