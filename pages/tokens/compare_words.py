"""What is taught beside the compared tokenizers: question, formulas with this text's numbers, code."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence

from model_runtime.records import Tokenized
from model_runtime.tokens import encodings
from model_runtime.tokens.encodings import tokenize_with, tokenize_with_model
from pages.shared.escape import plain, quoted, token_text
from pages.shared.frame.parts import Lesson
from pages.tokens.side import Side

HEROES = ("cat", "superman", "spiderman")
QUESTION = (
    "How many tokens are `cat`, `superman` and `spiderman`, and how many are they with a space in front? "
    "Write down six numbers, then open this."
)
SOURCES = """
- Sennrich, Haddow and Birch 2016, [Neural machine translation of rare words with subword
  units](https://arxiv.org/abs/1508.07909): byte-pair encoding for text.
- Radford et al. 2019, *Language models are unsupervised multitask learners* (GPT-2), section 2.2: byte-pair
  encoding on bytes, so that nothing is ever unknown.
- [tiktoken](https://github.com/openai/tiktoken): cl100k_base and o200k_base, used here as published.
- To read: Karpathy, [minbpe](https://github.com/karpathy/minbpe), the whole of it in a few hundred lines.
- Petrov et al. 2023, [Language model tokenizers introduce unfairness between
  languages](https://arxiv.org/abs/2305.15425); the sentence: [Universal Declaration of Human
  Rights](https://www.ohchr.org/en/human-rights/universal-declaration/translations), article 1.
"""


def lesson(side: Side, keys: Sequence[str], cuts: Sequence[Tokenized]) -> Lesson:
    """What stands below the figures."""
    return Lesson(
        QUESTION,
        answer(side, keys),
        mathematics=lambda: mathematics(cuts),
        code=lambda: (
            inspect.getsource(encodings.tokenize_with) + "\n\n" + inspect.getsource(encodings.agreement)
        ),
        sources=SOURCES,
    )


def answer(side: Side, keys: Sequence[str]) -> str:
    """The heroes as each tokenizer cuts them, with and without a space in front: measured."""
    head = "| |" + "".join(f" `{word}` | `·{word}` |" for word in HEROES)
    rule = "|---|" + "---|" * 2 * len(HEROES)
    lines = []
    for key in keys:
        cells = []
        for word in HEROES:
            for text in (word, f" {word}"):
                one = tokenize_with_model(side.model(), text) if key == "model" else tokenize_with(key, text)
                parts = [token_text(token) for token, span in _taking(one)]
                cells.append(f"{len(parts)}: {' '.join(map(quoted, parts))}")
        name = side.model().spec.name if key == "model" else encodings.TOKENIZERS[key]
        lines.append(f"| {plain(name)} | {' | '.join(cells)} |")
    return (
        "\n".join((head, rule, *lines))
        + "\n\nA word is one token where the text that the tokenizer learned from had it often. With a space "
        "in front it is a different token with a number of its own, and sometimes a shorter cut: most "
        "words stand in the middle of a sentence."
    )


def _taking(one: Tokenized) -> list[tuple]:
    return [(token, span) for token, span in zip(one.tokens, one.spans, strict=True) if span[0] < span[1]]


def mathematics(cuts: Sequence[Tokenized]) -> str:
    """Characters per token and compression, with this text's numbers put in."""
    one = cuts[0]
    n = len(_taking(one))
    if not n:
        return "Type a text: the formulas are filled in with its numbers."
    characters, n_bytes = len(one.text), len(one.text.encode())
    bits = math.log2(max(one.n_vocab, 2))
    name = plain(one.name)
    return (
        f"With {name} this text of $c = {characters:,}$ characters and $b = {n_bytes:,}$ bytes (UTF-8) is "
        f"$n = {n:,}$ tokens:\n\n"
        rf"$$\frac{{c}}{{n}} = \frac{{{characters}}}{{{n}}} = {characters / n:.3g} "
        rf"\text{{ characters per token}}, \qquad \frac{{b}}{{n}} = \frac{{{n_bytes}}}{{{n}}} = "
        rf"{n_bytes / n:.3g} "
        r"\text{ bytes per token}$$"
        f"\n\nA number below $V = {one.n_vocab:,}$ needs $\\log_2 V = {bits:.3g}$ bits, a byte has 8. So as "
        "numbers the text takes\n\n"
        rf"$$\frac{{n \log_2 V}}{{8\,b}} = \frac{{{n} \cdot {bits:.3g}}}{{8 \cdot {n_bytes}}} = "
        rf"{n * bits / (8 * n_bytes):.3g}$$"
        "\n\nof its size in bytes: byte-pair encoding began as a way to compress (Gage 1994). For the model "
        "the length counts for more than the bits: attention compares all pairs, so against reading single "
        rf"bytes it makes $(b/n)^2 = {(n_bytes / n) ** 2:.3g}$ times fewer comparisons. The price is the "
        "table: $V$ rows of $d_{\\text{model}}$ numbers."
    )
