"""Squares with a digit or two each: bits of a number, bytes and codes of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from viz import style
from viz.panels import Json, hover, mono


@dataclass(frozen=True)
class Square:
    """One of them, a unit wide and high, y from above."""

    left: float
    top: float
    text: str
    full: bool  # in full colour, else faint
    data: object  # for clicks
    hover: str


def squares(name: str, found: Sequence[Square], color: str, size: int, **more: Any) -> Json:
    """A trace of bars from below their top to above their foot, so that squares do not touch."""
    inks = [style.text_on(color) if one.full else style.LIGHT.ink for one in found]
    fills = [color if one.full else style.faded(color, 0.16) for one in found]
    return {
        "type": "bar",
        "name": name,
        "x": [one.left + 0.5 for one in found],
        "y": [0.9] * len(found),
        "base": [one.top + 0.05 for one in found],
        "width": 0.92,
        "text": [one.text for one in found],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {**mono(size), "color": inks},
        "marker": {"color": fills, "line": {"width": 1, "color": color}},
        "customdata": [one.data for one in found],
        **hover([one.hover for one in found]),
        **more,
    }
