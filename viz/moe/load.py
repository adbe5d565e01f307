"""How a layer's slots fall on its experts, and which of them find a place when an expert's places are few.

Left: every token's slots in the order of the text. Right: how many each expert has, and its places. The
words, traces and moving layout have a twin in assets/js/expert_load.js (a test compares).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.moe.routing import ints, named
from viz.panels import (
    Json,
    bars,
    columns,
    figure,
    hover,
    line,
    mono,
    note,
    on,
    panels,
    rows,
    scatter,
    thinned,
)

FUNCTION = "expert_load.js#update"
MOST_BROWSER_CELLS = 40_000  # tokens x experts: 320 kB of logits and noise
MOST_NAMED = 4  # tokens without an expert that are written out
_SPLIT = 0.58  # of the width for the tokens
_ORDINALS = ("1st", "2nd", "3rd")


@dataclass(frozen=True)
class LoadRecord:
    """One layer on one prompt, under noise and a capacity (or neither)."""

    layer: int
    n_experts: int
    tokens: tuple[str, ...]  # visible and short; not yet safe for a figure
    experts: tuple[tuple[int, ...], ...]  # [pos][k], the best first
    kept: tuple[tuple[bool, ...], ...]  # [pos][k]
    taken: tuple[int, ...]  # [expert], slots with a place
    dropped: tuple[int, ...]  # [expert], slots without
    capacity: int | None  # slots an expert takes, None: no limit
    moved: int  # slots that noise sent to another expert
    top: int  # end of the axis of slots, shared by compared runs

    @property
    def k(self) -> int:
        return len(self.experts[0])

    @property
    def n_slots(self) -> int:
        return self.k * len(self.tokens)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(a + b for a, b in zip(self.taken, self.dropped, strict=True))

    @property
    def mean(self) -> float:
        return self.n_slots / self.n_experts

    @property
    def lost(self) -> tuple[int, ...]:
        """Positions of the tokens that no expert works on."""
        return tuple(position for position, row in enumerate(self.kept) if not any(row))


def load_record(
    experts: np.ndarray,  # int [pos, k]
    kept: np.ndarray,  # bool [pos, k]
    taken: np.ndarray,  # int [expert]
    dropped: np.ndarray,  # int [expert]
    tokens: Sequence[str],
    *,
    layer: int,
    capacity: int | None,
    moved: int = 0,
    top: int = 0,
) -> LoadRecord:
    """Values -> what will be drawn. `top` 0: the axis ends at this record's own largest load."""
    return LoadRecord(
        layer,
        len(taken),
        tuple(style.shorten(style.visible(token), 16) for token in tokens),
        ints(experts),
        tuple(tuple(map(bool, row)) for row in kept),
        tuple(map(int, taken)),
        tuple(map(int, dropped)),
        capacity,
        moved,
        top or int((taken + dropped).max()),
    )


def variation(counts: Sequence[int]) -> float:
    """Standard deviation over mean, as the runtime's; the browser's twin computes it in the same order."""
    mean = sum(counts) / len(counts)
    return (sum((n - mean) ** 2 for n in counts) / len(counts)) ** 0.5 / mean if mean else 0.0


def load_title(record: LoadRecord) -> str:
    """The finding: who has most, and what is dropped."""
    counts = record.counts
    busiest = max(range(record.n_experts), key=lambda e: (counts[e], -e))
    part = style.share(counts[busiest] / record.n_slots)
    idle = sum(n == 0 for n in counts)
    words = f"L{record.layer}: E{busiest} gets {part} of the work"
    if sum(record.dropped):
        return f"{words}; {style.share(sum(record.dropped) / record.n_slots)} dropped"
    return f"{words}; {idle} of {record.n_experts} idle" if idle else words


def load_words(record: LoadRecord) -> str:
    """The numbers of the moment, in plain text."""
    mean = style.three_digits(record.mean)
    words = (
        f"{counted(len(record.tokens), 'token')} × {record.k} = {record.n_slots:,} slots, {mean} an expert "
        f"on average. Coefficient of variation {style.three_digits(variation(record.counts))}."
    )
    if record.moved:
        words += f" Noise moved {record.moved:,} slots to another expert."
    if record.capacity is None:
        return words
    dropped = sum(record.dropped)
    words += f" Each expert takes at most {record.capacity:,}: {dropped:,} slots dropped"
    if not record.lost:
        return f"{words}; every token still has an expert." if dropped else f"{words}."
    lost = ", ".join(f"“{record.tokens[at]}” ({at})" for at in record.lost[:MOST_NAMED])
    more = f" and {len(record.lost) - MOST_NAMED:,} more" if len(record.lost) > MOST_NAMED else ""
    return f"{words}. No expert works on {lost}{more}."


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
    shown, moving = thinned(record.n_experts, 32), load_layout(record)
    experts = {**rows([""] * record.n_experts), "tickvals": shown, "ticktext": [*map(named, shown)]}
    slots = {"title": {"text": "slots"}, "range": moving.pop("xaxis2.range"), "tickformat": ",d", "nticks": 6}
    axes = panels(
        [(0, _SPLIT), (_SPLIT + 0.07, 1)],
        [(0, 1)],
        x=[{"title": {"text": "token, in the order of the text"}, **_token_axis(record)}, slots],
        y=[{**experts, "showgrid": True}, experts],
    )
    return figure(
        load_traces(record),
        **axes,
        height=_height(record),
        barmode="stack",
        bargap=0.3,
        showlegend=False,
        margin={"t": 64},
        **moving,
    )


