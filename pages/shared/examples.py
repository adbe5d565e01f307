"""Prompts worth opening, each phrased as what it lets one see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """A prompt and the settings under which it shows its point.

    `page` is the path of the page it belongs on (None: stay on this one); `settings` are rows of the table.
    """

    title: str
    prompt: str
    page: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)


EXAMPLES: tuple[Example, ...] = (
    Example("See how a model reads a sentence of the lecture", "a fluffy blue creature roamed the verdant forest"),
    Example("See how a model finishes a sentence it knows by heart", "The quick brown fox jumps over the"),
)
