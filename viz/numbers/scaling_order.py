"""Attention's three orders of operations: how large the product becomes, against where fp16 ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

ORDER_TITLES = {"after": "(q kᵀ) / √d", "key": "q (k / √d)ᵀ", "query": "(q / √d) kᵀ"}
LARGEST = {"fp16": 65_504.0, "bf16": 3.3895e38, "fp32": 3.4028e38}
_ROW = 66  # pixels


@dataclass(frozen=True)
class OrderRow:
    """One order in one format. Its product's largest |number|: `meant` in fp32, `largest` in the format."""

    order: str
    meant: float
    largest: float
    overflowed: int  # products that are no finite number
    up: int  # scores that are +infinity
    down: int  # -infinity
    nan: int
    n_cells: int
    broken_rows: int
    n_rows: int
    difference: float  # from fp32's pattern, in the rows that are whole

    @property
    def infinite(self) -> int:
        """Scores that are no finite number: fewer than the products where a soft cap bends them back."""
        return self.up + self.down + self.nan


@dataclass(frozen=True)
class OrderProducts:
    """The three rows in one format; the axis is the same at every gain."""

    rows: tuple[OrderRow, ...]
    number_format: str
    place: str  # "L24 H4"
    gain: float
    low: float
    high: float


def order_products_record(
    rows: Sequence[OrderRow], number_format: str, place: str, gain: float, gains: tuple[float, float]
) -> OrderProducts:
    """Rows -> what will be drawn. `gains`: the ends of the slider, which set the axis."""
    at_one = [row.meant / gain**2 for row in rows if row.meant > 0] or [1.0]
    low = min(at_one) * gains[0] ** 2
    high = max(max(at_one) * gains[1] ** 2, 4 * LARGEST["fp16"])
    return OrderProducts(tuple(rows), number_format, place, gain, low / 2, high * 2)


def products_title(record: OrderProducts) -> str:
    """The finding: which orders leave the format."""
    gain = gain_words(record.gain)
    fine = [row for row in record.rows if not row.overflowed]
    name = record.number_format
    if len(fine) == len(record.rows):
        return f"{record.place} at gain {gain}: every order stays within {name}"
    if not fine:
        return f"{record.place} at gain {gain}: every order overflows in {name}"
    lost = [ORDER_TITLES[row.order] for row in record.rows if row.overflowed]
    rest = (
        "dividing first does not"
        if len(lost) == 1 and lost[0] == ORDER_TITLES["after"]
        else "the rest does not"
    )
    overflow = f"{' and '.join(lost)} overflow{'s' * (len(lost) == 1)} in {name}"
    return f"{record.place} at gain {gain}: {overflow}; {rest}"


def gain_words(gain: float) -> str:
    return style.three_digits(gain)


def row_words(row: OrderRow) -> str:
    """What became of an order's scores, in words."""
    meant = style.three_digits(row.meant)
    if not row.overflowed:
        return f"hands on {style.three_digits(row.largest)}: every score is finite"
    if not row.infinite:
        return (
            f"should hand on {meant}: {row.overflowed} of {row.n_cells:,} are infinite; the soft cap hides it"
        )
    kinds = ((row.up, "+∞"), (row.down, "−∞"), (row.nan, "no number"))
    parts = [f"{count} {'is' if count == 1 else 'are'} {words}" for count, words in kinds if count]
    rows = f"{row.broken_rows} of {row.n_rows} rows {'is' if row.broken_rows == 1 else 'are'} NaN"
    lost = rows if row.broken_rows else "their keys vanish"
    return f"should hand on {meant}: of {row.n_cells:,} scores {' and '.join(parts)}; {lost}"


