"""Vocabulary against length: one text cut into words, characters, bytes and subword tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.panels import Json, Look, drawn, figure, hover, ink, log_axis, scatter
from viz.style import LIGHT, category, inert

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
    lost = f"{_counted(words.n_pieces, 'words')}, all known here"
    if words.n_unknown:
        lost = f"{words.n_unknown:,} of {words.n_pieces:,} words are unknown"
    return f"{lost}; {_counted(data.n_pieces, 'bytes')} or {_counted(tokens.n_pieces, 'tokens')} lose nothing"


def _counted(n: int, name: str) -> str:
    return f"{n:,} {name if n != 1 else _UNITS[name]}"


def level_points_figure(record: LevelPoints) -> Drawn:
    """A point a way to cut; vocabulary on a logarithmic axis, length from 0."""
    return drawn(_figure, record, alt=_alt(record), stem="levels", table=_table(record))


def _figure(record: LevelPoints, look: Look) -> go.Figure:
    longest = max(record.most_pieces, 1)
    decades = max(math.ceil(math.log10(max(record.most_vocab, 10)) * 1.02), 1)
    points = zip(record.points, label_places(record), strict=True)
    return figure(
        [_point(point, place, number % 4) for number, (point, place) in enumerate(points)],
        height=look.pick(HEIGHT, 360),
        margin={"r": 24, "t": look.pick(48, 64)},
        title={**look.title(record.title, ";"), **look.pick({}, {"pad": {"t": 22, "b": 10}})},
        showlegend=False,
        xaxis={
            **log_axis(1, 10**decades, "{:,.0f}".format, below=0.15, above=0.35),
            "title": {"text": "vocabulary: entries in the table"},
        },
        yaxis={
            "range": [-0.08 * longest, 1.2 * longest],
            "nticks": 7,
            "title": {"text": look.pick("length: pieces of this text", "pieces of this text")},
        },
    )


def _point(point: LevelPoint, place: str, kind: int) -> Json:
    return scatter(
        point.title,
        [max(point.n_vocab, 1)],
        [point.n_pieces],
        "markers+text",
        text=[_label(point)],
        textposition=place,
        cliponaxis=False,
        textfont=ink(13),
        marker={
            "size": 15,
            "symbol": SYMBOLS[kind],
            "color": category(CATEGORY_OF[kind]),
            "line": {"width": 1, "color": LIGHT.ink},
        },
        **hover([_hover(point)]),
    )


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
