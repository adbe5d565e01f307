"""The default model, SmolLM2-135M-Instruct: bits, self-proof, long prompts, and heads with known jobs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from model_runtime import Model, head_measures, load_model, self_proof
from model_runtime.loading.convert import ensure_converted
from model_runtime.run import open_run

pytestmark = pytest.mark.slow

PROMPT = "When Mary and John went to the store, John gave a drink to Mary."


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def test_the_self_proof_holds(model: Model) -> None:
    proof = self_proof(model, PROMPT)
    assert proof.ok, proof
    assert proof.worst is not None
    assert proof.worst.largest_error < 1e-5


def test_idle_and_traced_logits_are_the_same_bits(model: Model) -> None:
    trace = model.trace(PROMPT)
    ids = torch.tensor([[token.id for token in trace.tokens]])
    with torch.no_grad():
        logits = model.hf_model(ids, use_cache=False, logits_to_keep=1).logits[0, -1]
    np.testing.assert_array_equal(trace.next_token_logits(), logits.numpy())


def test_a_trace_of_1024_tokens_stays_small_and_gives_patterns_on_demand(model: Model) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 49_000, (1024,), generator=generator).tolist()
    trace = model.trace(ids)
    assert trace.nbytes < 400e6, f"{trace.nbytes / 1e6:.0f} MB"
    pattern = trace.get("pattern", layer=20, head=4)
    assert pattern.shape == (1024, 1024)
    np.testing.assert_allclose(pattern.sum(-1), 1, atol=1e-5)
    assert (np.triu(pattern, k=1) == 0).all()
    assert trace.get("logits").shape == (1, 49_152)
    part = model.trace(ids, positions=(1023,), layers=(20,))
    assert part.nbytes < 2e6
    np.testing.assert_allclose(part.get("pattern", layer=20, head=4)[0], pattern[-1], atol=1e-6)


def test_the_self_proof_holds_on_a_long_prompt(model: Model) -> None:
    generator = torch.Generator().manual_seed(1)
    proof = self_proof(model, torch.randint(5, 49_000, (512,), generator=generator).tolist())
    assert proof.ok, proof


def test_heads_with_known_jobs_are_found(model: Model) -> None:
    """On a repeated text an induction head shows; its score on a text without repeats is undefined."""
    generator = torch.Generator().manual_seed(2)
    once = torch.randperm(40_000, generator=generator)[:40].add(500).tolist()
    found = head_measures(open_run(model, once + once))
    assert found.n_repeated == 40
    assert np.nanmax(found.induction) > 0.5
    assert found.previous_token.max() > 0.5
    assert found.first_token.max() > 0.9
    assert np.isnan(head_measures(open_run(model, once)).induction).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_logits_are_those_of_an_untouched_model_to_the_bit(dtype: str) -> None:
    """Not those of our own `hf_model`: its weights need no gradient, so torch may multiply otherwise."""
    ours = load_model(dtype=dtype)
    plain = AutoModelForCausalLM.from_pretrained(ensure_converted(), dtype=getattr(torch, dtype)).eval()
    for text in (PROMPT, "a", "The quick brown fox jumps over the lazy dog. " * 9):
        ids = ours.prompt_ids(text)
        with torch.no_grad():
            expected = plain(torch.tensor([ids]), use_cache=False, logits_to_keep=1).logits[0, -1].float()
        np.testing.assert_array_equal(ours.trace(ids).next_token_logits(), expected.numpy())
    with torch.no_grad():
        whole = plain(torch.tensor([ids]), use_cache=False).logits[0].float()
    np.testing.assert_array_equal(ours.trace(ids, logits_at="all").get("logits"), whole.numpy())
