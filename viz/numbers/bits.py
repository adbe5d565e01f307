"""One number in several formats, bit by bit: its bits, what is really stored, and how far off that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

FIELDS = ("sign", "exponent", "significand")
_COLORS = (5, 0, 1)  # categories of the three fields: vermillion, blue, orange
_NARROW = 16  # bits a line on a phone


@dataclass(frozen=True)
class BitRow:
    """One format: its bits in three fields, and what they say."""

    key: str
    title: str
    fields: tuple[str, str, str]  # text of 0 and 1
    kind: str  # "zero", "subnormal", "normal", "infinity", "nan"
    value: str  # what is stored, as text
    error: str  # its distance from what was meant, as text
    exact: str = ""  # what is stored with all its decimals, for the data
    distance: float | str = ""  # the error as a number, for the data

    @property
    def bits(self) -> str:
        return "".join(self.fields)

    def field_of(self, bit: int) -> int:
        """0, 1 or 2: the field that bit number `bit` (0 is the sign) belongs to."""
        return 0 if bit == 0 else 1 if bit <= len(self.fields[1]) else 2


@dataclass(frozen=True)
class NumberBits:
    """A number, as it was typed, in all formats."""

    meant: str
    rows: tuple[BitRow, ...]

    @property
    def exact(self) -> tuple[str, ...]:
        """Titles of the formats that hold it without error."""
        return tuple(row.title for row in self.rows if row.error == "0")


def number_bits_record(meant: str, rows: Sequence[BitRow]) -> NumberBits:
    """What was typed and its formats -> what will be drawn."""
    return NumberBits(meant, tuple(rows))


def title_of(record: NumberBits) -> str:
    """The finding in one line."""
    lost = [row.title for row in record.rows if row.kind == "infinity"]
    gone = [row.title for row in record.rows if row.kind == "zero" and row.error != "0"]
    if record.rows and all(row.kind == "nan" for row in record.rows):
        return "Not a number: all exponent bits are 1, the significand is not 0"
    if record.rows and all(row.kind == "infinity" or row.error == "" for row in record.rows):
        return f"{record.meant}: all exponent bits are 1, the significand is 0"
    if lost:
        return f"{record.meant} is too large for {_listed(lost)}: it becomes infinity"
    if gone:
        return f"{record.meant} is too small for {_listed(gone)}: it becomes 0"
    if len(record.exact) == len(record.rows):
        return f"{record.meant} is exact in every format"
    if record.exact:
        return f"{record.meant} is exact in {_listed(record.exact)} only"
    return f"{record.meant} is exact in none of them: each stores its nearest neighbour"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def number_bits_figure(record: NumberBits) -> Drawn:
    """A line of squares a format, coloured by field; `customdata` of a square is (format, bit)."""
    words = "; ".join(f"{row.title}: {row.bits}, {row.value}" for row in record.rows)
    return Drawn(
        figure=_figure(record, per_line=32),
        alt=f"{title_of(record)}. Bits from the sign down: {words}.",
        stem="number-bits",
        table={
            "format": [row.title for row in record.rows],
            **{name: [row.fields[i] for row in record.rows] for i, name in enumerate(FIELDS)},
            "kind": [row.kind for row in record.rows],
            "stored": [row.exact or row.value for row in record.rows],
            "error": [row.distance for row in record.rows],
        },
        narrow_figure=_figure(record, per_line=_NARROW),
    )


def _figure(record: NumberBits, per_line: int) -> go.Figure:
    narrow = per_line < 32
    tops, height = _tops(record, per_line, narrow)
    figure = go.Figure()
    for field, name in enumerate(FIELDS):
        _add_field(figure, record, tops, field, name, per_line)
    figure.update_layout(
        template=style.TEMPLATE,
        title={
            "text": _title(record, narrow),
            "font": {"size": 13 if narrow else 16},
            "pad": {"t": 36 if narrow else 6},
        },
        height=(104 if narrow else 80) + 30 * round(height),
        width=None if narrow else style.WIDE_PRINT,
        barmode="overlay",
        bargap=0,
        showlegend=True,
        legend={"y": 1.0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False},
        annotations=[
            note for row, top in zip(record.rows, tops, strict=True) for note in _notes(row, top, narrow)
        ],
        margin={"l": 4 if narrow else 84, "r": 4 if narrow else 260, "t": 84 if narrow else 68, "b": 8},
        uniformtext={"minsize": 9, "mode": "show"},
    )
    hidden = {"showgrid": False, "showticklabels": False, "fixedrange": True, "zeroline": False}
    figure.update_xaxes(range=[-0.05, per_line + 0.05], **hidden)
    figure.update_yaxes(range=[height, -0.1], **hidden)
    return figure


def _title(record: NumberBits, narrow: bool) -> str:
    title = style.inert(title_of(record))
    return title.replace(": ", ":<br>") if narrow else title


def _tops(record: NumberBits, per_line: int, narrow: bool) -> tuple[list[float], float]:
    """Where each format's first line of squares stands, in lines from above, and the sum."""
    tops, at = [], 0.0
    for row in record.rows:
        at += 1.0 if narrow else 0.0
        tops.append(at)
        at += -(-len(row.bits) // per_line) + (0.35 if narrow else 0.45)
    return tops, at


def _add_field(
    figure: go.Figure, record: NumberBits, tops: Sequence[float], field: int, name: str, per_line: int
) -> None:
    """The squares of one field in all formats: full colour for 1, faint for 0."""
    color = style.category(_COLORS[field])
    cells: list[tuple[float, float, str, list[Any], str]] = []
    for row, top in zip(record.rows, tops, strict=True):
        for bit, digit in enumerate(row.bits):
            if row.field_of(bit) == field:
                line, column = divmod(bit, per_line)
                cells.append((column + 0.5, top + line + 0.5, digit, [row.key, bit], _worth(row, bit)))
    figure.add_bar(
        name=name,
        x=[cell[0] for cell in cells],
        y=[0.9] * len(cells),
        base=[cell[1] - 0.45 for cell in cells],
        width=0.92,
        text=[cell[2] for cell in cells],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        insidetextfont={
            "family": style.MONO,
            "size": 13,
            "color": [style.text_on(color) if cell[2] == "1" else style.LIGHT.ink for cell in cells],
        },
        marker={
            "color": [color if cell[2] == "1" else style.faded(color, 0.16) for cell in cells],
            "line": {"width": 1, "color": color},
        },
        customdata=[cell[3] for cell in cells],
        hovertext=[cell[4] for cell in cells],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _worth(row: BitRow, bit: int) -> str:
    """What one bit says."""
    exponent_bits = len(row.fields[1])
    if bit == 0:
        return f"{row.title}: sign, {'negative' if row.bits[0] == '1' else 'positive'}"
    if bit <= exponent_bits:
        worth, bias = 2 ** (exponent_bits - bit), 2 ** (exponent_bits - 1) - 1
        return f"{row.title}: exponent bit, worth {worth} (less {bias} in all)"
    return f"{row.title}: significand bit, worth 2<sup>−{bit - exponent_bits}</sup> of the leading power"


def _notes(row: BitRow, top: float, narrow: bool) -> list[dict[str, Any]]:
    """The name of a format, and what it stores."""
    off = f"off by {row.error}" if row.error not in ("", "0") else "exact" if row.error == "0" else ""
    name, value = f"<b>{style.inert(row.title)}</b>", f"<b>{style.inert(row.value)}</b>"
    base = {"showarrow": False, "font": {"size": 12 if narrow else 13, "color": style.LIGHT.ink}}
    if narrow:
        short = off.partition(" (")[0]  # a phone has no room for the percentage
        text = f"{name}  {value}" + (f", {style.inert(short)}" if short else "")
        return [{**base, "x": 0, "xanchor": "left", "y": top - 0.02, "yanchor": "bottom", "text": text}]
    left = {
        **base,
        "x": 0,
        "xanchor": "right",
        "xshift": -8,
        "y": top + 0.5,
        "yanchor": "middle",
        "text": name,
    }
    words = f"{value}<br>{style.inert(off)}" if off else value
    right = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 12, "align": "left", "text": words}
    return [left, {**base, **right, "y": top + 0.5, "yanchor": "middle"}]
