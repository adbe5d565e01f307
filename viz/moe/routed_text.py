"""The prompt as text, each token on the colour of the expert it was sent to first."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.moe.routing import RoutedText, listed, named
from viz.panels import QUIET, SILENT, Look, drawn, figure, scatter

_LINE = 46  # pixels of height of one line
_LONGEST = 16  # characters of a token


@dataclass(frozen=True)
class Place:
    """Where one token lies: line, and its left edge and width in characters."""

    line: int
    left: float
    width: float


def places(texts: tuple[str, ...], per_line: int, least: int) -> tuple[Place, ...]:
    """Tokens set like words in a paragraph, at most `per_line` characters a line, each at least `least` wide.

    >>> [(place.line, place.left, place.width) for place in places(("ab", "cdef", "g"), 8, 3)]
    [(0, 0.0, 3.0), (0, 3.0, 5.0), (1, 0.0, 3.0)]
    """
    found = []
    line, left = 0, 0.0
    for text in texts:
        width = float(max(_columns(text) + 1, least))
        if left and left + width > per_line:
            line, left = line + 1, 0.0
        found.append(Place(line, left, width))
        left += width
    return tuple(found)


def _columns(text: str) -> int:
    """Width in characters of a fixed-width face: wide East Asian signs and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def routed_text_figure(record: RoutedText) -> Drawn:
    """Boxes in reading order; below each token the numbers of its experts."""
    k = len(record.experts[0])
    return drawn(
        _figure,
        record,
        alt=_alt(record),
        stem="routed-text",
        table={
            "position": [record.first + n for n in range(len(record.texts))],
            "token": list(record.texts),
            **{f"expert {n + 1}": [chosen[n] for chosen in record.experts] for n in range(k)},
            **{f"weight {n + 1}": [chosen[n] for chosen in record.weights] for n in range(k)},
        },
        tablet=True,
    )


def _figure(record: RoutedText, look: Look) -> go.Figure:
    shown = [style.shorten(style.visible(text), _LONGEST) or "⟨empty⟩" for text in record.texts]
    names = [_who(chosen) for chosen in record.experts]
    longer = tuple(max(pair, key=_columns) for pair in zip(shown, names, strict=True))
    per_line = look.pick(110, 36, 70)  # characters
    at = places(longer, per_line, least=3)
    lines = at[-1].line + 1
    positions = [record.first + n for n in range(len(at))]
    fills = [style.category(chosen[0]) for chosen in record.experts]
    widths = [3 if position == record.selected else 0 for position in positions]
    boxes = {
        "type": "bar",
        "name": "tokens",
        "orientation": "h",
        "y": [place.line for place in at],
        "base": [place.left + 0.1 for place in at],
        "x": [place.width - 0.2 for place in at],
        "width": 0.86,
        "marker": {"color": fills, "line": {"color": style.LIGHT.ink, "width": widths}},
        "customdata": positions,
        "hovertemplate": [_hover(record, n) for n in range(len(at))],
    }
    middles = [place.left + place.width / 2 for place in at]
    inks = [style.text_on(fill) for fill in fills]
    words = [
        scatter(
            "words",
            middles,
            [place.line + above for place in at],
            "text",
            text=[style.inert(word) for word in line],
            textfont={"family": style.MONO, "size": size, "color": inks},
            showlegend=False,
            **SILENT,
        )
        for line, size, above in ((shown, 13, -0.17), (names, 11, 0.22))
    ]
    return figure(
        [boxes, *words],
        xaxis={"range": [0, per_line], **QUIET},
        yaxis={"range": [lines - 0.5, -0.5], **QUIET},
        height=_LINE * lines + 44,
        width=look.pick(style.WIDE_PRINT, None),
        title={"text": title(record)},
        showlegend=False,
        barmode="overlay",
        margin={"l": 4, "r": 4, "t": 36, "b": 4},
    )


def _who(chosen: tuple[int, ...]) -> str:
    """The experts below a token: all of two, the first of more."""
    return "·".join(map(str, chosen)) if len(chosen) <= 2 else f"{chosen[0]}…"


def _hover(record: RoutedText, number: int) -> str:
    experts, weights = record.experts[number], record.weights[number]
    lines = [f"<b>{style.label(record.texts[number])}</b>, token {record.first + number}"]
    lines += [f"{named(e)}: weight {w:.4f}" for e, w in zip(experts, weights, strict=True)]
    return "<br>".join(lines) + "<extra></extra>"


def counts(record: RoutedText) -> list[tuple[int, int]]:
    """(expert, tokens of the window that it was first for), the busiest first."""
    tally: dict[int, int] = {}
    for chosen in record.experts:
        tally[chosen[0]] = tally.get(chosen[0], 0) + 1
    return sorted(tally.items(), key=lambda item: (-item[1], item[0]))


def title(record: RoutedText) -> str:
    """The finding: who is asked first most often."""
    expert, most = counts(record)[0]
    n = len(record.texts)
    shown = "" if n == record.n_tokens else " shown"
    return f"L{record.layer}: {named(expert)} is the first choice of {most:,} of {counted(n, 'token')}{shown}"


def _alt(record: RoutedText) -> str:
    busiest = ", ".join(f"{named(expert)} for {count:,}" for expert, count in counts(record)[:4])
    part = "" if len(record.texts) == record.n_tokens else f" (of {record.n_tokens:,}, around the selected)"
    number = record.selected - record.first
    return (
        f"{counted(len(record.texts), 'token')}{part} as text, coloured by the expert that layer "
        f"{record.layer} asks first: {busiest}. The selected token, {style.quoted(record.texts[number])}, is "
        f"sent to {listed(record.experts[number])}."
    )
