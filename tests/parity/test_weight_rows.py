"""Large layers, a few rows at a time or every n-th; devices without float64: against the whole at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime.errors import SettingError
from model_runtime.numbers import quantization_effects as effects
from model_runtime.numbers import weight_rows
from model_runtime.numbers.quantization import QuantScheme, dequantize, packed_bytes, quantize, quantized
from model_runtime.numbers.quantization_effects import (
    SCHEMES,
    close_look,
    layer_errors,
    matrices_of,
    step_for,
)
from model_runtime.numbers.weight_rows import row_chunks, sum_of_squares
from tests.parity.test_quantization import model_of

MODELS = ("gpt2", "mixtral", "gpt_oss")  # [in, out], stacked experts, experts as [in, out]


def whole(matrix: torch.Tensor) -> torch.Tensor:
    return matrix.float().reshape(-1, matrix.shape[-1])


def off(near: torch.Tensor, rows: torch.Tensor) -> float:
    return float(((near.double() - rows.double()) ** 2).sum())


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("family", MODELS)
def test_chunks_are_the_rows_of_the_matrix(family: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_rows, "CHUNK", 100)
    for matrix in matrices_of(model_of(family), 0).values():
        rows, seen = whole(matrix), []
        for first, chunk in row_chunks(matrix, step):
            assert chunk.dtype == torch.float32
            assert chunk.numel() <= max(100, matrix.shape[-1])
            for number, row in enumerate(chunk):
                np.testing.assert_array_equal(row, rows[first + number * step])
                seen.append(first + number * step)
        assert len({*seen}) == len(seen)
        assert seen[0] == 0
        if step == 1:
            assert seen == list(range(len(rows)))
        else:
            assert len(seen) >= len(rows) / step


@pytest.mark.parametrize("family", MODELS)
def test_small_chunks_change_nothing(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, scheme = model_of(family), QuantScheme(4, "zero_point", "tensor")
    name = next(iter(matrices_of(model, 0)))
    errors, look = layer_errors(model, 0), close_look(model, 0, name, scheme)
    monkeypatch.setattr(weight_rows, "CHUNK", 100)
    again, second = layer_errors(model, 0), close_look(model, 0, name, scheme)
    np.testing.assert_allclose(again.errors, errors.errors, rtol=1e-12)
    np.testing.assert_array_equal(again.bits, errors.bits)
    assert errors.step == look.step == 1
    assert second.to_zero == look.to_zero
    for one, other in ((look.largest, second.largest), (look.typical, second.typical)):
        assert (one.row, one.start, one.scale) == (other.row, other.start, other.scale)
        np.testing.assert_array_equal(one.codes, other.codes)


@pytest.mark.parametrize("family", MODELS)
def test_a_large_layer_is_measured_on_every_nth_row(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(family)
    matrices = matrices_of(model, 1)
    n = sum(matrix.numel() for matrix in matrices.values())
    monkeypatch.setattr(effects, "MOST_WEIGHTS", n // 3 + 1)
    found, full = layer_errors(model, 1), [packed_bytes(m.shape, SCHEMES[7]) for m in matrices.values()]
    assert found.step == 3
    assert found.sizes == tuple(matrix.numel() for matrix in matrices.values())
    assert found.bits[7] == pytest.approx(8 * sum(full) / n)  # of all the layer
    for number, scheme in enumerate(SCHEMES):
        for column, matrix in enumerate(matrices.values()):
            # Packed whole, so that a scale for the tensor is all of it's; compared on the rows measured.
            rows = whole(matrix)
            near = dequantize(quantize(matrix, scheme)).reshape(rows.shape)
            places = [first + 3 * i for first, chunk in row_chunks(matrix, 3) for i in range(len(chunk))]
            expected = math.sqrt(off(near[places], rows[places]) / off(rows[places], torch.zeros(1)))
            assert found.errors[number, column] == pytest.approx(expected, rel=1e-6)


def test_a_close_look_at_a_large_matrix_still_finds_its_largest_weight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, name = model_of("llama"), "mlp.up_proj.weight"
    rows = whole(matrices_of(model, 0)[name]).clone()
    rows[1, -1] = 99.0  # in no row that a step of 3 takes, and behind the last whole strip
    rows[4] = 0.0
    monkeypatch.setattr(effects, "matrices_of", lambda *_: {name: rows})
    monkeypatch.setattr(effects, "MOST_WEIGHTS", rows.numel() // 3 + 1)
    look = close_look(model, 0, name, QuantScheme(4, "absmax", "tensor"))
    assert look.step == 3
    assert (look.largest.row, look.largest.weights.max()) == (1, 99.0)
    assert look.typical.row % 3 == 0
    assert look.to_zero == 1.0  # row 4 was zero before, and row 1 is none of those measured
    assert look.typical.scale == look.largest.scale == pytest.approx(99 / 7, rel=1e-3)


@pytest.mark.parametrize(("n", "step"), [(1, 1), (20_000_000, 1), (20_000_001, 3), (202_375_168, 11)])
def test_steps_are_odd_and_leave_some_twenty_million(n: int, step: int) -> None:
    assert step_for(n) == step
    assert n / step <= effects.MOST_WEIGHTS


@pytest.mark.parametrize("measure", [
    lambda model: layer_errors(model, 0),
    lambda model: close_look(model, 0, "mlp.up_proj.weight", SCHEMES[0]),
])  # fmt: skip
def test_room_is_asked_for_before_anything_is_measured(
    measure: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "free_memory", lambda device: 10)
    monkeypatch.setattr(effects, "quantize", lambda *a: pytest.fail("packed all the same"))
    monkeypatch.setattr(effects, "ends_of", lambda *a: pytest.fail("read all the same"))
    with pytest.raises(SettingError, match="of memory is free"):
        measure(model_of("llama"))


@pytest.mark.parametrize("shape", [(4096, 33), (6, 700, 40)])
def test_no_more_than_a_chunk_is_held(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor that a measurement makes is at most a chunk, however large the matrix."""
    matrix = torch.randn(*shape).bfloat16().transpose(-1, -2)
    monkeypatch.setattr(weight_rows, "CHUNK", 5_000)
    monkeypatch.setattr(effects, "matrices_of", lambda *_: {"w": matrix})
    model = model_of("llama")
    with Largest(matrix) as largest:
        layer_errors(model, 0)
        close_look(model, 0, "w", SCHEMES[3])
    assert largest.made <= 2 * 5_000  # a chunk with its padding to whole groups, never the matrix


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """The most numbers in a tensor that is no view of `matrix`."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.own, self.made = matrix.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        result = function(*given, **(more or {}))
        for one in result if isinstance(result, tuple | list) else [result]:
            if isinstance(one, torch.Tensor) and one.untyped_storage().data_ptr() != self.own:
                self.made = max(self.made, one.numel())
        return result


class Narrow(torch.Tensor):
    """A tensor that says it is on Apple's GPU, and like one there knows no float64 and no numpy."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("mps")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        if function is torch.Tensor.cpu:
            return given[0].as_subclass(torch.Tensor)
        result = super().__torch_function__(function, types, given, more or {})
        wide = (more or {}).get("dtype") == torch.float64
        if function is torch.Tensor.numpy or wide or getattr(result, "dtype", None) == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model whose matrices are on a device without float64, and what the CPU finds for them."""
    model = model_of("llama")
    matrices = matrices_of(model, 0)
    expected = layer_errors(model, 0), close_look(model, 0, "mlp.up_proj.weight", SCHEMES[4])
    moved = {name: matrix.as_subclass(Narrow) for name, matrix in matrices.items()}
    monkeypatch.setattr(effects, "matrices_of", lambda *_: moved)
    return model, *expected


def test_a_device_without_float64_gets_the_same_numbers(narrow: Any) -> None:
    model, errors, look = narrow
    with pytest.raises(TypeError):
        torch.ones(2).as_subclass(Narrow).double()
    np.testing.assert_allclose(layer_errors(model, 0).errors, errors.errors, rtol=1e-12)
    again = close_look(model, 0, "mlp.up_proj.weight", SCHEMES[4])
    assert again.to_zero == look.to_zero
    np.testing.assert_array_equal(again.typical.codes, look.typical.codes)


def test_packing_a_model_on_such_a_device_reports_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from model_runtime.numbers import quantization

    model = model_of("llama")
    _, expected = quantized(model, SCHEMES[5])
    listed = list(quantization.block_matrices(model))
    names = {id(p): name for name, p in model.hf_model.named_parameters()}

    class Moved:
        """A parameter whose numbers are there."""

        def __init__(self, parameter: torch.nn.Parameter) -> None:
            self.own, self.dtype = parameter, parameter.dtype
            self.numel, self.element_size = parameter.numel, parameter.element_size

        def detach(self) -> torch.Tensor:
            return self.own.detach().as_subclass(Narrow)

    moved = [(name, layer, Moved(p), turned) for name, layer, p, turned in listed]
    by_name = [(names[id(p)], m[2]) for (_, _, p, _), m in zip(listed, moved, strict=True)]
    monkeypatch.setattr(quantization, "block_matrices", lambda *_: iter(moved))
    monkeypatch.setattr(model.hf_model, "named_parameters", lambda: iter(by_name))
    monkeypatch.setattr(type(model), "with_weights", lambda *_: model)
    _, report = quantized(model, SCHEMES[5])
    assert report.error == pytest.approx(expected.error, rel=1e-9)
    np.testing.assert_allclose(report.errors_by_layer, expected.errors_by_layer, rtol=1e-9)


def test_squares_are_summed_in_float64() -> None:
    numbers = torch.full((1_000_003,), 0.1)
    expected = 1_000_003 * float(numbers[0]) ** 2
    assert sum_of_squares(numbers) == pytest.approx(expected, rel=1e-10)
    assert sum_of_squares(numbers.as_subclass(Narrow)) == pytest.approx(expected, rel=1e-10)
