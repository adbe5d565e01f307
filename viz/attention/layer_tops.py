"""What every head of a layer reads most for one token: one bar a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style
from viz.drawn import Drawn
from viz.panels import SILENT, figure, mono, scatter, thinned


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
    n, accent = len(record.keys), style.LIGHT.accent
    shown = thinned(n, 32)
    fills = [style.faded(accent, 0.45 if head == record.head else 0.25) for head in range(n)]
    outline = {"color": style.LIGHT.ink, "width": [2.0 * (head == record.head) for head in range(n)]}
    heads = {
        "type": "bar",
        "name": "heads",
        "orientation": "h",
        "x": list(record.shares),
        "y": list(range(n)),
        "marker": {"color": fills, "line": outline},
        "customdata": list(range(n)),
        "hovertemplate": [
            f"L{record.layer} H{head}<br>“{style.label(text, 40)}” ({key})<br>%{{x:.6f}}<extra></extra>"
            for head, (text, key) in enumerate(zip(record.texts, record.keys, strict=True))
        ],
    }
    words = [_words(record, head) for head in range(n)]
    places = {"textposition": "middle right", "textfont": mono()}
    made = figure(
        [heads, scatter("names", [0.01] * n, range(n), "text", text=words, **places, **SILENT)],
        xaxis={
            "range": [0, 1.02],
            "tickvals": [0, 0.5, 1],
            "ticktext": ["0", "50\xa0%", "100\xa0%"],
            "ticklabeloverflow": "allow",  # else plotly drops the last name
            "title": {"text": "largest probability"},
        },
        yaxis={
            "range": [n - 0.4, -0.6],
            "tickvals": shown,
            "ticktext": [f"H{head}" for head in shown],
            "showgrid": False,
        },
        height=96 + 24 * n,
        showlegend=False,
        bargap=0.16,
        title={"text": f"All heads of layer {record.layer} on “{style.label(record.query, 14)}”"},
    )
    table: dict[str, list[object]] = {
        "head": list(range(n)),
        "key": list(record.keys),
        "key text": [style.visible(text) for text in record.texts],
        "probability": list(record.shares),
    }
    reads = [
        f"head {head} reads {style.quoted(text)} {style.share(share)}"
        for head, (text, share) in enumerate(zip(record.texts, record.shares, strict=True))
    ]
    alt = f"What each head of layer {record.layer} reads most: {', '.join(reads)}."
    return Drawn(made, alt, "layer-heads", table)


def _words(record: LayerTops, head: int) -> str:
    read = "itself" if record.keys[head] == record.selected else f"“{style.label(record.texts[head], 12)}”"
    return f"{read} {style.share(record.shares[head])}"
