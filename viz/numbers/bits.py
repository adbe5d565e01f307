"""One number in several formats, bit by bit: its bits, what is really stored, and how far off that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.formats import Stored
from viz import style
from viz.drawn import Drawn
from viz.numbers.squares import Square, squares
from viz.panels import QUIET, Json, Look, drawn, figure, ink, note

FIELDS = ("sign", "exponent", "significand")
_COLORS = (5, 0, 1)  # categories of the three fields: vermillion, blue, orange
_SHORTER = 20  # characters of decimals that are shown in full


@dataclass(frozen=True)
class NumberBits:
    """A number, as it was typed, in all formats."""

    meant: str
    rows: tuple[Stored, ...]


def stored_words(stored: Stored) -> str:
    """What is stored, with all its decimals where they are few."""
    if stored.value is None:
        return "NaN" if stored.kind == "nan" else f"{'−' if stored.negative else '+'}∞"
    if not stored.value:
        return "−0" if stored.negative else "0"
    text = stored.decimal
    if len(text) > _SHORTER:
        ten = f"{float(stored.value):.10g}"
        text = f"{float(stored.value):.8g}" if "e" in ten else f"{ten}…"
    elif stored.value.denominator == 1:
        text = f"{int(stored.value):,}"
    return text.replace("-", "−")


def error_words(stored: Stored, error: str) -> str:
    """How far off what is stored is, by `error`; "0" where it is exact, "" where there is no distance."""
    if not stored.error:
        return "" if stored.error is None else "0"
    percent = "" if stored.relative is None else f" ({style.three_digits(100 * stored.relative)}\u00a0%)"
    return f"{error}{percent}"


def title_of(record: NumberBits) -> str:
    """The finding in one line."""
    lost = [_name(row) for row in record.rows if row.kind == "infinity"]
    gone = [_name(row) for row in record.rows if row.kind == "zero" and row.error]
    exact = [_name(row) for row in record.rows if row.error == 0]
    if record.rows and all(row.kind == "nan" for row in record.rows):
        return "Not a number: all exponent bits are 1, the significand is not 0"
    if record.rows and all(row.kind == "infinity" or row.error is None for row in record.rows):
        return f"{record.meant}: all exponent bits are 1, the significand is 0"
    if lost:
        return f"{record.meant} is too large for {_listed(lost)}: it becomes infinity"
    if gone:
        return f"{record.meant} is too small for {_listed(gone)}: it becomes 0"
    if len(exact) == len(record.rows):
        return f"{record.meant} is exact in every format"
    if exact:
        return f"{record.meant} is exact in {_listed(exact)} only"
    return f"{record.meant} is exact in none of them: each stores its nearest neighbour"


def _name(row: Stored) -> str:
    return row.number_format.title


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def number_bits_figure(record: NumberBits) -> Drawn:
    """A line of squares a format, coloured by field; `customdata` of a square is (format, bit)."""
    words = "; ".join(f"{_name(row)}: {row.pattern}, {stored_words(row)}" for row in record.rows)
    return drawn(
        _figure,
        record,
        alt=f"{title_of(record)}. Bits from the sign down: {words}.",
        stem="number-bits",
        table={
            "format": [_name(row) for row in record.rows],
            **{name: [row.fields[i] for row in record.rows] for i, name in enumerate(FIELDS)},
            "kind": [row.kind for row in record.rows],
            "stored": [row.decimal or stored_words(row) for row in record.rows],
            "error": ["" if row.error is None else float(row.error) for row in record.rows],
        },
    )


def _figure(record: NumberBits, look: Look) -> go.Figure:
    per_line = look.pick(32, 16)  # bits
    tops, height = [], 0.0  # where each format's first line of squares stands, in lines from above
    for row in record.rows:
        tops.append(height + look.pick(0, 1))
        height = tops[-1] - (-len(row.pattern) // per_line) + look.pick(0.45, 0.35)
    errors = style.column(*(float(row.error or 0) for row in record.rows))
    side = look.pick((84, 260), (4, 4))
    title = style.inert(title_of(record))
    return figure(
        [_field(record, tops, field, per_line) for field in range(len(FIELDS))],
        title=look.pick({"text": title}, look.title(title, ":", phone_lines=2)),
        height=look.pick(80, 104) + 30 * round(height),
        width=look.pick(style.WIDE_PRINT, None),
        barmode="overlay",
        bargap=0,
        showlegend=True,
        legend={"itemclick": False, "itemdoubleclick": False},
        annotations=[
            words
            for row, off, top in zip(record.rows, errors, tops, strict=True)
            for words in _notes(row, error_words(row, off), top, look)
        ],
        margin={"l": side[0], "r": side[1], "t": look.pick(68, 84)},
        uniformtext={"minsize": 9, "mode": "show"},
        xaxis={"range": [-0.05, per_line + 0.05], **QUIET},
        yaxis={"range": [height, -0.1], **QUIET},
    )


def _field(record: NumberBits, tops: Sequence[float], field: int, per_line: int) -> Json:
    """One field's squares in all formats: full colour for 1, faint for 0."""
    found = [
        Square(
            bit % per_line,
            top + bit // per_line,
            digit,
            digit == "1",
            [row.number_format.key, bit],
            _worth(row, bit),
        )
        for row, top in zip(record.rows, tops, strict=True)
        for bit, digit in enumerate(row.pattern)
        if field == (0 if bit == 0 else 1 if bit <= row.number_format.exponent_bits else 2)
    ]
    return squares(FIELDS[field], found, style.category(_COLORS[field]), 13)


def _worth(row: Stored, bit: int) -> str:
    """What one bit says."""
    kind = row.number_format
    if bit == 0:
        return f"{kind.title}: sign, {'negative' if row.negative else 'positive'}"
    if bit <= kind.exponent_bits:
        worth = 2 ** (kind.exponent_bits - bit)
        return f"{kind.title}: exponent bit, worth {worth} (less {kind.bias} in all)"
    return (
        f"{kind.title}: significand bit, worth 2<sup>−{bit - kind.exponent_bits}</sup> of the leading power"
    )


def _notes(row: Stored, error: str, top: float, look: Look) -> list[Json]:
    """The name of a format, and what it stores."""
    off = "exact" if error == "0" else f"off by {error}" if error else ""
    name, value = f"<b>{style.inert(_name(row))}</b>", f"<b>{style.inert(stored_words(row))}</b>"
    short = off.partition(" (")[0]  # a phone has no room for the percentage
    one_line = f"{name}  {value}" + (f", {style.inert(short)}" if short else "")
    words = f"{value}<br>{style.inert(off)}" if off else value
    right: Json = {"xref": "paper", "xshift": 12, "align": "left"}
    return look.pick(
        [
            note(name, 0, top + 0.5, "right middle", xshift=-8, font=ink(13)),
            note(words, 1, top + 0.5, "left middle", font=ink(13), **right),
        ],
        [note(one_line, 0, top - 0.02, "left bottom", font=ink(12))],
    )
