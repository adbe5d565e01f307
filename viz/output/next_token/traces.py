"""The traces of the next-token picture, filled from its record.

They stand in the fixed order of `TRACES`; `assets/js/next_token.js` fills the same traces with the numbers of
the moment while a slider is dragged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from viz.output.next_token.record import AXIS_ROOM, NARROW_ROOM, Candidate, NextTokenRecord, StepRow
from viz.palette import NEGATIVE, POSITIVE
from viz.panels import SILENT, Json, on
from viz.style import CATEGORIES, CUT, LIGHT, MONO, PROBABILITY_SCALE
from viz.text import inert, share, three_digits

TRACES = (
    "hits",  # candidates: one invisible bar a row, to hover and click; arrow keys reach it first
    "segments",  # pipeline: candidates that are left
    "other segments",  # pipeline: the rest of the vocabulary, what is left of it
    "cut segments",  # pipeline: what the step cuts
    "numbers",  # pipeline: the columns at the right
    "final",  # candidates: what is drawn from
    "cut",  # candidates: cut ones, as long as they were when they were cut
    "model",  # candidates: the model's own probability, a stroke in front; at the edge where it lies beyond
    "shares",  # candidates: words at the end of the bars, in the colour of the bar they belong to
)
PAIRED_TRACES = (
    "pinned",  # candidates: the pinned run
    "difference",  # candidates: this run less the pinned one
    "points",  # candidates: the difference in words, on the free side of 0
)

STRIP_END = 0.45  # where the pipeline's bars end and its numbers begin
LEGEND_PLACES = (0.0, 0.42, 0.84, 1.2)  # on the pipeline's axis; room for 11 px letters on a phone
THIN, THICK = 0.22, 0.84  # height of a pipeline bar, in rows: the step is off, the step works
COLUMNS = ("left", "cut", "nats", "≈ choices")
# Relative; the third is wide enough that its words, cut off on a phone, do not reach back into sight.
COLUMN_WIDTHS = (1.4, 1.5, 1.7, 1.4)
_LEAST = 0.001
LABEL_ROOM = (0.03, 0.05)  # a segment carries its label where it is this wide, and this much a character

STROKE, BEYOND = "line-ns", "triangle-right"  # the model's probability, on the axis and beyond it
EDGE = 0.985  # of the whole axis: the place of what lies beyond
# Title of the probability axis, without and with such a stroke.
AXIS_WORDS = ("probability of being the next token", "probability; ▸ the model's is beyond")

Lists = dict[str, list[object]]


def traces_of(record: NextTokenRecord) -> list[Json]:
    """All traces, named, the pinned run's only where there is one."""
    traces, names = _traces(record), list(TRACES)
    if record.pinned_label is not None:
        traces, names = [*traces, *_paired_traces(record)], [*TRACES, *PAIRED_TRACES]
    return [{**trace, "name": name, "showlegend": False} for name, trace in zip(names, traces, strict=True)]


def _bar(place: Json, lists: Lists, marker: str | Json, **more: Any) -> Json:
    look = {"color": marker} if isinstance(marker, str) else marker
    return {"type": "bar", "orientation": "h", **place, **lists, "marker": look, **more}


def _traces(record: NextTokenRecord) -> list[Json]:
    strip: Json = {**on(0), "hovertemplate": "%{hovertext}<extra></extra>"}
    rows: Json = {**on(1), **SILENT}
    parted = {"line": {"color": LIGHT.background, "width": 1}}
    paired = record.pinned_label is not None
    # Beside a pinned run each row has two bars: this run above, the pinned one below.
    height, offset = (0.38, -0.42) if paired else (0.72, -0.36)
    own: Json = {"width": height, "offset": offset}
    shares, stroke = _shares(record), {"color": LIGHT.ink, "width": 1.8}
    return [
        _bar({**strip, **on(1)}, _hits(record), "rgba(0,0,0,0)", width=1, offset=-0.5),
        _bar(strip, _segments(record, cut=False, others=False), {"color": LIGHT.accent, **parted}),
        _bar(strip, _segments(record, cut=False, others=True), {"color": PROBABILITY_SCALE[1][1], **parted}),
        _bar(strip, _segments(record, cut=True, others=None), {**CUT, **parted}),
        _numbers_trace(record),
        _bar(rows, _row_bars(record, "final"), LIGHT.accent, **own),
        _bar(rows, _row_bars(record, "cut"), CUT, **own),
        {
            "type": "scatter",
            "mode": "markers",
            **rows,
            **_marks(record, paired),
            "marker": {
                "symbol": [BEYOND if is_beyond(c, record.axis_end) else STROKE for c in record.candidates],
                "size": 5 if paired else 11,
                "color": LIGHT.ink,
                "line": stroke,
            },
        },
        {
            "type": "scatter",
            "mode": "text",
            **rows,
            "textposition": "middle right",
            "textfont": {"family": MONO, "size": 12, "color": shares.pop("color")},
            "cliponaxis": False,
            **shares,
        },
    ]


