"""What each head is worth on a prompt: how much one next token's probability falls without it, in words and
as the overview of heads. What a head reads and what it is worth are two facts, and are said as two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records import HeadWorth
from viz import style
from viz.attention.head_grid import HeadGrid, Wording, plain_grid
from viz.attention.heads import WORTH, strongest

READS = 0.1  # from this share on a head is said to read a token
COUNTS = 0.01  # a smaller change of a probability is said to be hardly one,
TIMES = 1.5  # unless it is by this factor


@dataclass(frozen=True)
class Effect:
    """One head at the end of a prompt: what it reads, and the next token with the head and without it."""

    layer: int
    head: int
    text: str  # the next token, readable
    before: float  # its probability with the head
    after: float  # and without it
    reads: float | None  # share of the last token's attention on that token in the prompt; None: not in it
    most: str  # the token that the last token reads most in this head
    most_share: float

    @property
    def name(self) -> str:
        return f"L{self.layer} H{self.head}"

    @property
    def change(self) -> float:
        """How much the probability falls without the head; below 0 where it rises."""
        return self.before - self.after

    @property
    def hardly(self) -> bool:
        """Whether the change is too small to be called one."""
        small, large = sorted((self.before, self.after))
        return large - small < COUNTS and large < TIMES * small


def effect_record(
    row: Sequence[float],  # pattern of the last token, [key_pos]
    ids: Sequence[int],
    texts: Sequence[str],
    *,
    layer: int,
    head: int,
    token: int,
    text: str,
    before: float,
    after: float,
) -> Effect:
    """Measured numbers -> what will be said."""
    at = [position for position, token_id in enumerate(ids) if token_id == token]
    most = int(np.argmax(row))
    reads = float(sum(row[position] for position in at)) if at else None
    return Effect(layer, head, text, before, after, reads, texts[most], float(row[most]))


def effect_sentence(effect: Effect) -> str:
    """Without L29 H1, “·Potter” falls from 57.9 % to 3.8 %."""
    before, after = style.shares(effect.before, effect.after)
    token = style.quoted(effect.text)
    if effect.hardly:
        return f"Without {effect.name}, {token} stays about where it is: {before} and {after}."
    verb = "falls" if effect.change > 0 else "rises"
    return f"Without {effect.name}, {token} {verb} from {before} to {after}."


def reading_sentence(effect: Effect) -> str:
    """What the head reads at the end of the prompt."""
    token, share = style.quoted(effect.text), style.share
    most = f"{style.quoted(effect.most)} most ({share(effect.most_share)})"
    if effect.reads is None:
        return f"At the end of the prompt it reads {most}; {token} does not stand in the prompt."
    if effect.most == effect.text:
        return (
            f"At the end of the prompt it reads {token} with {share(effect.reads)}, more than anything else."
        )
    return f"At the end of the prompt it reads {most}, and {token} with {share(effect.reads)}."


def verdict(effect: Effect) -> str:
    """The two facts together, true in both directions."""
    reads = (effect.reads or 0.0) >= READS
    token = style.quoted(effect.text)
    if effect.hardly:
        return f"It reads {token}, and yet the guess hardly needs it here." if reads else ""
    if effect.change < 0:
        return f"It {f'reads {token} and yet works against it' if reads else f'works against {token}'} here."
    if reads:
        return f"What it reads and what it does point the same way here: to {token}."
    return f"It does not read {token} itself, and yet the guess leans on it."


def beyond(effect: Effect) -> str:
    """What stands after `effect_sentence`: what the head reads, and both facts together, in plain text."""
    return f"{reading_sentence(effect)} {verdict(effect)}".strip()


def effect_words(effect: Effect) -> str:
    """All of it in plain text."""
    return f"{effect_sentence(effect)} {beyond(effect)}"


def worth_of_layers(parts: Sequence[HeadWorth], n_layers: int, n_heads: int) -> HeadWorth | None:
    """What is measured so far as one record, NaN where nothing is yet; None of no parts."""
    if not parts:
        return None
    after = np.full((n_layers, n_heads), np.nan)
    for part in parts:
        after[list(part.layers)] = part.after
    return HeadWorth(tuple(range(n_layers)), parts[0].token, parts[0].before, after)


def worth_top(*several: np.ndarray) -> float:
    """End of a shared scale about 0."""
    return style.shared_range(*several, symmetric=True)[1]


def _arrow(before: float, after: float) -> str:
    """From one probability to another, the unit once: "57.9 → 3.85 %"; "" of what is no number."""
    if not np.isfinite(after):
        return ""
    one, other = style.shares(before, after)
    unit = other[-2:]
    return f"{one.removesuffix(unit) if unit.endswith('%') else one} → {other}"


def worth_record(
    worth: HeadWorth,
    text: str,  # of its token, readable
    *,
    layer: int,
    head: int,
    top: float,
    off: Sequence[tuple[int, int]] = (),
) -> HeadGrid:
    """One sweep (or the part of it that is done) -> what will be drawn."""
    change, before = worth.change, float(np.exp(worth.before))
    best = strongest(change)
    cells = [[_arrow(before, float(after)) for after in line] for line in np.exp(worth.after)]
    part = not np.isfinite(worth.after).any(axis=1).all()  # layers that are not measured yet
    token = style.label(text)
    if best is None:
        finding = "No head is measured yet" if part else "Nothing finite is left without any head"
    elif change[best] < COUNTS:
        finding = f"No head {'so far ' if part else ''}is worth 1 point"
    else:
        finding = f"{'So far' if part else 'Most'}: <b>L{best[0]} H{best[1]}</b>, {cells[best[0]][best[1]]}"
    words = Wording(
        axis=f"how much “{token}” falls without the head",
        finding=finding,
        cells=tuple(map(tuple, cells)),
        none="No head is measured yet." if part else "Without any one head there is no finite number.",
    )
    grid = plain_grid(change)
    return HeadGrid(WORTH, grid, layer, head, top, best, tuple(off), signed=True, words=words)
