"""How much a model is surprised by its own tokenizer's numbers, and by another's for the same text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

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
    figure = go.Figure()
    for panel, (reading, color) in enumerate(
        ((record.own, style.category(0)), (record.foreign, style.category(5))), 1
    ):
        _add_reading(figure, reading, panel, color)
    figure.update_layout(
        template=style.TEMPLATE,
        showlegend=False,
        bargap=0.15,
        height=HEIGHT,
        margin={"l": 8, "r": 8, "t": HEAD, "b": FOOT},
        title={"text": surprises_title(record)},
        **_panel_axes(record),
        shapes=[_level(record.blind, panel, "dash", style.LIGHT.ink) for panel in (1, 2)],
        annotations=[note for panel in (1, 2) for note in _panel_notes(record, panel)],
    )
    return Drawn(figure, surprises_alt(record), "foreign-surprise", surprises_table(record))


def _add_reading(figure: go.Figure, reading: Reading, panel: int, color: str) -> None:
    positions = list(range(len(reading.pieces)))
    axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
    figure.add_bar(
        name=reading.name,
        x=positions,
        y=[np.nan if value is None else value for value in reading.surprise],
        marker={"color": color},
        hovertext=[
            f"“{style.label(piece)}”, position {position}"
            for position, piece in zip(positions, reading.pieces, strict=True)
        ],
        hovertemplate="%{hovertext}: %{y:.3g} nats<extra></extra>",
        **axes,
    )
    gone = [position for position in positions if reading.outside[position]]
    if gone:
        figure.add_scatter(
            name="no such row",
            x=gone,
            y=[0] * len(gone),
            mode="markers",
            marker={"symbol": "x", "size": 9, "color": style.LIGHT.cut_line},
            cliponaxis=False,
            hovertemplate="position %{x}: no such row<extra></extra>",
            **axes,
        )


def _panel_axes(record: Surprises) -> dict[str, object]:
    axes: dict[str, object] = {}
    for panel, (reading, domain) in enumerate(((record.own, [0.62, 1]), (record.foreign, [0, 0.38])), 1):
        number = "" if panel == 1 else "2"
        axes[f"xaxis{number}"] = {
            "range": [-0.6, len(reading.pieces) - 0.4],
            "anchor": f"y{number}",
            "showgrid": False,
            "fixedrange": True,
            **_names(reading),
        }
        axes[f"yaxis{number}"] = {
            "domain": domain,
            "anchor": f"x{number}",
            "range": [0, record.end * 1.12],
            "nticks": 4,
            "fixedrange": True,
            "title": {"text": "surprise (nats)"},
        }
    return axes


def _names(reading: Reading) -> dict[str, object]:
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
        "tickfont": {"family": style.MONO, "size": 11, "color": style.LIGHT.ink},
    }


def _level(value: float, panel: int, dash: str, color: str) -> dict[str, object]:
    number = "" if panel == 1 else "2"
    return {
        "type": "line",
        "xref": f"x{number} domain",
        "x0": 0,
        "x1": 1,
        "yref": f"y{number}",
        "y0": value,
        "y1": value,
        "line": {"color": color, "width": 1, "dash": dash},
    }


def _panel_notes(record: Surprises, panel: int) -> list[dict[str, object]]:
    """What is read in this panel, and the name of the dashed line."""
    number, reading = ("", record.own) if panel == 1 else ("2", record.foreign)
    place = {"xref": f"x{number} domain", "yref": f"y{number} domain", "y": 1, "yanchor": "bottom"}
    name = {"text": f"<b>{style.inert(reading.name)}</b>", "x": 0, "xanchor": "left"}
    notes: list[dict[str, object]] = [{**place, **name, "font": {"color": style.LIGHT.ink, "size": 13}}]
    if panel == 1:
        blind = f"- - a blind guess: {style.three_digits(record.blind)}"
        notes.append({**place, "text": blind, "x": 1, "xanchor": "right"})
    return notes


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
        said.append(f"From {reading.name}, {len(reading.pieces):,} tokens: {mean}.")
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