def _paired_traces(record: NextTokenRecord) -> list[Json]:
    """The pinned run's bar under each row's own, and the difference beside them."""
    rows, beside = {**on(1), **SILENT}, {"xaxis": "x3", "yaxis": "y2", **SILENT}
    differences = _differences(record)
    colors = {"color": differences.pop("color")}
    return [
        _bar(rows, _row_bars(record, "pinned"), CATEGORIES[1], width=0.38, offset=0.04),
        _bar(beside, differences, colors, width=0.5, offset=-0.25),
        {
            "type": "scatter",
            "mode": "text",
            **beside,
            **_points(record),
            "textfont": {"family": MONO, "size": 12},
        },
    ]


def _numbers_trace(record: NextTokenRecord) -> Json:
    lists = _numbers(record)
    # At 11 two columns fit beside the bars of a phone.
    font = {"family": MONO, "size": 11, "color": lists.pop("color")}
    return {"type": "scatter", "mode": "text", **on(0), **lists, "textfont": font, **SILENT}


def _segments(record: NextTokenRecord, cut: bool, others: bool | None) -> Lists:
    """The stretches of all pipeline bars of one kind; `others` None: of candidates and of the rest."""
    lists: Lists = {key: [] for key in ("y", "base", "x", "width", "hovertext")}
    for y, row in enumerate(record.steps):
        for segment in row.segments:
            if segment.cut is cut and others in (None, segment.token_id is None):
                lists["y"].append(y)
                lists["base"].append(segment.start)
                lists["x"].append(segment.width)
                lists["width"].append(THICK if row.active else THIN)
                fate = f" · cut by {inert(row.setting)}" if cut else ""
                words = f"{inert(row.setting)}: {segment.label} {share(segment.width)}{fate}"
                lists["hovertext"].append(words)
    return lists


def _numbers(record: NextTokenRecord) -> Lists:
    """All words on the pipeline's axes: headings, legend, labels of the segments, columns at the right.

    They are points of one trace because annotations and the texts of bars are measured at each redrawing,
    which costs a third of its time.
    """
    lists: Lists = {"x": [], "y": [], "text": [], "textposition": [], "color": []}
    for words in resting_words(record):
        for key, value in zip(lists, words, strict=True):
            lists[key].append(value)
    for y, row in enumerate(record.steps):
        points = [
            (x, y, text, "middle left", LIGHT.ink)
            for x, text in zip(column_edges(), step_numbers(row), strict=True)
        ]
        for words in [*points, *_segment_labels(row, y)]:
            for key, value in zip(lists, words, strict=True):
                lists[key].append(value)
    return lists


def _segment_labels(row: StepRow, y: int) -> list[tuple[float, int, str, str, str]]:
    """Labels in the middle of the segments that have room for them."""
    room, character = LABEL_ROOM
    return [
        (
            segment.start + segment.width / 2,
            y,
            segment.label,
            "middle center",
            LIGHT.ink if segment.cut or segment.token_id is None else LIGHT.background,
        )
        for segment in row.segments
        if row.active and segment.width >= room + character * len(segment.label)
    ]


def resting_words(record: NextTokenRecord) -> list[tuple[float, int, str, str, str]]:
    """Headings above and legend below the pipeline: x, y, text, position, colour. No slider changes them."""
    headings = [(0.0, -1, "the whole vocabulary", "middle right", LIGHT.muted)]
    headings += [
        (edge, -1, text, "middle left", LIGHT.muted)
        for edge, text in zip(column_edges(), COLUMNS, strict=True)
    ]
    legend = [("■ drawn", LIGHT.accent), ("┃ model", LIGHT.ink), ("▨ cut", LIGHT.muted)]
    if record.pinned_label is not None:
        legend.append(("■ pinned", CATEGORIES[1]))
    places = zip(LEGEND_PLACES, legend, strict=False)
    return headings + [(x, len(record.steps), text, "middle right", color) for x, (text, color) in places]


def step_numbers(row: StepRow) -> tuple[str, str, str, str]:
    """What a pipeline row says at its right; a step that is off says nothing."""
    if not row.active:
        return ("", "", "", "")
    return (
        f"{row.n_kept:,}",
        at_least(row.cut_mass, share, "0.1\xa0%") if row.cut_mass > 0 else "",
        at_least(row.entropy, three_digits, "0.001"),
        three_digits(row.effective_choices),
    )


def at_least(value: float, words: Callable[[float], str], thousandth: str) -> str:
    """A number as wide as its column: below a thousandth it says no more. (The hover has it in full.)

    >>> at_least(0.0213, three_digits, "0.001"), at_least(1e-9, share, "0.1 %")
    ('0.0213', '< 0.1 %')
    """
    return f"< {thousandth}" if 0 < value < _LEAST else words(value)


def column_edges() -> list[float]:
    """Right edge of each number column on the pipeline's axis, where the bars end at 1."""
    room, total = 1 / STRIP_END - 1, sum(COLUMN_WIDTHS)
    return [1 + room * sum(COLUMN_WIDTHS[: column + 1]) / total for column in range(len(COLUMN_WIDTHS))]


