"""One row of scores through softmax in four ways, and at which gain each way breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import gain_words

Way = tuple[bool, str]  # (shifted, "narrow" or "wide")
MOST_KEYS = 12
_DASHES = {
    (False, "narrow"): "solid",
    (False, "wide"): "dash",
    (True, "narrow"): "dot",
    (True, "wide"): "dashdot",
}
_COLORS = {(False, "narrow"): 5, (False, "wide"): 1, (True, "narrow"): 0, (True, "wide"): 2}


def way_title(way: Way, number_format: str) -> str:
    """ "naive, fp16" or "shifted, fp32 inside"."""
    shifted, inside = way
    return f"{'shifted' if shifted else 'naive'}, {number_format if inside == 'narrow' else 'fp32 inside'}"


@dataclass(frozen=True)
class WayRow:
    """One way: shares of the keys drawn (NaN where none), the sum of all shares, the largest error."""

    title: str
    shares: tuple[float, ...]
    sum_of_shares: float
    error: float
    broken: bool  # no distribution: NaN, or all 0


@dataclass(frozen=True)
class SoftmaxRows:
    """The row of one query: keys by exact share, and what each way makes of them."""

    ways: tuple[WayRow, ...]
    exact: tuple[float, ...]
    scores: tuple[float, ...]
    keys: tuple[int, ...]
    texts: tuple[str, ...]
    n_keys: int
    query: str
    largest_score: float
    number_format: str
    gain: float


def softmax_rows_record(
    ways: Mapping[Way, WayRow],
    exact: np.ndarray,  # [visible key]
    scores: np.ndarray,  # [visible key]
    positions: Sequence[int],  # [visible key], of the tokens
    texts: Sequence[str],  # of all tokens
    *,
    query: str,
    number_format: str,
    gain: float,
) -> SoftmaxRows:
    """Values of all keys -> the `MOST_KEYS` with the largest exact shares, in the prompt's order."""
    keys = sorted(np.argsort(-exact, kind="stable")[:MOST_KEYS].tolist())
    kept = [
        WayRow(
            row.title,
            tuple(row.shares[k] for k in keys),
            row.sum_of_shares,
            row.error,
            row.broken,
        )
        for row in ways.values()
    ]
    return SoftmaxRows(
        tuple(kept),
        tuple(float(exact[k]) for k in keys),
        tuple(float(scores[k]) for k in keys),
        tuple(positions[k] for k in keys),
        _named([texts[positions[k]] for k in keys], [positions[k] for k in keys]),
        len(exact),
        query,
        float(scores.max()),
        number_format,
        gain,
    )


def _named(texts: Sequence[str], positions: Sequence[int]) -> tuple[str, ...]:
    """Tokens as they stand; one that comes twice with its position, or nobody could tell which it is."""
    return tuple(
        f"{text} {position}" if texts.count(text) > 1 else text
        for text, position in zip(texts, positions, strict=True)
    )


def rows_title(record: SoftmaxRows) -> str:
    """The finding: which ways give no probabilities."""
    broken = [row.title for row in record.ways if row.broken]
    head = f"Largest score {style.three_digits(record.largest_score)}"
    if not broken:
        worst = max(row.error for row in record.ways) / max(record.exact)
        if worst < 1e-6:
            return f"{head}: all four ways agree"
        return f"{head}: every share right to {style.share(worst)} of the largest"
    if len(broken) == len(record.ways):
        return f"{head}: no way survives, because the score itself is infinite"
    return f"{head}: {' and '.join(broken)} {'gives' if len(broken) == 1 else 'give'} no probabilities"


def softmax_rows_figure(record: SoftmaxRows) -> Drawn:
    """A row a way, a column a key: the probability in each cell; rows that are no number are grey."""
    said = "; ".join(
        f"{row.title}: "
        + ("no probabilities" if row.broken else f"sum of shares {style.three_digits(row.sum_of_shares)}")
        for row in record.ways
    )
    return Drawn(
        figure=_rows(record, narrow=False),
        alt=f"Probabilities of one row of attention by four ways of computing softmax, at gain "
        f"{gain_words(record.gain)}. {rows_title(record)}. {said}.",
        stem="softmax-ways",
        table={
            "key": list(record.keys),
            "token": [style.visible(text) for text in record.texts],
            "score": list(record.scores),
            "exact": list(record.exact),
            **{row.title: ["NaN" if math.isnan(v) else v for v in row.shares] for row in record.ways},
        },
        narrow_figure=_rows(record, narrow=True),
    )