def order_products_figure(record: OrderProducts) -> Drawn:
    """A lollipop an order on one logarithmic axis, and the line where fp16 ends."""
    said = ". ".join(f"{ORDER_TITLES[row.order]} {row_words(row)}" for row in record.rows)
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Largest number in the product of queries and keys, for three orders of operations in "
        f"{record.number_format}, logarithmic; fp16 ends at 65,504. {products_title(record)}. {said}.",
        stem="order-of-operations",
        table={
            "order": [ORDER_TITLES[row.order] for row in record.rows],
            "largest in fp32": [row.meant for row in record.rows],
            f"largest in {record.number_format}": [row.largest for row in record.rows],
            "scores": [row.n_cells for row in record.rows],
            "products infinite": [row.overflowed for row in record.rows],
            "scores +infinity": [row.up for row in record.rows],
            "scores -infinity": [row.down for row in record.rows],
            "scores NaN": [row.nan for row in record.rows],
            "rows NaN": [row.broken_rows for row in record.rows],
            "largest difference from fp32": [row.difference for row in record.rows],
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: OrderProducts, narrow: bool) -> go.Figure:
    traces: list[go.Scatter] = []
    notes: list[dict[str, Any]] = []
    for place, row in enumerate(record.rows):
        broken = row.overflowed > 0
        color = style.LIGHT.warning if broken else style.LIGHT.accent
        traces.append(
            go.Scatter(
                name=ORDER_TITLES[row.order],
                x=[record.low, max(row.meant, record.low)],
                y=[place, place],
                mode="lines+markers",
                line={"color": color, "width": 3, "dash": "dot" if broken else "solid"},
                marker={"size": [0, 14], "symbol": "x" if broken else "circle", "color": color},
                hovertemplate=f"{ORDER_TITLES[row.order]}: {row_words(row)}<extra></extra>",
            )
        )
        words = row_words(row)
        notes.append(
            {
                "x": math.log10(record.low),
                "y": place - 0.24,
                "xanchor": "left",
                "yanchor": "bottom",
                "align": "left",
                "showarrow": False,
                "font": {"size": 12 if narrow else 14, "color": style.LIGHT.ink},
                "text": f"<b>{ORDER_TITLES[row.order]}</b>{'<br>' if narrow else ' '}{_split(words, narrow)}",
            }
        )
    shapes = [_beyond(record), _limit()]
    notes.append(_limit_note(record, narrow))
    title = products_title(record)
    ticks = [
        10.0**power
        for power in range(-12, 39, 2 if narrow else 1)
        if record.low <= 10.0**power <= record.high
    ]
    heading = style.narrow_title(title, ":", ";") if narrow else {"text": title}
    lines = 1 + str(heading["text"]).count("<br>")
    layout = {
        "template": style.TEMPLATE,
        "title": heading,
        "height": (114 + 18 * lines if narrow else 116) + (_ROW + 34 if narrow else _ROW) * len(record.rows),
        "showlegend": False,
        "shapes": shapes,
        "annotations": notes,
        "margin": {"l": 8, "r": 8, "t": 48 + 18 * lines if narrow else 64, "b": 8},
        "xaxis": {
            "type": "log",
            "range": [math.log10(record.low), math.log10(record.high)],
            "fixedrange": True,
            "title": {"text": "largest number that the product hands on"},
            "tickvals": ticks,
            "ticktext": [style.three_digits(tick) for tick in ticks],
        },
        "yaxis": {
            "range": [len(record.rows) - 0.6, -0.85],
            "fixedrange": True,
            "showticklabels": False,
            "showgrid": False,
        },
    }
    return go.Figure(traces, layout)


def _split(words: str, narrow: bool) -> str:
    """On a phone a line ends at each colon or semicolon."""
    return words.replace("; ", ";<br>").replace(": ", ":<br>") if narrow else words


def _beyond(record: OrderProducts) -> dict[str, Any]:
    fill = style.LIGHT.masked
    return {
        "type": "rect",
        "x0": LARGEST["fp16"],
        "x1": record.high,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "layer": "below",
        "fillcolor": fill,
        "line": {"width": 0},
    }


def _limit() -> dict[str, Any]:
    line = {"color": style.LIGHT.warning, "width": 2, "dash": "dash"}
    return {
        "type": "line",
        "x0": LARGEST["fp16"],
        "x1": LARGEST["fp16"],
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": line,
    }


def _limit_note(record: OrderProducts, narrow: bool) -> dict[str, Any]:
    words = "fp16 ends: 65,504" if record.number_format == "fp16" else "fp16 would end: 65,504"
    return {
        "x": math.log10(LARGEST["fp16"]),
        "y": 1,
        "yref": "paper",
        "xanchor": "right",
        "yanchor": "bottom",
        "text": words,
        "showarrow": False,
        "font": {"size": 12, "color": style.LIGHT.warning},
    }
