"""What packing does to layers, strips and the next token: against loops, and a twin packed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from model_runtime.errors import SettingError
from model_runtime.interventions import ScaleHead
from model_runtime.numbers import quantization_effects as effects
from model_runtime.numbers.quantization import QuantScheme, dequantize, quantize, quantized
from model_runtime.numbers.quantization_effects import (
    SCHEMES,
    close_look,
    effect_of,
    layer_errors,
    matrices_of,
    matrix_shapes,
    row_strip,
)
from model_runtime.run import open_run
from tests.parity.test_quantization import IDS, model_of

MODELS = ("llama", "gpt2", "mixtral", "gpt_oss")  # plain, [in, out], experts, experts as [in, out]


def by_hand(weight: np.ndarray, scheme: QuantScheme) -> np.ndarray:
    """A matrix [row, column] rounded group by group in plain loops."""
    top = scheme.levels[1]
    size = {"tensor": weight.size, "channel": weight.shape[-1]}.get(scheme.group) or int(scheme.group)
    out = weight.astype(np.float32).copy().reshape(1, -1) if scheme.group == "tensor" else weight.copy()
    for row in out:
        for start in range(0, len(row), size):
            group = row[start : start + size]
            if scheme.kind == "absmax":
                scale, zero = np.float32(np.float16(np.abs(group).max() / np.float32(top))), np.float32(0)
            else:
                low, high = min(group.min(), 0), max(group.max(), 0)
                scale = np.float32(np.float16((high - low) / np.float32(top)))
                zero = np.clip(np.rint(np.float32(-low) / scale), 0, top)
            codes = np.clip(np.rint(group / scale) + zero, *scheme.levels)
            row[start : start + size] = scale * (codes - zero)
    return out.reshape(weight.shape)


@pytest.mark.parametrize("family", ["gpt2", "gpt_oss"])
def test_errors_of_a_layer_equal_plain_loops(family: str) -> None:
    model = model_of(family)
    matrices = {
        name: matrix.float().reshape(-1, matrix.shape[-1]).numpy()
        for name, matrix in matrices_of(model, 1).items()
    }
    found = layer_errors(model, 1)
    assert found.names == tuple(matrices)
    assert found.sizes == tuple(matrix.size for matrix in matrices.values())
    for row, scheme in list(enumerate(SCHEMES))[:: 3 if family == "gpt_oss" else 1]:
        near = [by_hand(matrix, scheme) for matrix in matrices.values()]
        off = [float(np.square(a - b).sum()) for a, b in zip(near, matrices.values(), strict=True)]
        own = [float(np.square(matrix).sum()) for matrix in matrices.values()]
        np.testing.assert_allclose(found.errors[row], np.sqrt(np.divide(off, own)), rtol=1e-4)
        assert found.total[row] == pytest.approx(math.sqrt(sum(off) / sum(own)), rel=1e-4)


@pytest.mark.parametrize("family", MODELS)
def test_a_layer_s_total_is_what_packing_it_reports(family: str) -> None:
    model = model_of(family)
    found = layer_errors(model, 2)
    for scheme in (SCHEMES[0], SCHEMES[9], SCHEMES[13]):
        _, report = quantized(model, scheme, (2,))
        row = SCHEMES.index(scheme)
        assert found.total[row] == pytest.approx(report.error, rel=1e-6)
        assert found.bits[row] == pytest.approx(8 * report.bytes_after / report.n_weights)


def test_gguf_blocks_only_where_rows_are_whole_blocks() -> None:
    assert layer_errors(model_of("llama"), 0).blocks == {}  # an MLP of 48
    narrow = [torch.randn(4, 64, generator=torch.Generator().manual_seed(0))]
    bits, error = effects._block_error(narrow, "Q8_0") or (0.0, 0.0)
    assert bits == 8.5
    assert 0.001 < error < 0.01


@pytest.mark.parametrize("group", ["tensor", "channel", "32"])
@pytest.mark.parametrize("family", MODELS)
def test_strips_are_the_matrix_s_own_weights_on_their_grid(family: str, group: str) -> None:
    model, scheme = model_of(family), QuantScheme(4, "zero_point", group)
    for name, matrix in matrices_of(model, 0).items():
        look = close_look(model, 0, name, scheme)
        rows = matrix.float().reshape(-1, matrix.shape[-1])
        near = dequantize(quantize(matrix, scheme)).reshape(rows.shape)
        for strip in (look.largest, look.typical):
            cut = slice(strip.start, strip.start + len(strip.weights))
            np.testing.assert_array_equal(strip.weights, rows[strip.row, cut].numpy())
            np.testing.assert_array_equal(strip.near, near[strip.row, cut].numpy())
            np.testing.assert_allclose(strip.scale * (strip.codes - strip.zero), strip.near, atol=1e-6)
        assert np.abs(look.largest.weights).max() == rows.abs().max()  # wherever it is, a row's end too
        tops = _tops(rows)
        assert float(np.abs(look.typical.weights).max()) == sorted(tops)[(len(tops) - 1) // 2]
        assert look.to_zero == pytest.approx(float(((near == 0) & (rows != 0)).float().mean()))


def _tops(rows: torch.Tensor) -> list[float]:
    size = min(32, rows.shape[1])
    return [
        float(row[start : start + size].abs().max())
        for row in rows
        for start in range(0, rows.shape[1] - size + 1, size)
    ]


def test_a_layer_without_that_matrix_is_named() -> None:
    with pytest.raises(SettingError, match="no matrix 'x'"):
        close_look(model_of("llama"), 0, "x", SCHEMES[0])


@pytest.mark.parametrize("layers", [None, (1,)])
@pytest.mark.parametrize("family", MODELS)
def test_the_effect_is_that_of_a_packed_twin_under_the_same_edits(
    family: str, layers: tuple[int, ...] | None
) -> None:
    model, scheme, edits = model_of(family), QuantScheme(4, "absmax", "channel"), (ScaleHead(0, 1, 0.0),)
    effect = effect_of(open_run(model, IDS, edits), scheme, layers)
    twin, report = quantized(model, scheme, layers)
    np.testing.assert_array_equal(effect.logits, twin.trace(IDS, interventions=edits).next_token_logits())
    assert effect.report.error == report.error
    assert not np.array_equal(effect.logits, effect_of(open_run(model, IDS), scheme, layers).logits)
    assert not np.array_equal(effect.logits, model.trace(IDS, interventions=edits).next_token_logits())


def test_too_little_memory_is_said_before_anything_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "free_memory", lambda device: 10)
    monkeypatch.setattr(effects, "quantized", lambda *a: pytest.fail("packed all the same"))
    with pytest.raises(SettingError, match=r"0\.00 GiB of memory is free"):
        effect_of(open_run(model_of("llama"), IDS), SCHEMES[0])


def test_the_default_model_s_weights_lie_on_q4_1_s_grid_and_not_on_a_zero_point_s() -> None:
    from model_runtime import load_model

    found = layer_errors(load_model("smollm2-135m-instruct"), 24)
    assert found.blocks["Q4_1"] == (5.0, 0.0)
    assert found.total[SCHEMES.index(QuantScheme(4, "zero_point", "32"))] > 0.05
    assert found.blocks["Q8_0"][1] == pytest.approx(
        found.total[SCHEMES.index(QuantScheme(8, "absmax", "32"))], rel=0.02
    )


@pytest.mark.parametrize("family", MODELS)
def test_a_strip_of_a_row_counts_experts_through(family: str) -> None:
    model = model_of(family)
    for name, matrix in matrices_of(model, 1).items():
        rows = matrix.reshape(-1, matrix.shape[-1])
        assert matrix_shapes(model, 1)[name] == rows.shape
        for row in (0, len(rows) - 1):
            found = row_strip(model, 1, name, row, matrix.shape[-1] - 8, 8)
            np.testing.assert_array_equal(found, rows[row, -8:].float().numpy())
        with pytest.raises(SettingError, match="rows of"):
            row_strip(model, 1, name, len(rows), 0, 8)
        with pytest.raises(SettingError, match="rows of"):
            row_strip(model, 1, name, 0, matrix.shape[-1] - 7, 8)
    with pytest.raises(SettingError, match="no matrix"):
        row_strip(model, 1, "x", 0, 0)
