"""One row of scores through softmax in four ways, and at which gain each way breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import gain_axis, gain_line, gain_words
from viz.panels import Json, Look, columns, drawn, figure, heat, ink, mono, rows, scatter

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
    return drawn(
        _rows,
        record,
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
    )


def _rows(record: SoftmaxRows, look: Look) -> go.Figure:
    names = ["exact", *(row.title for row in record.ways)]
    values = np.array([record.exact, *(row.shares for row in record.ways)], dtype=np.float64)
    cell = {"showscale": False, "ygap": 3, "hoverongaps": False}
    shares = heat(
        "share",
        values,
        0,
        1,
        style.PROBABILITY_SCALE,
        text=[["" if math.isnan(v) else style.share(v) for v in row] for row in values.tolist()],
        texttemplate=look.pick("%{text}", None),
        textfont={"size": 11},
        hovertemplate="%{y}, key %{x}: %{text}<extra></extra>",
        **cell,
    )
    return figure(
        [*_lost(np.isnan(values), look, cell), shares],
        title=look.title(rows_title(record), ":", phone_lines=2),
        height=look.pick(150, 170) + 38 * len(names),
        width=look.pick(style.WIDE_PRINT, None),
        margin={"r": look.pick(8, 28), "t": look.pick(112, 130)},
        xaxis=columns(
            [style.label(text, 10) for text in record.texts], side="top", tickangle=-50, tickfont=mono(11)
        ),
        yaxis=rows(
            look.pick(names, [name.replace(", ", ",<br>") for name in names]),
            tickfont=ink(look.pick(13, 11)),
        ),
    )


def _lost(lost: np.ndarray, look: Look, cell: Json) -> list[Json]:
    """Grey cells that say NaN, below the others."""
    if not lost.any():
        return []
    return [
        heat(
            "NaN",
            np.where(lost, 1.0, np.nan),
            0,
            1,
            ((0, style.LIGHT.cut), (1, style.LIGHT.cut)),
            text=np.where(lost, "NaN", "").tolist(),
            texttemplate="%{text}",
            textfont=ink(look.pick(12, 11)),
            hovertemplate="%{y}, key %{x}: NaN<extra></extra>",
            **cell,
        )
    ]


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
    return drawn(
        _breaks,
        record,
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
    )


def _breaks(record: SoftmaxBreaks, look: Look) -> go.Figure:
    curves = [
        scatter(
            title,
            record.gains,
            row,
            "lines",
            line={"color": style.category(_COLORS[way]), "width": 2.5, "dash": _DASHES[way]},
            hovertemplate=f"{title}: %{{y:.1%}} of the rows at gain %{{x:.3g}}<extra></extra>",
        )
        for way, title, row in zip(record.ways, record.titles, record.broken, strict=True)
    ]
    return figure(
        curves,
        title=look.title(breaks_title(record), ";", phone_lines=3),
        height=look.pick(300, 400),
        shapes=[gain_line(record.gain)],
        legend=look.pick({}, {"y": -0.32, "yanchor": "top"}),
        margin={"r": 12, "t": look.pick(72, 88)},
        xaxis={**gain_axis(record.gains), "title": {"text": "gain on q and k (dashed: now)"}},
        yaxis={"range": [-0.04, 1.04], "tickformat": ".0%", "nticks": 3, "title": {"text": "rows lost"}},
    )
