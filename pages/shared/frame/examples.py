"""Prompts worth opening, each phrased as what it lets one see. Measured on the default model: a test
(`tests/pages/test_examples.py`) holds every head and every likeliest token named here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OPENING = "See how a model "


@dataclass(frozen=True)
class Example:
    """A prompt and the settings under which it shows its point.

    `sees` completes "See how a model ..."; `page` is the page it belongs on; `settings` are rows of the
    table.
    """

    sees: str
    prompt: str
    page: str
    settings: Mapping[str, object] = field(default_factory=dict)


def _head(layer: int, head: int, measure: str) -> dict[str, object]:
    return {"layer": layer, "head": head, "measure": measure}


EXAMPLES: tuple[Example, ...] = (
    Example(
        "turns a sentence into a guess",
        "When Harry Potter arrived, everyone knew that Harry",
        "home",
    ),
    Example(
        "cuts a rare word into pieces",
        "a fluffy blue creature roamed the verdant forest",
        "home",
    ),
    Example(
        "meets one word with three meanings",
        "American shrew mole. One mole of carbon dioxide. Take a biopsy of the mole.",
        "home",
    ),
    Example(
        "cuts cat, superman and spiderman",
        "cat superman spiderman",
        "tokens",
        {"lesson": "compare"},
    ),
    Example(
        "pays more for other languages",
        "Good morning! Guten Morgen! 早上好！ सुप्रभात! صباح الخير!",
        "tokens",
        {"lesson": "compare"},
    ),
    Example(
        "cuts numbers where you would not",
        "1234567 + 89 = 1234656",
        "tokens",
        {"lesson": "compare"},
    ),
    Example(
        "gives one word other vectors in other sentences",
        "Take a biopsy of the mole",
        "embeddings",
        {"space": "senses"},
    ),
    Example(
        "turns queries and keys by their position",
        "When Harry Potter arrived, everyone knew that Harry",
        "positions",
        {"place": "rope"},
    ),
    Example(
        "looks one token back",
        "The quick brown fox jumps over the",
        "attention",
        _head(16, 0, "previous"),
    ),
    Example(
        "rests on the first token",
        "My favourite thing about the weather today is",
        "attention",
        _head(18, 8, "first"),
    ),
    Example(
        "goes on with a pattern it saw before",
        "English: cat. French: chat. English: dog. French: chien. English: house. French:",
        "attention",
        _head(17, 5, "induction"),
    ),
    Example(
        "finds the same word again",
        "Mr and Mrs Dursley of number four were proud. Mr and Mrs",
        "attention",
        _head(5, 6, "duplicate"),
    ),
    Example(
        "reads only what is close by",
        "The old man went down to the sea every morning before the sun came up",
        "attention",
        _head(11, 6, "distance"),
    ),
    Example(
        "spreads over all it may read",
        "The weather in the mountains changes quickly, so take a warm coat",
        "attention",
        _head(0, 1, "entropy"),
    ),
    Example(
        "keeps its weights, and which formats could hold them",
        "When Harry Potter arrived, everyone knew that Harry",
        "number-formats",
        {"formats": "weights"},
    ),
    Example(
        "loses a row of attention to an overflow",
        "When Harry Potter arrived, everyone knew that Harry",
        "stability",
        {"stability": "order", "gain": 45.25, "layer": 24, "head": 4},
    ),
    Example(
        "sends scripture and sums to different experts",
        "And the LORD said unto him, 3 + 4 = 7",
        "moe",
        {"moe": "routing", "model": "mixtral-mini"},
    ),
    Example(
        "recalls a capital",
        "The capital of France is Paris. The capital of Japan is",
        "next-token",
    ),
    Example(
        "works out who is given the drink",
        "When Mary and John went to the store, John gave a drink to",
        "next-token",
    ),
    Example(
        "is almost sure, in code",
        'def add(a, b):\n    """Return the sum of a and b."""\n    return',
        "next-token",
    ),
    Example(
        "wavers between large and small",
        "The trophy would not fit in the suitcase because it was too",
        "next-token",
    ),
)
