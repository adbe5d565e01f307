"""One head, stage by stage, as a record: every matrix from queries and keys to what joins the stream.

Nine matrices share one screen, so each is shown with at most MOST_ROWS tokens a side and MOST_COLUMNS
(for the width of the stream: MOST_WIDE_COLUMNS) dimensions. Above that a cell stands for a block and shows
the block's largest value by size, sign kept; least and largest value are always those of the whole matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from model_runtime.records import HeadStages
from viz.token_map import Grid, largest_in

MOST_ROWS = 64
MOST_COLUMNS = 64
MOST_WIDE_COLUMNS = 192

Along = Literal["query", "key", "dimension"]


@dataclass(frozen=True)
class Stage:
    """One matrix. `low`, `high` and `shape` are of the whole of it, `cells` of what the screen shows."""

    key: str
    title: str  # what it is, in plain words
    shape: tuple[int, int]
    rows: Along
    columns: Along
    cells: Grid  # None where masked
    row_block: int  # rows to a cell
    column_block: int
    origins: tuple[tuple[tuple[int, int], ...], ...] | None  # (row, column) behind each cell, if blocks
    low: float
    high: float
    limit: float  # end of the colour scale: the pattern's is 0 to 1, others' -limit to limit

    @property
    def hides(self) -> bool:
        """Whether the mask hides any of it."""
        return any(value is None for line in self.cells for value in line)

    def origin(self, row: int, column: int) -> tuple[int, int]:
        """Row and column of the matrix that a cell of the picture stands for."""
        return (row, column) if self.origins is None else self.origins[row][column]


@dataclass(frozen=True)
class Path:
    """The chosen cell on its way: from dot product to probability."""

    dot: float
    scaled: float
    capped: float | None
    visible: bool
    probability: float


@dataclass(frozen=True)
class HeadStagesRecord:
    """The whole figure. Positions count from 0; `key` is the chosen key."""

    tokens: tuple[str, ...]
    layer: int
    head: int
    query: int
    key: int
    stages: tuple[Stage, ...]  # in order of computation
    d_head: int
    scaling: float
    softcap: float | None
    q_handed_over_scaled: bool  # q came divided by sqrt(d_head) already
    w_o_shape: tuple[int, int]
    sink: float | None  # the selected query's share for a learned sink
    path: Path
    is_difference: bool = False  # current less pinned, every stage of it

    def stage(self, key: str) -> Stage:
        return self.stages[self.panel(key)]

    def panel(self, key: str) -> int:
        """The number of a stage's matrix in the figure."""
        return [stage.key for stage in self.stages].index(key)

    def chosen(self, stage: Stage, point: tuple[int, int]) -> dict[str, int]:
        """What a click on a cell of `stage` chooses: {"token": query position, "key": key position}.

        A cell that does not exist (clicks come over the wire) chooses nothing.
        """
        if not (0 <= point[0] < len(stage.cells) and 0 <= point[1] < len(stage.cells[0])):
            return {}
        names = {"query": "token", "key": "key"}
        axes = zip((stage.rows, stage.columns), stage.origin(*point), strict=True)
        return {names[along]: at for along, at in axes if along in names}


# key, title, attribute, rows, columns
MATRICES: tuple[tuple[str, str, Along, Along], ...] = (
    ("q", "queries", "query", "dimension"),
    ("k", "keys", "key", "dimension"),
    ("dots", "dot products", "query", "key"),
    ("scaled", "scaled", "query", "key"),
    ("capped", "soft cap", "query", "key"),
    ("scores", "mask", "query", "key"),
    ("pattern", "probabilities", "query", "key"),
    ("v", "values", "key", "dimension"),
    ("z", "what is read", "query", "dimension"),
    ("result", "added to the stream", "query", "dimension"),
)


