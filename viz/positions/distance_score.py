"""The score of one query with one key by their distance, and the cosines and sines that turn them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import Json, Look, drawn, figure, heat, on, panels, scatter

_MOST_ROWS = 256  # positions of a table that are drawn


@dataclass(frozen=True)
class DistanceScore:
    """Scores of one query with one key at every distance. `captured` is the model's own, None: masked."""

    layer: int
    head: int
    query: str
    key: str
    distance: int  # the real one
    scores: tuple[float, ...]  # at distances 0, 1, ...
    captured: float | None
    ends: tuple[float, float] | None = None  # of the scores' axis, shared by the runs of a page


@dataclass(frozen=True)
class TurnTables:
    """cos and sin of a layer: rows of positions, columns of pairs."""

    layer: int
    cos: np.ndarray  # float32 [pos, pair]
    sin: np.ndarray
    step: int  # positions between two rows drawn
    n_positions: int


def distance_score_record(
    scores: np.ndarray,  # [distance]
    tokens: Sequence[str],
    *,
    layer: int,
    head: int,
    query: int,
    key: int,
    captured: float,
) -> DistanceScore:
    """Values -> what will be drawn."""
    return DistanceScore(
        layer,
        head,
        tokens[query],
        tokens[key],
        query - key,
        tuple(float(s) for s in scores),
        captured if np.isfinite(captured) else None,
    )


def tables_record(cos: np.ndarray, sin: np.ndarray, layer: int) -> TurnTables:
    """Tables [pos, pair] -> what will be drawn, thinned above `_MOST_ROWS` positions."""
    step = -(-len(cos) // _MOST_ROWS)
    return TurnTables(layer, cos[::step], sin[::step], step, len(cos))


def with_shared_ends(records: Sequence[DistanceScore]) -> list[DistanceScore]:
    """The same with one axis of scores, so that equal heights are equal scores."""
    scores = [score for record in records for score in record.scores] or [0.0, 1.0]
    low, high = min(scores), max(scores)
    room = 0.12 * (high - low) or 1.0
    return [replace(record, ends=(low - room, high + room)) for record in records]


def score_title(record: DistanceScore) -> str:
    """The finding: what the distance alone does to this score."""
    low, high = min(record.scores), max(record.scores)
    between = f"{style.three_digits(low)} to {style.three_digits(high)}"
    return f"Score {between}, by distance alone"


def distance_score_figure(record: DistanceScore) -> Drawn:
    """One line; the real distance marked with the model's own score."""
    best = int(np.argmax(record.scores))
    query, key = (style.shorten(style.visible(text), 16) for text in (record.query, record.key))
    own = "masked" if record.captured is None else style.three_digits(record.captured)
    return drawn(
        _score_figure,
        record,
        alt=f"Score of query “{query}” with key “{key}” by distance. {score_title(record)}. Largest at "
        f"distance {best:,}. At the real distance {record.distance:,} the model's own score is {own}.",
        stem="rope-score-by-distance",
        table={"distance": list(range(len(record.scores))), "score": list(record.scores)},
    )


def _score_figure(record: DistanceScore, look: Look) -> go.Figure:
    traces = [
        scatter(
            "computed from the real q and k",
            np.arange(len(record.scores), dtype=np.int32),
            np.array(record.scores, dtype=np.float32),
            "lines",
            line={"color": style.LIGHT.accent},
            hovertemplate="%{x} tokens apart: %{y:.4f}<extra></extra>",
        )
    ]
    if record.captured is not None:
        own = scatter(
            "the model's own score",
            [record.distance],
            [record.captured],
            marker={"size": 13, "symbol": "diamond", "color": style.category(5)},
            hovertemplate="real distance %{x}: %{y:.4f}<extra></extra>",
        )
        traces.append(own)
    return figure(
        traces,
        xaxis={"title": {"text": "distance m − n, tokens"}, "range": [0, len(record.scores) - 1]},
        yaxis={"title": {"text": "score"}, "range": record.ends},
        title={"text": score_title(record), "font": {"size": look.pick(15, 13)}},
        height=360,
        margin={"r": 12, "t": look.pick(72, 92)},
    )


def tables_figure(record: TurnTables) -> Drawn:
    """Two heat maps: fast pairs left, slow pairs right."""
    table: dict[str, list[object]] = {"position": [row * record.step for row in range(len(record.cos))]}
    for name, values in (("cos", record.cos), ("sin", record.sin)):
        table |= {f"{name} {pair}": column.tolist() for pair, column in enumerate(values.T)}
    return drawn(
        _tables_figure,
        record,
        alt=f"cos and sin of layer {record.layer}: {record.n_positions:,} positions down, "
        f"{record.cos.shape[1]} pairs across. Fast stripes on the left, hardly any change on the right.",
        stem="rope-tables",
        table=table,
    )


def _tables_figure(record: TurnTables, look: Look) -> go.Figure:
    reach = float(max(np.abs(record.cos).max(), np.abs(record.sin).max()))
    ticks = [style.three_digits(-reach), "0", style.three_digits(reach)]
    at = np.arange(len(record.cos), dtype=np.int32) * record.step
    down: Json = {"autorange": "reversed", "showgrid": False, "tickformat": ",d"}
    return figure(
        [
            heat(
                name,
                values,
                -reach,
                reach,
                style.SIGNED_SCALE,
                y=at,
                showscale=panel == 1,
                xgap=0,
                ygap=0,
                colorbar={"tickvals": [-reach, 0, reach], "ticktext": ticks, "len": 0.8},
                hovertemplate=f"position %{{y}}, pair %{{x}}<br>{name} %{{z:.4f}}<extra></extra>",
                **on(panel),
            )
            for panel, (name, values) in enumerate((("cos", record.cos), ("sin", record.sin)))
        ],
        **panels(
            [(0, 0.47), (0.53, 1)],
            [(0, 1)],
            [{"title": {"text": f"pair, {name}(m θ)"}, "showgrid": False} for name in ("cos", "sin")],
            [{**down, "title": {"text": "position m"}}, {**down, "showticklabels": False}],
        ),
        title={
            "text": f"What turns layer {record.layer}: cos and sin of m θ",
            "font": {"size": look.pick(15, 13)},
        },
        height=360,
        margin={"t": 48},
    )
