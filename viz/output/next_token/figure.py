"""The next-token picture: the pipeline as bars of 100 %, above the likeliest tokens one by one.

`viz.output.next_token.traces` fills its traces; here are the places, the axes, and the words around them.
"""

from __future__ import annotations

import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.output.next_token.record import (
    AXIS_ROOM,
    DIFFERENCE_ENDS,
    LONGEST_TOKEN,
    NARROW_ROOM,
    NextTokenRecord,
    axis_ticks,
)
from viz.output.next_token.traces import STRIP_END, axis_words, column_edges, difference, traces_of
from viz.panels import QUIET, Json, box, figure, rows
from viz.style import LIGHT, MONO, faded, in_percent
from viz.text import inert, label, quoted, share

STEP_HEIGHT, ROW_HEIGHT = 22, 19  # pixels
GAP, AXIS = 4, 48  # between the panels, for the probability axis and its words
WIDTH = 760  # of an export with a pinned run; the page gives its own
TOP, RIGHT = 40, 12
LEAST_LEFT, MOST_LEFT, NARROW_LEFT = 132, 190, 118  # the margin of the rows' labels

NARROW_LETTERS = 15  # of a token and its number, in that of a phone


def next_token_figure(record: NextTokenRecord) -> Drawn:
    """Draw one choice. A click on a candidate's row carries its token id as customdata."""
    return Drawn(
        figure=_figure(record),
        alt=_alt(record),
        stem="next-token",
        table=_table(record),
        narrow_layout=_narrow(record),
    )


def heights(record: NextTokenRecord) -> tuple[int, int]:
    """Pixels of the pipeline's panel, headings and legend included, and of the candidates' panel."""
    return STEP_HEIGHT * (len(record.steps) + 2), ROW_HEIGHT * (len(record.candidates) + 1)


def tick_words(record: NextTokenRecord) -> tuple[list[str], list[str]]:
    """Labels at the left: of the pipeline's rows, of the candidates (the rest as the last)."""
    settings = [inert(row.setting).replace(" penalty", "") for row in record.steps]  # no room for the word
    steps = [
        f"<b>{setting}</b>" if row.active else setting
        for row, setting in zip(record.steps, settings, strict=True)
    ]
    return steps, [*_candidate_words(record), f"{record.rest.n_tokens:,} more"]


def _candidate_words(record: NextTokenRecord, letters: int | None = None) -> list[str]:
    """The candidates' labels, each with its number; in `letters`, for the narrow margin of a phone."""
    words = []
    for candidate in record.candidates:
        mark = "▸ " if candidate.token_id == record.selected else ""
        number = f"  {candidate.rank:,}"
        room = LONGEST_TOKEN if letters is None else max(3, letters - len(mark) - len(number))
        text = f"{mark}{isolated(label(candidate.text, min(room, LONGEST_TOKEN)))}"
        words.append(f"<b>{text}</b>{number}" if mark else f"{text}{number}")
    return words


def isolated(text: str) -> str:
    """`text` between Unicode's isolates (UAX 9): a right-to-left token leaves its neighbours in place."""
    return f"\u2068{text}\u2069"


def _figure(record: NextTokenRecord) -> go.Figure:
    steps, candidates = heights(record)
    inner = steps + GAP + candidates
    below, above = candidates / inner, (candidates + GAP) / inner
    step_words, candidate_words = tick_words(record)
    paired = record.pinned_label is not None
    names: Json = {"automargin": False, "ticklabeloverflow": "allow"}
    return figure(
        traces_of(record),
        height=TOP + inner + AXIS,
        margin={"l": left_margin(record), "r": RIGHT, "t": TOP},
        barmode="overlay",
        title={"text": inert(record.title), "pad": {"t": 8, "l": 4}},
        xaxis={"domain": [0, 1], "range": [0, 1 / STRIP_END], "anchor": "y", **QUIET},
        yaxis=rows(
            step_words, above=1.5, below=1.5, domain=[above, above + steps / inner], anchor="x", **names
        ),
        xaxis2={
            "domain": [0, 0.66 if paired else 1],
            "range": [0, record.axis_end * AXIS_ROOM],
            "anchor": "y2",
            "ticklabeloverflow": "allow",
            "tickvals": axis_ticks(record.axis_end),
            "ticktext": [in_percent(tick) for tick in axis_ticks(record.axis_end)],
            "title": {"text": axis_words(record)},
        },
        yaxis2=rows(
            candidate_words,
            domain=[0, below],
            anchor="x2",
            tickfont={"family": MONO, "color": LIGHT.ink},
            **names,
        ),
        shapes=_selection_band(record),
        **_difference_axis(record),
        width=WIDTH if paired else None,
    )