def head_stages_record(
    stages: HeadStages,
    token_texts: Sequence[str],
    *,
    query: int,
    key: int | None = None,  # None: the one that is read most
    limits: Mapping[str, float] | None = None,  # of `shared_limits`, where two runs are compared
) -> HeadStagesRecord:
    """Values -> what will be drawn.

    Raises:
        ValueError: the matrices are not those of this many tokens.
    """
    if stages.pattern.shape != (len(token_texts), len(token_texts)):
        raise ValueError(f"pattern {stages.pattern.shape} for {len(token_texts)} tokens")
    limits = limits or shared_limits(stages)
    drawn = tuple(
        _stage(name, title, rows, columns, matrix_of(stages, name), limits[name])
        for name, title, rows, columns in MATRICES
        if getattr(stages, name) is not None
    )
    strongest = strongest_key(stages, query)
    return HeadStagesRecord(
        tokens=tuple(token_texts),
        layer=stages.layer,
        head=stages.head,
        query=query,
        key=strongest if key is None else key,
        stages=drawn,
        d_head=stages.q.shape[1],
        scaling=stages.scaling,
        softcap=stages.softcap,
        q_handed_over_scaled=stages.q_handed_over_scaled,
        w_o_shape=stages.w_o_shape,
        sink=None if stages.sink is None else float(stages.sink[query]),
        path=path_of(stages, query, strongest if key is None else key),
    )


def strongest_key(stages: HeadStages, query: int) -> int:
    """The key that a query reads most, the first of equals."""
    return int(np.argmax(np.nan_to_num(stages.pattern[query], nan=-1.0)))


def path_of(stages: HeadStages, query: int, key: int) -> Path:
    """One cell of every square matrix."""
    capped = None if stages.capped is None else float(stages.capped[query, key])
    return Path(
        float(stages.dots[query, key]),
        float(stages.scaled[query, key]),
        capped,
        bool(stages.visible[query, key]),
        float(stages.pattern[query, key]),
    )


def matrix_of(stages: HeadStages, name: str) -> np.ndarray:
    """One matrix, float32, NaN where the mask hides a cell."""
    values = np.asarray(getattr(stages, name), dtype=np.float32)
    return np.where(stages.visible, values, np.nan) if name in ("scores", "pattern") else values


def shared_limits(*several: HeadStages) -> dict[str, float]:
    """The end of each stage's colour scale for all runs: the largest size anywhere; 1 for the pattern."""
    limits = {}
    for name, *_ in MATRICES:
        found = [matrix_of(stages, name) for stages in several if getattr(stages, name) is not None]
        sizes = [float(np.nanmax(np.abs(values))) for values in found if not np.isnan(values).all()]
        limits[name] = 1.0 if name == "pattern" else (max(sizes, default=0.0) or 1.0)
    return limits


def _stage(name: str, title: str, rows: Along, columns: Along, values: np.ndarray, limit: float) -> Stage:
    most = (MOST_WIDE_COLUMNS if name == "result" else MOST_COLUMNS) if columns == "dimension" else MOST_ROWS
    row_block, column_block = -(-values.shape[0] // MOST_ROWS), -(-values.shape[1] // most)
    cells, origins = largest_in(values, row_block, column_block)
    whole = row_block == column_block == 1
    there = values[~np.isnan(values)]
    return Stage(
        key=name,
        title=title,
        shape=(values.shape[0], values.shape[1]),
        rows=rows,
        columns=columns,
        cells=tuple(tuple(None if v != v else v for v in line) for line in cells.tolist()),
        row_block=row_block,
        column_block=column_block,
        origins=None if whole else tuple(tuple((r, c) for r, c in line) for line in origins.tolist()),
        low=float(there.min()) if len(there) else 0.0,
        high=float(there.max()) if len(there) else 0.0,
        limit=limit,
    )


def vector_length(stages: HeadStages, query: int) -> float:
    """Euclidean length of what the head adds to the stream at one token."""
    return float(np.linalg.norm(stages.result[query].astype(np.float64)))


def difference_record(
    current: HeadStages,
    pinned: HeadStages,
    token_texts: Sequence[str],
    *,
    query: int,
    key: int | None = None,  # None: the one that differs most
) -> HeadStagesRecord | None:
    """Current less pinned, matrix by matrix; None where the two heads have matrices of other shapes."""
    names = [name for name, *_ in MATRICES]
    one, other = ([getattr(stages, name) for name in names] for stages in (current, pinned))
    if [np.shape(value) for value in one] != [np.shape(value) for value in other]:
        return None
    visible = current.visible & pinned.visible
    less: dict[str, Any] = {
        name: None
        if a is None
        else np.where(visible, a, 0) - np.where(visible, b, 0)
        if name == "scores"
        else a - b
        for name, a, b in zip(names, one, other, strict=True)
    }
    difference = replace(current, **less, visible=visible, sink=None)
    limits = shared_limits(difference)
    limits["pattern"] = float(np.abs(difference.pattern).max()) or 1.0
    record = head_stages_record(difference, token_texts, query=query, key=key, limits=limits)
    return replace(record, is_difference=True)
