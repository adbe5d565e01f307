"""Every family against Hugging Face: the same bits when idle and tracing, every point equal to eager."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import ALL_POINTS, Model
from model_runtime.errors import UnsupportedModel
from model_runtime.families import FAMILIES
from model_runtime.points import POINTS
from tests.parity.reference import record
from tests.tiny_models import (
    ALL_CASES,
    FAMILY_CASES,
    REFUSED_CASES,
    VOCABULARY,
    build_model,
    tiny_tokenizer,
)

LENGTHS = (1, 2, 20, 40)  # 40 is beyond windows (6), dynamic RoPE (24) and longrope (16)


def ids_of(length: int, seed: int = 3) -> list[int]:
    return torch.randint(1, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def logits_of(hf_model: Any, ids: list[int], **options: Any) -> np.ndarray:
    with torch.no_grad():
        logits = hf_model(torch.tensor([ids]), use_cache=False, **options).logits[0]
    return (logits.float() if logits.dtype == torch.bfloat16 else logits).numpy()


def test_every_family_of_the_table_has_a_case() -> None:
    assert {family.key for family in FAMILIES} == set(FAMILY_CASES)


@pytest.mark.parametrize("case", ALL_CASES)
def test_idle_and_traced_logits_are_hugging_faces_to_the_bit(case: str) -> None:
    model = model_of(case)
    for length in LENGTHS:
        ids = ids_of(length)
        # A fresh model each time: some rotary modules remember longer texts.
        expected = logits_of(build_model(case), ids)
        np.testing.assert_array_equal(logits_of(model.hf_model, ids), expected)
        np.testing.assert_array_equal(model.trace(ids, logits_at="all").get("logits"), expected)
        last = logits_of(build_model(case), ids, logits_to_keep=1)[-1]
        np.testing.assert_array_equal(model.trace(ids).next_token_logits(), last)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", ALL_CASES)
def test_logits_in_half_precision_are_hugging_faces_to_the_bit(case: str, dtype: torch.dtype) -> None:
    hf_model = build_model(case).to(dtype)
    model = Model(hf_model, tiny_tokenizer(), model_id=case, name=case, revision="random")
    for length in LENGTHS:
        ids = ids_of(length)
        last = logits_of(build_model(case).to(dtype), ids, logits_to_keep=1)[-1]
        np.testing.assert_array_equal(model.trace(ids).next_token_logits(), last)
        whole = logits_of(build_model(case).to(dtype), ids)
        np.testing.assert_array_equal(model.trace(ids, logits_at="all").get("logits"), whole)


@pytest.mark.parametrize("case", ALL_CASES)
@pytest.mark.parametrize("length", LENGTHS)
def test_every_point_of_an_exact_trace_is_the_eager_models(case: str, length: int) -> None:
    check_every_point(case, ids_of(length), torch.float32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", ALL_CASES)
def test_every_point_in_half_precision_too(case: str, dtype: torch.dtype) -> None:
    check_every_point(case, ids_of(20), dtype)


def test_upcast_scores_are_not_rounded_to_half_precision() -> None:
    """GPT-2's `reorder_and_upcast_attn` multiplies q and k in float32."""
    hf_model = build_model("gpt2-upcast").to(torch.bfloat16)
    model = Model(hf_model, tiny_tokenizer(), model_id="x", name="x", revision="random")
    trace = model.trace(ids_of(20))
    call = trace.call(1)
    expected = call.query[0].float() @ call.key[0].float().transpose(1, 2) * call.scaling
    visible = np.tri(20, dtype=bool)
    found = trace.get("attn_scores", 1)[:, visible]
    np.testing.assert_allclose(found, expected.numpy()[:, visible], rtol=1e-5, atol=1e-5)


def check_every_point(case: str, ids: list[int], dtype: torch.dtype) -> None:
    reference = record(build_model(case, "eager").to(dtype), ids)
    model = Model(build_model(case).to(dtype), tiny_tokenizer(), model_id=case, name=case, revision="random")
    names = [name for name in ALL_POINTS if any(reason is None for reason in model.reasons[name])]
    trace = model.trace(ids, points=names, exact=True, logits_at="all")
    np.testing.assert_array_equal(trace.get("logits"), reference.logits.float().numpy())
    compared = set()
    for (name, layer), expected in reference.points.items():
        if model.reasons[name][layer or 0] is not None:
            continue
        found = trace.get(name, layer=layer)
        assert found.shape == tuple(expected.shape), (name, layer)
        if name == "pattern":
            # The same operations in a product of another shape: the last bit may differ.
            eps = torch.finfo(dtype).eps
            np.testing.assert_allclose(found, expected.float().numpy(), atol=2 * eps, rtol=16 * eps)
        else:
            np.testing.assert_array_equal(
                found, expected.to(torch.float32).numpy(), err_msg=f"{name} of layer {layer}"
            )
        compared.add(name)
    # What is left has no counterpart in the reference and is tested by its definition below.
    by_definition = {"attn_scores", "sink_weight", "logits"} | {n for n in names if n.endswith("_norm")}
    assert set(names) - compared == by_definition & set(names)


