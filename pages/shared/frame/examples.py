"""Prompts worth opening, each phrased as what it lets one see, and with what to look at. Measured on the
model that an example names: `tests/pages/test_examples.py` holds every head and every token named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pages.shared.escape import model_name, quoted
from pages.shared.settings.table import DEFAULT_MODEL, LAST_TOKEN, STRONGEST_KEY, TOP_CANDIDATE

OPENING = "See how a model "


@dataclass(frozen=True)
class Example:
    """A prompt and the settings under which it shows its point.

    `sees` completes "See how a model ..."; `page` is the page it belongs on; `look` says in one sentence (our
    own markdown) what to look at there; `settings` are rows of the table; `model` is the one on which it was
    found.
    """

    sees: str
    prompt: str
    page: str
    look: str
    settings: Mapping[str, object] = field(default_factory=dict)
    model: str = DEFAULT_MODEL

    @property
    def opens(self) -> dict[str, object]:
        """All settings that it opens with: what another view chose of tokens would mean nothing here."""
        chosen = {"token": LAST_TOKEN, "key": STRONGEST_KEY, "candidate": TOP_CANDIDATE, "edits": ()}
        return {"model": self.model, "prompt": self.prompt, **chosen, **self.settings}

    @property
    def hint(self) -> str:
        """The prompt, and the model that the example needs, as markdown."""
        return f"{quoted(self.prompt, 120)} with {model_name(self.model)}"

    def is_open(self, page: str, values: Mapping[str, object]) -> bool:
        """Whether a page shows it. A sentence that names its head stays true while others are looked at."""
        free = {"measure"}
        if {"layer", "head"} <= self.settings.keys() and "L{layer} H{head}".format(
            **self.settings
        ) in self.look:
            free |= {"layer", "head"}
        kept = {"model": self.model, "prompt": self.prompt, **self.settings}
        return page == self.page and all(values.get(key) == kept[key] for key in kept.keys() - free)


def _head(layer: int, head: int, measure: str) -> dict[str, object]:
    return {"part": "heads", "layer": layer, "head": head, "measure": measure}


def looks_at(page: str, values: Mapping[str, object]) -> str:
    """What to look at on a page with these settings, where an example is open; else "".

    Of two with one prompt, the one with more of its settings on screen.
    """

    def kept(example: Example) -> int:
        return sum(values.get(key) == value for key, value in example.settings.items())

    shown = [example for example in EXAMPLES if example.is_open(page, values)]
    return max(shown, key=kept).look if shown else ""


HARRY = "When Harry Potter arrived, everyone knew that Harry"

EXAMPLES: tuple[Example, ...] = (
    Example(
        "turns a sentence into a guess",
        HARRY,
        "home",
        "Follow the last token, “·Harry”, from left to right: it enters as a row of a table, and “·Potter” "
        "comes out as the likeliest next token.",
    ),
    Example(
        "cuts a rare word into pieces",
        "a fluffy blue creature roamed the verdant forest",
        "home",
        "Look at ①: “verdant” is no entry of the list and comes in three tokens, the words around it in one"
        " each.",
    ),
    Example(
        "meets one word with three meanings",
        "American shrew mole. One mole of carbon dioxide. Take a biopsy of the mole.",
        "home",
        "Choose each “·mole” in turn: all three start from the same row (②), and different tokens are "
        "expected after each (⑤).",
    ),
    Example(
        "cuts cat, superman and spiderman",
        "cat superman spiderman",
        "tokens",
        "Compare the columns: “cat” is one token, “spiderman” is put together from pieces.",
        {"lesson": "compare"},
    ),
    Example(
        "pays more for other languages",
        "Good morning! Guten Morgen! 早上好！ सुप्रभात! صباح الخير!",
        "tokens",
        "Count the tokens of each greeting: the English one takes the fewest.",
        {"lesson": "compare"},
    ),
    Example(
        "cuts numbers where you would not",
        "1234567 + 89 = 1234656",
        "tokens",
        "Look where each tokenizer cuts the digits: the model adds these pieces, not the numbers.",
        {"lesson": "compare"},
    ),
    Example(
        "gives one word other vectors in other sentences",
        "Take a biopsy of the mole",
        "embeddings",
        "Follow “mole” through the layers: equal at the embedding in every sentence, then the lines part.",
        {"space": "senses"},
    ),
    Example(
        "turns queries and keys by their position",
        HARRY,
        "positions",
        "The same pair of numbers turns further at each position, and only the angle between query and key "
        "counts.",
        {"place": "rope"},
    ),
    Example(
        "reads a name, while another head decides",
        HARRY,
        "attention",
        "Reading is not deciding: L24 H4 gives most of its attention to “·Potter”, yet with it off "
        "“·Potter” becomes likelier. Colour the heads by “Worth here”: L29 H1 decides, and hardly reads "
        "“·Potter”.",
        _head(24, 4, "induction"),
    ),
    Example(
        "reads what it then says",
        "Mr and Mrs Dursley of number four were proud. Mr and Mrs",
        "attention",
        "Here what is seen decides: L28 H2 reads “·D”, where the name began, more than anything else, and "
        "with it off “·D” falls furthest. Switch it off and compare the bars.",
        _head(28, 2, "worth"),
    ),
    Example(
        "looks one token back",
        "The quick brown fox jumps over the",
        "attention",
        "Look for the line just beside the diagonal: in L16 H0 nearly every token reads the one before it.",
        _head(16, 0, "previous"),
    ),
    Example(
        "rests on the first token",
        "My favourite thing about the weather today is",
        "attention",
        "Look at the first column: in L18 H8 later tokens read the first one, which says nothing about "
        "them; the head rests.",
        _head(18, 8, "first"),
    ),
    Example(
        "goes on with a pattern it saw before",
        "English: cat. French: chat. English: dog. French: chien. English: house. French:",
        "attention",
        "Choose any token that came before: in L17 H5 it reads what followed its last copy. The kind is "
        "measured over all tokens, not by the last guess.",
        _head(17, 5, "induction"),
    ),
    Example(
        "finds the same word again",
        "Mr and Mrs Dursley of number four were proud. Mr and Mrs",
        "attention",
        "Look at the second “Mr and Mrs”: in L5 H6 each of its tokens reads its own first copy.",
        _head(5, 6, "duplicate"),
    ),
    Example(
        "reads only what is close by",
        "The old man went down to the sea every morning before the sun came up",
        "attention",
        "Look at the diagonal: in L11 H6 every token reads itself and its nearest, nothing far away.",
        _head(11, 6, "distance"),
    ),
    Example(
        "spreads over all it may read",
        "The weather in the mountains changes quickly, so take a warm coat",
        "attention",
        "Compare the rows: in L0 H1 each token spreads its attention over nearly all before it, so no cell "
        "stands out.",
        _head(0, 1, "entropy"),
    ),
    Example(
        "sends scripture and sums to different experts",
        "And the LORD said unto him, 3 + 4 = 7",
        "moe",
        "Compare the tokens before the comma with those after it: words and sums are mostly sent to "
        "different experts.",
        {"moe": "routing"},
        model="mixtral-mini",
    ),
    Example(
        "recalls a capital",
        "The capital of France is Paris. The capital of Japan is",
        "next-token",
        "Look at the first bar: “·Tokyo” has nearly all of the probability, though it is nowhere in the "
        "prompt.",
    ),
    Example(
        "works out who is given the drink",
        "When Mary and John went to the store, John gave a drink to",
        "next-token",
        "Look at the first bar: “·Mary”, not “·John”, although both names came before.",
    ),
    Example(
        "is almost sure, in code",
        'def add(a, b):\n    """Return the sum of a and b."""\n    return',
        "next-token",
        "Raise the temperature: “·a” is so far ahead that little changes, until the temperature is large.",
    ),
    Example(
        "wavers between large and small",
        "The trophy would not fit in the suitcase because it was too",
        "next-token",
        "Move temperature and top-p: with several tokens in play, each step changes what can be drawn.",
    ),
    Example(
        "keeps its weights, and which formats could hold them",
        HARRY,
        "number-formats",
        "Look how narrow the weights lie around 0, and which formats still tell them apart there.",
        {"formats": "weights"},
    ),
    Example(
        "loses a row of attention to an overflow",
        HARRY,
        "stability",
        "Compare the two orders: with this gain q·k passes 65,504 before it is divided, and the row is "
        "lost; divided first, it stays whole.",
        {"stability": "order", "gain": 45.25, "layer": 24, "head": 4},
    ),
)
