"""How a layer's slots fall on its experts, and which of them find a place when an expert's places are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style

MOST_NAMED = 4  # tokens without an expert that are written out


@dataclass(frozen=True)
class LoadRecord:
    """One layer on one prompt, under noise and a capacity (or neither)."""

    layer: int
    n_experts: int
    tokens: tuple[str, ...]  # visible and short; not yet safe for a figure
    experts: tuple[tuple[int, ...], ...]  # [pos][k], the best first
    kept: tuple[tuple[bool, ...], ...]  # [pos][k]
    taken: tuple[int, ...]  # [expert], slots with a place
    dropped: tuple[int, ...]  # [expert], slots without
    capacity: int | None  # slots an expert takes, None: no limit
    moved: int  # slots that noise sent to another expert
    top: int  # end of the axis of slots, shared by compared runs

    @property
    def k(self) -> int:
        return len(self.experts[0])

    @property
    def n_slots(self) -> int:
        return self.k * len(self.tokens)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(a + b for a, b in zip(self.taken, self.dropped, strict=True))

    @property
    def mean(self) -> float:
        return self.n_slots / self.n_experts

    @property
    def lost(self) -> tuple[int, ...]:
        """Positions of the tokens that no expert works on."""
        return tuple(position for position, row in enumerate(self.kept) if not any(row))


def load_record(
    experts: np.ndarray,  # int [pos, k]
    kept: np.ndarray,  # bool [pos, k]
    taken: np.ndarray,  # int [expert]
    dropped: np.ndarray,  # int [expert]
    tokens: Sequence[str],
    *,
    layer: int,
    capacity: int | None,
    moved: int = 0,
    top: int = 0,
) -> LoadRecord:
    """Values -> what will be drawn. `top` 0: the axis ends at this record's own largest load."""
    return LoadRecord(
        layer,
        len(taken),
        tuple(style.shorten(style.visible(token), 16) for token in tokens),
        tuple(tuple(int(e) for e in row) for row in experts),
        tuple(tuple(bool(b) for b in row) for row in kept),
        tuple(int(n) for n in taken),
        tuple(int(n) for n in dropped),
        capacity,
        moved,
        top or int((taken + dropped).max()),
    )


def variation(counts: Sequence[int]) -> float:
    """Standard deviation over mean, as the runtime's; the browser's twin computes it in the same order."""
    mean = sum(counts) / len(counts)
    return (sum((n - mean) ** 2 for n in counts) / len(counts)) ** 0.5 / mean if mean else 0.0


def load_title(record: LoadRecord) -> str:
    """The finding: who has most, and what is dropped."""
    counts = record.counts
    busiest = max(range(record.n_experts), key=lambda e: (counts[e], -e))
    part = style.share(counts[busiest] / record.n_slots)
    idle = sum(n == 0 for n in counts)
    words = f"L{record.layer}: E{busiest} gets {part} of the work"
    if sum(record.dropped):
        return f"{words}; {style.share(sum(record.dropped) / record.n_slots)} dropped"
    return f"{words}; {idle} of {record.n_experts} idle" if idle else words


def load_words(record: LoadRecord) -> str:
    """The numbers of the moment, in plain text."""
    mean = style.three_digits(record.mean)
    words = (
        f"{len(record.tokens):,} tokens × {record.k} = {record.n_slots:,} slots, {mean} an expert on "
        f"average. Coefficient of variation {style.three_digits(variation(record.counts))}."
    )
    if record.moved:
        words += f" Noise moved {record.moved:,} slots to another expert."
    if record.capacity is None:
        return words
    dropped = sum(record.dropped)
    words += f" Each expert takes at most {record.capacity:,}: {dropped:,} slots dropped"
    if not record.lost:
        return f"{words}; every token still has an expert." if dropped else f"{words}."
    named = ", ".join(f"“{record.tokens[at]}” ({at})" for at in record.lost[:MOST_NAMED])
    more = f" and {len(record.lost) - MOST_NAMED:,} more" if len(record.lost) > MOST_NAMED else ""
    return f"{words}. No expert works on {named}{more}."
