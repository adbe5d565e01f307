"""Vocabulary against length: one text cut into words, characters, bytes and subword tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.style import LIGHT, TEMPLATE, category, inert

SYMBOLS = ("square", "circle", "diamond", "star")  # told apart without colour
CATEGORY_OF = (5, 0, 2, 3)  # words, characters, bytes, subword: none of them yellow or black
HEIGHT = 400
NEAR = 0.14  # of the longest: labels of points this near in height would meet
_UNITS = {"words": "word", "characters": "character", "bytes": "byte", "tokens": "token"}


@dataclass(frozen=True)
class LevelPoint:
    """One way to cut the text."""

    name: str  # "words", "characters", "bytes", "tokens"
    title: str  # for people
    n_vocab: int  # entries of its table
    n_pieces: int
    n_unknown: int  # pieces that the table does not have


@dataclass(frozen=True)
class LevelPoints:
    """All ways to cut one text; the axes are shared by figures of one page."""

    points: tuple[LevelPoint, ...]
    most_pieces: int
    most_vocab: int
    title: str


def level_points_record(
    points: Sequence[LevelPoint], most_pieces: int = 0, most_vocab: int = 0
) -> LevelPoints:
    """Counts -> what will be drawn. `most_...` are the ends of axes shared with another figure."""
    pieces = max([most_pieces, *(point.n_pieces for point in points)])
    vocab = max([most_vocab, *(point.n_vocab for point in points)])
    return LevelPoints(tuple(points), pieces, vocab, _title(points))


def _title(points: Sequence[LevelPoint]) -> str:
    by_name = {point.name: point for point in points}
    words, tokens, data = (by_name.get(name) for name in ("words", "tokens", "bytes"))
    if words is None or tokens is None or data is None or not data.n_pieces:
        return "Vocabulary against length"
    lost = f"{words.n_unknown:,} of {words.n_pieces:,} words are unknown" if words.n_unknown else (
        f"{_counted(words.n_pieces, 'words')}, all known here"
    )  # fmt: skip
    return f"{lost}; {_counted(data.n_pieces, 'bytes')} or {_counted(tokens.n_pieces, 'tokens')} lose nothing"


def _counted(n: int, name: str) -> str:
    return f"{n:,} {name if n != 1 else _UNITS[name]}"


def level_points_figure(record: LevelPoints) -> Drawn:
    """A point a way to cut; vocabulary on a logarithmic axis, length from 0."""
    figure = go.Figure()
    places = label_places(record)
    for number, (point, place) in enumerate(zip(record.points, places, strict=True)):
        figure.add_trace(
            go.Scatter(
                x=[max(point.n_vocab, 1)], y=[point.n_pieces], mode="markers+text", name=point.title,
                text=[_label(point)], textposition=place, cliponaxis=False, showlegend=False,
                textfont={"size": 13, "color": LIGHT.ink},
                marker={"size": 15, "symbol": SYMBOLS[number % 4],
                        "color": category(CATEGORY_OF[number % 4]),
                        "line": {"width": 1, "color": LIGHT.ink}},
                hovertext=[_hover(point)], hovertemplate="%{hovertext}<extra></extra>",
            )
        )  # fmt: skip
    longest = max(record.most_pieces, 1)
    decades = max(math.ceil(math.log10(max(record.most_vocab, 10)) * 1.02), 1)
    figure.update_layout(
        template=TEMPLATE,
        height=HEIGHT,
        margin={"l": 8, "r": 24, "t": 48, "b": 8},
        title={"text": record.title},
        xaxis={"type": "log", "range": [-0.15, decades + 0.35], "fixedrange": True,
               "tickvals": [10**power for power in range(decades + 1)],
               "ticktext": [f"{10**power:,}" for power in range(decades + 1)],
               "title": {"text": "vocabulary: entries in the table"}},
        yaxis={"range": [-0.08 * longest, 1.2 * longest], "fixedrange": True, "nticks": 7,
               "title": {"text": "length: pieces of this text"}},
    )  # fmt: skip
    return Drawn(figure, _alt(record), "levels", _table(record), narrow_layout=_narrow(record))


def label_places(record: LevelPoints) -> list[str]:
    """Where each label stands: on the side that has room; of points of nearly one height, in the order of
    their vocabularies, the first has its label below, the next above, and so on."""
    middle = math.log10(max(record.most_vocab, 10)) / 2
    places = []
    for point in record.points:
        side = "right" if math.log10(max(point.n_vocab, 1)) <= 1.1 * middle else "left"
        level = [
            other
            for other in sorted(record.points, key=lambda other: other.n_vocab)
            if abs(other.n_pieces - point.n_pieces) < NEAR * max(record.most_pieces, 1)
        ]
        height = "middle" if len(level) == 1 else ("bottom", "top")[level.index(point) % 2]
        places.append(f"{height} {side}")
    return places


def _label(point: LevelPoint) -> str:
    unknown = f", {point.n_unknown:,} unknown" if point.n_unknown else ""
    return f"  <b>{inert(point.title)}</b>  {point.n_pieces:,}{unknown}  "


def _hover(point: LevelPoint) -> str:
    unknown = f"<br>{point.n_unknown:,} not in the table" if point.n_unknown else ""
    pieces = _counted(point.n_pieces, point.name)
    return f"<b>{inert(point.title)}</b><br>{pieces}{unknown}<br>{point.n_vocab:,} in the table"


def _narrow(record: LevelPoints) -> dict[str, object]:
    title = {"title.text": record.title.replace("; ", ";<br>"), "title.font.size": 13, "title.pad.t": 22}
    return {**title, "height": 360, "margin.t": 64, "yaxis.title.text": "pieces of this text"}


def _alt(record: LevelPoints) -> str:
    points = "; ".join(
        f"{point.title}: {_counted(point.n_pieces, point.name)}, vocabulary {point.n_vocab:,}, "
        f"{point.n_unknown:,} unknown"
        for point in record.points
    )
    return f"{record.title}. {points}."


def _table(record: LevelPoints) -> dict[str, list[object]]:
    return {
        "level": [point.title for point in record.points],
        "pieces": [point.n_pieces for point in record.points],
        "vocabulary": [point.n_vocab for point in record.points],
        "unknown": [point.n_unknown for point in record.points],
    }
