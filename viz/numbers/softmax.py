"""One row of scores through softmax in four ways, and at which gain each way breaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.numbers import BreakCurve, RowReport, RowResult, Way
from viz import style
from viz.drawn import Drawn
from viz.numbers.scaling_order import gain_axis, gain_line, gain_words
from viz.panels import Json, Look, columns, drawn, figure, heat, ink, mono, rows, scatter, share_ticks

MOST_KEYS = 12
_DASHES: dict[Way, str] = {
    (False, "narrow"): "solid",
    (False, "wide"): "dash",
    (True, "narrow"): "dot",
    (True, "wide"): "dashdot",
}
_COLORS: dict[Way, int] = {(False, "narrow"): 5, (False, "wide"): 1, (True, "narrow"): 0, (True, "wide"): 2}


def way_title(way: Way, number_format: str) -> str:
    """ "naive, fp16" or "shifted, fp32 inside"."""
    shifted, inside = way
    return f"{'shifted' if shifted else 'naive'}, {number_format if inside == 'narrow' else 'fp32 inside'}"


@dataclass(frozen=True, eq=False)
class SoftmaxRows:
    """The row of one query in all ways, and the keys that are drawn."""

    report: RowReport
    drawn: tuple[int, ...]  # of the visible keys, in the prompt's order
    texts: tuple[str, ...]  # of those drawn
    query: str
    number_format: str
    gain: float

    @property
    def keys(self) -> tuple[int, ...]:
        """Token positions of the keys drawn."""
        return tuple(self.report.keys[[*self.drawn]].tolist())

    @property
    def exact(self) -> list[float]:
        """Exact shares of the keys drawn."""
        return self.of_keys(self.report.exact)

    @property
    def ways(self) -> list[tuple[str, RowResult]]:
        """Title and result of each way."""
        return [(way_title(way, self.number_format), row) for way, row in self.report.results.items()]

    def of_keys(self, values: np.ndarray) -> list[float]:
        """Those of the keys drawn, of a value for each visible key."""
        return [float(values[place]) for place in self.drawn]


def softmax_rows_record(
    report: RowReport, texts: Sequence[str], *, query: str, number_format: str, gain: float
) -> SoftmaxRows:
    """A row and the texts of all tokens -> the `MOST_KEYS` keys with the largest exact shares."""
    kept = sorted(np.argsort(-report.exact, kind="stable")[:MOST_KEYS].tolist())
    positions = report.keys[kept].tolist()
    names = [texts[position] for position in positions]
    # Tokens that come twice have their positions, or nobody could tell which is which.
    named = (
        f"{name} {position}" if names.count(name) > 1 else name
        for name, position in zip(names, positions, strict=True)
    )
    return SoftmaxRows(report, tuple(kept), tuple(named), query, number_format, gain)


def rows_title(record: SoftmaxRows) -> str:
    """The finding: which ways give no probabilities."""
    broken = [title for title, row in record.ways if row.broken]
    head = f"Largest score {style.three_digits(float(record.report.scores.max()))}"
    if not broken:
        worst = max(row.error for _, row in record.ways) / max(record.exact)
        if worst < 1e-6:
            return f"{head}: all four ways agree"
        return f"{head}: every share right to {style.share(worst)} of the largest"
    if len(broken) == len(record.ways):
        return f"{head}: no way survives, because the score itself is infinite"
    return f"{head}: {' and '.join(broken)} {'gives' if len(broken) == 1 else 'give'} no probabilities"


def softmax_rows_figure(record: SoftmaxRows) -> Drawn:
    """A row a way, a column a key: the probability in each cell; rows that are no number are grey."""
    said = "; ".join(
        f"{title}: "
        + ("no probabilities" if row.broken else f"sum of shares {style.three_digits(row.sum_of_shares)}")
        for title, row in record.ways
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
            "score": record.of_keys(record.report.scores),
            "exact": record.exact,
            **{
                title: ["NaN" if math.isnan(v) else v for v in record.of_keys(row.shares)]
                for title, row in record.ways
            },
        },
    )


def _rows(record: SoftmaxRows, look: Look) -> go.Figure:
    names = ["exact", *(title for title, _ in record.ways)]
    values = np.array([record.exact, *(record.of_keys(row.shares) for _, row in record.ways)])
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


@dataclass(frozen=True, eq=False)
class SoftmaxBreaks:
    """Share of one head's rows that are no distribution, by gain, for each way."""

    curve: BreakCurve
    number_format: str
    gain: float

    @property
    def titles(self) -> dict[Way, str]:
        return {way: way_title(way, self.number_format) for way in self.curve.broken}


def breaks_title(record: SoftmaxBreaks) -> str:
    """The finding: the gain at which each way first breaks."""
    parts = []
    ways: tuple[Way, ...] = ((False, "narrow"), (False, "wide"), (True, "narrow"))
    for way in ways:
        pairs = zip(record.curve.gains, record.curve.broken[way], strict=True)
        first = next((gain for gain, broken in pairs if broken), None)
        title = "shifted" if way[0] else record.titles[way]
        where = ", where the scores overflow" if way[0] else ""
        parts.append(f"{title} {'never' if first is None else f'by gain {gain_words(first)}{where}'}")
    return f"Broken: {'; '.join(parts)}"


def softmax_breaks_figure(record: SoftmaxBreaks) -> Drawn:
    """A curve a way over the gain, the chosen gain marked."""
    curve, titles = record.curve, record.titles
    return drawn(
        _breaks,
        record,
        alt=f"Share of the head's {curve.n_rows} rows whose softmax is no distribution, by gain. "
        f"{breaks_title(record)}.",
        stem="softmax-breaks",
        table={
            "gain": list(curve.gains),
            **{f"rows broken, {titles[way]}": row.tolist() for way, row in curve.broken.items()},
            **{
                f"largest error, {titles[way]}": ["" if math.isnan(v) else v for v in row.tolist()]
                for way, row in curve.error.items()
            },
        },
    )


def _breaks(record: SoftmaxBreaks, look: Look) -> go.Figure:
    curves = [
        scatter(
            record.titles[way],
            record.curve.gains,
            row.tolist(),
            "lines",
            line={"color": style.category(_COLORS[way]), "width": 2.5, "dash": _DASHES[way]},
            hovertemplate=f"{record.titles[way]}: %{{y:.1%}} of the rows at gain %{{x:.3g}}<extra></extra>",
        )
        for way, row in record.curve.broken.items()
    ]
    return figure(
        curves,
        title=look.title(breaks_title(record), ";", phone_lines=3),
        height=look.pick(300, 400),
        shapes=[gain_line(record.gain)],
        legend=look.pick({}, {"y": -0.32, "yanchor": "top"}),
        margin={"r": 12, "t": look.pick(72, 88)},
        xaxis={**gain_axis(record.curve.gains), "title": {"text": "gain on q and k (dashed: now)"}},
        yaxis={"range": [-0.04, 1.04], **share_ticks(0, 1, 3), "title": {"text": "rows lost"}},
    )
