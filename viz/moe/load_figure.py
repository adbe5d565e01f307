"""Left: every token's slots in the order of the text. Right: how many each expert has, and its places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.load import LoadRecord, load_title, load_words

FUNCTION = "expert_load.js#update"
MOST_BROWSER_CELLS = 40_000  # tokens x experts: 320 kB of logits and noise
_SPLIT = 0.58  # of the width for the tokens
_ORDINALS = ("1st", "2nd", "3rd")


def load_figure(record: LoadRecord) -> Drawn:
    """The load of one layer, as it stands."""
    return Drawn(
        figure=_figure(record),
        alt=f"Load of the experts of layer {record.layer}. {load_words(record)} "
        f"Slots by expert: {', '.join(f'E{e} {n}' for e, n in enumerate(record.counts))}.",
        stem="expert-load",
        table={
            "expert": list(range(record.n_experts)),
            "slots": list(record.counts),
            "with a place": list(record.taken),
            "dropped": list(record.dropped),
        },
        narrow_layout={
            "height": _height(record) + 230,
            "xaxis.domain": [0, 1],
            "xaxis.title.text": "",
            "yaxis.domain": [0.6, 1],
            "xaxis2.domain": [0, 1],
            "yaxis2.domain": [0, 0.4],
            "title.font.size": 13,
        },
    )


def with_noise_and_capacity(
    drawn: Drawn,
    record: LoadRecord,
    logits: np.ndarray,  # [pos, expert]
    noise: np.ndarray,  # [pos, expert]
    measured: np.ndarray,  # int [pos, k], the experts used
) -> Drawn:
    """`drawn`, ready to move in the browser, unless its data would be too large."""
    if logits.size > MOST_BROWSER_CELLS:
        return drawn
    data: Mapping[str, object] = {
        "logits": np.asarray(logits, dtype=np.float32),
        "noise": np.asarray(noise, dtype=np.float32),
        "measured": np.asarray(measured, dtype=np.int32),
        "tokens": list(record.tokens),
        "labels": [style.inert(token) for token in record.tokens],
        "layer": record.layer,
        "top": record.top,
    }
    return replace(drawn, browser=FUNCTION, browser_data=data)


def _height(record: LoadRecord) -> int:
    return int(min(620, 110 + max(10, 30 - record.n_experts // 8) * record.n_experts))


def _figure(record: LoadRecord) -> go.Figure:
    figure = go.Figure()
    for trace in load_traces(record):
        figure.add_trace(trace)
    n, step = record.n_experts, -(-record.n_experts // 32)
    rows: dict[str, Any] = {
        "range": [n - 0.5, -0.5],
        "tickvals": list(range(0, n, step)),
        "ticktext": [f"E{e}" for e in range(0, n, step)],
        "fixedrange": True,
        "showgrid": False,
    }
    moving, last = load_layout(record), len(record.tokens) - 1
    x = {
        "title": {"text": "token, in the order of the text"},
        "range": [-0.6, last + 0.6],
        "domain": [0, _SPLIT],
        "fixedrange": True,
    }
    x |= _token_ticks(record)
    figure.update_layout(
        template=style.TEMPLATE,
        height=_height(record),
        barmode="stack",
        bargap=0.3,
        showlegend=False,
        xaxis=x,
        yaxis={**rows, "showgrid": True},
        xaxis2={
            "title": {"text": "slots"},
            "range": moving.pop("xaxis2.range"),
            "domain": [_SPLIT + 0.07, 1],
            "anchor": "y2",
            "fixedrange": True,
            "tickformat": ",d",
            "nticks": 6,
        },
        yaxis2={**rows, "anchor": "x2"},
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
        **moving,
    )
    return figure


def _token_ticks(record: LoadRecord) -> dict[str, Any]:
    """Token texts where there is room for them, else positions."""
    if len(record.tokens) > 28:
        return {"nticks": 8, "tickformat": ",d"}
    return {
        "tickvals": list(range(len(record.tokens))),
        "ticktext": [style.inert(style.shorten(token, 9)) for token in record.tokens],
        "tickangle": -60,
        "tickfont": {"family": style.MONO, "size": 11, "color": style.LIGHT.ink},
    }


def load_layout(record: LoadRecord) -> dict[str, Any]:
    """What moves with the sliders besides the traces: title, end of the axis, lines of mean and capacity."""
    reach = 1.5 * max(record.top, *record.counts)
    lines = [_line(record.mean, "dot", style.LIGHT.line)]
    notes = [_note(record.mean, "mean", 0, reach)]
    if record.capacity is not None and record.capacity <= reach:
        lines.append(_line(record.capacity, "solid", style.LIGHT.ink))
        notes.append(_note(record.capacity, f"places: {record.capacity:,}", 14, reach))
    return {
        "title": {"text": load_title(record)},
        "shapes": lines,
        "annotations": notes,
        "xaxis2.range": [0, reach],
    }


def _line(at: float, dash: str, color: str) -> dict[str, Any]:
    ends = {"x0": at, "x1": at, "y0": 0, "y1": 1, "xref": "x2", "yref": "y2 domain"}
    return {"type": "line", "line": {"color": color, "width": 1.5, "dash": dash}, **ends}


def _note(at: float, words: str, up: int, reach: float) -> dict[str, Any]:
    return {
        "x": at,
        "y": 1,
        "xref": "x2",
        "yref": "y2 domain",
        "yanchor": "bottom",
        "xanchor": "right" if at > 0.7 * reach else "left",
        "yshift": up,
        "text": words,
        "showarrow": False,
        "font": {"size": 11, "color": style.LIGHT.muted},
    }


def load_traces(record: LoadRecord) -> list[dict[str, Any]]:
    """The four traces; assets/js/expert_load.js makes the same from the same record (a test compares)."""
    slots = [
        (position, choice, expert, record.kept[position][choice])
        for position, row in enumerate(record.experts)
        for choice, expert in enumerate(row)
    ]
    return [
        _marks(record, [slot for slot in slots if slot[3]], True),
        _marks(record, [slot for slot in slots if not slot[3]], False),
        _bars(record, record.taken, True),
        _bars(record, record.dropped, False),
    ]


def _marks(record: LoadRecord, slots: list[tuple[int, int, int, bool]], kept: bool) -> dict[str, Any]:
    large = max(3, min(12, round(420 / len(record.tokens))))
    end = "" if kept else ", dropped"
    return {
        "type": "scatter",
        "name": "has a place" if kept else "dropped",
        "mode": "markers",
        "x": [position for position, *_ in slots],
        "y": [expert for _, _, expert, _ in slots],
        "marker": {
            "symbol": "square" if kept else "x-thin",
            "size": [large if choice == 0 else max(3, large - 4) for _, choice, *_ in slots],
            "color": [style.category(expert) if kept else style.LIGHT.cut_line for _, _, expert, _ in slots],
            "line": {"width": 0 if kept else 2, "color": style.LIGHT.cut_line},
        },
        "hovertext": [
            f"“{style.inert(record.tokens[position])}” ({position}), {ordinal(choice)} choice: E{expert}{end}"
            for position, choice, expert, _ in slots
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "xaxis": "x",
        "yaxis": "y",
    }


def ordinal(choice: int) -> str:
    """
    >>> ordinal(0), ordinal(1), ordinal(7)
    ('1st', '2nd', '8th')
    """
    return _ORDINALS[choice] if choice < 3 else f"{choice + 1}th"


def _bars(record: LoadRecord, slots: tuple[int, ...], kept: bool) -> dict[str, Any]:
    experts = list(range(record.n_experts))
    fills = {
        "color": [style.category(e) for e in experts],
        "pattern": {"shape": [style.pattern(e) for e in experts], "size": 6, "solidity": 0.2},
    }
    verb = "with a place" if kept else "dropped"
    return {
        "type": "bar",
        "name": "with a place" if kept else "dropped",
        "orientation": "h",
        "x": list(slots),
        "y": experts,
        "marker": fills if kept else dict(style.CUT),
        "text": [_number(record, e, kept) for e in experts],
        "textposition": "outside",
        "textfont": {"size": 11, "color": style.LIGHT.ink},
        "cliponaxis": False,
        "hovertext": [f"E{e}: {n:,} {verb}" for e, n in enumerate(slots)],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "xaxis": "x2",
        "yaxis": "y2",
    }


def _number(record: LoadRecord, expert: int, kept: bool) -> str:
    """Behind the end of the whole bar: 5, or 3 + 2 where 2 are dropped; a 0 would read as part of E1."""
    taken, dropped = record.taken[expert], record.dropped[expert]
    if record.n_experts > 32 or kept == bool(dropped) or not taken + dropped:
        return ""
    return f"{taken:,}" if kept else f"{taken:,} + {dropped:,}"
