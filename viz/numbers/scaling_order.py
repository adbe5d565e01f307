"""Attention's three orders of operations: how large the product becomes, against where fp16 ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.counts import counted
from model_runtime.records.numbers import ORDERS, Order, OrderReport, OrderResult
from viz import style
from viz.drawn import Drawn
from viz.panels import QUIET, Json, Look, box, drawn, figure, ink, line, note, scatter

ORDER_TITLES: dict[Order, str] = {"after": "(q kᵀ) / √d", "key": "q (k / √d)ᵀ", "query": "(q / √d) kᵀ"}
_LARGEST = 65_504.0  # of fp16
_ROW = 66  # pixels


@dataclass(frozen=True)
class OrderRow:
    """One order: what its product should hand on (what it does in fp32), and what the format gives."""

    title: str
    meant: float
    result: OrderResult

    @property
    def words(self) -> str:
        """What became of its scores."""
        meant, found = style.three_digits(self.meant), self.result
        if not found.overflowed:
            return f"hands on {style.three_digits(found.largest)}: every score is finite"
        if not found.infinite:
            return (
                f"should hand on {meant}: {found.overflowed} of {found.n_cells:,} are infinite; the soft cap "
                "hides it"
            )
        kinds = ((found.up, "+∞"), (found.down, "−∞"), (found.nan, "no number"))
        parts = [f"{count} {'is' if count == 1 else 'are'} {words}" for count, words in kinds if count]
        broken = len(found.broken_rows)
        rows = f"{broken} of {len(found.pattern)} rows {'is' if broken == 1 else 'are'} NaN"
        lost = rows if broken else "their keys vanish"
        return f"should hand on {meant}: of {found.n_cells:,} scores {' and '.join(parts)}; {lost}"


@dataclass(frozen=True)
class OrderProducts:
    """The three orders of one head in one format; the axis is the same at every gain."""

    rows: tuple[OrderRow, ...]
    number_format: str
    place: str  # "L24 H4 at gain 8"
    low: float
    high: float


def difference_words(results: Sequence[OrderResult]) -> list[str]:
    """How far each pattern is from fp32's: of the rows that are numbers, and whether those are all."""
    words = []
    for result, off in zip(results, style.shares(*(found.difference for found in results)), strict=True):
        n_left = len(result.pattern) - len(result.broken_rows)
        if not n_left:
            words.append("no row is a number")
        else:
            words.append(f"{off} in the other {counted(n_left, 'row')}" if result.broken_rows else off)
    return words


def order_products_record(
    report: OrderReport, number_format: str, gains: tuple[float, float]
) -> OrderProducts:
    """Numbers of a head -> what will be drawn. `gains`: the ends of the slider, which set the axis."""
    rows = tuple(
        OrderRow(
            ORDER_TITLES[order], report.results[order, "fp32"].largest, report.results[order, number_format]
        )
        for order in ORDERS
    )
    at_one = [row.meant / report.gain**2 for row in rows if row.meant > 0] or [1.0]
    low = min(at_one) * gains[0] ** 2
    high = max(max(at_one) * gains[1] ** 2, 4 * _LARGEST)
    place = f"L{report.layer} H{report.head} at gain {gain_words(report.gain)}"
    return OrderProducts(rows, number_format, place, low / 2, high * 2)


def products_title(record: OrderProducts) -> str:
    """The finding: which orders leave the format."""
    name = record.number_format
    lost = [row.title for row in record.rows if row.result.overflowed]
    if not lost:
        return f"{record.place}: every order stays within {name}"
    if len(lost) == len(record.rows):
        return f"{record.place}: every order overflows in {name}"
    rest = "dividing first does not" if lost == [ORDER_TITLES["after"]] else "the rest does not"
    overflow = f"{' and '.join(lost)} overflow{'s' * (len(lost) == 1)} in {name}"
    return f"{record.place}: {overflow}; {rest}"


def gain_words(gain: float) -> str:
    return style.three_digits(gain)


def gain_axis(gains: Sequence[float]) -> Json:
    """An x axis of gains, named at powers of two."""
    ticks = [2.0**power for power in range(-4, 20) if gains[0] <= 2.0**power <= gains[-1]]
    ends = [math.log10(gains[0]), math.log10(gains[-1])]
    names = [style.round_number(tick) for tick in ticks]
    return {"type": "log", "range": ends, "tickvals": ticks, "ticktext": names}


def gain_line(gain: float) -> Json:
    """The chosen gain, through all panels."""
    return line(x=gain, dash="dash", width=1.5, yref="paper")


def order_products_figure(record: OrderProducts) -> Drawn:
    """A lollipop an order on one logarithmic axis, and the line where fp16 ends."""
    said = ". ".join(f"{row.title} {row.words}" for row in record.rows)
    results = [row.result for row in record.rows]
    return drawn(
        _figure,
        record,
        alt=f"Largest number in the product of queries and keys, for three orders of operations in "
        f"{record.number_format}, logarithmic; fp16 ends at 65,504. {products_title(record)}. {said}.",
        stem="order-of-operations",
        table={
            "order": [row.title for row in record.rows],
            "largest in fp32": [row.meant for row in record.rows],
            f"largest in {record.number_format}": [found.largest for found in results],
            "scores": [found.n_cells for found in results],
            "products infinite": [found.overflowed for found in results],
            "scores +infinity": [found.up for found in results],
            "scores -infinity": [found.down for found in results],
            "scores NaN": [found.nan for found in results],
            "rows NaN": [len(found.broken_rows) for found in results],
            "largest difference from fp32, rows that are numbers": [found.difference for found in results],
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
                (_LARGEST, record.high),
                (0, 1),
                within="y",
                layer="below",
                fillcolor=style.LIGHT.masked,
                line={"width": 0},
            ),
            line(x=_LARGEST, color=style.LIGHT.warning, width=2, dash="dash"),
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
    broken = bool(row.result.overflowed)
    color = style.LIGHT.warning if broken else style.LIGHT.accent
    return scatter(
        row.title,
        [low, max(row.meant, low)],
        [place, place],
        "lines+markers",
        line={"color": color, "width": 3, "dash": "dot" if broken else "solid"},
        marker={"size": [0, 14], "symbol": "x" if broken else "circle", "color": color},
        hovertemplate=f"{row.title}: {row.words}<extra></extra>",
    )


def _words(record: OrderProducts, look: Look) -> list[Json]:
    """What became of each order, above its line; on a phone a line ends at each colon or semicolon."""
    notes = []
    for place, row in enumerate(record.rows):
        words = look.pick(f" {row.words}", f"<br>{row.words.replace('; ', ';<br>').replace(': ', ':<br>')}")
        at, font = math.log10(record.low), ink(look.pick(14, 12))
        text = f"<b>{row.title}</b>{words}"
        notes.append(note(text, at, place - 0.24, "left bottom", align="left", font=font))
    return notes


def _limit_note(number_format: str) -> Json:
    words = "fp16 ends: 65,504" if number_format == "fp16" else "fp16 would end: 65,504"
    font = {"size": 12, "color": style.LIGHT.warning}
    return note(words, math.log10(_LARGEST), 1, "right bottom", within="y", font=font)
