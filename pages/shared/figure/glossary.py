"""The glossary: the field's words and what they mean here, from their one file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).resolve().parents[3] / "assets" / "lessons" / "glossary.toml"


@dataclass(frozen=True)
class Word:
    """A term, its further spellings, and one or two sentences."""

    term: str
    means: str
    forms: tuple[str, ...] = ()


@cache
def words() -> tuple[Word, ...]:
    """All words, in the order of the file."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["word"]
    return tuple(Word(row["term"], row["means"], tuple(row.get("forms", ()))) for row in rows)
