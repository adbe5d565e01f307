"""What a narrow format loses in each layer: infinities, NaN, subnormal numbers and zeros, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import Look, columns, drawn, figure, heat, ink

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
        parts = [f"{name}: {style.share(n / total)}" for name, n in broken.items()]
        return "; ".join(f"{part} of all values infinite or NaN" for part in parts)
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
    return drawn(
        _figure,
        record,
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
    )


def _rows(record: LostCounts) -> list[str]:
    return ["embedding", *(f"layer {layer}" for layer in range(len(record.sizes) - 1))]


def _figure(record: LostCounts, look: Look) -> go.Figure:
    counts = np.array(record.counts).T  # [row, column]
    shares = counts / np.maximum(np.array(record.sizes), 1)[:, None]
    n, n_columns = counts.shape
    names = _rows(record)
    hovers = [
        [f"{name}: {count:,} of {size:,} values" for count in line]
        for name, line, size in zip(names, counts.tolist(), record.sizes, strict=True)
    ]
    lost = heat(
        "lost",
        shares,
        0,
        2.5 * max(float(shares.max()), 1e-9),  # pale, so that the numbers can be read
        style.PROBABILITY_SCALE,
        showscale=False,
        text=[[f"{v:,}" if v else "·" for v in line] for line in counts.tolist()],
        texttemplate="%{text}",
        textfont={"size": 11},
        customdata=[[row - 1] * n_columns for row in range(n)],
        hovertext=hovers,
        hovertemplate="%{hovertext}<extra></extra>",
        xgap=2,
    )
    title = style.inert(lost_title(record))
    if len(title) > look.pick(64, 0):
        title = title.replace(": ", ":<br>", 1)
    every = max(1, -(-n // 60))
    return figure(
        [lost],
        title=look.title(title, ";", phone_lines=2),
        height=look.pick(120, 160) + max(_ROW * n, 60),
        margin={"t": look.pick(96, 130)},
        xaxis=columns(
            [f"{name}<br>{kind}" for name, kind in record.columns],
            side="top",
            tickangle=0,
            tickfont=ink(look.pick(12, 11)),
        ),
        yaxis={
            "range": [n - 0.5, -0.5],
            "showgrid": False,
            "tickvals": list(range(0, n, every)),
            "ticktext": ["emb.", *(f"L{row - 1}" for row in range(1, n))][::every],
        },
    )
