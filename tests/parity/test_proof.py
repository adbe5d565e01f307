"""The self-proof holds on every family in three dtypes, and fails when a captured value is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model, self_proof
from model_runtime import interventions as edit
from model_runtime.capture.attention_function import pattern_and_sink
from model_runtime.proof import _summary
from model_runtime.trace import Trace
from tests.tiny_models import ALL_CASES, VOCABULARY, build_model, tiny_tokenizer

IDS = torch.randint(1, VOCABULARY, (20,), generator=torch.Generator().manual_seed(3)).tolist()
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def model_of(case: str, dtype: torch.dtype = torch.float32) -> Model:
    hf_model = build_model(case).to(dtype)
    return Model(hf_model, tiny_tokenizer(), model_id=case, name=case, revision="random")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", ALL_CASES)
def test_it_holds(case: str, dtype: torch.dtype) -> None:
    proof = self_proof(model_of(case, dtype), IDS)
    assert proof.ok, proof
    assert len(proof.checks) == 6
    assert proof.dtype == str(dtype).removeprefix("torch.")
    exact = [check for check in proof.checks if check.tolerance == 0 and check.reason_skipped is None]
    assert all(check.largest_error == 0 for check in exact)


def test_the_proof_has_the_largest_error_of_its_checks() -> None:
    proof = self_proof(model_of("llama", torch.bfloat16), IDS)
    errors = [check.largest_error for check in proof.checks if check.reason_skipped is None]
    assert proof.largest_error == max(errors) > 0
    assert np.isnan(dataclasses.replace(proof, checks=()).largest_error)


def test_what_does_not_apply_is_listed_with_the_reason() -> None:
    checks = {check.name: check for check in self_proof(model_of("gpt2"), IDS).checks}
    rotation = checks["rotated q and k = rot_q and rot_k"]
    assert "does not rotate" in str(rotation.reason_skipped)
    assert np.isnan(rotation.largest_error)
    everywhere = [edit.Steer("resid_mid", layer, (0.1,) * 32) for layer in range(3)]
    checks = {check.name: check for check in self_proof(model_of("llama"), IDS, everywhere).checks}
    assert "edits the stream" in str(checks["resid_pre + attn_out + mlp_out = resid_post"].reason_skipped)


def test_it_holds_under_interventions() -> None:
    edits = (
        edit.ScaleHead(1, 2),
        edit.ScaleMLP(0, 0.5),
        edit.CutEdge(1, 0, 5, 3),
        edit.RopeBase(500.0),
        edit.RopeOffset(4),
        edit.Patch("resid_pre", 1, 4, (0.1,) * 32),
        edit.Steer("mlp_out", 2, (0.1,) * 32),
    )
    assert self_proof(model_of("llama"), IDS, edits).ok


def test_a_scaled_head_is_proved_with_its_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    edits = (edit.ScaleHead(1, 2, -3.0, positions=(4, 7)), edit.ScaleHead(1, 2, 0.5), edit.ScaleHead(0, 1))
    assert self_proof(model_of("llama"), IDS, edits).ok
    assert self_proof(model_of("gpt_oss", torch.bfloat16), IDS, edits).ok
    trace = Model.trace

    def unscaled(self: Model, *args: Any, **kwargs: Any) -> Trace:
        return trace(self, *args, **kwargs | {"interventions": kwargs["interventions"][:-1]})

    def as_if_scaled(self: Model, *args: Any, **kwargs: Any) -> Trace:
        return dataclasses.replace(unscaled(self, *args, **kwargs), interventions=kwargs["interventions"])

    monkeypatch.setattr(Model, "trace", as_if_scaled)
    failed = [check for check in self_proof(model_of("llama"), IDS, edits).checks if not check.ok]
    assert [(check.name, check.layer) for check in failed] == [("pattern x v = z", 0)]


def test_the_error_it_names_is_the_largest_of_all_layers() -> None:
    """Tolerances differ by layer: a small error near its tolerance is not the largest."""
    found = [(1e-8, 2e-8, 0), (9e-7, 1e-5, 1), (3e-8, 4e-6, 2)]
    check = _summary(model_of("llama"), "pattern x v = z", found, ())
    assert (check.largest_error, check.tolerance, check.layer, check.ok) == (9e-7, 1e-5, 1, True)
    # Where it fails, the layer that fails is named, and a NaN before any number.
    check = _summary(model_of("llama"), "pattern x v = z", [*found, (4e-8, 3e-8, 3)], ())
    assert (check.largest_error, check.layer, check.ok) == (4e-8, 3, False)
    check = _summary(model_of("llama"), "pattern x v = z", [*found, (float("nan"), 3e-8, 3)], ())
    assert (check.layer, check.ok) == (3, False)
    model = model_of("llama")
    proof = self_proof(model, IDS)
    trace = model.trace(IDS, points=("pattern", "z"))
    largest = 0.0
    for layer in range(3):
        value = trace.call(layer).value[0].repeat_interleave(2, dim=0)
        z = torch.matmul(torch.tensor(trace.get("pattern", layer)), value)
        largest = max(largest, float((z - torch.tensor(trace.get("z", layer))).abs().max()))
    assert next(c for c in proof.checks if c.name == "pattern x v = z").largest_error == largest > 0


BROKEN = {
    "pattern x v = z": ("z", None),
    "resid_pre + attn_out + mlp_out = resid_post": ("mlp_out", None),
    "rotated q and k = rot_q and rot_k": ("q", None),
    "head of ln_final = logits": ("ln_final", None),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("value", ["shifted", "nan"])
def test_a_wrong_capture_is_found(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("llama")
    trace = Model.trace

    def wrong(self: Model, *args: Any, **kwargs: Any) -> Trace:
        found = trace(self, *args, **kwargs)
        kept = dict(found.kept)
        for key, tensor in kept.items():
            if key[0] == BROKEN[name][0] and key[1] in (None, 1):
                kept[key] = tensor + (1e-3 if value == "shifted" else float("nan"))
        return dataclasses.replace(found, kept=kept)

    monkeypatch.setattr(Model, "trace", wrong)
    proof = self_proof(model, IDS)
    assert [check.name for check in proof.checks if not check.ok] == [name]
    if name != "head of ln_final = logits":
        assert next(check.layer for check in proof.checks if not check.ok) == 1


def test_a_wrong_mask_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """If our pattern saw the future, the kernel's z would disagree with it."""
    from model_runtime.capture import attention_function as attention

    def everything(call: Any, head: int | None = None) -> torch.Tensor:
        return torch.ones((1, call.query.shape[2], call.key.shape[2]), dtype=torch.bool)

    monkeypatch.setattr(attention, "visible_cells", everything)
    for case in ("llama", "mistral", "gpt_oss"):
        failed = {check.name for check in self_proof(model_of(case), IDS).checks if not check.ok}
        assert failed == {"pattern x v = z", "softmax of scores = the family's own pattern"}


def test_a_pattern_that_is_no_distribution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from model_runtime import proof as module

    monkeypatch.setattr(
        module, "pattern_and_sink", lambda call, head: (pattern_and_sink(call, head)[0] * 1.001, None)
    )
    failed = {check.name for check in self_proof(model_of("llama"), IDS).checks if not check.ok}
    assert "each pattern row (and its sink) sums to 1" in failed
    assert "softmax of scores = the family's own pattern" in failed


def test_long_prompts_are_proved_in_groups_of_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    from model_runtime import proof as module

    model, layers = model_of("llama"), []
    trace = Model.trace

    def counted(self: Model, *args: Any, **kwargs: Any) -> Trace:
        layers.append(kwargs.get("layers"))
        return trace(self, *args, **kwargs)

    monkeypatch.setattr(Model, "trace", counted)
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 60_000)
    assert self_proof(model, IDS).ok
    assert layers[:-1] != [(0, 1, 2)]
    assert [layer for group in layers[:-1] for layer in group] == [0, 1, 2]
