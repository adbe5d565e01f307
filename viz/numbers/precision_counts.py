"""What a narrow format loses in each layer: infinities, NaN, subnormal numbers and zeros, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

KINDS = ("∞", "NaN", "subnormal", "zero")
_ROW = 15  # pixels


@dataclass(frozen=True)
class LostCounts:
    """Counts by layer (row 0: what enters the first layer) for the kinds that occur at all."""

    columns: tuple[tuple[str, str], ...]  # (format, kind)
    counts: tuple[tuple[int, ...], ...]  # [column][row]
    sizes: tuple[int, ...]  # values looked at, by row

    @property
    def totals(self) -> tuple[int, ...]:
        return tuple(map(sum, self.counts))


def lost_counts_record(counts: Mapping[str, np.ndarray], sizes: Sequence[int]) -> LostCounts:
    """Counts int64 [row, kind] by format -> what will be drawn: columns with a number in them."""
    columns = [
        ((name, kind), tuple(int(v) for v in table[:, number]))
        for name, table in counts.items()
        for number, kind in enumerate(KINDS)
        if table[:, number].any()
    ]
    return LostCounts(
        tuple(name for name, _ in columns),
        tuple(column for _, column in columns),
        tuple(int(size) for size in sizes),
    )


def lost_title(record: LostCounts) -> str:
    """The finding: how much of all values is lost, by format and kind."""
    total = max(sum(record.sizes), 1)
    broken: dict[str, int] = {}
    under: dict[str, int] = {}
    for (name, kind), count in zip(record.columns, record.totals, strict=True):
        table = broken if kind in KINDS[:2] else under
        table[name] = table.get(name, 0) + count
    if broken:
        return "; ".join(f"{name}: {style.share(n / total)} of all values infinite or NaN" for name, n in
                         broken.items())  # fmt: skip
    words = style.shares(*(n / total for n in under.values()))
    return "Too small or cancelled: " + "; ".join(
        f"{share} of the values in {name}" for share, name in zip(words, under, strict=True)
    )


def lost_counts_figure(record: LostCounts) -> Drawn:
    """A table as a heat map: a row a layer, a column a kind, coloured by share of the layer."""
    names = _rows(record)
    said = "; ".join(
        f"{name} {kind} {count:,}" for (name, kind), count in zip(record.columns, record.totals, strict=True)
    )
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Values lost in each layer, by format and kind. {lost_title(record)}. In all: {said}.",
        stem="lost-values",
        table={
            "layer": names,
            **{
                f"{name}, {kind}": list(column)
                for (name, kind), column in zip(record.columns, record.counts, strict=True)
            },
            "values looked at, each format": list(record.sizes),
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _rows(record: LostCounts) -> list[str]:
    return ["embedding", *(f"layer {layer}" for layer in range(len(record.sizes) - 1))]


def _figure(record: LostCounts, narrow: bool) -> go.Figure:
    counts = np.array(record.counts).T  # [row, column]
    shares = counts / np.maximum(np.array(record.sizes), 1)[:, None]
    n = len(record.sizes)
    rows = _rows(record)
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=list(range(len(record.columns))),
            y=list(range(n)),
            zmin=0,
            zmax=2.5 * max(float(shares.max()), 1e-9),  # pale, so that the numbers can be read
            colorscale=[list(stop) for stop in style.PROBABILITY_SCALE],
            showscale=False,
            text=[[f"{v:,}" if v else "·" for v in line] for line in counts.tolist()],
            texttemplate="%{text}",
            textfont={"size": 11},
            customdata=[[row - 1] * len(record.columns) for row in range(n)],
            hovertext=[
                [
                    f"{rows[row]}: {counts[row, c]:,} of {record.sizes[row]:,} values"
                    for c in range(counts.shape[1])
                ]
                for row in range(n)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            xgap=2,
        )
    )
    title = style.inert(lost_title(record))
    short = title.replace(": ", ":<br>", 1).replace("; ", ";<br>")
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": short, "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title.replace(": ", ":<br>", 1) if len(title) > 64 else title},
        height=120 + max(_ROW * n, 60) + (40 if narrow else 0),
        margin={"l": 8, "r": 8, "t": 130 if narrow else 96, "b": 8},
    )
    figure.update_xaxes(
        side="top",
        fixedrange=True,
        showgrid=False,
        tickvals=list(range(len(record.columns))),
        ticktext=[f"{name}<br>{kind}" for name, kind in record.columns],
        tickangle=0,
        tickfont={"size": 11 if narrow else 12, "color": style.LIGHT.ink},
    )
    every = max(1, -(-n // 60))
    figure.update_yaxes(
        range=[n - 0.5, -0.5],
        fixedrange=True,
        showgrid=False,
        tickvals=list(range(0, n, every)),
        ticktext=["emb.", *(f"L{row - 1}" for row in range(1, n))][::every],
    )
    return figure
