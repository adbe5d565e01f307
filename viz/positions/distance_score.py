"""The score of one query with one key by their distance, and the cosines and sines that turn them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

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


@dataclass(frozen=True)
class TurnTables:
    """cos and sin of a layer: rows of positions, columns of pairs."""

    layer: int
    cos: np.ndarray  # float32 [pos, pair]
    sin: np.ndarray
    step: int  # positions between two rows drawn
    pair: int
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


def tables_record(cos: np.ndarray, sin: np.ndarray, *, layer: int, pair: int) -> TurnTables:
    """Tables [pos, pair] -> what will be drawn, thinned above `_MOST_ROWS` positions."""
    step = -(-len(cos) // _MOST_ROWS)
    return TurnTables(layer, cos[::step], sin[::step], step, pair, len(cos))


def score_title(record: DistanceScore) -> str:
    """The finding: what the distance alone does to this score."""
    low, high = min(record.scores), max(record.scores)
    between = f"{style.three_digits(low)} to {style.three_digits(high)}"
    return f"Score {between}, by distance alone"


def distance_score_figure(record: DistanceScore, ends: tuple[float, float] | None = None) -> Drawn:
    """One line; the real distance marked with the model's own score. `ends`: of the scores' axis."""
    best = int(np.argmax(record.scores))
    query, key = (style.shorten(style.visible(text), 16) for text in (record.query, record.key))
    own = "masked" if record.captured is None else style.three_digits(record.captured)
    return Drawn(
        figure=_score_figure(record, ends, narrow=False),
        alt=f"Score of query “{query}” with key “{key}” by distance. {score_title(record)}. Largest at "
        f"distance {best:,}. At the real distance {record.distance:,} the model's own score is {own}.",
        stem="rope-score-by-distance",
        table={"distance": list(range(len(record.scores))), "score": list(record.scores)},
        narrow_figure=_score_figure(record, ends, narrow=True),
    )


def _score_figure(record: DistanceScore, ends: tuple[float, float] | None, narrow: bool) -> go.Figure:
    figure = go.Figure()
    distances = np.arange(len(record.scores), dtype=np.int32)
    figure.add_scatter(
        name="computed from the real q and k",
        x=distances,
        y=np.array(record.scores, dtype=np.float32),
        mode="lines",
        line={"color": style.LIGHT.accent, "width": 2},
        hovertemplate="%{x} tokens apart: %{y:.4f}<extra></extra>",
    )
    if record.captured is not None:
        figure.add_scatter(
            name="the model's own score",
            x=[record.distance],
            y=[record.captured],
            mode="markers",
            marker={"size": 13, "symbol": "diamond", "color": style.category(5)},
            hovertemplate="real distance %{x}: %{y:.4f}<extra></extra>",
        )
    words, size = score_title(record), 13 if narrow else 15
    figure.update_xaxes(
        title={"text": "distance m − n, tokens"}, fixedrange=True, range=[0, len(record.scores) - 1]
    )
    figure.update_yaxes(title={"text": "score"}, fixedrange=True, range=ends)
    figure.update_layout(
        template=style.TEMPLATE,
        height=360,
        title={"text": words, "font": {"size": size}},
        legend={"y": 1.0},
        margin={"l": 8, "r": 12, "t": 92 if narrow else 72, "b": 8},
    )
    return figure


def tables_figure(record: TurnTables) -> Drawn:
    """Two heat maps: fast pairs left, slow pairs right."""
    rows = [position * record.step for position in range(len(record.cos))]
    table: dict[str, list[object]] = {"position": list(rows)}
    for name, values in (("cos", record.cos), ("sin", record.sin)):
        for pair in range(values.shape[1]):
            table[f"{name} {pair}"] = [float(v) for v in values[:, pair]]
    return Drawn(
        figure=_tables_figure(record),
        alt=f"cos and sin of layer {record.layer}: {record.n_positions:,} positions down, "
        f"{record.cos.shape[1]} pairs across. Fast stripes on the left, hardly any change on the right.",
        stem="rope-tables",
        table=table,
        narrow_layout={"title.font.size": 13},
    )


def _tables_figure(record: TurnTables) -> go.Figure:
    figure = go.Figure()
    reach = float(max(np.abs(record.cos).max(), np.abs(record.sin).max()))
    ends = [style.three_digits(-reach), "0", style.three_digits(reach)]
    rows = np.arange(len(record.cos), dtype=np.int32) * record.step
    for number, (name, values) in enumerate((("cos", record.cos), ("sin", record.sin))):
        suffix = "2" if number else ""
        figure.add_heatmap(
            name=name,
            z=values.astype(np.float32),
            y=rows,
            zmin=-reach,
            zmax=reach,
            colorscale=style.SIGNED_SCALE,
            showscale=bool(number),
            xgap=0,
            ygap=0,
            colorbar={"tickvals": [-reach, 0, reach], "ticktext": ends, "len": 0.8},
            hovertemplate=f"position %{{y}}, pair %{{x}}<br>{name} %{{z:.4f}}<extra></extra>",
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
        )
        axis: dict[str, Any] = {"domain": [0.53 * number, 0.47 + 0.53 * number], "fixedrange": True}
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            anchor=f"y{suffix}", title={"text": f"pair, {name}(m θ)"}, showgrid=False, **axis
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            anchor=f"x{suffix}",
            autorange="reversed",
            showgrid=False,
            fixedrange=True,
            zeroline=False,
            tickformat=",d",
            showticklabels=not number,
            title={"text": "" if number else "position m"},
        )
    figure.update_layout(
        template=style.TEMPLATE,
        height=360,
        title={"text": f"What turns layer {record.layer}: cos and sin of m θ", "font": {"size": 15}},
        margin={"l": 8, "r": 8, "t": 48, "b": 8},
    )
    return figure