def _token_axis(record: LoadRecord) -> Json:
    """Token texts where there is room for them, else positions."""
    if len(record.tokens) > 28:
        return {"range": [-0.6, len(record.tokens) - 0.4], "nticks": 8, "tickformat": ",d"}
    names = [style.inert(style.shorten(token, 9)) for token in record.tokens]
    return columns(names, 0.6, 0.6, showgrid=True, tickangle=-60, tickfont=mono(11))


def load_layout(record: LoadRecord) -> Json:
    """What moves with the sliders besides the traces: title, end of the axis, lines of mean and capacity."""
    reach = 1.5 * max(record.top, *record.counts)
    marks = [(record.mean, "dot", style.LIGHT.line, "mean", 0)]
    if record.capacity is not None and record.capacity <= reach:
        marks.append((record.capacity, "solid", style.LIGHT.ink, f"places: {record.capacity:,}", 14))
    return {
        "title": {"text": load_title(record)},
        "shapes": [line(at, panel=1, dash=dash, color=color, width=1.5) for at, dash, color, *_ in marks],
        "annotations": [
            note(
                words,
                at,
                1,
                "right bottom" if at > 0.7 * reach else "left bottom",
                panel=1,
                within="y",
                yshift=up,
                showarrow=False,
                font={"size": 11, "color": style.LIGHT.muted},
            )
            for at, _, _, words, up in marks
        ],
        "xaxis2.range": [0, reach],
    }


def load_traces(record: LoadRecord) -> list[Json]:
    """Slots with a place, dropped ones, and bars of both."""
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


def _marks(record: LoadRecord, slots: list[tuple[int, int, int, bool]], kept: bool) -> Json:
    large = max(3, min(12, round(420 / len(record.tokens))))
    end = "" if kept else ", dropped"
    marker = {
        "symbol": "square" if kept else "x-thin",
        "size": [large if choice == 0 else max(3, large - 4) for _, choice, *_ in slots],
        "color": [style.category(expert) if kept else style.LIGHT.cut_line for _, _, expert, _ in slots],
        "line": {"width": 0 if kept else 2, "color": style.LIGHT.cut_line},
    }
    said = [
        f"“{style.inert(record.tokens[position])}” ({position}), {ordinal(choice)} choice: E{expert}{end}"
        for position, choice, expert, _ in slots
    ]
    return scatter(
        "has a place" if kept else "dropped",
        [position for position, *_ in slots],
        [expert for _, _, expert, _ in slots],
        marker=marker,
        **hover(said),
        **on(0),
    )


def ordinal(choice: int) -> str:
    """
    >>> ordinal(0), ordinal(1), ordinal(7)
    ('1st', '2nd', '8th')
    """
    return _ORDINALS[choice] if choice < 3 else f"{choice + 1}th"


def _bars(record: LoadRecord, slots: tuple[int, ...], kept: bool) -> Json:
    experts = range(record.n_experts)
    name = "with a place" if kept else "dropped"
    fills = {
        "color": [style.category(e) for e in experts],
        "pattern": {"shape": [style.pattern(e) for e in experts], "size": 6, "solidity": 0.2},
    }
    return bars(
        name,
        slots,
        [_number(record, e, kept) for e in experts],
        marker=fills if kept else dict(style.CUT),
        **hover([f"E{e}: {n:,} {name}" for e, n in enumerate(slots)]),
        **on(1),
    )


def _number(record: LoadRecord, expert: int, kept: bool) -> str:
    """Behind the end of the whole bar: 5, or 3 + 2 where 2 are dropped; a 0 would read as part of E1."""
    taken, dropped = record.taken[expert], record.dropped[expert]
    if record.n_experts > 32 or kept == bool(dropped) or not taken + dropped:
        return ""
    return f"{taken:,}" if kept else f"{taken:,} + {dropped:,}"
