"""Figures of parameters: total and active, memory and work, and the calculator."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.attention.key_groups import in_bytes
from viz.drawn import Drawn
from viz.moe.sizes import (
    CalculatorRecord,
    SizeRow,
    SizesRecord,
    calculator_title,
    in_parameters,
    kind_of,
    sizes_sentence,
)

FUNCTION = "expert_sizes.js#update"
BYTES = 2  # a parameter in bfloat16
_MULTIPLIED = ("total", "active", "multiplications")


def sizes_figure(record: SizesRecord) -> Drawn:
    """A bar from active to total for every model, on a logarithmic axis."""
    return Drawn(
        figure=_sizes(record, narrow=False),
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
        narrow_figure=_sizes(record, narrow=True),
    )


def _sizes(record: SizesRecord, narrow: bool) -> go.Figure:
    figure = go.Figure()
    rows = list(range(len(record.rows)))
    for row, model in enumerate(record.rows):
        figure.add_scatter(
            name="between",
            x=[model.active, model.total],
            y=[row, row],
            mode="lines",
            line={"width": 6, "color": style.LIGHT.accent if model.own else style.LIGHT.line},
            opacity=0.5,
            hoverinfo="skip",
        )
    for name, symbol in (("active", "circle"), ("total", "square")):
        figure.add_scatter(
            name=name,
            x=[getattr(model, name) for model in record.rows],
            y=rows,
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 11,
                "color": [style.LIGHT.accent if model.own else style.LIGHT.muted for model in record.rows],
            },
            hovertemplate=[
                f"{style.inert(style.prose(model.name))}: {getattr(model, name):,} parameters {name}"
                "<extra></extra>"
                for model in record.rows
            ],
        )
    low, high = min(row.active for row in record.rows), max(row.total for row in record.rows)
    figure.update_xaxes(
        type="log", title={"text": "parameters"}, fixedrange=True, **_log_ticks(low, high, 2 if narrow else 1)
    )
    figure.update_xaxes(range=[math.log10(low) - 0.25, math.log10(high) + 0.3])
    figure.update_yaxes(
        range=[len(rows) - 0.4, -0.75],
        showticklabels=False,
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=70 + 46 * len(rows),
        showlegend=False,
        title={"text": _sizes_title(record, narrow), "font": {"size": 12 if narrow else 16}},
        annotations=[_words(row, model, narrow) for row, model in enumerate(record.rows)],
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
    )
    return figure


def _sizes_title(record: SizesRecord, narrow: bool) -> str:
    told = (record.own or record.rows)[0]
    name = style.inert(style.shorten(style.prose(told.name), 18 if narrow else 40))
    return f"● active, ■ total: {name} uses {style.share(told.active_share)}"


def _words(row: int, model: SizeRow, narrow: bool) -> dict[str, Any]:
    """Name and numbers above the bar, at the left edge."""
    name = style.inert(style.shorten(style.prose(model.name), 22 if narrow else 40))
    words = f"<b>{name}</b>" if model.own else name
    if not narrow:
        words += f" · {kind_of(model)}"
    numbers = f"{in_parameters(model.active)} of {in_parameters(model.total)}"
    return {
        "text": f"{words} · {numbers}",
        "x": 0,
        "xref": "paper",
        "y": row,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 8,
        "font": {"size": 11 if narrow else 12, "color": style.LIGHT.ink},
    }


def _log_ticks(low: float, high: float, step: int = 1) -> dict[str, Any]:
    tens = [10.0**i for i in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1, step)]
    return {"tickvals": tens, "ticktext": [in_parameters(ten) for ten in tens]}


def memory_figure(record: SizesRecord) -> Drawn:
    """Bytes to keep against multiplications for a token; dense models lie on the line."""
    return Drawn(
        figure=_memory(record, narrow=False),
        alt="Memory against work for a token. "
        + " ".join(
            f"{row.name}: {in_bytes(BYTES * row.total)}, {in_parameters(row.work)} multiplications."
            for row in record.rows
        ),
        stem="memory-against-work",
        table={
            "model": [row.name for row in record.rows],
            "bytes in bfloat16": [BYTES * row.total for row in record.rows],
            "multiplications for a token": [row.work for row in record.rows],
        },
        narrow_figure=_memory(record, narrow=True),
    )


def _memory(record: SizesRecord, narrow: bool) -> go.Figure:
    figure = go.Figure()
    works = [row.work for row in record.rows]
    ends = [min(works) / 3, max(works) * 3]
    figure.add_scatter(
        name="dense",
        x=ends,
        y=[BYTES * end for end in ends],
        mode="lines",
        line={"color": style.LIGHT.line, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )
    for own in (False, True):
        models = [row for row in record.rows if row.own == own]
        figure.add_scatter(
            name="loaded" if own else "published",
            x=[row.work for row in models],
            y=[BYTES * row.total for row in models],
            mode="markers",
            marker={
                "size": 12 if own else 10,
                "symbol": "diamond" if own else "circle",
                "color": style.LIGHT.accent if own else style.LIGHT.muted,
            },
            hovertemplate=[
                f"{style.inert(style.prose(row.name))}<br>{in_bytes(BYTES * row.total)} in bfloat16<br>"
                f"{row.work:,} multiplications for a token<extra></extra>"
                for row in models
            ],
        )
    low, high = BYTES * min(row.active for row in record.rows), BYTES * max(row.total for row in record.rows)
    figure.update_xaxes(
        type="log",
        title={"text": "multiplications for a token"},
        range=[math.log10(ends[0]), math.log10(ends[1])],
        fixedrange=True,
        **_log_ticks(ends[0], ends[1]),
    )
    tens = [10.0**i for i in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    figure.update_yaxes(
        type="log",
        title={"text": "memory in bfloat16"},
        range=[math.log10(low) - 0.4, math.log10(high) + 0.4],
        tickvals=tens,
        ticktext=[in_bytes(ten) for ten in tens],
        fixedrange=True,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=380 if narrow else 70 + 46 * max(len(record.rows), 8),
        showlegend=False,
        title={"text": "Experts: memory without work", "font": {"size": 12 if narrow else 16}},
        annotations=_memory_names(record, ends, narrow),
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
    )
    return figure


def _memory_names(record: SizesRecord, ends: list[float], narrow: bool) -> list[dict[str, Any]]:
    """Loaded models are named beside their marks, published ones in a column, joined by thin lines."""
    published = [row for row in record.rows if not row.own]
    notes = [_name(row, None, narrow) for row in record.rows if row.own]
    if published:
        column = math.log10(min(row.work for row in published)) - 0.5
        span = math.log10(record.rows[-1].total) - math.log10(min(row.active for row in record.rows)) + 0.8
        at_marks = [math.log10(BYTES * row.total) for row in published]
        heights = _apart(at_marks, span * (0.06 if narrow else 0.055))
        notes += [
            _name(row, (column, height), narrow) for row, height in zip(published, heights, strict=True)
        ]
    at = (math.log10(ends[0]) + math.log10(ends[1])) / 2
    notes.append(
        {
            "x": at,
            "y": at + math.log10(BYTES),
            "text": "dense" if narrow else "dense: every parameter works",
            "xanchor": "left",
            "yanchor": "top",
            "xshift": 6,
            "font": {"size": 11, "color": style.LIGHT.muted},
        }
    )
    return notes


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


def _name(row: SizeRow, place: tuple[float, float] | None, narrow: bool) -> dict[str, Any]:
    name = style.inert(style.shorten(style.prose(row.name), 14 if narrow else 26))
    x, y = math.log10(row.work), math.log10(BYTES * row.total)
    note = {"x": x, "y": y, "text": name, "font": {"size": 11, "color": style.LIGHT.ink}}
    if place is None:
        return note | {"text": f"<b>{name}</b>", "xanchor": "left", "xshift": 10}
    return note | {
        "ax": place[0],
        "ay": place[1],
        "axref": "x",
        "ayref": "y",
        "xanchor": "right",
        "showarrow": True,
        "arrowhead": 0,
        "arrowwidth": 0.8,
        "arrowcolor": style.LIGHT.line,
        "standoff": 6,
    }


# The calculator


def calculator_figure(record: CalculatorRecord, browser_data: dict[str, object]) -> Drawn:
    """Now and with the calculator's experts: total, active, multiplications.

    Args:
        browser_data: the numbers of `expert_sizes.Calculator`.
    """
    figure = go.Figure()
    for trace in calculator_traces(record):
        figure.add_trace(trace)
    moving = calculator_layout(record)
    figure.update_xaxes(
        title={"text": "how many"},
        range=moving.pop("xaxis.range"),
        exponentformat="B",
        nticks=6,
        fixedrange=True,
    )
    figure.update_yaxes(
        range=[2.5, -0.5],
        tickvals=[0, 1, 2],
        ticktext=["total<br>parameters", "active<br>parameters", "multiplications<br>for a token"],
        tickfont={"size": 12, "color": style.LIGHT.ink},
        showgrid=False,
        fixedrange=True,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=300,
        bargap=0.25,
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
        legend={"traceorder": "normal"},
        **moving,
    )
    drawn = Drawn(
        figure,
        f"Calculator: {record.name} with other experts. {calculator_title(record)}. Total "
        f"{in_parameters(record.total)}, active {in_parameters(record.active)}, multiplications for a token "
        f"{in_parameters(record.work)}.",
        "expert-calculator",
        {
            "quantity": list(_MULTIPLIED),
            "now": [record.now.total, record.now.active, record.now.work],
            "with these experts": [record.total, record.active, record.work],
        },
        narrow_layout={"title.font.size": 12},
    )
    now = {"total": record.now.total, "active": record.now.active, "work": record.now.work}
    return replace(drawn, browser=FUNCTION, browser_data={**browser_data, "now": now})


def calculator_traces(record: CalculatorRecord) -> list[dict[str, Any]]:
    """Two bars a quantity; assets/js/expert_sizes.js makes the same (a test compares)."""
    now = [record.now.total, record.now.active, record.now.work]
    then = [record.total, record.active, record.work]
    return [
        _bars("the model as it is", now, style.LIGHT.line),
        _bars("with these experts", then, style.LIGHT.accent),
    ]


def _bars(name: str, values: list[int], color: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "orientation": "h",
        "x": values,
        "y": [0, 1, 2],
        "marker": {"color": color},
        "text": [in_parameters(value) for value in values],
        "textposition": "outside",
        "textfont": {"size": 12, "color": style.LIGHT.ink},
        "cliponaxis": False,
        "hovertext": [f"{value:,}" for value in values],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def calculator_layout(record: CalculatorRecord) -> dict[str, Any]:
    """What moves besides the bars."""
    largest = max(record.total, record.now.total, record.work, record.now.work)
    return {"title": {"text": calculator_title(record)}, "xaxis.range": [0, 1.2 * largest]}
