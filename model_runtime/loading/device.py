"""Where a model runs, in which number format, and how much memory is free there.

`auto` means: the first of CUDA, Apple's Metal (MPS) and the CPU that this machine has. The environment
variables `GLASSFORMER_DEVICE` and `GLASSFORMER_DTYPE` replace `auto`; a device or dtype named in a call wins
over both.

The automatic dtype puts true numbers before speed. On the CPU it is float32, whatever the file holds: half
precision is slow there and, in some kernels, wrong. On a GPU it is the dtype the weights are stored in, so
nothing is rounded on the way; bfloat16 on a GPU without it becomes float32 and not float16, in which
the large activations of some families (Gemma) overflow.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import psutil
import torch

from model_runtime.errors import SettingError

_C = ctypes.CDLL(None) if sys.platform == "linux" else None
DEVICE_VARIABLE = "GLASSFORMER_DEVICE"
DTYPE_VARIABLE = "GLASSFORMER_DTYPE"

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
SHORT_NAMES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def available_devices() -> tuple[str, ...]:
    """Names accepted as a device on this machine, the automatic choice first."""
    names = []
    if torch.cuda.is_available():
        names.append("cuda")
    if torch.backends.mps.is_available():
        names.append("mps")
    return (*names, "cpu")


def choose_device(device: str = "auto") -> torch.device:
    """The torch device for `device`: "auto", "cuda", "cuda:1", "mps" or "cpu".

    A bare "cuda" becomes the current CUDA device. On a GPU cut into MIG slices that is the slice this
    process was given: torch sees it as device 0 with the slice's own memory.

    Raises:
        SettingError: no such device here.
    """
    asked = device if device != "auto" else os.environ.get(DEVICE_VARIABLE, "").strip() or "auto"
    if asked == "auto":
        asked = available_devices()[0]
    kind, _, index = asked.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    index_is_fine = not index or (kind == "cuda" and index.isdecimal() and int(index) < count)
    if kind not in available_devices() or not index_is_fine:
        raise SettingError(
            f"The device {asked!r} is not available on this machine.",
            f"Use one of: {', '.join(('auto', *available_devices()))}.",
        )
    if kind == "cuda":
        return torch.device("cuda", int(index) if index else torch.cuda.current_device())
    return torch.device(kind)


def choose_dtype(dtype: str, device: torch.device, stored: torch.dtype = torch.float32) -> torch.dtype:
    """The dtype to load weights in.

    Args:
        dtype: "auto", "float32", "float16" or "bfloat16" (also "fp32", "fp16", "bf16").
        device: where the model will run.
        stored: dtype of the weights in their file; what `auto` keeps on a GPU.

    Raises:
        SettingError: an unknown name.
    """
    asked = dtype if dtype != "auto" else os.environ.get(DTYPE_VARIABLE, "").strip() or "auto"
    asked = SHORT_NAMES.get(asked, asked)
    if asked in DTYPES:
        return DTYPES[asked]
    if asked != "auto":
        raise SettingError(f"The dtype {asked!r} is not known.", f"Use one of: auto, {', '.join(DTYPES)}.")
    if device.type == "cpu" or stored not in DTYPES.values():
        return torch.float32
    if stored == torch.bfloat16 and not _has_bfloat16(device):
        return torch.float32
    return stored


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 itself (CUDA since Ampere; Metal since macOS 14)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on `device`; of a MIG slice, the slice's own."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch has reserved but does not use is free for us, though the driver counts it as taken.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(psutil.virtual_memory().available, _free_in_container())


def _free_in_container(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes left under a container's memory limit (cgroup version 2 or 1); very many where there is none.

    A container sees its host's memory in /proc, and is killed without a word when it uses more than its own.
    """
    for limit, usage, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = (root / limit).read_text().strip()
            used = int((root / usage).read_text())
            counts = (root / limit).with_name("memory.stat").read_text().split()
            reclaimable = int(dict(zip(counts[::2], counts[1::2], strict=True)).get(cached, 0))
        except (OSError, ValueError):
            continue
        if most != "max":
            return max(0, int(most) - used + reclaimable)
    return 1 << 62


def give_memory_back() -> None:
    """Return to the system what was freed. glibc keeps the memory of each thread's freed tensors for later
    ones, and the pages run each visitor's work in a thread of its own: 0.3 GB after one long prompt.
    """
    if _C is not None and hasattr(_C, "malloc_trim"):
        _C.malloc_trim(0)
