"""The cache of keys and values: one panel an amount of text, one bar a way of sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz import style
from viz.attention.groups import Scheme, schemes_of
from viz.drawn import Drawn
from viz.panels import (
    PHONE,
    QUIET,
    SILENT,
    Json,
    Look,
    drawn,
    figure,
    heading,
    ink,
    on,
    panels,
    scatter,
)


@dataclass(frozen=True)
class CacheSizes:
    """Bytes of the cache for each scheme (rows) and each amount of text (columns)."""

    schemes: tuple[Scheme, ...]
    lengths: tuple[tuple[str, int], ...]  # (words, tokens)
    n_bytes: tuple[tuple[int, ...], ...]  # [scheme][length]
    tops: tuple[int, ...]  # end of each column's axis
    dtype: str


def cache_sizes_record(
    n_bytes: Mapping[tuple[int, int], int],  # (n_kv_heads, tokens) -> bytes
    n_heads: int,
    n_kv_heads: int,
    lengths: Sequence[tuple[str, int]],
    dtype: str,
    tops: Sequence[int] | None = None,
) -> CacheSizes:
    """Values -> what will be drawn. `tops` are the ends of the axes, shared by compared runs."""
    schemes = schemes_of(n_heads, n_kv_heads)
    table = tuple(tuple(n_bytes[scheme.n_kv_heads, n] for _, n in lengths) for scheme in schemes)
    return CacheSizes(schemes, tuple(lengths), table, tuple(tops or tops_of(table)), dtype)


def tops_of(*tables: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The largest of each column over all tables."""
    lines = [line for table in tables for line in table]
    return tuple(max(column) for column in zip(*lines, strict=True))


def cache_sentence(record: CacheSizes) -> str:
    """What sharing saves, in plain text."""
    at = next(i for i, scheme in enumerate(record.schemes) if scheme.own)
    own, most = record.schemes[at], record.schemes[0]
    sizes = ", ".join(
        f"{style.in_bytes(size)} for {words}"
        for (words, _), size in zip(record.lengths, record.n_bytes[at], strict=True)
    )
    if own.n_kv_heads == own.n_heads:
        heads = f"{own.n_heads} key and value heads"
        return f"This model has plain multi-head attention: {heads}. Its cache takes {sizes}."
    return (
        f"With {own.n_kv_heads} key and value heads for {own.n_heads} query heads the cache takes {sizes}: "
        f"{most.n_kv_heads / own.n_kv_heads:.3g} times less than multi-head attention."
    )


def cache_sizes_figure(record: CacheSizes) -> Drawn:
    """One panel an amount of text, one bar a scheme, each panel from 0."""
    return drawn(
        _figure,
        record,
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
        tablet=PHONE,
    )


def _figure(record: CacheSizes, look: Look) -> go.Figure:
    n, height = len(record.lengths), look.pick(190, 400)
    n_columns, n_rows = look.pick((n, 1), (1, n))
    gap = 0.03 * (n_columns > 1)
    across = [(k / n_columns, (k + 1) / n_columns - gap) for k in range(n_columns)]
    up = [(max(0.0, 1 - (k + 1) / n_rows), 1 - k / n_rows - 30 / height) for k in range(n_rows)]
    return figure(
        [trace for panel in range(n) for trace in _bars(record, panel)],
        **panels(
            across,
            up,
            x=[{"range": [0, 1.25 * top], **QUIET} for top in record.tops],
            y={"range": [len(record.schemes) - 0.5, -0.5], **QUIET},
        ),
        height=height,
        showlegend=False,
        annotations=[
            heading(f"<b>{words}</b>", panel, yshift=2) for panel, (words, _) in enumerate(record.lengths)
        ],
        bargap=0.15,
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )


def _bars(record: CacheSizes, panel: int) -> list[Json]:
    """The bars of one panel: their words stand inside the long ones and beside the short ones."""
    sizes, top = [line[panel] for line in record.n_bytes], record.tops[panel]
    sized = list(zip(record.schemes, sizes, strict=True))
    words = [f"{scheme.name} {style.in_bytes(size)}" for scheme, size in sized]
    own = [scheme.own for scheme in record.schemes]
    return [
        {
            "type": "bar",
            "name": record.lengths[panel][0],
            "orientation": "h",
            "x": sizes,
            "y": list(range(len(sizes))),
            "marker": {
                "color": [style.faded(style.LIGHT.accent, 0.5 if mine else 0.22) for mine in own],
                "line": {"color": style.LIGHT.ink, "width": [2.0 * mine for mine in own]},
            },
            "hovertemplate": [
                f"{scheme.name}, {scheme.n_kv_heads} key/value heads<br>{size:,} bytes<extra></extra>"
                for scheme, size in sized
            ],
            **on(panel),
        },
        scatter(
            "names",
            [0.02 * top + (0 if 2 * size > top else size) for size in sizes],
            range(len(sizes)),
            "text",
            text=[f"<b>{said}</b>" if mine else said for said, mine in zip(words, own, strict=True)],
            textposition="middle right",
            textfont=ink(12),
            **SILENT,
            **on(panel),
        ),
    ]
