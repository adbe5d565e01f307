"""What a GGUF file states, read by its announced sizes: settings, and where each tensor lies.

The file is a stranger's. Every count and length is held against the bytes that are left before anything of
that size is read or made, arrays do not nest, and what a header may hold is bounded. The tensors' numbers are
read one by one, later, by `GgufFile.read`; the arithmetic of the blocks is the `gguf` package's own.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model_runtime.errors import ModelNotFound, UnsupportedModel

Value = bool | int | float | str | tuple[str, ...] | np.ndarray

SAFETENSORS = "Use the model's safetensors files."
MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_SETTINGS = 10_000  # real files state about 50
MOST_TENSORS = 100_000
MOST_TEXTS = (
    1_000_000  # texts of a header: the longest known lists of tokens and merges have two thirds of it
)
LONGEST_NAME, LONGEST_TEXT = 256, 1_000_000  # bytes of a name, and of one text (a chat template)
LONGEST_LISTS = 64_000_000  # bytes of all texts and lists of a header together
MOST_AXES = 4
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_BITS = re.compile(r"(?:I?Q|TQ|MXFP|NVFP)(\d+)")  # "Q4_1", "IQ2_XXS", "MXFP4"; not "F16"
_LENGTH = struct.Struct("<Q")
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of a file: its name, its shape (rows first, as in torch) and where its numbers lie."""

    name: str
    shape: tuple[int, ...]
    kind: int  # gguf.GGMLQuantizationType
    start: int  # byte of the file
    n_bytes: int


