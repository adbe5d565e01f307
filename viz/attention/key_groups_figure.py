"""Who shares keys and values with whom, and how much alike every two heads read."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.key_groups import GroupOverlap, KeyGroups, Scheme, overlap_sentence
from viz.drawn import Drawn

_PANEL = 116  # pixels: height of one scheme
_BLOCK = 3.0  # panel's height in the y axis


def key_groups_figure(record: KeyGroups) -> Drawn:
    """Query heads above, the key and value heads that they read below, one panel a scheme."""
    own = record.own
    names = [f"H{head}" for head in range(own.n_heads)]
    return Drawn(
        figure=_groups(record, most_labels=24, size=26),
        alt=f"Query heads over key and value heads. {_own_words(own)} Chosen is query head {record.head}; it "
        f"reads key and value head {own.kv_of(record.head)}.",
        stem="key-groups",
        table={
            "query head": names,
            **{
                f"{scheme.name}: key and value head": [scheme.kv_of(head) for head in range(scheme.n_heads)]
                for scheme in record.schemes
            },
        },
        narrow_figure=_groups(record, most_labels=12, size=20),
    )


def _own_words(own: Scheme) -> str:
    if own.per_group == 1:
        return f"In this model each of {own.n_heads} heads has its own."
    return f"In this model {own.n_heads} query heads share {own.n_kv_heads}, {own.per_group} to each."


def _groups(record: KeyGroups, most_labels: int, size: int) -> go.Figure:
    figure = go.Figure()
    labelled = record.own.n_heads <= most_labels
    size = size if labelled else max(6, round(size * most_labels / record.own.n_heads))
    annotations: list[dict[str, Any]] = []
    for number, scheme in enumerate(record.schemes):
        base = -_BLOCK * number
        _add_links(figure, scheme, base, record.head)
        _add_heads(figure, scheme, base, record.head, size, labelled)
        annotations.append(
            {
                "x": -0.5,
                "y": base + 1.55,
                "xanchor": "left",
                "yanchor": "bottom",
                "text": _panel_name(scheme, short=most_labels < 24),
                "font": {"color": style.LIGHT.ink, "size": 13},
            }
        )
    hidden = {"showgrid": False, "showticklabels": False, "fixedrange": True, "zeroline": False}
    figure.update_xaxes(range=[-0.6, record.own.n_heads - 0.4], **hidden)
    figure.update_yaxes(range=[-_BLOCK * (len(record.schemes) - 1) - 0.5, 2.0], **hidden)
    figure.update_layout(
        template=style.TEMPLATE,
        height=16 + _PANEL * len(record.schemes),
        showlegend=False,
        annotations=annotations,
        margin={"l": 4, "r": 4, "t": 8, "b": 4},
    )
    return figure


def _panel_name(scheme: Scheme, short: bool) -> str:
    kv = f"{scheme.n_kv_heads} key/value head{'s' if scheme.n_kv_heads > 1 else ''}"
    words = f"{scheme.name}: {scheme.n_heads} query heads, {kv}"
    if short:
        words = f"{scheme.name}: {scheme.n_heads} over {scheme.n_kv_heads}"
    return f"<b>{words} · this model</b>" if scheme.own else words


def _kv_x(scheme: Scheme, kv: int) -> float:
    """Below the middle of its group."""
    return kv * scheme.per_group + (scheme.per_group - 1) / 2


def _add_links(figure: go.Figure, scheme: Scheme, base: float, chosen: int) -> None:
    """Thin lines from each head to its keys; the chosen head's is thick."""
    for own in (False, True):
        x: list[float | None] = []
        y: list[float | None] = []
        for head in range(scheme.n_heads):
            if (head == chosen) == own:
                x += [head, _kv_x(scheme, scheme.kv_of(head)), None]
                y += [base + 1.2, base, None]
        figure.add_scatter(
            name="reads",
            x=x,
            y=y,
            mode="lines",
            line={"width": 3 if own else 1.2, "color": style.LIGHT.ink if own else style.LIGHT.line},
            hoverinfo="skip",
        )


