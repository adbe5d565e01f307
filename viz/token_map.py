"""Maps of tokens by tokens: what a cell shows that stands for a block of them, and the cells as a trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from viz import style
from viz.panels import Json, heat

Grid = tuple[tuple[float | None, ...], ...]  # [row][column], None where nothing may be read


def largest_in(values: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Each block's largest value by size, sign kept, and its (row, column): [m, n] and [m, n, 2].

    Blocks are `rows` by `columns`, smaller at the far edges; NaN counts as nothing, and stays NaN where a
    block has nothing else.

    >>> found, where = largest_in(np.array([[1.0, -3.0, np.nan], [2.0, 0.0, np.nan]]), 2, 2)
    >>> found.tolist(), where.tolist()
    ([[-3.0, nan]], [[[0, 1], [0, 2]]])
    """
    height, width = values.shape
    down, across = -(-height // rows), -(-width // columns)
    padded = np.pad(
        values, ((0, down * rows - height), (0, across * columns - width)), constant_values=np.nan
    )
    blocks = padded.reshape(down, rows, across, columns).swapaxes(1, 2).reshape(down, across, -1)
    at = np.nan_to_num(np.abs(blocks), nan=-1.0, posinf=np.inf).argmax(axis=2)
    found = np.take_along_axis(blocks, at[:, :, None], axis=2)[:, :, 0]
    row = at // columns + rows * np.arange(down)[:, None]
    column = at % columns + columns * np.arange(across)[None, :]
    return found, np.stack((row, column), axis=2)


def token_map(
    name: str, cells: Any, low: float, high: float, scale: style.Scale, gaps_up_to: int = 24, **more: Any
) -> Json:
    """The cells: bare where there is none; with more than `gaps_up_to` a side, white lines would eat them."""
    sides = {"xgap": int(len(cells[0]) <= gaps_up_to), "ygap": int(len(cells) <= gaps_up_to)}
    return heat(name, cells, low, high, scale, **{**sides, "hoverongaps": False, **more})