def _row_bars(record: NextTokenRecord, which: str) -> Lists:
    values = {
        "final": [candidate.final for candidate in record.candidates],
        "cut": [candidate.entering if candidate.cut_by else 0.0 for candidate in record.candidates],
        "pinned": [_number(candidate.pinned) for candidate in record.candidates],
    }
    return {"x": list(values[which]), "y": list(range(len(record.candidates)))}


def _marks(record: NextTokenRecord, paired: bool) -> Lists:
    whole = AXIS_ROOM * record.axis_end
    return {
        "x": [
            EDGE * whole if is_beyond(candidate, record.axis_end) else candidate.model
            for candidate in record.candidates
        ],
        "y": _middles(record, paired),
    }


def axis_words(record: NextTokenRecord) -> str:
    """The title of the probability axis."""
    return AXIS_WORDS[any(is_beyond(candidate, record.axis_end) for candidate in record.candidates)]


def is_beyond(candidate: Candidate, axis_end: float) -> bool:
    """Whether the model's own probability lies beyond the axis."""
    return candidate.model > AXIS_ROOM * axis_end


def _middles(record: NextTokenRecord, paired: bool) -> list[object]:
    """The middle of each row's own bars: above the pinned one where there is one."""
    return [row - 0.23 if paired else row for row in range(len(record.candidates))]


def _shares(record: NextTokenRecord) -> Lists:
    return {
        "x": [*(candidate.words_at(record.axis_end) for candidate in record.candidates), 0.0],
        "y": [*_middles(record, record.pinned_label is not None), len(record.candidates)],
        "text": [
            *(row_words(candidate, record.selected) for candidate in record.candidates),
            f" {rest_line(record)}",
        ],
        "color": [*(LIGHT.muted if c.cut_by else LIGHT.accent for c in record.candidates), LIGHT.ink],
    }


def row_words(candidate: Candidate, selected: int) -> str:
    """What stands at the end of a row's bars; a swatch tells the bar's number from the model's stroke."""
    drawn = share(candidate.final) if candidate.final >= candidate.model else f"■ {share(candidate.final)}"
    words = f"cut by {candidate.cut_by}" if candidate.cut_by else drawn
    return f" <b>{words}</b>" if candidate.token_id == selected else f" {words}"


def _hits(record: NextTokenRecord) -> Lists:
    return {
        # As far as a phone's axis goes: its words are to be touched, too.
        "x": [record.axis_end * NARROW_ROOM] * len(record.candidates),
        "y": list(range(len(record.candidates))),
        "customdata": [[candidate.token_id] for candidate in record.candidates],
        "hovertext": [hover_words(candidate) for candidate in record.candidates],
    }


def hover_words(candidate: Candidate) -> str:
    """All that is known of one candidate."""
    lines = [
        f"<b>{candidate.label}</b>, id {candidate.token_id}, number {candidate.rank:,} in the model",
        f"model's probability {exact(candidate.model)}",
        f"cut by {candidate.cut_by}, when it had {exact(candidate.entering)}"
        if candidate.cut_by
        else f"drawn with {exact(candidate.final)}",
    ]
    if candidate.pinned is not None:
        pinned = exact(candidate.pinned) if candidate.pinned == candidate.pinned else "no such token"
        lines.append(f"pinned run {pinned}")
    return "<br>".join(lines)


def exact(probability: float) -> str:
    """A probability for a hover: four decimals of a percent.

    >>> exact(0.33812345), exact(0.00001)
    ('33.8123\xa0%', '1.00 × 10⁻⁵')
    """
    return f"{100 * probability:.4f}\xa0%" if probability >= 0.001 else share(probability)


def _differences(record: NextTokenRecord) -> Lists:
    values = [difference(candidate) for candidate in record.candidates]
    return {
        "x": list(values),
        "y": list(range(len(values))),
        "color": [POSITIVE if value is not None and value > 0 else NEGATIVE for value in values],
    }


def _points(record: NextTokenRecord) -> Lists:
    values = [difference(candidate) for candidate in record.candidates]
    return {
        "x": [0] * len(values),
        "y": list(range(len(values))),
        "text": [f" {points(value)} " if value is not None else "" for value in values],
        "textposition": [
            "middle left" if value is not None and value > 0 else "middle right" for value in values
        ],
    }


def difference(candidate: Candidate) -> float | None:
    """This run's final probability less the pinned run's, in percentage points; None: nothing to compare."""
    if candidate.pinned is None or candidate.pinned != candidate.pinned:
        return None
    return 100 * (candidate.final - candidate.pinned)


def points(value: float) -> str:
    """A difference in percentage points, with its sign and at most two decimals.

    >>> points(3.1234), points(-50.0), points(-0.0001)
    ('+3.12', '−50.00', '0.00')
    """
    if abs(value) < 0.005:
        return "0.00"
    return f"{value:+.2f}".replace("-", "−")


def _number(value: float | None) -> float:
    return 0.0 if value is None or value != value else value


def rest_line(record: NextTokenRecord) -> str:
    """The last row of the candidates' panel: everything that has no row of its own."""
    return f"{share(record.rest.model)} → now {share(record.rest.final)}"