def _add_heads(
    figure: go.Figure, scheme: Scheme, base: float, chosen: int, size: int, labelled: bool
) -> None:
    heads, kvs = list(range(scheme.n_heads)), list(range(scheme.n_kv_heads))
    colors = [style.category(scheme.kv_of(head)) for head in heads]
    figure.add_scatter(
        name=f"queries {scheme.n_kv_heads}",
        x=heads,
        y=[base + 1.2] * len(heads),
        mode="markers+text",
        marker={
            "symbol": "circle",
            "size": size,
            "color": colors,
            "line": {"color": style.LIGHT.ink, "width": [3.0 if head == chosen else 0.5 for head in heads]},
        },
        text=[str(head) if labelled else "" for head in heads],
        textfont={"size": 11, "color": [style.text_on(color) for color in colors]},
        customdata=heads,
        hovertemplate=[
            f"query head {h} reads key/value head {scheme.kv_of(h)}<extra></extra>" for h in heads
        ],
    )
    figure.add_scatter(
        name=f"keys {scheme.n_kv_heads}",
        x=[_kv_x(scheme, kv) for kv in kvs],
        y=[base] * len(kvs),
        mode="markers+text",
        marker={
            "symbol": "square",
            "size": size,
            "color": [style.category(kv) for kv in kvs],
            "line": {
                "color": style.LIGHT.ink,
                "width": [3.0 if kv == scheme.kv_of(chosen) else 0.5 for kv in kvs],
            },
        },
        text=[str(kv) if labelled else "" for kv in kvs],
        textfont={"size": 11, "color": [style.text_on(style.category(kv)) for kv in kvs]},
        hovertemplate=[
            f"key and value head {kv}, read by {_range_words(scheme, kv)}<extra></extra>" for kv in kvs
        ],
    )


def _range_words(scheme: Scheme, kv: int) -> str:
    first = kv * scheme.per_group
    last = first + scheme.per_group - 1
    return f"query head {first}" if first == last else f"query heads {first}–{last}"


def group_overlap_figure(record: GroupOverlap) -> Drawn:
    """Every pair of heads; groups are framed, the chosen head's row outlined in the middle of its cells."""
    n = len(record.overlap)
    figure = go.Figure()
    step = -(-n // 16)
    figure.add_heatmap(
        name="overlap",
        z=np.array([[np.nan if v is None else v for v in line] for line in record.overlap], dtype=np.float32),
        zmin=0,
        zmax=1,
        colorscale=style.PROBABILITY_SCALE,
        hovertemplate="H%{y} and H%{x}: overlap %{z:.4f}<extra></extra>",
        colorbar={
            "title": {"text": "overlap"},
            "len": 0.8,
            "tickvals": [0, 0.5, 1],
            "ticktext": ["0", "50\xa0%", "100\xa0%"],
        },
    )
    size = record.scheme.per_group
    frames = [] if size == 1 else [_frame(kv * size, size, 2.5) for kv in range(record.scheme.n_kv_heads)]
    bold = {
        "tickvals": list(range(0, n, step)),
        "ticktext": [_head_name(h, record.head) for h in range(0, n, step)],
    }
    axis = {"showgrid": False, "constrain": "domain", "fixedrange": True, **bold}
    figure.update_xaxes(range=[-0.5, n - 0.5], side="top", **axis)
    figure.update_yaxes(range=[n - 0.5, -0.5], scaleanchor="x", constraintoward="top", **axis)
    figure.update_layout(
        template=style.TEMPLATE,
        height=420,
        shapes=frames,
        plot_bgcolor=style.MASKED,
        title={"text": _overlap_title(record)},
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
    )
    return Drawn(
        figure,
        f"How much alike the heads of layer {record.layer} read. {overlap_sentence(record)}",
        "head-overlap",
        {
            "head": [one for one in range(n) for _ in range(n)],
            "other head": [other for _ in range(n) for other in range(n)],
            "overlap": [value for line in record.overlap for value in line],
        },
        narrow_layout={"height": 380, "title": {"font": {"size": 13}}},
    )


def _head_name(head: int, chosen: int) -> str:
    return f"<b>H{head}</b>" if head == chosen else f"H{head}"


def _frame(first: int, size: int, width: float) -> dict[str, Any]:
    line = {"color": style.LIGHT.ink, "width": width}
    ends = {"x0": first - 0.5, "x1": first + size - 0.5, "y0": first - 0.5, "y1": first + size - 0.5}
    return {"type": "rect", "line": line, **ends}


def _overlap_title(record: GroupOverlap) -> str:
    if record.within is None:
        alike = style.share(record.between or 0)
        return (
            f"L{record.layer}: heads overlap by {alike}" if record.between else f"L{record.layer}: one head"
        )
    if record.between is None:
        return f"L{record.layer}: heads overlap by {style.share(record.within)}"
    return (
        f"L{record.layer}: {style.share(record.within)} alike in groups, {style.share(record.between)} across"
    )
