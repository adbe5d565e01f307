"""Masks as small grids: who may read whom, and what would move under a mask that the model does not have.

Above MOST_CELLS tokens a grid shows blocks of tokens; a block is filled where any of its cells is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.pattern import AttentionPattern, key_words, strongest_keys
from viz.drawn import Drawn
from viz.panels import Json, Look, box, drawn, figure, heading, ink, mono, on, panels

MOST_CELLS = 32  # rows and columns of a small grid
_NAMED_UP_TO = 12  # tokens a side of a grid that are written out
_GAP = 0.05
_HEAD_ROOM = 42  # pixels above a grid for its name and count
NAMES = {
    "causal": "Causal",
    "window": "Window",
    "bidirectional": "Bidirectional",
    "prefix": "Prefix",
}


@dataclass(frozen=True)
class MaskGrid:
    """One mask as a small grid of this prompt's tokens."""

    name: str
    rows: tuple[str, ...]  # query tokens
    columns: tuple[str, ...]  # key tokens
    block: int  # tokens to a cell
    cells: tuple[tuple[bool, ...], ...]  # [query block][key block]: whether any of it may be read
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
    query = style.quoted(token)
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
    read = [(key, share) for key, share in strongest_keys(record, most) if share > 0]
    return ", ".join(f"{key_words(record, key)} {style.share(share)}" for key, share in read)


@dataclass(frozen=True)
class _Grids:
    """Masks side by side, one of them chosen, or none; with the tokens' names where they are few."""

    grids: Sequence[MaskGrid]
    chosen: int | None
    names: bool


def mask_grids_figure(
    grids: Sequence[MaskGrid], chosen: int | None = None, names: bool = False, alt: str = ""
) -> Drawn:
    """Grids side by side, on a phone two to a row; filled cells may be read; the chosen one in full colour.

    Args:
        names: write the tokens beside the rows and above the columns, where they are few: for the masks of
            an encoder-decoder, whose axes differ.
        alt: what comes first in the text alternative.
    """
    said = [f"{grid.name}: {grid.n_visible:,} of {grid.n_all:,} cells may be read" for grid in grids]
    cells = [
        (grid.name, q * grid.block, k * grid.block)
        for grid in grids
        for q, line in enumerate(grid.cells)
        for k, seen in enumerate(line)
        if seen
    ]
    return drawn(
        _figure,
        _Grids(grids, chosen, names),
        alt=f"{alt} {'; '.join(said)}.".strip(),
        stem="encoder-decoder-masks" if names else "attention-masks",
        table=dict(zip(("mask", "query", "key"), map(list, zip(*cells, strict=True)), strict=True)),
    )


def _figure(record: _Grids, look: Look) -> go.Figure:
    n = len(record.grids)
    n_columns, height = look.pick(n, 2), look.pick(300 if record.names else 220, 420)
    n_rows = -(-n // n_columns)
    x, y, notes = [], [], []
    for panel, grid in enumerate(record.grids):
        row, column = divmod(panel, n_columns)
        named = look.pick(record.names, False) and max(len(grid.rows), len(grid.columns)) <= _NAMED_UP_TO
        left, room = (0.09, 0.36) if named else (0.0, _HEAD_ROOM / (height - 16))
        across = [column / n_columns + left, (column + 1) / n_columns - _GAP]
        up = [1 - (row + 1) / n_rows, 1 - row / n_rows - room]
        axis = {"showgrid": False, "automargin": False, "constrain": "domain", "tickfont": mono(11)}
        leaning = {"side": "top", "tickangle": -60, "constraintoward": "left"}
        square = {"scaleanchor": on(panel)["xaxis"], "constraintoward": "top"}
        reach, depth = len(grid.cells[0]) - 0.5, len(grid.cells) - 0.5
        keys, queries = _ticks(grid.columns, named), _ticks(grid.rows, named)
        x.append({**axis, **leaning, **keys, "domain": across, "range": [-0.5, reach]})
        y.append({**axis, **square, **queries, "domain": up, "range": [depth, -0.5]})
        name = f"<b>{grid.name}</b>" if panel == record.chosen else grid.name
        words = f"{name}<br>{grid.n_visible:,} of {grid.n_all:,}"
        notes.append(heading(words, panel, yshift=84 if named else 2, align="left", font=ink(12)))
    return figure(
        [_cells(grid, panel, record.chosen in (None, panel)) for panel, grid in enumerate(record.grids)],
        **panels([(0, 1)] * n_columns, [(0, 1)] * n_rows, x, y, n),
        height=height,
        annotations=notes,
        shapes=[
            box(
                (-0.5, len(grid.cells[0]) - 0.5),
                (grid.selected // grid.block - 0.5, grid.selected // grid.block + 0.5),
                panel,
                line={"color": style.LIGHT.ink, "width": 2},
            )
            for panel, grid in enumerate(record.grids)
            if grid.selected is not None
        ],
        margin={"l": 4, "r": 4, "t": 8},
    )


def _ticks(texts: Sequence[str], named: bool) -> Json:
    if not named:
        return {"showticklabels": False}
    return {"tickvals": list(range(len(texts))), "ticktext": [style.label(text, 10) for text in texts]}


def _cells(grid: MaskGrid, panel: int, full: bool) -> Json:
    fill = style.LIGHT.accent if full else style.PROBABILITY_SCALE[2][1]

    def side(texts: Sequence[str], cell: int) -> str:
        if grid.block > 1:
            return f"{cell * grid.block}–{min((cell + 1) * grid.block, len(texts)) - 1}"
        return f"“{style.label(texts[cell], 12)}” ({cell})"

    words = {True: "may read", False: "may not read"}
    queries, keys = (
        [side(texts, cell) for cell in range(n)]
        for texts, n in ((grid.rows, len(grid.cells)), (grid.columns, len(grid.cells[0])))
    )
    said = [
        [f"{query} {words[seen]} {key}" for key, seen in zip(keys, line, strict=True)]
        for query, line in zip(queries, grid.cells, strict=True)
    ]
    gap = int(max(len(queries), len(keys)) <= 24)
    return {
        "type": "heatmap",
        "name": grid.name,
        "z": np.array(grid.cells, dtype=np.uint8),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, style.MASKED], [1, fill]],
        "showscale": False,
        "xgap": gap,
        "ygap": gap,
        "text": said,
        "hovertemplate": "%{text}<extra></extra>",
        **on(panel),
    }
