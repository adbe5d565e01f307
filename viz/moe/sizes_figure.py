"""Figures of parameters: total and active, memory and work, and the calculator."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.sizes import (
    CalculatorRecord,
    SizeRow,
    SizesRecord,
    calculator_title,
    kind_of,
    sizes_sentence,
)
from viz.panels import (
    QUIET,
    SILENT,
    Json,
    Look,
    bars,
    drawn,
    figure,
    hover,
    ink,
    log_axis,
    note,
    rows,
    scatter,
)

FUNCTION = "expert_sizes.js#update"
BYTES = 2  # a parameter in bfloat16
_NAMES_LEFT = 0.5  # decades from the least work of a published model to their names
_LONGEST = 20  # letters of a published model's name
_LETTER = 6.2  # pixels of a letter of 11, on average
_MULTIPLIED = ("total", "active", "multiplications")


def sizes_figure(record: SizesRecord) -> Drawn:
    """A bar from active to total for every model, on a logarithmic axis."""
    return drawn(
        _sizes,
        record,
        alt="Total and active parameters. " + " ".join(sizes_sentence(row) for row in record.rows),
        stem="expert-sizes",
        table={
            "model": [row.name for row in record.rows],
            "experts": [row.n_experts for row in record.rows],
            "for a token": [row.k for row in record.rows],
            "total parameters": [row.total for row in record.rows],
            "active parameters": [row.active for row in record.rows],
            "multiplications for a token": [row.work for row in record.rows],
        },
    )


def _sizes(record: SizesRecord, look: Look) -> go.Figure:
    models, at = record.rows, list(range(len(record.rows)))
    low, high = min(model.active for model in models), max(model.total for model in models)
    told = (record.own or models)[0]
    return figure(
        [*map(_between, at, models), _ends(record, "active", "circle"), _ends(record, "total", "square")],
        xaxis={
            "title": {"text": "parameters"},
            **log_axis(low, high, style.in_words, below=0.25, above=0.3, step=look.pick(1, 2)),
        },
        yaxis={"range": [len(at) - 0.4, -0.75], **QUIET},
        height=70 + 46 * len(at),
        showlegend=False,
        title=look.title(
            f"● active, ■ total: {_name(told, look.pick(40, 18))} uses {style.share(told.active_share)}",
            phone_size=12,
        ),
        annotations=[_words(row, model, look) for row, model in zip(at, models, strict=True)],
        margin={"t": 40},
    )


def _name(model: SizeRow, most: int) -> str:
    return style.inert(style.shorten(style.prose(model.name), most))


def _between(row: int, model: SizeRow) -> Json:
    line = {"width": 6, "color": style.LIGHT.accent if model.own else style.LIGHT.line}
    ends = [model.active, model.total]
    return scatter("between", ends, [row, row], "lines", line=line, opacity=0.5, **SILENT)


def _ends(record: SizesRecord, name: str, symbol: str) -> Json:
    values = [getattr(model, name) for model in record.rows]
    colors = [style.LIGHT.accent if model.own else style.LIGHT.muted for model in record.rows]
    said = [
        f"{style.inert(style.prose(model.name))}: {value:,} parameters {name}<extra></extra>"
        for model, value in zip(record.rows, values, strict=True)
    ]
    marker = {"symbol": symbol, "size": 11, "color": colors}
    return scatter(name, values, range(len(values)), marker=marker, hovertemplate=said)


def _words(row: int, model: SizeRow, look: Look) -> Json:
    """Name and numbers above the bar, at the left edge."""
    name = _name(model, look.pick(40, 22))
    words = f"<b>{name}</b>" if model.own else name
    kind = look.pick(f" · {kind_of(model)}", "")
    numbers = f"{style.in_words(model.active)} of {style.in_words(model.total)}"
    said = f"{words}{kind} · {numbers}"
    return note(said, 0, row, "left bottom", within="x", yshift=8, font=ink(look.pick(12, 11)))


def memory_figure(record: SizesRecord) -> Drawn:
    """Bytes to keep against multiplications for a token; dense models lie on the line."""
    said = [
        f"{row.name}: {style.in_bytes(BYTES * row.total)}, {style.in_words(row.work)} multiplications."
        for row in record.rows
    ]
    return drawn(
        _memory,
        record,
        alt=f"Memory against work for a token. {' '.join(said)}",
        stem="memory-against-work",
        table={
            "model": [row.name for row in record.rows],
            "bytes in bfloat16": [BYTES * row.total for row in record.rows],
            "multiplications for a token": [row.work for row in record.rows],
        },
    )


def _memory(record: SizesRecord, look: Look) -> go.Figure:
    works = [row.work for row in record.rows]
    ends = [min(works) / 3, max(works) * 3]
    low, high = BYTES * min(row.active for row in record.rows), BYTES * max(row.total for row in record.rows)
    dashed = {"color": style.LIGHT.line, "dash": "dash", "width": 1.5}
    dense = scatter("dense", ends, [BYTES * end for end in ends], "lines", line=dashed, **SILENT)
    published = {"size": 10, "symbol": "circle", "color": style.LIGHT.muted}
    loaded = {"size": 12, "symbol": "diamond", "color": style.LIGHT.accent}
    return figure(
        [
            dense,
            _models("published", [row for row in record.rows if not row.own], published),
            _models("loaded", [row for row in record.rows if row.own], loaded),
        ],
        xaxis={
            "title": {"text": "multiplications for a token"},
            **log_axis(ends[0], ends[1], style.in_words, below=_room_of_names(record, ends, look)),
        },
        yaxis={
            "title": {"text": "memory in bfloat16"},
            **log_axis(low, high, style.in_bytes, below=0.4, above=0.4),
        },
        height=look.pick(70 + 46 * max(len(record.rows), 8), 380),
        showlegend=False,
        title=look.title("Experts: memory without work", phone_size=12),
        annotations=_memory_names(record, ends, look),
        margin={"t": 40},
    )


def _models(name: str, models: list[SizeRow], marker: Json) -> Json:
    said = [
        f"{style.inert(style.prose(row.name))}<br>{style.in_bytes(BYTES * row.total)} in bfloat16<br>"
        f"{row.work:,} multiplications for a token<extra></extra>"
        for row in models
    ]
    memory = [BYTES * row.total for row in models]
    return scatter(name, [row.work for row in models], memory, marker=marker, hovertemplate=said)


def _memory_names(record: SizesRecord, ends: list[float], look: Look) -> list[Json]:
    """Loaded models are named beside their marks, published ones in a column, joined by thin lines."""
    at = (math.log10(ends[0]) + math.log10(ends[1])) / 2
    words = look.pick("dense: every parameter works", "dense")
    notes = [
        note(words, at, at + math.log10(BYTES), "left top", xshift=6, font={"size": 11}),
        *(_beside(row, f"<b>{_name(row, look.pick(26, 14))}</b>") for row in record.own),
    ]
    published = [row for row in record.rows if not row.own]
    if not published:
        return notes
    column = _column(published)
    span = math.log10(record.rows[-1].total) - math.log10(min(row.active for row in record.rows)) + 0.8
    marks = [math.log10(BYTES * row.total) for row in published]
    heights = _apart(marks, span * look.pick(0.055, 0.06))
    joined = {"axref": "x", "ayref": "y", "showarrow": True, "arrowhead": 0, "arrowwidth": 0.8, "standoff": 6}
    for row, height in zip(published, heights, strict=True):
        more = {"xanchor": "right", "xshift": None, "ax": column, "ay": height, **joined}
        notes.append(_beside(row, _name(row, _LONGEST), arrowcolor=style.LIGHT.line, **more))
    return notes


def _column(published: list[SizeRow]) -> float:
    """Where the names of the published models end, on the logarithmic axis."""
    return math.log10(min(row.work for row in published)) - _NAMES_LEFT


def _room_of_names(record: SizesRecord, ends: list[float], look: Look) -> float:
    """Decades to the left of the axis' least end, so that the longest name in the column has its pixels."""
    published = [row for row in record.rows if not row.own]
    if not published:
        return 0
    letters = max(min(len(row.name), _LONGEST) for row in published)
    part = min(_LETTER * letters / look.pick(300, 260), 0.5)  # of the axis, where the figure is narrowest
    column, last = _column(published), math.log10(ends[1])
    return max(0.0, math.log10(ends[0]) - column + part / (1 - part) * (last - column))