def _rows(record: SoftmaxRows, narrow: bool) -> go.Figure:
    names = ["exact", *(row.title for row in record.ways)]
    values = np.array([record.exact, *(row.shares for row in record.ways)], dtype=np.float64)
    n = len(record.keys)
    figure = go.Figure()
    lost = np.isnan(values)
    if lost.any():
        figure.add_heatmap(
            z=np.where(lost, 1.0, np.nan).astype(np.float32),
            zmin=0,
            zmax=1,
            colorscale=[[0, style.LIGHT.cut], [1, style.LIGHT.cut]],
            showscale=False,
            xgap=1,
            ygap=3,
            hoverongaps=False,
            text=np.where(lost, "NaN", "").tolist(),
            texttemplate="%{text}",
            textfont={"size": 11 if narrow else 12, "color": style.LIGHT.ink},
            hovertemplate="%{y}, key %{x}: NaN<extra></extra>",
        )
    words = [["" if math.isnan(v) else style.share(v) for v in row] for row in values.tolist()]
    figure.add_heatmap(
        z=values.astype(np.float32),
        zmin=0,
        zmax=1,
        colorscale=[list(stop) for stop in style.PROBABILITY_SCALE],
        showscale=False,
        xgap=1,
        ygap=3,
        hoverongaps=False,
        text=words,
        texttemplate=None if narrow else "%{text}",
        textfont={"size": 11},
        hovertemplate="%{y}, key %{x}: %{text}<extra></extra>",
    )
    title = rows_title(record)
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace(": ", ":<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=(170 if narrow else 150) + 38 * len(names),
        plot_bgcolor=style.LIGHT.background,
        width=None if narrow else style.WIDE_PRINT,
        margin={"l": 8, "r": 28 if narrow else 8, "t": 130 if narrow else 112, "b": 8},
    )
    figure.update_xaxes(
        side="top",
        tickvals=list(range(n)),
        ticktext=[style.label(text, 10) for text in record.texts],
        tickangle=-50,
        fixedrange=True,
        showgrid=False,
        tickfont={"family": style.MONO, "size": 11, "color": style.LIGHT.ink},
    )
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=[name.replace(", ", ",<br>") for name in names] if narrow else names,
        fixedrange=True,
        showgrid=False,
        tickfont={"size": 11 if narrow else 13, "color": style.LIGHT.ink},
    )
    return figure


@dataclass(frozen=True)
class SoftmaxBreaks:
    """Share of one head's rows that are no distribution, by gain, for each way."""

    titles: tuple[str, ...]
    ways: tuple[Way, ...]
    gains: tuple[float, ...]
    broken: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, ...], ...]  # the largest error of the whole rows; NaN without one
    gain: float
    n_rows: int


def softmax_breaks_record(
    broken: Mapping[Way, np.ndarray],
    errors: Mapping[Way, np.ndarray],
    gains: Sequence[float],
    *,
    number_format: str,
    gain: float,
    n_rows: int,
) -> SoftmaxBreaks:
    """Curves by way -> what will be drawn."""
    return SoftmaxBreaks(
        tuple(way_title(way, number_format) for way in broken),
        tuple(broken),
        tuple(map(float, gains)),
        tuple(tuple(curve.tolist()) for curve in broken.values()),
        tuple(tuple(curve.tolist()) for curve in errors.values()),
        gain,
        n_rows,
    )


def breaks_title(record: SoftmaxBreaks) -> str:
    """The finding: the gain at which each way first breaks."""
    parts = []
    for way in ((False, "narrow"), (False, "wide"), (True, "narrow")):
        place = record.ways.index(way)
        first = next((g for g, share in zip(record.gains, record.broken[place], strict=True) if share), None)
        title = "shifted" if way[0] else record.titles[place]
        where = ", where the scores overflow" if way[0] else ""
        parts.append(f"{title} {'never' if first is None else f'by gain {gain_words(first)}{where}'}")
    return f"Broken: {'; '.join(parts)}"


def softmax_breaks_figure(record: SoftmaxBreaks) -> Drawn:
    """A curve a way over the gain, the chosen gain marked."""
    return Drawn(
        figure=_breaks(record, narrow=False),
        alt=f"Share of the head's {record.n_rows} rows whose softmax is no distribution, by gain. "
        f"{breaks_title(record)}.",
        stem="softmax-breaks",
        table={
            "gain": list(record.gains),
            **{
                f"rows broken, {title}": list(row)
                for title, row in zip(record.titles, record.broken, strict=True)
            },
            **{
                f"largest error, {title}": ["" if math.isnan(v) else v for v in row]
                for title, row in zip(record.titles, record.errors, strict=True)
            },
        },
        narrow_figure=_breaks(record, narrow=True),
    )


def _breaks(record: SoftmaxBreaks, narrow: bool) -> go.Figure:
    figure = go.Figure()
    for way, title, row in zip(record.ways, record.titles, record.broken, strict=True):
        figure.add_scatter(
            name=title,
            x=list(record.gains),
            y=list(row),
            mode="lines",
            line={"color": style.category(_COLORS[way]), "width": 2.5, "dash": _DASHES[way]},
            hovertemplate=f"{title}: %{{y:.1%}} of the rows at gain %{{x:.3g}}<extra></extra>",
        )
    low, high = record.gains[0], record.gains[-1]
    ticks = [2.0**power for power in range(-4, 20) if low <= 2.0**power <= high]
    title = breaks_title(record)
    here: dict[str, Any] = {
        "type": "line",
        "x0": record.gain,
        "x1": record.gain,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
    }
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace("; ", ";<br>"), "font": {"size": 13}, "pad": {"t": 54, "b": 0}}
        if narrow
        else {"text": title},
        height=400 if narrow else 300,
        shapes=[{**here, "line": {"color": style.LIGHT.ink, "width": 1.5, "dash": "dash"}}],
        legend={"y": -0.32, "yanchor": "top"} if narrow else {"y": 1.0, "yanchor": "bottom"},
        margin={"l": 8, "r": 12, "t": 88 if narrow else 72, "b": 8},
    )
    figure.update_xaxes(
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        title={"text": "gain on q and k (dashed: now)"},
        fixedrange=True,
    )
    figure.update_yaxes(
        range=[-0.04, 1.04], tickformat=".0%", nticks=3, title={"text": "rows lost"}, fixedrange=True
    )
    return figure
