"""Masks: who may read whom, and one head's pattern under a mask that the model does not have.

Above MOST_CELLS tokens a grid shows blocks of tokens; a block is filled where any of its cells is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style
from viz.attention import pattern as attention_pattern
from viz.attention.pattern import AttentionPattern, largest_in_blocks

MOST_CELLS = 32  # rows and columns of a small grid
NAMES = {
    "causal": "Causal",
    "window": "Window",
    "bidirectional": "Bidirectional",
    "prefix": "Prefix",
}

Cells = tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class MaskGrid:
    """One mask as a small grid of this prompt's tokens."""

    name: str
    rows: tuple[str, ...]  # query tokens
    columns: tuple[str, ...]  # key tokens
    block: int  # tokens to a cell
    cells: Cells  # [query block][key block]: whether any of it may be read
    n_visible: int  # cells of the whole mask, exactly
    selected: int | None  # query position

    @property
    def n_all(self) -> int:
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True)
class MaskChange:
    """How one head's attention would move under another mask, as shares of a row.

    lost: what the model read in cells that the mask hides; gained: what would be read in cells that the model
    may not use. `_selected` of the selected query; `_mean` over the queries that can lose or gain at all,
    None where no query can.
    """

    lost_selected: float
    gained_selected: float
    lost_mean: float | None
    gained_mean: float | None


def mask_grid_record(
    visible: np.ndarray,  # bool [query_pos, key_pos]
    rows: Sequence[str],
    columns: Sequence[str],
    name: str,
    selected: int | None = None,
) -> MaskGrid:
    """Values -> what will be drawn.

    Raises:
        ValueError: the mask is not of these tokens.
    """
    if visible.shape != (len(rows), len(columns)):
        raise ValueError(f"mask {visible.shape} for {len(rows)} by {len(columns)} tokens")
    block = -(-max(visible.shape) // MOST_CELLS)
    cells = tuple(
        tuple(bool(visible[q : q + block, k : k + block].any()) for k in range(0, len(columns), block))
        for q in range(0, len(rows), block)
    )
    return MaskGrid(name, tuple(rows), tuple(columns), block, cells, int(visible.sum()), selected)


def masked_pattern_record(
    pattern: np.ndarray,  # [query_pos, key_pos], 0 where not visible
    visible: np.ndarray,  # bool [query_pos, key_pos]
    tokens: Sequence[str],
    *,
    layer: int,
    head: int,
    selected: int,
) -> AttentionPattern:
    """A pattern under any mask, for the map of `viz.attention.pattern_map`: `row` holds every key.

    Raises:
        ValueError: pattern and mask are not of these tokens.
    """
    n = len(tokens)
    if pattern.shape != (n, n) or visible.shape != (n, n):
        raise ValueError(f"pattern {pattern.shape} and mask {visible.shape} for {n} tokens")
    block = -(-n // attention_pattern.MOST_CELLS)
    values, queries = largest_in_blocks(np.where(visible, pattern, 0.0), block)
    some, _ = largest_in_blocks(visible.astype(np.float32), block)
    cells = tuple(
        tuple(float(v) if seen else None for v, seen in zip(line, shown, strict=True))
        for line, shown in zip(values, some, strict=True)
    )
    return AttentionPattern(
        tokens=tuple(tokens),
        layer=layer,
        head=head,
        selected=selected,
        block=block,
        cells=cells,
        strongest_query=tuple(tuple(int(q) for q in line) for line in queries),
        row=tuple(float(p) for p in pattern[selected]),
        sink=None,
    )


def mask_change(
    measured: np.ndarray,  # [query_pos, key_pos]
    other: np.ndarray,  # under the mask
    used: np.ndarray,  # bool [query_pos, key_pos]: what the model may use
    visible: np.ndarray,  # bool, under the mask
    selected: int,
) -> MaskChange:
    """What moves. Shares are of each query's whole attention."""
    hidden, new = used & ~visible, visible & ~used
    lost = np.where(hidden, measured, 0.0).sum(axis=1, dtype=np.float64)
    gained = np.where(new, other, 0.0).sum(axis=1, dtype=np.float64)
    return MaskChange(
        lost_selected=float(lost[selected]),
        gained_selected=float(gained[selected]),
        lost_mean=_mean(lost, hidden.any(axis=1)),
        gained_mean=_mean(gained, new.any(axis=1)),
    )


def _mean(values: np.ndarray, over: np.ndarray) -> float | None:
    return float(values[over].mean()) if over.any() else None


def change_words(change: MaskChange, kind: str, token: str, window: int) -> str:
    """What would move, in plain text."""
    if change.gained_mean is None and change.lost_mean is None:
        return (
            "This mask hides and shows the same cells as the layer's own, so the two maps are the same map. "
            "Choose another mask."
        )
    parts = []
    query = f"“{style.shorten(style.visible(token))}”"
    if change.gained_mean is not None:
        where = "later tokens" if kind in ("bidirectional", "prefix") else "tokens that the layer hides"
        mean = style.share(change.gained_mean)
        parts.append(
            f"If it could look there, {query} would give {style.share(change.gained_selected)} of its "
            f"attention to {where}; the tokens that could, {mean} on average."
            if change.gained_selected
            else f"For {query} this mask opens nothing that it would read. The tokens for which it does "
            f"would give {mean} of their attention to {where} on average."
        )
    if change.lost_mean is not None:
        far = f"further back than {window} tokens" if kind == "window" else "where this mask hides"
        parts.append(
            f"{query} really gives {style.share(change.lost_selected)} to tokens {far}; the tokens that have "
            f"such, {style.share(change.lost_mean)} on average. Under the mask this is shared out among "
            f"the rest."
        )
    return " ".join(parts)


def counts_words(grids: Sequence[MaskGrid]) -> str:
    """How many cells each mask shows, in plain text."""
    parts = [f"{grid.name.lower()} {grid.n_visible:,}" for grid in grids]
    return f"Of {grids[0].n_all:,} pairs of tokens these may be read: {', '.join(parts)}."


def strongest_words(record: AttentionPattern, most: int = 3) -> str:
    """What the selected query reads most, exactly, in plain text: “·b” (1) 60.0 %, ..."""
    strongest = attention_pattern.strongest_keys(record, most)
    return ", ".join(f"{_read(record, key)} {style.share(p)}" for key, p in strongest if p > 0)


def _read(record: AttentionPattern, key: int) -> str:
    if key == record.selected:
        return "itself"
    return f"“{style.shorten(style.visible(record.tokens[key]))}” ({key})"
