"""What is taught beside the compared tokenizers: question, formulas with this text's numbers, code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from model_runtime.records import Token, Tokenized
from model_runtime.tokens import encodings
from model_runtime.tokens.encodings import tokenize_with, tokenize_with_model
from pages.shared.escape import plain, quoted, token_text
from pages.shared.frame.coverage import table_words
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from viz.equations import tex, worked

HEROES = ("cat", "superman", "spiderman")


def lesson(side: Side, keys: Sequence[str], cuts: Sequence[Tokenized]) -> Lesson:
    """What stands below the figures."""
    return Lesson(
        mathematics=partial(mathematics, cuts),
        code=(encodings.cut_with, encodings.token_of, encodings.agreement),
        fill={"heroes": heroes(side, keys), "every_text": table_words(side.model)},
    )


def heroes(side: Side, keys: Sequence[str]) -> str:
    """The heroes as each tokenizer cuts them, with and without a space in front: measured."""
    head = "| |" + "".join(f" `{word}` | `·{word}` |" for word in HEROES)
    rule = "|---|" + "---|" * 2 * len(HEROES)
    lines = []
    for key in keys:
        cells = []
        for word in HEROES:
            for text in (word, f" {word}"):
                one = tokenize_with_model(side.model, text) if key == "model" else tokenize_with(key, text)
                parts = [token_text(token) for token, span in _taking(one)]
                cells.append(f"{len(parts)}: {' '.join(map(quoted, parts))}")
        name = side.spec.name if key == "model" else encodings.TOKENIZERS[key]
        lines.append(f"| {plain(name)} | {' | '.join(cells)} |")
    return "\n".join((head, rule, *lines))


def _taking(one: Tokenized) -> list[tuple[Token, tuple[int, int]]]:
    return [
        (token, span)
        for token, span in zip(one.tokens, one.spans, strict=True)
        if span[0] < span[1] and not token.lost
    ]


def mathematics(cuts: Sequence[Tokenized]) -> str:
    """Characters per token and compression, with this text's numbers put in."""
    one = cuts[0]
    n = len(_taking(one))
    if not n:
        return "Type a text: the formulas are filled in with its numbers."
    characters, n_bytes = len(one.text), len(one.text.encode())
    bits = math.log2(max(one.n_vocab, 2))
    name = plain(one.name)
    ratio = n * bits / (8 * n_bytes)
    line = worked(ratio, lambda wide: n * wide / (8 * n_bytes), bits)
    return (
        f"With {name} this text of $c = {characters:,}$ characters and $b = {n_bytes:,}$ bytes (UTF-8) is "
        f"$n = {n:,}$ tokens:\n\n"
        rf"$$\frac{{c}}{{n}} = \frac{{{characters}}}{{{n}}} = {tex(characters / n, 3)} "
        rf"\text{{ characters per token}}, \qquad \frac{{b}}{{n}} = \frac{{{n_bytes}}}{{{n}}} = "
        rf"{tex(n_bytes / n, 3)} "
        r"\text{ bytes per token}$$"
        f"\n\nA number below $V = {one.n_vocab:,}$ needs $\\log_2 V = {line.operand(bits)}$ bits, a byte has "
        "8. So as numbers the text takes\n\n"
        rf"$$\frac{{n \log_2 V}}{{8\,b}} = \frac{{{n} \cdot {line.operand(bits)}}}{{8 \cdot {n_bytes}}} "
        rf"{line.tex_sign} {tex(ratio, 3)}$$"
        "\n\nof its size in bytes: byte-pair encoding began as a way to compress (Gage 1994). For the model "
        "the length counts for more than the bits: attention compares all pairs, so against reading single "
        rf"bytes it makes $(b/n)^2 = {tex((n_bytes / n) ** 2, 3)}$ times fewer comparisons. The price "
        "is the table: $V$ rows of $d_{\\text{model}}$ numbers."
    )
