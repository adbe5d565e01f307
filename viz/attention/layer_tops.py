"""What every head of a layer reads most for one token: one bar a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn


@dataclass(frozen=True)
class LayerTops:
    """For one token, the key that each head of a layer reads most, and its probability."""

    layer: int
    head: int  # the chosen one
    query: str
    selected: int
    keys: tuple[int, ...]  # [head]: position
    texts: tuple[str, ...]  # [head]: of the key
    shares: tuple[float, ...]  # [head]


def layer_tops_record(
    rows: np.ndarray,  # [head, key_pos] of the selected token
    tokens: Sequence[str],
    *,
    layer: int,
    head: int,
    selected: int,
) -> LayerTops:
    """Values -> what will be drawn."""
    keys = tuple(int(key) for key in rows.argmax(axis=1))
    return LayerTops(
        layer,
        head,
        tokens[selected],
        selected,
        keys,
        tuple(tokens[key] for key in keys),
        tuple(float(row[key]) for row, key in zip(rows, keys, strict=True)),
    )


def layer_tops_figure(record: LayerTops) -> Drawn:
    """One bar a head, from 0 to 1 always; the chosen head is outlined."""
    heads = list(range(len(record.keys)))
    figure = go.Figure()
    figure.add_bar(
        name="heads",
        orientation="h",
        x=list(record.shares),
        y=heads,
        marker={
            "color": [_fill(head, record) for head in heads],
            "line": {"color": style.LIGHT.ink, "width": [2.0 * (head == record.head) for head in heads]},
        },
        customdata=heads,
        hovertemplate=[
            f"L{record.layer} H{head}<br>“{style.label(record.texts[head], 40)}” ({record.keys[head]})"
            f"<br>%{{x:.6f}}<extra></extra>"
            for head in heads
        ],
    )
    figure.add_scatter(
        name="names",
        x=[0.01] * len(heads),
        y=heads,
        mode="text",
        text=[_words(record, head) for head in heads],
        textposition="middle right",
        textfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
        hoverinfo="skip",
    )
    figure.update_xaxes(
        range=[0, 1.02],
        tickvals=[0, 0.5, 1],
        ticktext=["0", "50\xa0%", "100\xa0%"],
        title={"text": "largest probability"},
        fixedrange=True,
    )
    step = -(-len(heads) // 32)
    figure.update_yaxes(
        range=[len(heads) - 0.4, -0.6],
        tickvals=heads[::step],
        ticktext=[f"H{head}" for head in heads[::step]],
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=96 + 24 * len(heads),
        showlegend=False,
        bargap=0.16,
        title={"text": f"All heads of layer {record.layer} on “{style.label(record.query, 14)}”"},
    )
    return Drawn(figure, alt(record), "layer-heads", table(record))


def _fill(head: int, record: LayerTops) -> str:
    return style.faded(style.LIGHT.accent, 0.45 if head == record.head else 0.25)


def _words(record: LayerTops, head: int) -> str:
    read = "itself" if record.keys[head] == record.selected else f"“{style.label(record.texts[head], 12)}”"
    return f"{read} {style.share(record.shares[head])}"


def alt(record: LayerTops) -> str:
    """The figure in words."""
    parts = [
        f"head {head} reads “{style.shorten(style.visible(text))}” {style.share(share)}"
        for head, (text, share) in enumerate(zip(record.texts, record.shares, strict=True))
    ]
    return f"What each head of layer {record.layer} reads most: {', '.join(parts)}."


def table(record: LayerTops) -> dict[str, list[object]]:
    """One row a head."""
    return {
        "head": list(range(len(record.keys))),
        "key": list(record.keys),
        "key text": [style.visible(text) for text in record.texts],
        "probability": list(record.shares),
    }
