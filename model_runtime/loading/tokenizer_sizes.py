"""Whether a tokenizer's files are of a size that their model can need, before anything is built of them.

A file of a few megabytes can ask for gigabytes: entries that no model has rows for, or a normaliser that
writes a thousand characters for each one. Both are refused here, from the file's bytes and its description.
"""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.checkpoint import Checkpoint

MIB = 1024**2
MOST_ROWS = 1_000_000  # entries of the largest table that is read; the largest published have 262,144
# What published files have at most, with room: Gemma's has 130 bytes and 6 commas for each row of its model.
BYTES_A_ROW, BYTES_ANYWAY, MOST_BYTES = 1_000, 4 * MIB, 128 * MIB
COMMAS_A_ROW, COMMAS_ANYWAY, MOST_COMMAS = 16, 200_000, 8_000_000
_ADVICE = "Use the tokenizer that belongs to the model."
MOST_GROWTH = 1_000  # characters that may be made of one; Unicode's compatibility forms make at most 18
# How many characters each kind of normaliser and pre-tokenizer makes of one, at most.
_GROWTH = {
    "NFD": 4,
    "NFKD": 18,
    "NFC": 3,
    "NFKC": 18,
    "Lowercase": 3,
    "BertNormalizer": 12,
    "ByteLevel": 4,
    "Metaspace": 2,
}


def check_size(checkpoint: Checkpoint, file: Path, name: str) -> None:
    """Refuse a tokenizer's file that is far larger than the model's table of embeddings calls for.

    Args:
        file: tokenizer.json, vocab.json, tokenizer.model, ...
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: with both numbers.
    """
    rows = table_rows(checkpoint)
    size, allowed = file.stat().st_size, min(BYTES_ANYWAY + BYTES_A_ROW * rows, MOST_BYTES)
    if size > allowed:
        raise UnsupportedModel(
            f"{file.name} of {name} has {size / MIB:,.0f} MiB; a model with {rows:,} rows of embeddings "
            f"needs at most {allowed / MIB:,.0f} MiB.",
            _ADVICE,
        )
    with file.open("rb") as stream:
        commas = sum(chunk.count(b",") for chunk in iter(lambda: stream.read(MIB), b""))
    allowed = min(COMMAS_ANYWAY + COMMAS_A_ROW * rows, MOST_COMMAS)
    if commas > allowed:
        raise UnsupportedModel(
            f"{file.name} of {name} lists about {commas:,} entries; a model with {rows:,} rows of embeddings "
            f"needs at most {allowed:,}, merges counted.",
            _ADVICE,
        )


def table_rows(checkpoint: Checkpoint) -> int:
    """Rows of the model's table of embeddings as its config says, but no more than its weights can hold."""
    config = checkpoint.config
    inner = config.get("text_config")
    stated = config.get("vocab_size", inner.get("vocab_size") if isinstance(inner, dict) else None)
    rows = stated if isinstance(stated, int) and stated > 0 else MOST_ROWS
    return min(rows, max(checkpoint.n_weights, 1), MOST_ROWS)


def check_growth(described: dict[str, Any], name: str) -> None:
    """Refuse a tokenizer whose steps can make far more text of a text than there was.

    Args:
        described: tokenizer.json without its model: "normalizer", "pre_tokenizer", "decoder".

    Raises:
        UnsupportedModel: more than `MOST_GROWTH` characters for one.
    """
    reading = growth(described.get("normalizer")) * growth(described.get("pre_tokenizer"))
    for what, factor in (("read", reading), ("written", growth(described.get("decoder")))):
        if factor > MOST_GROWTH:
            raise UnsupportedModel(
                f"The tokenizer of {name} can make more than {MOST_GROWTH:,} characters of each one that is "
                f"{what}, so that a sentence fills the memory.",
                _ADVICE,
            )


def growth(step: Any) -> float:
    """How many characters a normaliser, pre-tokenizer or decoder makes of one, at most.

    >>> growth({"type": "Replace", "pattern": {"String": " "}, "content": "abc"})
    3.0
    """
    if not isinstance(step, dict):
        return 1.0
    for many in ("normalizers", "pretokenizers", "decoders"):
        if isinstance(step.get(many), list):
            return math.prod(map(growth, step[many]))
    kind = step.get("type")
    if kind == "Replace":
        return _replace_growth(step)
    if kind == "Prepend":
        return 1.0 + len(str(step.get("prepend", "")))
    if kind == "Precompiled":
        return _longest_mapped(step.get("precompiled_charsmap"))
    return float(_GROWTH.get(str(kind), 1))


def _replace_growth(step: dict[str, Any]) -> float:
    made, pattern = len(str(step.get("content", ""))), step.get("pattern")
    found = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(found, str) and found:
        return max(1.0, made / len(found))
    return 1.0 + made  # a pattern may match between any two characters


def _longest_mapped(charsmap: Any) -> float:
    """Characters that SentencePiece's table of normalisations writes for one, at most.

    The table is a length (4 bytes), a trie of that length, and the texts written, each ended by a zero byte
    (sentencepiece, src/normalizer.cc, DecodePrecompiledCharsMap).
    """
    try:
        blob = base64.b64decode(charsmap) if isinstance(charsmap, str) else bytes(charsmap)
    except (TypeError, ValueError):
        return 1.0
    start = 4 + int.from_bytes(blob[:4], "little")
    return float(max(1, *(len(text.decode(errors="replace")) for text in blob[start:].split(b"\0")), 1))


def pipeline_of(described: str) -> dict[str, Any]:
    """The steps of a tokenizer, from its own JSON."""
    content: Any = json.loads(described)
    return content if isinstance(content, dict) else {}