def _difference_axis(record: NextTokenRecord) -> Json:
    """The axis of the differences, beside a pinned run only: every further axis costs each redrawing time."""
    if record.pinned_label is None:
        return {}
    largest = max(abs(difference(candidate) or 0.0) for candidate in record.candidates)
    return {
        "xaxis3": {
            "domain": [0.77, 1],
            "range": difference_range(largest),
            "anchor": "y2",
            "zeroline": True,
            "zerolinecolor": LIGHT.line,
            "title": {"text": "difference, points"},
        }
    }


def difference_range(largest: float) -> list[float]:
    """Symmetric about 0, with room for the numbers."""
    end = 1.05 * next((end for end in DIFFERENCE_ENDS if largest <= end), 100)
    return [-end, end]


def _selection_band(record: NextTokenRecord) -> list[Json]:
    """A quiet band behind the selected row, from edge to edge."""
    row = next(i for i, candidate in enumerate(record.candidates) if candidate.token_id == record.selected)
    ends: Json = {"xref": "paper", "yref": "y2", "layer": "below"}
    fill: Json = {"fillcolor": faded(LIGHT.accent, 0.1), "line": {"width": 0}}
    return [box((0, 1), (row - 0.5, row + 0.5), **ends, **fill)]


def left_margin(record: NextTokenRecord) -> int:
    """Pixels for the labels at the left; those that change under a slider are counted at their longest."""
    tokens = max(len(c.label) + len(f"{c.rank:,}") + 4 for c in record.candidates) * 7.3
    steps = max(len(row.setting) for row in record.steps) * 7.4
    return round(min(max(LEAST_LEFT, tokens, steps), MOST_LEFT))


def _narrow(record: NextTokenRecord) -> dict[str, object]:
    """Below 600 px: less room for labels, of the columns only left and cut, no panel of differences.

    The probability axis goes on further, for words behind the longest bar; `next_token.js` moves both."""
    end = record.axis_end
    changes: dict[str, object] = {
        "margin.l": min(left_margin(record), NARROW_LEFT),
        "margin.r": 6,
        "title.font.size": 12,
        "xaxis.range": [0, column_edges()[1]],
        "xaxis2.domain": [0, 1],
        "xaxis2.tickangle": 0,
        "xaxis2.range": [0, end * NARROW_ROOM],
        "xaxis2.tickvals": [0, end / 2, end],
        "xaxis2.ticktext": [in_percent(tick) for tick in (0, end / 2, end)],
        "yaxis2.ticktext": [*_candidate_words(record, NARROW_LETTERS), f"{record.rest.n_tokens:,} more"],
    }
    if record.pinned_label is not None:
        # Its numbers, too, must leave the picture: the axis shows a stretch where there are none.
        changes |= {"xaxis3.domain": [0.99, 1], "xaxis3.visible": False, "xaxis3.range": [1e6, 1e6 + 1]}
    return changes


def _alt(record: NextTokenRecord) -> str:
    top = ", ".join(f"{quoted(c.text)} {share(c.final)}" for c in record.candidates[:5])
    steps = "; ".join(f"{row.setting}: {row.n_kept:,} left" for row in record.steps[1:-1] if row.active)
    likeliest = f"Likeliest in the model, with their final probability: {top}"
    return f"{record.title}. {likeliest}. {steps or 'No step is on'}. {record.words}"


def _table(record: NextTokenRecord) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {
        "rank": [c.rank for c in record.candidates],
        "token id": [c.token_id for c in record.candidates],
        "token": [c.text for c in record.candidates],
        "model probability": [c.model for c in record.candidates],
        "final probability": [c.final for c in record.candidates],
        "cut by": [c.cut_by or "" for c in record.candidates],
        "probability when cut": [c.entering if c.cut_by else "" for c in record.candidates],
    }
    if record.pinned_label is not None:
        table["pinned run's probability"] = [c.pinned for c in record.candidates]
    return table
