"""How much a model is surprised by its own tokenizer's numbers, and by another's for the same text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.panels import Json, figure, heading, line, mono, note, on, panels, scatter

MOST_NAMES = 32  # tokens with a name under their bar
HEIGHT, HEAD, FOOT = 520, 64, 76  # pixels


@dataclass(frozen=True)
class Reading:
    """How much each token surprised the model, in nats; None where nothing can be said."""

    name: str
    pieces: tuple[str, ...]  # as the model reads them
    surprise: tuple[float | None, ...]
    outside: tuple[bool, ...]  # no such row in the model's table

    @property
    def mean(self) -> float | None:
        """Nats per token, over those that can be read and have something before them."""
        known = [value for value in self.surprise if value is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Surprises:
    """One text read from the model's own numbers and from another tokenizer's, on one scale."""

    own: Reading
    foreign: Reading
    d_vocab: int
    end: float  # of the axis, nats

    @property
    def blind(self) -> float:
        """Surprise of a guess that gives every entry of the vocabulary the same probability."""
        return math.log(self.d_vocab)

    def on_axes_of(self, others: Sequence[Surprises]) -> Surprises:
        """The same with an axis that holds all of `others`."""
        return replace(self, end=max(other.end for other in others))


def surprises_record(own: Reading, foreign: Reading, *, d_vocab: int) -> Surprises:
    """Two readings -> what will be drawn."""
    values = [value for one in (own, foreign) for value in one.surprise if value is not None]
    return Surprises(own, foreign, d_vocab, max([*values, math.log(d_vocab)]))


def reading_of(name: str, pieces: Sequence[str | None], surprise: np.ndarray) -> Reading:
    """A row of nats [pos], NaN where nothing can be said, as a record; a piece of None has no row.

    >>> reading_of("own", ["a", None], np.array([np.nan, np.nan])).outside
    (False, True)
    """
    known = tuple(float(value) if np.isfinite(value) else None for value in surprise)
    return Reading(name, tuple(p or "" for p in pieces), known, tuple(p is None for p in pieces))


def surprises_figure(record: Surprises) -> Drawn:
    """A bar a token; above from the model's own numbers, below from the other tokenizer's."""
    return Drawn(_figure(record), surprises_alt(record), "foreign-surprise", surprises_table(record))


def _figure(record: Surprises) -> go.Figure:
    readings = (record.own, record.foreign)
    colors = (style.category(0), style.category(5))
    y = {"range": [0, record.end * 1.12], "nticks": 4, "title": {"text": "surprise (nats)"}}
    x = [{"range": [-0.6, len(one.pieces) - 0.4], "showgrid": False, **_names(one)} for one in readings]
    blind = f"- - a blind guess: {style.three_digits(record.blind)}"
    names = [heading(f"<b>{style.inert(one.name)}</b>", panel) for panel, one in enumerate(readings)]
    parts = zip(readings, colors, strict=True)
    return figure(
        [trace for panel, (one, color) in enumerate(parts) for trace in _traces(one, panel, color)],
        **panels([(0, 1)], [(0.62, 1), (0, 0.38)], x, y),
        showlegend=False,
        bargap=0.15,
        height=HEIGHT,
        margin={"t": HEAD, "b": FOOT},
        title={"text": surprises_title(record)},
        shapes=[line(y=record.blind, panel=panel, dash="dash") for panel in (0, 1)],
        annotations=[*names, note(blind, 1, 1, "right bottom", 0, "xy")],
    )


def _traces(reading: Reading, panel: int, color: str) -> list[Json]:
    """A bar a token, and a cross where the model's table has no such row."""
    lines = [f"“{style.label(piece)}”, position {at}" for at, piece in enumerate(reading.pieces)]
    tokens = {
        "type": "bar",
        "name": reading.name,
        "x": list(range(len(reading.pieces))),
        "y": [np.nan if value is None else value for value in reading.surprise],
        "marker": {"color": color},
        "hovertext": lines,
        "hovertemplate": "%{hovertext}: %{y:.3g} nats<extra></extra>",
        **on(panel),
    }
    gone = [at for at, out in enumerate(reading.outside) if out]
    if not gone:
        return [tokens]
    cross = scatter(
        "no such row",
        gone,
        [0] * len(gone),
        marker={"symbol": "x", "size": 9, "color": style.LIGHT.cut_line},
        cliponaxis=False,
        hovertemplate="position %{x}: no such row<extra></extra>",
        **on(panel),
    )
    return [tokens, cross]


def _names(reading: Reading) -> Json:
    if len(reading.pieces) > MOST_NAMES:
        return {"tickformat": ",d", "title": {"text": "position"}}
    names = [
        "no row" if out else f"\u2068{style.label(piece, 9)}\u2069"
        for piece, out in zip(reading.pieces, reading.outside, strict=True)
    ]
    return {
        "tickvals": list(range(len(names))),
        "ticktext": names,
        "tickangle": -90 if len(names) > 6 else 0,
        "tickfont": mono(11),
    }


def surprises_title(record: Surprises) -> str:
    """The finding."""
    own, foreign = record.own.mean, record.foreign.mean
    if own is None or foreign is None:
        return "Surprise, token by token"
    if abs(own - foreign) < 1e-6:
        return "The same numbers, the same surprise"
    return f"<b>{style.three_digits(own)}</b> nats a token become <b>{style.three_digits(foreign)}</b>"


def surprises_alt(record: Surprises) -> str:
    """The two panels in words."""
    said = []
    for reading in (record.own, record.foreign):
        mean = "no value" if reading.mean is None else style.three_digits(reading.mean, "nats a token")
        name = f"{reading.name[:1].upper()}{reading.name[1:]}"
        said.append(f"{name}, {counted(len(reading.pieces), 'token')}: {mean}.")
    blind = style.three_digits(record.blind, "nats")
    return f"Surprise of the model, token by token. {' '.join(said)} A blind guess has {blind}."


def surprises_table(record: Surprises) -> dict[str, list[object]]:
    """One row a token of either reading."""
    rows = [
        (reading.name, position, style.visible(piece), value)
        for reading in (record.own, record.foreign)
        for position, (piece, value) in enumerate(zip(reading.pieces, reading.surprise, strict=True))
    ]
    return dict(
        zip(("read from", "position", "piece", "nats"), map(list, zip(*rows, strict=True)), strict=True)
    )
