"""Device and dtype are chosen as documented, on machines that have what this one may lack."""

from pathlib import Path

import pytest
import torch

from model_runtime.errors import SettingError
from model_runtime.loading import device as device_module
from model_runtime.loading.device import choose_device, choose_dtype, free_memory

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLASSFORMER_DEVICE", raising=False)
    monkeypatch.delenv("GLASSFORMER_DTYPE", raising=False)


def machine(monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, metal: bool = False) -> None:
    """Pretend to be a machine with so many CUDA devices (a MIG slice counts as one), or with Metal."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: gpus - 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: metal)


@pytest.mark.parametrize(
    ("gpus", "metal", "chosen"), [(1, True, CUDA), (0, True, MPS), (0, False, CPU), (2, False, "cuda:1")]
)
def test_auto_takes_cuda_then_mps_then_cpu(
    monkeypatch: pytest.MonkeyPatch, gpus: int, metal: bool, chosen: torch.device | str
) -> None:
    machine(monkeypatch, gpus=gpus, metal=metal)
    assert choose_device("auto") == torch.device(chosen)


def test_environment_replaces_auto_and_a_named_device_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=2)
    monkeypatch.setenv("GLASSFORMER_DEVICE", "cpu")
    assert choose_device() == CPU
    assert choose_device("cuda:0") == CUDA


@pytest.mark.parametrize("name", ["cuda", "mps", "tpu", "cpu:1", "cuda:x", ""])
def test_absent_devices_are_refused_with_those_that_are_there(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    machine(monkeypatch)
    with pytest.raises(SettingError, match="auto, cpu"):
        choose_device(name)


def test_gpu_index_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=1)
    with pytest.raises(SettingError, match="cuda:1"):
        choose_device("cuda:1")


@pytest.mark.parametrize(
    ("device", "stored", "capability", "expected"),
    [
        (CPU, torch.bfloat16, (0, 0), torch.float32),
        (CUDA, torch.bfloat16, (9, 0), torch.bfloat16),
        (CUDA, torch.bfloat16, (7, 5), torch.float32),
        (CUDA, torch.float16, (7, 5), torch.float16),
        (CUDA, torch.float32, (9, 0), torch.float32),
        (CUDA, torch.float64, (9, 0), torch.float32),
        (CUDA, torch.float8_e4m3fn, (9, 0), torch.float32),
    ],
)
def test_auto_dtype(
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    stored: torch.dtype,
    capability: tuple[int, int],
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", device, stored) == expected


def test_named_dtype_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSFORMER_DTYPE", "bf16")
    assert choose_dtype("auto", CPU) == torch.bfloat16
    assert choose_dtype("float16", CPU) == torch.float16
    monkeypatch.setenv("GLASSFORMER_DTYPE", "int4")
    with pytest.raises(SettingError, match=r"'int4'.*float32"):
        choose_dtype("auto", CPU)


def test_memory_of_a_slice_is_what_the_driver_says_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5_000, 10_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 500)
    assert free_memory(CUDA) == 5_200


def test_memory_of_a_container_bounds_the_cpu_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = device_module._free_in_container(tmp_path)
    assert free > 2**60
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 250\n")
    assert device_module._free_in_container(tmp_path) == 650
    (tmp_path / "memory.max").write_text("max\n")
    assert device_module._free_in_container(tmp_path) > 2**60
    monkeypatch.setattr(device_module, "_free_in_container", lambda: 123)
    assert free_memory(CPU) == 123
