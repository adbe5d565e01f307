"""Cosines by depth, and the paths of one word's vectors through the layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.labels import apart
from viz.panels import SILENT, Json, Look, drawn, figure, ink, line, note, scatter, thinned
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
_NAME_ROOM = (0.2, 0.06)  # of the picture: what a name takes on a phone, across and up
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
    return drawn(
        _curves,
        record,
        alt=f"Cosine between the vectors of “{style.prose(record.word)}” by depth. Sentences {sentences}. "
        f"{cosines_sentence(record)}",
        stem="one-word-cosines",
        table=table,
    )


def _curves(record: SenseCurves, look: Look) -> go.Figure:
    depths = np.arange(record.n_depths, dtype=np.int32)
    names = [depth_words(depth) for depth in range(record.n_depths)]
    last = record.n_depths - 1
    return figure(
        [
            *_band(record, depths),
            *(
                scatter(
                    f"sentences {pair_words(pair)}",
                    depths,
                    np.array(row, dtype=np.float32),
                    "lines+markers",
                    line={"color": style.category(number), "width": 2.5, "dash": _dash(number)},
                    marker={"size": 5},
                    customdata=depths,
                    text=names,
                    hovertemplate=f"sentences {pair_words(pair)}, %{{text}}<br>"
                    "cosine %{y:.4f}<extra></extra>",
                )
                for number, (pair, row) in enumerate(zip(record.pairs, record.cosines, strict=True))
            ),
        ],
        xaxis={
            "title": {
                "text": look.pick("after block (left of 0: the embedding)", "after block (left: embedding)")
            },
            "range": [-0.03 * last, last * 1.03],
            **_block_ticks(last, look.pick(8, 5)),
        },
        yaxis={
            "title": {"text": "cosine"},
            "range": [record.bottom - 0.03, 1.04],
            "zeroline": True,
            "zerolinecolor": style.LIGHT.line,
        },
        shapes=[line(x=record.depth, dash="dot", color=style.LIGHT.accent, width=1.5)],
        height=look.pick(440, 400),
        title=look.title(_curves_title(record, look)),
        margin={"r": look.pick(128, 8), "t": 48},
        showlegend=look.pick(False, True),
        legend={"y": -0.22, "yanchor": "top", "font": {"size": 11}},
        annotations=look.pick(_end_names(record), []),
    )


def _block_ticks(last: int, most: int) -> Json:
    """Blocks by their numbers: the stream after block 5 stands over 5, the embedding before block 0."""
    blocks = thinned(last, most)[1:]  # 0 would lie on the embedding's name
    return {"tickvals": [0, *(block + 1 for block in blocks)], "ticktext": ["emb.", *map(str, blocks)]}


def _dash(number: int) -> str:
    return _DASHES[number % len(_DASHES)]


def _band(record: SenseCurves, depths: np.ndarray) -> list[Json]:
    """Unrelated tokens: nine of ten between two lines that are not seen, and their mean."""
    if not record.baseline:
        return []
    unseen = {
        "line": {"width": 0, "color": style.LIGHT.line},
        "fillcolor": style.faded(style.LIGHT.cut_line, 0.2),
        "showlegend": False,
        **SILENT,
    }
    low, high, mean = (
        np.array(values, dtype=np.float32) for values in (record.low, record.high, record.baseline)
    )
    return [
        scatter("low", depths, low, "lines", **unseen),
        scatter("high", depths, high, "lines", fill="tonexty", **unseen),
        scatter(
            f"{_UNRELATED}, mean and nine of ten",
            depths,
            mean,
            "lines",
            line={"color": style.LIGHT.muted, "width": 2, "dash": "dot"},
            customdata=depths,
            text=[depth_words(int(depth)) for depth in depths],
            hovertemplate=f"{_UNRELATED}, %{{text}}<br>mean cosine %{{y:.4f}}<extra></extra>",
        ),
    ]


def _end_names(record: SenseCurves) -> list[Json]:
    ends = [
        (pair_words(pair), row[-1], ink(12)) for pair, row in zip(record.pairs, record.cosines, strict=True)
    ]
    if record.baseline:
        ends.append((_UNRELATED, record.baseline[-1], {}))
    heights = apart([height for _, height, _ in ends], 0.06 * (1.07 - record.bottom))
    return [
        note(name, record.n_depths - 1, height, "left middle", xshift=8, font=font)
        for (name, _, font), height in zip(ends, heights, strict=True)
    ]


def _curves_title(record: SenseCurves, look: Look) -> str:
    word = style.label(record.word, 16)
    at = record.farthest
    start, here = (style.three_digits(record.cosines[at][depth]) for depth in (0, record.depth))
    if record.depth == 0:
        return f"“{word}” at the embedding: cosine {here} or more"
    at_first = look.pick(" at the embedding", "")
    return f"“{word}”: cosine {start}{at_first}, {here} after block {record.depth - 1}"


def sense_paths_figure(record: SensePath) -> Drawn:
    """One path a sentence, from the embedding through every block; a click chooses the block."""
    table: dict[str, list[Any]] = {"sentence": [], "place": [], "x": [], "y": []}
    for sentence, path in zip(record.sentences, record.places, strict=True):
        for depth, (x, y) in enumerate(path):
            for name, value in zip(table, (style.prose(sentence), depth_words(depth), x, y), strict=True):
                table[name].append(value)
    shares = " and ".join(style.share(share) for share in record.made.explained)
    scaled = "scaled to length 1" if record.made.unit else "as long as they are"
    less = ", less their mean at each depth" if record.made.apart else ""
    return Drawn(
        figure=_paths(record),
        alt=f"The vectors of “{style.prose(record.word)}” in {len(record.sentences)} sentences, "
        f"{scaled}{less}, from the embedding through {record.n_depths - 1} blocks, in the plane of their two "
        f"principal axes, which hold {shares} of the variance. Selected: {depth_words(record.depth)}.",
        stem="one-word-parting" if record.made.apart else "one-word-paths",
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
    paths = [
        trace
        for number, (sentence, path) in enumerate(zip(record.sentences, record.places, strict=True))
        for trace in _path(record, number, sentence, path)
    ]
    x, y = (
        {
            "title": {"text": f"principal axis {n + 1}: {style.share(share)} of the variance"},
            "fixedrange": False,
        }
        for n, share in enumerate(record.made.explained)
    )
    return figure(
        paths,
        xaxis=x,
        yaxis={**y, "scaleanchor": "x", "scaleratio": 1},
        height=480,
        title={"text": _paths_title(record), "font": {"size": 14}},
        margin={"t": 52},
        legend={"y": -0.16, "yanchor": "top", "orientation": "v"},
        hovermode="closest",
    )


def _path(
    record: SensePath, number: int, sentence: str, path: Sequence[tuple[float, float]]
) -> tuple[Json, Json]:
    """One sentence's arrows from depth to depth, and the ring at the selected depth."""
    color, n_depths = style.category(number), len(path)
    x, y = (np.array(column, dtype=np.float32) for column in zip(*path, strict=True))
    shown = f"{number + 1}: {style.inert(style.shorten(style.prose(sentence), LONGEST_SENTENCE))}"
    sizes = [8] + [11] * (n_depths - 1)
    arrows = scatter(
        shown,
        x,
        y,
        "lines+markers+text",
        line={"color": color, "width": 2, "dash": _dash(number)},
        marker={"symbol": "arrow", "angleref": "previous", "size": sizes, "color": color},
        text=[_depth_name(record, number, depth) for depth in range(n_depths)],
        textposition="bottom center" if number % 2 else "top center",
        textfont=ink(11),
        customdata=np.arange(n_depths, dtype=np.int32),
        hovertext=[depth_words(depth) for depth in range(n_depths)],
        hovertemplate=f"sentence {shown}<br>%{{hovertext}}<extra></extra>",
        cliponaxis=False,
    )
    ring = {"symbol": "circle-open", "size": 18, "color": style.LIGHT.accent, "line": {"width": 2}}
    here = slice(record.depth, record.depth + 1)
    return arrows, scatter("selected", x[here], y[here], marker=ring, showlegend=False, **SILENT)


def _depth_name(record: SensePath, number: int, depth: int) -> str:
    """The name of a point: blocks along the first path, else the sentence's number at its end."""
    if depth == record.n_depths - 1:
        return f"<b>{number + 1}</b>"
    if number or depth not in _named_depths(record):
        return ""
    return "embedding" if depth == 0 else f"block {depth - 1}"


def _named_depths(record: SensePath) -> list[int]:
    """Depths spread over the first path, those left out whose names would lie on another or on an end's."""
    places = np.array(record.places, dtype=np.float64)  # [sentence, depth, 2]
    room = np.array(_NAME_ROOM) * np.ptp(places, axis=(0, 1))
    taken, named = list(places[:, -1]), []
    for depth in sorted({round(at) for at in np.linspace(0, record.n_depths - 1, _N_NAMED + 1)})[:-1]:
        place = places[0, depth]
        if all((np.abs(place - other) > room).any() for other in taken):
            named.append(depth)
            taken.append(place)
    return named


def _paths_title(record: SensePath) -> str:
    total, word = style.share(min(sum(record.made.explained), 1.0)), style.label(record.word, 16)
    if record.made.apart:
        return f"Where “{word}” parts, less the mean: {total} shown"
    return f"The way of “{word}”: {total} of the variance shown"
