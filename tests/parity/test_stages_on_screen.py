"""What the staged figure and the equation show, held against every family's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime import teaching
from model_runtime.attention.masks import pattern_under, visible_under
from model_runtime.attention.stages import head_stages, head_weight, score_terms
from model_runtime.model import Model
from model_runtime.run import open_run
from tests.open_runs import run_with
from tests.tiny_models import FAMILY_CASES, TEXT, tiny_model
from viz.attention.number.record import one_number_record, softmax_row_record
from viz.attention.stages.record import head_stages_record
from viz.attention.stages.scale import scale_effect_record

LAYER, HEAD = 1, 1


def model_of(family: str) -> Model:
    hf_model, tokenizer = tiny_model(family)
    return Model(hf_model, tokenizer, model_id=family, name=family, revision="local")


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_equation_row_and_scale_agree_with_the_pattern(family: str) -> None:
    model = model_of(family)
    trace = model.trace(TEXT)
    texts = [token.text for token in trace.tokens]
    stages = head_stages(run_with(trace, model), LAYER, HEAD)
    pattern = trace.get("pattern", LAYER, HEAD)
    query = len(texts) - 2
    shown = head_stages_record(stages, texts, query=query)
    assert shown.path.probability == pattern[query, shown.key]
    for key in (shown.key, 0, len(texts) - 1):
        terms = score_terms(stages, query, key)
        record = one_number_record(terms, stages, texts)
        assert record.measured == pattern[query, key]
        assert record.difference < 1e-6
        row = softmax_row_record(stages, terms, texts)
        shares = [bar.probability for bar in row.bars]
        np.testing.assert_allclose(shares, pattern[query], atol=1e-6)
    scale = scale_effect_record(stages, texts, query, stages.sink_logit)
    assert scale is not None
    np.testing.assert_allclose(scale.steps[0].probabilities, pattern[query, list(scale.keys)], atol=1e-6)


def test_the_lesson_s_head_adds_what_the_model_s_head_adds() -> None:
    model = model_of("llama")
    stages = head_stages(open_run(model, TEXT), LAYER, HEAD)
    w_o = head_weight(model, LAYER, HEAD).detach().numpy()
    np.testing.assert_allclose(
        teaching.attention_head(stages.q, stages.k, stages.v, w_o), stages.result, atol=1e-6
    )


def test_the_lesson_s_pattern_under_a_mask_is_the_runtime_s() -> None:
    run = open_run(model_of("llama"), TEXT)
    stages = head_stages(run, LAYER, HEAD)
    for kind, size in (
        ("causal", {}),
        ("bidirectional", {}),
        ("window", {"window": 3}),
        ("prefix", {"prefix": 4}),
    ):
        visible = visible_under(kind, len(run.tokens), **size)
        found = teaching.masked_pattern(stages.q, stages.k, visible)
        np.testing.assert_allclose(found, pattern_under(run, LAYER, HEAD, kind, **size), atol=1e-6)
