"""What one token reads, as lines from it to the tokens; of a long prompt the little that is read is folded.

Of a prompt of more tokens than MOST_ROWS, those that matter to the selection have a row of their own: the
strongest keys, the tokens around the selected one, the first, and the chosen key. All between two of them
are one fold with their probabilities added up, so that the lines always add up to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style

MOST_ROWS = 40  # tokens with a row of their own
N_NAMED = 5  # keys that are named with their share
_STRONGEST, _AROUND = 16, 5
_FAINT_FROM = 0.1  # lines of the other tokens, in the background


@dataclass(frozen=True)
class Row:
    """One row of both columns: the token at `first`, or a fold of tokens from `first` to `last`."""

    first: int
    last: int
    share: float | None  # of the selected token's attention; None: it may not look there

    @property
    def folded(self) -> bool:
        return self.last > self.first

    @property
    def n_tokens(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class AttentionLines:
    """What the lines show. Positions count from 0."""

    tokens: tuple[str, ...]
    ids: tuple[int, ...]  # token ids: a token's colour
    who: str  # "L24 H4", or "L24, mean of 9 heads"
    selected: int  # query position
    key: int | None  # the chosen key
    shares: tuple[float, ...]  # exact, of the selected token, for every key up to the last it may read
    rows: tuple[Row, ...]
    faint: tuple[tuple[int, int, float], ...]  # (row, row, probability) of other tokens' lines
    sink: float | None  # share that goes to a learned sink

    def row_of(self, position: int) -> int:
        """The row of a token."""
        return next(at for at, row in enumerate(self.rows) if row.first <= position <= row.last)

    @property
    def strongest(self) -> tuple[tuple[int, float], ...]:
        """(key position, probability), largest first, at most N_NAMED."""
        order = sorted(range(len(self.shares)), key=lambda key: (-self.shares[key], key))
        return tuple((key, self.shares[key]) for key in order[:N_NAMED])


def shown_positions(shares: Sequence[float], n_tokens: int, selected: int, key: int | None) -> list[int]:
    """The positions with a row of their own, ascending: all of a short prompt, else those that matter."""
    if n_tokens <= MOST_ROWS:
        return list(range(n_tokens))
    order = sorted(range(len(shares)), key=lambda k: (-shares[k], k))
    around = range(max(0, selected - _AROUND), min(n_tokens, selected + _AROUND + 1))
    shown = {0, n_tokens - 1, *order[:_STRONGEST], *around}
    return sorted(shown if key is None else shown | {key})


def rows_of(shown: Sequence[int], shares: Sequence[float], n_tokens: int) -> tuple[Row, ...]:
    """Rows for the shown positions, and a fold for what lies between two of them."""
    rows: list[Row] = []
    after = 0
    for position in [*shown, n_tokens]:
        if position > after:
            rows.append(Row(after, position - 1, _sum(shares, after, position)))
        if position < n_tokens:
            rows.append(Row(position, position, _sum(shares, position, position + 1)))
        after = position + 1
    return tuple(rows)


def _sum(shares: Sequence[float], start: int, end: int) -> float | None:
    """Probabilities from `start` to before `end` together; None where nothing of it may be read."""
    return float(sum(shares[start:end])) if start < len(shares) else None


def attention_lines_record(
    row: np.ndarray,  # [key_pos]: what the selected token reads, 0 where it may not look
    others: np.ndarray,  # [shown, key_pos]: the rows of the `shown` positions
    shown: Sequence[int],  # see `shown_positions`
    tokens: Sequence[str],
    ids: Sequence[int],
    *,
    who: str,
    selected: int,
    key: int | None = None,
    sink: float | None = None,
) -> AttentionLines:
    """Values -> what will be drawn.

    Raises:
        ValueError: the numbers of tokens do not agree.
    """
    n = len(tokens)
    if row.shape != (n,) or others.shape != (len(shown), n) or len(ids) != n:
        raise ValueError(
            f"row {row.shape} and rows {others.shape} for {n} tokens, {len(shown)} of them shown"
        )
    shares = tuple(float(p) for p in row[: selected + 1])
    rows = rows_of(shown, shares, n)
    place = {line.first: at for at, line in enumerate(rows) if not line.folded or line.first in shown}
    faint = [
        (place[query], place[int(key_pos)], float(values[key_pos]))
        for query, values in zip(shown, others, strict=True)
        for key_pos in np.flatnonzero(values >= _FAINT_FROM)
        if query != selected and int(key_pos) in place and int(key_pos) in shown
    ]
    return AttentionLines(tuple(tokens), tuple(ids), who, selected, key, shares, rows, tuple(faint), sink)


def title(record: AttentionLines) -> str:
    """The finding, as plotly draws it."""
    key, share = record.strongest[0]
    read = "itself" if key == record.selected else f"“{style.label(record.tokens[key])}”"
    query = style.label(record.tokens[record.selected])
    return f"{record.who}: <b>“{query}”</b> reads <b>{read}</b> most, {style.share(share)}"


def lines_sentence(record: AttentionLines) -> str:
    """The strongest five in plain text, and the rest together."""
    parts = [f"{_named(record, key)} {style.share(share)}" for key, share in record.strongest]
    others = len(record.shares) - len(parts)
    if others:
        rest = max(0.0, sum(record.shares) - sum(share for _, share in record.strongest))
        words = "one other token" if others == 1 else f"{others:,} others together"
        parts.append(f"{words} {style.share(rest)}")
    if record.sink is not None:
        parts.append(f"a learned sink takes {style.share(record.sink)}")
    return f"{record.who}: {style.quoted(record.tokens[record.selected])} reads {', '.join(parts)}."


def folded_sentence(record: AttentionLines) -> str:
    """How a long prompt was reduced; empty where every token has its row."""
    folds = [row for row in record.rows if row.folded]
    if not folds:
        return ""
    n_folded = sum(row.n_tokens for row in folds)
    share = sum(row.share or 0.0 for row in folds)
    return (
        f"{len(record.tokens):,} tokens do not fit on a screen: the strongest keys, the tokens around the "
        f"selected one, the first and the last have rows of their own. The other {n_folded:,} are folded, "
        f"with dashed lines for what they get together ({style.share(share)}). All numbers are exact."
    )


def change_sentence(current: AttentionLines, pinned: AttentionLines) -> str:
    """Where two runs over the same tokens differ most for the selected token, in percentage points."""
    changes = [a - b for a, b in zip(current.shares, pinned.shares, strict=True)]
    order = sorted(range(len(changes)), key=lambda key: (-abs(changes[key]), key))[:3]
    moved = [(key, changes[key]) for key in order if abs(changes[key]) >= 5e-6]
    if not moved:
        return "Current less pinned: the two rows are equal."
    parts = [
        f"{_named(current, key)} {'+' if change > 0 else ''}{style.three_digits(100 * change)} points"
        for key, change in moved
    ]
    return f"Current less pinned, the largest changes: {', '.join(parts)}."


def _named(record: AttentionLines, key: int) -> str:
    return "itself" if key == record.selected else f"{style.quoted(record.tokens[key])} ({key})"
