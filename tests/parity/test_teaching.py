"""The code that pages show does what the runtime measures: same weights, same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_runtime import Model, teaching
from tests.tiny_checkpoints import byte_tokenizer, tiny_llama

TEXT = "the quick brown fox jumps over the lazy dog"

# float32 sums in another order (numpy's against torch's), over two layers.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def model() -> Model:
    hf_model = tiny_llama()
    torch.manual_seed(0)
    with torch.no_grad():  # strong weights, norms included: every part has to matter
        for weight in hf_model.parameters():
            weight.normal_(1.0 if weight.ndim == 1 else 0.0, 0.3)
    return Model(hf_model, byte_tokenizer(), model_id="tiny", name="Tiny", revision="local")


def test_the_twin_of_the_forward_pass_gives_the_models_probabilities(model: Model) -> None:
    trace = model.trace(TEXT)
    config = model.hf_model.config
    twin = teaching.forward_pass(
        [token.id for token in trace.tokens],
        {name: value.numpy() for name, value in model.hf_model.state_dict().items()},
        n_layers=model.spec.n_layers,
        n_heads=model.spec.n_heads,
        n_kv_heads=model.spec.n_kv_heads,
        rope_base=config.rope_parameters["rope_theta"],
        epsilon=config.rms_norm_eps,
    )
    measured = teaching.softmax(trace.next_token_logits().astype(np.float64))
    np.testing.assert_allclose(twin, measured, **CLOSE)
    assert twin.sum() == pytest.approx(1)


def test_the_twin_of_a_head_gives_the_models_pattern(model: Model) -> None:
    trace = model.trace(TEXT)
    group = model.spec.n_heads // model.spec.n_kv_heads
    for layer in range(model.spec.n_layers):
        for head in range(model.spec.n_heads):
            q = trace.get("rot_q", layer, head)
            k = trace.get("rot_k", layer, head // group)
            np.testing.assert_allclose(
                teaching.attention_pattern(q, k), trace.get("pattern", layer, head), **CLOSE
            )


def test_softmax_stands_large_scores() -> None:
    assert teaching.softmax(np.array([1e4, 1e4])).tolist() == [0.5, 0.5]