@dataclass(frozen=True)
class GgufFile:
    """A file's header. Its settings are plain values; lists of numbers are arrays, lists of texts tuples."""

    path: Path
    settings: dict[str, Value] = field(repr=False)
    tensors: dict[str, GgufTensor] = field(repr=False)

    @property
    def architecture(self) -> str:
        """`general.architecture`, which stands before the names of all settings of the model."""
        return str(self.settings.get("general.architecture", ""))

    @property
    def n_weights(self) -> int:
        """Numbers of all tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    @property
    def stored_bits(self) -> int:
        """Bits of the type that most weights are stored in, by its name; 0 where it is not quantized.

        "Q4_1" is 4, though with their blocks' scales its weights take 5.
        """
        from gguf import GGMLQuantizationType

        weights: Counter[int] = Counter()
        for tensor in self.tensors.values():
            weights[tensor.kind] += math.prod(tensor.shape)
        if not weights:
            return 0
        found = _BITS.match(GGMLQuantizationType(weights.most_common(1)[0][0]).name)
        return int(found[1]) if found else 0

    def read(self, tensor: GgufTensor) -> np.ndarray:
        """The tensor's numbers as float32, in its shape; blocks are unpacked by the `gguf` package."""
        from gguf import GGMLQuantizationType, quants

        kind = GGMLQuantizationType(tensor.kind)
        with self.path.open("rb") as stream:
            stream.seek(tensor.start)
            raw = np.fromfile(stream, np.uint8, tensor.n_bytes)
        if raw.size != tensor.n_bytes:
            raise _unreadable(self.path)
        rows = raw.reshape(*tensor.shape[:-1], -1)
        if kind in (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.F64):
            plain = rows.view({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[kind.name])
            return plain.astype(np.float32, copy=False)
        try:
            return np.asarray(quants.dequantize(rows, kind), np.float32).reshape(tensor.shape)
        except NotImplementedError as error:
            raise UnsupportedModel(
                f"{self.path.name} stores {tensor.name[:80]!r} as {kind.name}, which cannot be read here.",
                SAFETENSORS,
            ) from error


def is_gguf(name: str) -> bool:
    """Whether a file is called a GGUF file, in small letters or capitals."""
    return name.lower().endswith(".gguf")


def is_part(name: str) -> bool:
    """Whether a file is called one part of several: "name-00001-of-00002.gguf"."""
    return _PART.search(name) is not None


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file.

    Raises:
        ModelNotFound: there is no such file, or it cannot be opened.
        UnsupportedModel: it is no GGUF file, damaged, one part of several, or announces more than it holds.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(4) != MAGIC or path.stat().st_size < 24:
                raise _unreadable(path)
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(path, _Header(data, path, at=len(MAGIC)))
    except OSError as error:
        raise ModelNotFound(f"{path.name} cannot be read.", "Check the path and its rights.") from error
    except (struct.error, OverflowError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> UnsupportedModel:
    return UnsupportedModel(
        f"{path.name} is not a readable GGUF file: it is damaged, cut off, or something else.",
        "Fetch the model again.",
    )


@dataclass
class _Header:
    """The bytes of a header, handed out only where the file has them."""

    data: mmap.mmap
    path: Path
    at: int = 0
    texts: int = 0  # so far
    listed: int = 0  # bytes of texts and lists so far

    def take(self, n_bytes: int) -> bytes:
        if n_bytes > len(self.data) - self.at:
            raise _unreadable(self.path)
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def number(self, letter: str) -> Any:
        (found,) = struct.unpack_from("<" + letter, self.data, self.at)  # struct.error beyond the end
        self.at += struct.calcsize("<" + letter)
        return found

    def bounded(self, count: int, most: int, what: str) -> int:
        """A count, refused where it is more than a file may hold."""
        if count > most:
            raise UnsupportedModel(
                f"{self.path.name} announces {count:,} {what}; at most {most:,} are read.", SAFETENSORS
            )
        return count

    def text(self, longest: int, what: str) -> str:
        (length,) = _LENGTH.unpack_from(self.data, self.at)
        self.texts += 1
        self.listed += length
        if length > longest or self.texts > MOST_TEXTS or self.listed > LONGEST_LISTS:
            self.bounded(length, longest, what)
            self.bounded(self.texts, MOST_TEXTS, "texts")
            self.bounded(self.listed, LONGEST_LISTS, "bytes of texts and lists")
        self.at += 8
        return self.take(length).decode("utf-8", errors="replace")

    def value(self) -> Value:
        kind = int(self.number("I"))
        if kind == _TEXT:
            return self.text(LONGEST_TEXT, "bytes in one text")
        if kind in _SCALARS:
            found: Value = self.number(_SCALARS[kind])
            return found
        inner = int(self.number("I"))
        if kind != _LIST or inner not in (_LIST, _TEXT, *_SCALARS):
            raise _unreadable(self.path)
        if inner == _LIST:
            raise UnsupportedModel(
                f"{self.path.name} has lists within lists, which no model's settings need.", SAFETENSORS
            )
        count = int(self.number("Q"))
        if inner == _TEXT:
            self.bounded(count, MOST_TEXTS, "texts in one list")
            self.bounded(self.texts + count, MOST_TEXTS, "texts")
            return tuple(self.text(LONGEST_TEXT, "bytes in one text") for _ in range(count))
        item = np.dtype("<" + _SCALARS[inner])
        self.listed += self.bounded(count, LONGEST_LISTS, "numbers in one list") * item.itemsize
        self.bounded(self.listed, LONGEST_LISTS, "bytes of texts and lists")
        return np.frombuffer(self.take(count * item.itemsize), item)


def _read(path: Path, header: _Header) -> GgufFile:
    version = header.number("I")
    if version not in VERSIONS:
        raise UnsupportedModel(
            f"{path.name} is a GGUF file of version {version}; versions 2 and 3, little-endian, are read.",
            SAFETENSORS,
        )
    n_tensors = header.bounded(header.number("Q"), MOST_TENSORS, "tensors")
    settings: dict[str, Value] = {}
    for _ in range(header.bounded(header.number("Q"), MOST_SETTINGS, "settings")):
        key = header.text(LONGEST_NAME, "bytes of one name")
        if key in settings:
            raise UnsupportedModel(f"{path.name} states {key[:80]!r} twice.", "Fetch the model again.")
        settings[key] = header.value()
    _refuse_part(path, settings)
    stated = [_tensor(header) for _ in range(n_tensors)]
    tensors = _placed(path, header, stated, settings.get("general.alignment", 32))
    return GgufFile(path, settings, tensors)


def _refuse_part(path: Path, settings: dict[str, Value]) -> None:
    """A model cut into several files cannot be read from one of them."""
    named = _PART.search(path.name)
    stated = settings.get("split.count", 0)
    parts = int(named[2]) if named else stated if isinstance(stated, int) else 0
    if parts > 1:
        number = int(named[1]) if named else int(str(settings.get("split.no", 0))) + 1
        raise UnsupportedModel(
            f"{path.name} is part {number} of {parts} of one model; the other parts are files of their own.",
            "Join them with llama.cpp (llama-gguf-split --merge, given the first part) and name the joined "
            "file, or use the model's safetensors files.",
        )


def _tensor(header: _Header) -> GgufTensor:
    """One line of the table of tensors; its start still counts from the end of the header."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    name = header.text(LONGEST_NAME, "bytes of one name")
    axes = header.number("I")
    if not 1 <= axes <= MOST_AXES:
        raise _unreadable(header.path)
    shape = tuple(int(header.number("Q")) for _ in range(axes))[::-1]  # GGUF writes the fastest axis first
    kind, start = header.number("I"), header.number("Q")
    if kind not in {one.value for one in GGML_QUANT_SIZES}:
        raise UnsupportedModel(
            f"{header.path.name} stores {name[:80]!r} in a format (number {kind}) that is not known here.",
            "Use the model's safetensors files, or a GGUF file in another format (Q8_0, F16).",
        )
    per_block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    if min(shape) < 1 or shape[-1] % per_block or math.prod(shape) > 2**48:
        raise _unreadable(header.path)
    return GgufTensor(name, shape, kind, start, math.prod(shape) // per_block * block_bytes)


def _placed(path: Path, header: _Header, stated: list[GgufTensor], alignment: Value) -> dict[str, GgufTensor]:
    """The tensors by name, each within the file and none over another."""
    if not isinstance(alignment, int) or alignment < 1 or alignment > 2**20:
        raise _unreadable(path)
    first = -(-header.at // alignment) * alignment
    tensors: dict[str, GgufTensor] = {}
    end = first
    for tensor in sorted(stated, key=lambda tensor: tensor.start):
        start = first + tensor.start
        if start < end or tensor.name in tensors:
            raise UnsupportedModel(
                f"{path.name} states {tensor.name[:80]!r} twice, or over another tensor.",
                "Fetch the model again.",
            )
        end = start + tensor.n_bytes
        if end > len(header.data):
            raise UnsupportedModel(
                f"{path.name} is damaged or not complete: its tensors need {end:,} bytes, it has "
                f"{len(header.data):,}.",
                "Fetch the model again.",
            )
        tensors[tensor.name] = GgufTensor(tensor.name, tensor.shape, tensor.kind, start, tensor.n_bytes)
    return tensors