@pytest.mark.parametrize("case", ALL_CASES)
def test_scores_sinks_and_norms_follow_their_definition(case: str) -> None:
    model, ids = model_of(case), ids_of(20)
    names = [name for name in ALL_POINTS if any(reason is None for reason in model.reasons[name])]
    trace = model.trace(ids, points=names, exact=True)
    config = model.hf_model.config
    for layer, spec in enumerate(model.spec.layers):
        scores, pattern = trace.get("attn_scores", layer), trace.get("pattern", layer)
        rows, keys = np.arange(20)[:, None], np.arange(20)[None, :]
        visible = (keys <= rows) & (keys > rows - (spec.window or 20))
        np.testing.assert_array_equal(np.isfinite(scores), np.broadcast_to(visible, scores.shape))
        call = trace.call(layer)
        q = call.query[0].double().numpy()
        k = call.key[0].double().numpy().repeat(q.shape[0] // call.key.shape[1], axis=0)
        expected = q @ k.transpose(0, 2, 1) * call.scaling
        if cap := getattr(config, "attn_logit_softcapping", None):
            expected = np.tanh(expected / cap) * cap
        np.testing.assert_allclose(scores[:, visible], expected[:, visible], atol=1e-4, rtol=1e-5)
        total = pattern.sum(-1)
        if model.reasons["sink_weight"][layer] is None:
            assert total.max() < 1
            total = total + trace.get("sink_weight", layer)
        np.testing.assert_allclose(total, 1, atol=2e-6)
        norms = np.linalg.norm(trace.get("attn_out", layer), axis=-1)
        np.testing.assert_allclose(trace.get("attn_out_norm", layer), norms, rtol=1e-5)
        norms = np.linalg.norm(trace.get("mlp_out", layer), axis=-1)
        np.testing.assert_allclose(trace.get("mlp_out_norm", layer), norms, rtol=1e-5)


@pytest.mark.parametrize("case", ALL_CASES)
def test_a_default_trace_differs_from_exact_only_by_the_kernels_rounding(case: str) -> None:
    model, ids = model_of(case), ids_of(20)
    default, exact = model.trace(ids, logits_at="all"), model.trace(ids, exact=True, logits_at="all")
    scale = np.abs(exact.get("logits")).max()
    np.testing.assert_allclose(default.get("logits"), exact.get("logits"), atol=2e-4 * scale)


@pytest.mark.parametrize("case", ALL_CASES)
def test_decoding_with_a_cache_gives_hugging_faces_bits_and_the_full_forwards_values(case: str) -> None:
    from transformers import DynamicCache

    model, untouched, ids = model_of(case), build_model(case), ids_of(30)
    cache = DynamicCache(config=untouched.config)
    logits, state = model.step(ids[:10])
    with torch.no_grad():
        output = untouched(torch.tensor([ids[:10]]), past_key_values=cache, use_cache=True, logits_to_keep=1)
    for position in range(10, 30):
        # Beyond these lengths transformers keeps keys that were turned by other frequencies (for longrope it
        # reads the text anew, but only inside `generate`); ours are those of a forward of the whole text.
        if position <= {"phi3-longrope": 16, "llama-dynamic": 24}.get(case, 30):
            np.testing.assert_array_equal(logits, output.logits[0, -1].numpy())
        full = model.trace(ids[:position]).next_token_logits()
        np.testing.assert_allclose(logits, full, atol=2e-4 * np.abs(full).max())
        token = ids[position]
        logits, state = model.step([token], state)
        with torch.no_grad():
            output = untouched(
                torch.tensor([[token]]), past_key_values=cache, use_cache=True, logits_to_keep=1
            )
    assert state.ids == tuple(ids)


@pytest.mark.parametrize("case", REFUSED_CASES)
def test_unsupported_models_are_refused_with_what_is_missing(case: str) -> None:
    expected = {
        "opt-350m": "after each block",
        "opt-narrow": "another width",
        "gptj": "ignores a custom attention",
        "bert": "not a causal language model",
    }
    with pytest.raises(UnsupportedModel, match=expected[case]):
        Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def test_a_model_whose_layout_differs_from_its_row_is_refused() -> None:
    hf_model = build_model("llama")
    del hf_model.model.layers[1].mlp.gate_proj
    with pytest.raises(UnsupportedModel, match="gate_proj"):
        Model(hf_model, tiny_tokenizer(), model_id="x", name="x", revision="random")


def test_points_and_their_reasons() -> None:
    """What each odd layout lacks, by name."""
    smollm3, neox, olmo2 = model_of("smollm3"), model_of("gpt_neox"), model_of("olmo2")
    assert [reason is None for reason in smollm3.reasons["rot_q"]] == [True, False, True]
    assert "does not rotate" in str(smollm3.reasons["rot_q"][1])
    assert "parallel" in str(neox.reasons["resid_mid"][0])
    assert "no norm before attention" in str(olmo2.reasons["ln1"][0])
    mixed = model_of("qwen2_moe")
    assert [reason is None for reason in mixed.reasons["mlp_post"]] == [False, True, False]
    assert [reason is None for reason in mixed.reasons["router_logits"]] == [True, False, True]
    for name in POINTS:
        assert len(mixed.reasons[name]) == (3 if POINTS[name].layered else 1)
