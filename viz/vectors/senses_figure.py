"""Cosines by depth, and the paths of one word's vectors through the layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.labels import apart
from viz.vectors.senses import (
    LONGEST_SENTENCE,
    SenseCurves,
    SensePath,
    cosines_sentence,
    depth_words,
    pair_words,
)

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_N_NAMED = 4  # depths with a name on each path
_UNRELATED = "unrelated tokens"


def sense_curves_figure(record: SenseCurves) -> Drawn:
    """One curve a pair of sentences over the band of unrelated tokens; a click chooses the block."""
    table: dict[str, list[Any]] = {"place": [depth_words(depth) for depth in range(record.n_depths)]}
    for pair, row in zip(record.pairs, record.cosines, strict=True):
        table[f"cosine, {pair_words(pair)}"] = list(row)
    if record.baseline:
        table[f"{_UNRELATED}, mean"] = list(record.baseline)
        table[f"{_UNRELATED}, 5 %"] = list(record.low)
        table[f"{_UNRELATED}, 95 %"] = list(record.high)
    sentences = "; ".join(
        f"{number + 1}: {style.prose(text)}" for number, text in enumerate(record.sentences)
    )
    return Drawn(
        figure=_curves(record, narrow=False),
        alt=f"Cosine between the vectors of “{style.prose(record.word)}” by depth. Sentences {sentences}. "
        f"{cosines_sentence(record)}",
        stem="one-word-cosines",
        table=table,
        narrow_figure=_curves(record, narrow=True),
    )


def _curves(record: SenseCurves, narrow: bool) -> go.Figure:
    figure = go.Figure()
    depths = np.arange(record.n_depths, dtype=np.int32)
    _draw_band(figure, record, depths)
    names = [depth_words(depth) for depth in range(record.n_depths)]
    for number, (pair, row) in enumerate(zip(record.pairs, record.cosines, strict=True)):
        figure.add_scatter(
            name=f"sentences {pair_words(pair)}",
            x=depths,
            y=np.array(row, dtype=np.float32),
            mode="lines+markers",
            line={"color": style.category(number), "width": 2.5, "dash": _DASHES[number % len(_DASHES)]},
            marker={"size": 5},
            customdata=depths,
            text=names,
            hovertemplate=f"sentences {pair_words(pair)}, %{{text}}<br>cosine %{{y:.4f}}<extra></extra>",
        )
    last = record.n_depths - 1
    figure.add_vline(x=record.depth, line={"color": style.LIGHT.accent, "width": 1.5, "dash": "dot"})
    figure.update_xaxes(
        title={"text": f"depth (0: embedding{'' if narrow else '; n: the stream after n blocks'})"},
        range=[-0.03 * last, last * 1.03],
        fixedrange=True,
    )
    figure.update_yaxes(
        title={"text": "cosine"},
        range=[record.bottom - 0.03, 1.04],
        fixedrange=True,
        zeroline=True,
        zerolinecolor=style.LIGHT.line,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=400 if narrow else 440,
        title={"text": _curves_title(record, narrow), "font": {"size": 13 if narrow else 16}},
        margin={"l": 8, "r": 8 if narrow else 128, "t": 48, "b": 8},
        showlegend=narrow,
        legend={"y": -0.22, "yanchor": "top", "font": {"size": 11}},
        annotations=[] if narrow else _end_names(record),
    )
    return figure


def _draw_band(figure: go.Figure, record: SenseCurves, depths: np.ndarray) -> None:
    if not record.baseline:
        return
    for name, values, fill in (("low", record.low, None), ("high", record.high, "tonexty")):
        figure.add_scatter(
            name=name,
            x=depths,
            y=np.array(values, dtype=np.float32),
            mode="lines",
            line={"width": 0, "color": style.LIGHT.line},
            fill=fill,
            fillcolor=style.faded(style.LIGHT.cut_line, 0.2),
            showlegend=False,
            hoverinfo="skip",
        )
    figure.add_scatter(
        name=f"{_UNRELATED}, mean and nine of ten",
        x=depths,
        y=np.array(record.baseline, dtype=np.float32),
        mode="lines",
        line={"color": style.LIGHT.muted, "width": 2, "dash": "dot"},
        customdata=depths,
        hovertemplate=f"{_UNRELATED}, depth %{{x}}<br>mean cosine %{{y:.4f}}<extra></extra>",
    )


def _end_names(record: SenseCurves) -> list[dict[str, Any]]:
    ends = [(pair_words(pair), row[-1]) for pair, row in zip(record.pairs, record.cosines, strict=True)]
    if record.baseline:
        ends.append((_UNRELATED, record.baseline[-1]))
    heights = apart([height for _, height in ends], 0.06 * (1.07 - record.bottom))
    return [
        {
            "x": record.n_depths - 1,
            "y": height,
            "xanchor": "left",
            "yanchor": "middle",
            "xshift": 8,
            "text": name,
            "showarrow": False,
            "font": {"size": 12, "color": style.LIGHT.muted if name == _UNRELATED else style.LIGHT.ink},
        }
        for (name, _), height in zip(ends, heights, strict=True)
    ]


def _curves_title(record: SenseCurves, narrow: bool) -> str:
    word = style.label(record.word, 16)
    at = record.farthest
    start, here = (style.three_digits(record.cosines[at][depth]) for depth in (0, record.depth))
    if record.depth == 0:
        return f"“{word}” at the embedding: cosine {here} or more"
    at_first = "" if narrow else " at the embedding"
    return f"“{word}”: cosine {start}{at_first}, {here} after block {record.depth - 1}"


def sense_paths_figure(record: SensePath) -> Drawn:
    """One path a sentence, from the embedding through every block; a click chooses the block."""
    table: dict[str, list[Any]] = {"sentence": [], "place": [], "x": [], "y": []}
    for sentence, path in zip(record.sentences, record.places, strict=True):
        for depth, (x, y) in enumerate(path):
            for name, value in zip(table, (style.prose(sentence), depth_words(depth), x, y), strict=True):
                table[name].append(value)
    shares = " and ".join(style.share(share) for share in record.explained)
    scaled = "scaled to length 1" if record.unit else "as long as they are"
    less = ", less their mean at each depth" if record.apart else ""
    return Drawn(
        figure=_paths(record),
        alt=f"The vectors of “{style.prose(record.word)}” in {len(record.sentences)} sentences, "
        f"{scaled}{less}, from the embedding through {record.n_depths - 1} blocks, in the plane of their two "
        f"principal axes, which hold {shares} of the variance. Selected: {depth_words(record.depth)}.",
        stem="one-word-parting" if record.apart else "one-word-paths",
        table=table,
        narrow_layout={
            "height": 420,
            "title.font.size": 13,
            "margin.r": 8,
            "legend.font.size": 11,
            "xaxis.title.font.size": 11,
            "yaxis.title.font.size": 11,
        },
    )


def _paths(record: SensePath) -> go.Figure:
    figure = go.Figure()
    for number, (sentence, path) in enumerate(zip(record.sentences, record.places, strict=True)):
        color = style.category(number)
        x, y = (np.array(column, dtype=np.float32) for column in zip(*path, strict=True))
        shown = f"{number + 1}: {style.inert(style.shorten(style.prose(sentence), LONGEST_SENTENCE))}"
        figure.add_scatter(
            name=shown,
            x=x,
            y=y,
            mode="lines+markers+text",
            line={"color": color, "width": 2, "dash": _DASHES[number % len(_DASHES)]},
            marker={
                "symbol": "arrow",
                "angleref": "previous",
                "size": [8] + [11] * (len(path) - 1),
                "color": color,
            },
            text=[_depth_name(record, number, depth) for depth in range(len(path))],
            textposition="bottom center" if number % 2 else "top center",
            textfont={"size": 11, "color": style.LIGHT.ink},
            customdata=np.arange(len(path), dtype=np.int32),
            hovertext=[depth_words(depth) for depth in range(len(path))],
            hovertemplate=f"sentence {shown}<br>%{{hovertext}}<extra></extra>",
            cliponaxis=False,
        )
        figure.add_scatter(
            name="selected",
            x=[x[record.depth]],
            y=[y[record.depth]],
            mode="markers",
            marker={"symbol": "circle-open", "size": 18, "color": style.LIGHT.accent, "line": {"width": 2}},
            showlegend=False,
            hoverinfo="skip",
        )
    axes = [
        f"principal axis {n + 1}: {style.share(share)} of the variance"
        for n, share in enumerate(record.explained)
    ]
    figure.update_xaxes(title={"text": axes[0]}, fixedrange=False)
    figure.update_yaxes(title={"text": axes[1]}, scaleanchor="x", scaleratio=1, fixedrange=False)
    figure.update_layout(
        template=style.TEMPLATE,
        height=480,
        title={"text": _paths_title(record), "font": {"size": 14}},
        margin={"l": 8, "r": 8, "t": 52, "b": 8},
        legend={"y": -0.16, "yanchor": "top", "orientation": "v"},
        hovermode="closest",
    )
    return figure


def _depth_name(record: SensePath, number: int, depth: int) -> str:
    """The name of a point: blocks along the first path, else the sentence's number at its end."""
    last = record.n_depths - 1
    if depth == last:
        return f"<b>{number + 1}</b>"
    if number or depth not in {round(at) for at in np.linspace(0, last, _N_NAMED + 1)}:
        return ""
    return "embedding" if depth == 0 else f"block {depth - 1}"


def _paths_title(record: SensePath) -> str:
    total, word = style.share(min(sum(record.explained), 1.0)), style.label(record.word, 16)
    if record.apart:
        return f"Where “{word}” parts, less the mean: {total} shown"
    return f"The way of “{word}”: {total} of the variance shown"
