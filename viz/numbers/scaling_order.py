"""Attention's three orders of operations: how large the product becomes, against where fp16 ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import QUIET, Json, Look, box, drawn, figure, ink, line, note, scatter

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


def gain_axis(gains: Sequence[float]) -> Json:
    """An x axis of gains, named at powers of two."""
    ticks = [2.0**power for power in range(-4, 20) if gains[0] <= 2.0**power <= gains[-1]]
    ends = [math.log10(gains[0]), math.log10(gains[-1])]
    return {"type": "log", "range": ends, "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def gain_line(gain: float) -> Json:
    """The chosen gain, through all panels."""
    return line(x=gain, dash="dash", width=1.5, yref="paper")


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
    return drawn(
        _figure,
        record,
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
    )


def _figure(record: OrderProducts, look: Look) -> go.Figure:
    title = look.title(products_title(record), ":", ";")
    lines, n = 1 + title["text"].count("<br>"), len(record.rows)
    powers = [10.0**power for power in range(-12, 39, look.pick(1, 2))]
    ticks = [power for power in powers if record.low <= power <= record.high]
    return figure(
        [_lollipop(record.low, row, place) for place, row in enumerate(record.rows)],
        title=title,
        height=look.pick(116 + _ROW * n, 114 + 18 * lines + (_ROW + 34) * n),
        showlegend=False,
        shapes=[
            box(
                (LARGEST["fp16"], record.high),
                (0, 1),
                within="y",
                layer="below",
                fillcolor=style.LIGHT.masked,
                line={"width": 0},
            ),
            line(x=LARGEST["fp16"], color=style.LIGHT.warning, width=2, dash="dash"),
        ],
        annotations=[*_words(record, look), _limit_note(record.number_format)],
        margin={"t": look.pick(64, 48 + 18 * lines)},
        xaxis={
            "type": "log",
            "range": [math.log10(record.low), math.log10(record.high)],
            "title": {"text": "largest number that the product hands on"},
            "tickvals": ticks,
            "ticktext": [*map(style.three_digits, ticks)],
        },
        yaxis={"range": [n - 0.6, -0.85], **QUIET},
    )


def _lollipop(low: float, row: OrderRow, place: int) -> Json:
    color = style.LIGHT.warning if row.overflowed else style.LIGHT.accent
    return scatter(
        ORDER_TITLES[row.order],
        [low, max(row.meant, low)],
        [place, place],
        "lines+markers",
        line={"color": color, "width": 3, "dash": "dot" if row.overflowed else "solid"},
        marker={"size": [0, 14], "symbol": "x" if row.overflowed else "circle", "color": color},
        hovertemplate=f"{ORDER_TITLES[row.order]}: {row_words(row)}<extra></extra>",
    )


def _words(record: OrderProducts, look: Look) -> list[Json]:
    """What became of each order, above its line; on a phone a line ends at each colon or semicolon."""
    notes = []
    for place, row in enumerate(record.rows):
        words = row_words(row)
        words = look.pick(f" {words}", f"<br>{words.replace('; ', ';<br>').replace(': ', ':<br>')}")
        text = f"<b>{ORDER_TITLES[row.order]}</b>{words}"
        at, font = math.log10(record.low), ink(look.pick(14, 12))
        notes.append(note(text, at, place - 0.24, "left bottom", align="left", font=font))
    return notes


def _limit_note(number_format: str) -> Json:
    words = "fp16 ends: 65,504" if number_format == "fp16" else "fp16 would end: 65,504"
    font = {"size": 12, "color": style.LIGHT.warning}
    return note(words, math.log10(LARGEST["fp16"]), 1, "right bottom", within="y", font=font)