def _beside(row: SizeRow, words: str, **more: Any) -> Json:
    x, y = math.log10(row.work), math.log10(BYTES * row.total)
    return note(words, x, y, **{"xanchor": "left", "xshift": 10, "font": ink(11), **more})


def _apart(heights: list[float], least: float) -> list[float]:
    """Ascending heights moved apart, around the middle of where they were."""
    moved = list(heights)
    for at in range(1, len(moved)):
        moved[at] = max(moved[at], moved[at - 1] + least)
    crowd = [i for i in range(len(moved)) if moved[i] - heights[i] > 1e-9]
    if not crowd:
        return moved
    down = (moved[crowd[-1]] - heights[crowd[-1]]) / 2
    return [height - down if i <= crowd[-1] else height for i, height in enumerate(moved)]


# The calculator


def calculator_figure(record: CalculatorRecord, browser_data: dict[str, object]) -> Drawn:
    """Now and with the calculator's experts: total, active, multiplications.

    Args:
        browser_data: the numbers of `expert_sizes.Calculator`.
    """
    moving = calculator_layout(record)
    names = ["total<br>parameters", "active<br>parameters", "multiplications<br>for a token"]
    ends = {"range": moving.pop("xaxis.range"), "exponentformat": "B", "nticks": 6}
    now = {"total": record.now.total, "active": record.now.active, "work": record.now.work}
    return Drawn(
        figure(
            calculator_traces(record),
            xaxis={"title": {"text": "how many"}, **ends},
            yaxis=rows(names, tickfont=ink(12)),
            height=300,
            bargap=0.25,
            margin={"t": 64},
            legend={"traceorder": "normal"},
            **moving,
        ),
        f"Calculator: {record.name} with other experts. {calculator_title(record)}. Total "
        f"{style.in_words(record.total)}, active {style.in_words(record.active)}, multiplications for a "
        f"token {style.in_words(record.work)}.",
        "expert-calculator",
        {
            "quantity": list(_MULTIPLIED),
            "now": list(now.values()),
            "with these experts": [record.total, record.active, record.work],
        },
        narrow_layout={"title.font.size": 12},
        browser=FUNCTION,
        browser_data={**browser_data, "now": now},
    )


def calculator_traces(record: CalculatorRecord) -> list[Json]:
    """Two bars a quantity; assets/js/expert_sizes.js makes the same (a test compares)."""
    now = [record.now.total, record.now.active, record.now.work]
    then = [record.total, record.active, record.work]
    return [
        _bars("the model as it is", now, style.LIGHT.line),
        _bars("with these experts", then, style.LIGHT.accent),
    ]


def _bars(name: str, values: list[int], color: str) -> Json:
    words = [style.in_words(value) for value in values]
    return bars(name, values, words, 12, marker={"color": color}, **hover([f"{value:,}" for value in values]))


def calculator_layout(record: CalculatorRecord) -> Json:
    """What moves besides the bars."""
    largest = max(record.total, record.now.total, record.work, record.now.work)
    return {"title": {"text": calculator_title(record)}, "xaxis.range": [0, 1.2 * largest]}
