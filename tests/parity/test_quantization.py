"""Quantization: by hand, against numpy, and whole models whose originals stay untouched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime.errors import SettingError
from model_runtime.numbers.quantization import (
    GROUPS,
    KINDS,
    QuantScheme,
    block_matrices,
    dequantize,
    quantize,
    quantized,
)
from tests.tiny_models import FAMILY_CASES, TEXT, build_model, tiny_tokenizer

IDS = [1, 2, 3, 4, 5]
SCHEMES = [QuantScheme(bits, kind, group) for bits in (4, 8) for kind in KINDS for group in GROUPS]


def model_of(family: str) -> Model:
    return Model(build_model(family), tiny_tokenizer(), model_id=family, name=family, revision="local")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative_error(weight: torch.Tensor, near: torch.Tensor) -> float:
    return float((near - weight).double().norm() / weight.double().norm())


def test_absmax_by_hand() -> None:
    packed = quantize(torch.tensor([[7.0, -3.4, 0.5, 1.5]]), QuantScheme(4, "absmax", "channel"))
    assert packed.codes.tolist() == [[7, -3, 0, 2]]  # ties to even
    assert packed.scales.item() == 1.0
    assert dequantize(packed).tolist() == [[7.0, -3.0, 0.0, 2.0]]
    assert packed.n_bytes == 4 * 4 // 8 + 2


def test_zero_point_by_hand() -> None:
    packed = quantize(torch.tensor([[-5.0, 10.0, 0.4]]), QuantScheme(4, "zero_point", "channel"))
    assert packed.codes.tolist() == [[0, 15, 5]]
    assert packed.zeros.tolist() == [[5]]
    assert dequantize(packed).tolist() == [[-5.0, 10.0, 0.0]]
    assert packed.n_bytes == math.ceil(3 * 4 / 8) + 3


def test_a_range_without_zero_is_widened_to_it() -> None:
    packed = quantize(torch.tensor([[30.0, 15.0]]), QuantScheme(4, "zero_point", "channel"))
    assert (packed.zeros.item(), packed.scales.item(), packed.codes.tolist()) == (0, 2.0, [[15, 8]])


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_no_number_moves_by_more_than_a_step(scheme: QuantScheme) -> None:
    weight = random(6, 150)  # 150 is no multiple of a group
    packed = quantize(weight, scheme)
    near = dequantize(packed)
    assert near.shape == weight.shape
    # The scale is rounded to fp16, which moves the ends of the grid by up to 2^-11 of their size; a rounded
    # zero point moves the grid by up to half a step, which its ends feel.
    steps, slack = (0.5 if scheme.kind == "absmax" else 1), 2**-10 * weight.abs().max()
    assert (near - weight).abs().max() <= packed.scales.max() * steps + slack
    low, high = scheme.levels
    assert packed.codes.min() >= low
    assert packed.codes.max() <= high


@pytest.mark.parametrize("group", ["channel", "32"])
def test_equal_to_numpy_written_out(group: str) -> None:
    weight = random(3, 64, seed=1).numpy()
    size = 64 if group == "channel" else 32
    blocks = weight.reshape(-1, size)
    scale = (np.abs(blocks).max(1, keepdims=True) / np.float32(127)).astype(np.float16).astype(np.float32)
    expected = (np.clip(np.rint(blocks / scale), -127, 127) * scale).reshape(weight.shape)
    near = dequantize(quantize(torch.from_numpy(weight), QuantScheme(8, "absmax", group)))
    np.testing.assert_array_equal(near.numpy(), expected)


def test_finer_groups_and_more_bits_lose_less() -> None:
    weight = random(64, 256, seed=2)
    weight[3, 7] = 40.0  # an outlier ruins the scale of whatever shares it
    errors = [
        relative_error(weight, dequantize(quantize(weight, QuantScheme(4, "absmax", group))))
        for group in GROUPS
    ]
    assert errors == sorted(errors, reverse=True)
    eight = relative_error(weight, dequantize(quantize(weight, QuantScheme(8, "absmax", "32"))))
    assert eight < errors[-1] / 8


@pytest.mark.parametrize("value", [0.0, 3.0, -2.5])
@pytest.mark.parametrize("kind", KINDS)
def test_constant_weights_stay(kind: str, value: float) -> None:
    weight = torch.full((2, 40), value)
    near = dequantize(quantize(weight, QuantScheme(8, kind, "32")))
    torch.testing.assert_close(near, weight, rtol=2**-10, atol=0)


def test_what_does_not_exist_is_refused() -> None:
    for wrong in ({"bits": 3}, {"kind": "x"}, {"group": "7"}):
        with pytest.raises(SettingError):
            QuantScheme(**wrong)


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_a_quantized_model_equals_one_edited_by_hand_and_the_original_stays(family: str) -> None:
    model = model_of(family)
    before = {name: value.clone() for name, value in model.hf_model.state_dict().items()}
    scheme = QuantScheme(4, "absmax", "channel")
    twin, report = quantized(model, scheme)
    edited = build_model(family)
    names = {id(p): n for n, p in model.hf_model.named_parameters()}
    with torch.no_grad():
        for _, _, parameter, transposed in block_matrices(model):
            own = dict(edited.named_parameters())[names[id(parameter)]]
            dim = -2 if transposed else -1
            scale = (own.abs().amax(dim, keepdim=True) / 7).half().float()
            own.copy_((own / scale).round().clamp(-7, 7) * scale)
        expected = edited(torch.tensor([IDS])).logits[0, -1].float().numpy()
    np.testing.assert_allclose(twin.trace(IDS).next_token_logits(), expected, rtol=0, atol=2e-5)
    assert not np.allclose(model.trace(IDS).next_token_logits(), expected, atol=1e-3)
    after = model.hf_model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert 0.01 < report.error < 0.3
    assert report.bytes_after < report.bytes_before / 4
    assert twin.trace_recipe(TEXT) != model.trace_recipe(TEXT)


def test_one_layer_alone() -> None:
    model = model_of("llama")
    twin, report = quantized(model, QuantScheme(4, "zero_point", "32"), layers=(1,))
    assert [math.isnan(error) for error in report.errors_by_layer] == [True, False, True]
    own = dict(twin.hf_model.named_parameters())
    untouched = [name for name, p in model.hf_model.named_parameters() if own[name] is p]
    assert any(".0." in name for name in untouched)
    assert not any(".layers.1." in name and "proj.weight" in name for name in untouched)
