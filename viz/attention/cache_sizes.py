"""The cache of keys and values as bars: one panel an amount of text, one bar a way of sharing."""

from __future__ import annotations

import plotly.graph_objects as go

from viz import style
from viz.attention.key_groups import CacheSizes, cache_sentence, in_bytes
from viz.drawn import Drawn


def cache_sizes_figure(record: CacheSizes) -> Drawn:
    """One panel an amount of text, one bar a scheme, each panel from 0."""
    return Drawn(
        figure=_caches(record, columns=len(record.lengths), height=190),
        alt=f"Size of the cache of keys and values in {record.dtype}. {cache_sentence(record)}",
        stem="cache-sizes",
        table={
            "scheme": [scheme.name for scheme in record.schemes],
            "key and value heads": [scheme.n_kv_heads for scheme in record.schemes],
            **{
                f"bytes, {words}": [line[i] for line in record.n_bytes]
                for i, (words, _) in enumerate(record.lengths)
            },
        },
        narrow_figure=_caches(record, columns=1, height=400),
    )


def _caches(record: CacheSizes, columns: int, height: int) -> go.Figure:
    figure = go.Figure()
    n_rows = -(-len(record.lengths) // columns)
    annotations = []
    for number, (words, _) in enumerate(record.lengths):
        suffix = str(number + 1) if number else ""
        row, column = divmod(number, columns)
        _add_bars(figure, record, number, suffix)
        left = column / columns
        top = 1 - row / n_rows - 30 / height
        hidden = {"showgrid": False, "fixedrange": True, "zeroline": False}
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            domain=[left, left + 1 / columns - 0.03 * (columns > 1)],
            anchor=f"y{suffix}",
            range=[0, 1.25 * record.tops[number]],
            showticklabels=False,
            **hidden,
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            domain=[max(0.0, 1 - (row + 1) / n_rows), top],
            anchor=f"x{suffix}",
            range=[len(record.schemes) - 0.5, -0.5],
            showticklabels=False,
            **hidden,
        )
        annotations.append(
            {
                "text": f"<b>{words}</b>",
                "x": 0,
                "y": 1,
                "xref": f"x{suffix} domain",
                "yref": f"y{suffix} domain",
                "xanchor": "left",
                "yanchor": "bottom",
                "yshift": 2,
                "font": {"color": style.LIGHT.ink, "size": 13},
            }
        )
    figure.update_layout(
        template=style.TEMPLATE,
        height=height,
        showlegend=False,
        annotations=annotations,
        bargap=0.15,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )
    return figure


def _add_bars(figure: go.Figure, record: CacheSizes, number: int, suffix: str) -> None:
    """The bars of one panel: their words stand inside the long ones and beside the short ones."""
    rows = list(range(len(record.schemes)))
    sizes, top = [line[number] for line in record.n_bytes], record.tops[number]
    figure.add_bar(
        name=record.lengths[number][0],
        orientation="h",
        x=sizes,
        y=rows,
        marker={
            "color": [
                style.faded(style.LIGHT.accent, 0.5 if scheme.own else 0.22) for scheme in record.schemes
            ],
            "line": {"color": style.LIGHT.ink, "width": [2.0 * scheme.own for scheme in record.schemes]},
        },
        hovertemplate=[
            f"{scheme.name}, {scheme.n_kv_heads} key/value heads<br>{size:,} bytes<extra></extra>"
            for scheme, size in zip(record.schemes, sizes, strict=True)
        ],
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )
    figure.add_scatter(
        name="names",
        x=[0.02 * top + (0 if 2 * size > top else size) for size in sizes],
        y=rows,
        mode="text",
        text=[
            f"{'<b>' if scheme.own else ''}{scheme.name} {in_bytes(size)}{'</b>' if scheme.own else ''}"
            for scheme, size in zip(record.schemes, sizes, strict=True)
        ],
        textposition="middle right",
        textfont={"size": 12, "color": style.LIGHT.ink},
        hoverinfo="skip",
        xaxis=f"x{suffix}",
        yaxis=f"y{suffix}",
    )
