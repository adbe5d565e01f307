"""What every figure function hands to the page: the figure and all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go


@dataclass(frozen=True)
class Stop:
    """One stop of a walk through a figure: its name, one sentence, and the one thing to look at; plain text.

    Where it is stands in each layout's `meta["walk"]`: {"path": [["M", x, y], ["L", x, y], ["C", six
    numbers], ...], "stops": [{"drawn": how many commands of the path, "lit": [[left, top, right, bottom],
    ...]}, ...]}, all in fractions of the plotting area from its left and top.
    """

    name: str
    says: str
    look: str


@dataclass(frozen=True)
class Drawn:
    """A finished picture with its words and its data.

    `figure` is built with our own template named (see `viz.style`), in the light theme's colours; the
    browser swaps in the reader's theme. `table` is the picture's data, exact, column by column: it is
    the screen reader's table and the CSV. `browser` names a function of `assets/js/` that redraws the
    figure from `browser_data` under a slider without the server (None: nothing moves in the browser). `walk`
    leads through the figure, stop by stop.
    `narrow_figure` is the same picture laid out for a phone, where a change of the layout is not enough;
    `middle_figure` likewise for a tablet or a projector, which may be the very `narrow_figure`. Exports show
    `figure`.
    """

    figure: go.Figure
    alt: str  # text alternative: what the picture shows, with its main numbers
    stem: str  # start of the export's file name, e.g. "attention-pattern"
    table: Mapping[str, Sequence[object]]
    narrow_layout: Mapping[str, object] = field(default_factory=dict)  # layout changes below 600 px
    narrow_figure: go.Figure | None = None  # drawn instead below 600 px
    middle_figure: go.Figure | None = None  # drawn instead from 600 to 900 px
    browser: str | None = None
    browser_data: Mapping[str, object] = field(default_factory=dict)
    walk: Sequence[Stop] = ()
