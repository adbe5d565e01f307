"""Worksheets of sums, made up from a seed: the one domain whose answers can be checked.

Follows the idea of the addition demo in karpathy/minGPT (digits as text, a model that learns to add), with
several ways to write a problem and answers in ordinary order. A share of the two-digit problems is held out:
no training worksheet ever contains one, in any wording, so the held-out file tests adding and not memory.
The 100 one-digit sums are in both: there are too few to hold any out.
"""

from __future__ import annotations

import random

# (wording, how often). {a} {op} {b} gives {c}; "words" spell the sign out.
WORDINGS = (
    ("{a} {op} {b} = {c}", 6),
    ("{a}{op}{b}={c}", 2),
    ("{a} {word} {b} is {c}.", 1),
    ("What is {a} {op} {b}? {c}", 1),
    ("Q: {a} {op} {b}\nA: {c}", 1),
)
WORD = {"+": "plus", "-": "minus"}


def held_out(a: int, b: int) -> bool:
    """True for the tenth of the two-digit problems that training never sees."""
    return max(a, b) > 9 and (7 * a + 3 * b) % 10 == 0


def problem(rng: random.Random, kind: str, heldout: bool) -> tuple[int, str, int]:
    """(a, sign, b) of one problem: "sum" of two digits, "long" sum up to 99 + 99, or a "difference"."""
    while True:
        if kind == "sum":
            return rng.randrange(10), "+", rng.randrange(10)
        a, b = rng.randrange(100), rng.randrange(100)
        if kind == "difference":
            top = rng.choice((10, 20, 100))
            a, b = sorted((rng.randrange(top), rng.randrange(top)), reverse=True)
        if max(a, b) < 10 or held_out(a, b) == heldout:
            return a, "+" if kind == "long" else "-", b


def worksheet(rng: random.Random, heldout: bool = False) -> str:
    """6 to 16 problems in one wording. Half of the worksheets are one-digit sums only."""
    wording = rng.choices([w for w, _ in WORDINGS], [n for _, n in WORDINGS])[0]
    kinds = rng.choices((("sum",), ("long",), ("difference",), ("sum", "long", "difference")), (5, 2, 1, 2))[0]
    lines = []
    for _ in range(rng.randint(6, 16)):
        a, op, b = problem(rng, rng.choice(kinds), heldout)
        lines.append(wording.format(a=a, b=b, op=op, word=WORD[op], c=a + b if op == "+" else a - b))
    return "\n".join(lines) + "\n"


def documents(seed: int, n_bytes: int, heldout: bool = False) -> list[str]:
    """Documents of one to four worksheets, a blank line between them, `n_bytes` in all or a little more."""
    rng = random.Random(seed)
    made, size = [], 0
    while size < n_bytes:
        made.append("\n".join(worksheet(rng, heldout) for _ in range(rng.randint(1, 4))))
        size += len(made[-1])
    return made
