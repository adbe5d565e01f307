"""One block of a GGUF file: its bytes as cells, and the 32 weights that they stand for, on their grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

_HALF = 16
_NARROW_LINE = {"Q4_1": 10, "Q8_0": 12}  # bytes a line on a phone
_SCALE, _MINIMUM, _LOW, _HIGH = 5, 1, 0, 2  # categories: vermillion, orange, blue, green
_BYTE = -1  # neutral: a byte of codes
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SHORT = {
    "scale d, fp16": "d",
    "minimum m, fp16": "m",
    "codes of weights 0 to 15": "0 to 15",
    "codes of weights 16 to 31": "16 to 31",
}
_ROW = 27  # pixels a row of cells
_WEIGHTS, _NARROW_WEIGHTS = 300, 270  # pixels of the panel of weights


@dataclass(frozen=True)
class GgufBlock:
    """A block: bytes, fp16 scale and minimum (0 in Q8_0), 32 codes, 32 weights.

    `before`: the weights that were packed, if they are known. `chosen`: the weight looked at, 0 to 31.
    """

    kind: str  # "Q4_1", "Q8_0"
    data: tuple[int, ...]
    scale: float
    minimum: float
    codes: tuple[int, ...]
    weights: tuple[float, ...]
    before: tuple[float, ...]
    chosen: int
    ends: tuple[float, float]  # of the axis of weights

    @property
    def header(self) -> int:
        """Bytes before the codes."""
        return 4 if self.kind == "Q4_1" else 2

    def byte_of(self, weight: int) -> int:
        """The byte that holds a weight's code."""
        return self.header + (weight % _HALF if self.kind == "Q4_1" else weight)

    def is_high(self, weight: int) -> bool:
        """Whether the code is in the upper half of its byte (Q4_1)."""
        return self.kind == "Q4_1" and weight >= _HALF


def gguf_block_record(
    kind: str,
    data: bytes,
    scale: float,
    minimum: float,
    codes: Sequence[int],
    weights: Sequence[float],
    chosen: int,
    before: Sequence[float] = (),
    others: Sequence[float] = (),
) -> GgufBlock:
    """A decoded block -> what will be drawn; `others` are a second run's weights, which share the axis."""
    values = [*weights, *before, *others]
    low, high = min(values), max(values)
    room = 0.07 * (high - low) or abs(high) or 1.0
    return GgufBlock(
        kind,
        tuple(data),
        scale,
        minimum,
        tuple(codes),
        tuple(weights),
        tuple(before),
        chosen,
        (low - room, high + room),
    )


def six_digits(value: float) -> str:
    """A number of an equation: enough digits that a calculator gives the sum that is shown.

    >>> six_digits(0.0216522216796875), six_digits(-1.5e-5)
    ('0.0216522', '(−1.5 × 10⁻⁵)')
    """
    words = f"{value:.6g}"
    if "e" in words:
        mantissa, exponent = words.split("e")
        words = f"({mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)})"
    return words.replace("-", "−")


def equation(record: GgufBlock) -> str:
    """w = d q + m with the numbers of the chosen weight."""
    code = str(record.codes[record.chosen]).replace("-", "−")
    code = f"({code})" if code.startswith("−") else code
    words = f"{six_digits(record.scale)} × {code}"
    if record.kind == "Q4_1":
        sign = "−" if record.minimum < 0 else "+"
        words += f" {sign} {six_digits(abs(record.minimum))}"
    return f"{words} = {style.three_digits(record.weights[record.chosen])}"


def title_of(record: GgufBlock) -> str:
    """The finding: bytes and bits, and the chosen weight in numbers."""
    bits = style.three_digits(8 * len(record.data) / len(record.codes))
    return f"{len(record.data)} bytes, {bits} bits a weight; weight {record.chosen}: {equation(record)}"


def place_words(record: GgufBlock, weight: int) -> str:
    """Where a weight's code stands: "byte 9, low half"."""
    half = (", high half" if record.is_high(weight) else ", low half") if record.kind == "Q4_1" else ""
    return f"byte {record.byte_of(weight)}{half}"


def gguf_block_figure(record: GgufBlock) -> Drawn:
    """Cells above, weights below; `customdata` of a cell of codes or of a weight is the weight's number."""
    chosen = record.chosen
    bytes_said = " ".join(f"{byte:02X}" for byte in record.data)
    fields = f"Scale d = {style.three_digits(record.scale)}"
    if record.kind == "Q4_1":
        fields += f", minimum m = {style.three_digits(record.minimum)}"
    n = range(len(record.codes))
    table: dict[str, Sequence[object]] = {
        "weight": list(n),
        "byte": [record.byte_of(i) for i in n],
        "byte as hex": [f"{record.data[record.byte_of(i)]:02X}" for i in n],
        "half": [
            ("high" if record.is_high(i) else "low") if record.kind == "Q4_1" else "whole byte" for i in n
        ],
        "code": list(record.codes),
        "value": list(record.weights),
    }
    if record.before:
        table["before packing"] = list(record.before)
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"A {record.kind} block: {len(record.data)} bytes, {bytes_said}. {fields}. Weight {chosen} is in "
        f"{place_words(record, chosen)}, code {record.codes[chosen]}: {equation(record)}. The weights go "
        f"from {style.three_digits(min(record.weights))} to {style.three_digits(max(record.weights))}.",
        stem="gguf-block",
        table=table,
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: GgufBlock, narrow: bool) -> go.Figure:
    per_line = _NARROW_LINE[record.kind] if narrow else len(record.data)
    rows = 3 if record.kind == "Q4_1" else 2
    lines = -(-len(record.data) // per_line)
    tall = lines * (rows + 0.9)  # in rows of cells; each line has its byte numbers above it
    cells, weights, between = _ROW * tall, _NARROW_WEIGHTS if narrow else _WEIGHTS, 34
    total = cells + weights + between
    figure = go.Figure()
    _add_cells(figure, record, per_line, rows, narrow)
    _add_weights(figure, record)
    title = style.inert(title_of(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace("; ", ";<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=round(total) + (174 if narrow else 112),
        width=None if narrow else style.WIDE_PRINT,
        barmode="overlay",
        bargap=0,
        legend={"y": 1.0, "yanchor": "bottom", "itemclick": False, "itemdoubleclick": False},
        margin={"l": 44 if narrow else 84, "r": 34, "t": 128 if narrow else 64, "b": 8},
        annotations=_row_names(record, rows, lines, narrow),
        uniformtext={"minsize": 8, "mode": "show"},
        xaxis2={
            "anchor": "y2", "range": [-1.2, 33], "fixedrange": True, "showgrid": False,
            "tickvals": [0, 4, 8, 12, 16, 20, 24, 28, 31], "title": {"text": "weight of the block"},
        },
        yaxis2={
            "anchor": "x2", "domain": [0, weights / total], "range": list(record.ends), "fixedrange": True,
            "showgrid": False, "title": {"text": "weight"}, "nticks": 7,
        },
    )  # fmt: skip
    hidden = {"showgrid": False, "showticklabels": False, "fixedrange": True, "zeroline": False}
    figure.update_layout(
        xaxis={**hidden, "range": [-0.05, per_line + 0.05], "anchor": "y"},
        yaxis={**hidden, "range": [tall, 0], "domain": [(weights + between) / total, 1], "anchor": "x"},
    )
    return figure


def _row_names(record: GgufBlock, rows: int, lines: int, narrow: bool) -> list[dict[str, Any]]:
    """What each row of cells is."""
    half = "" if narrow else " half"
    names = ("byte", f"high{half}", f"low{half}") if rows == 3 else ("byte", "code")
    return [
        {
            "x": 0, "xanchor": "right", "xshift": -6, "y": line * (rows + 0.9) + 0.8 + row + 0.5,
            "yanchor": "middle", "text": name, "showarrow": False,
            "font": {"size": 12, "color": style.LIGHT.muted},
        }
        for line in range(lines)
        for row, name in enumerate(names)
    ]  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    byte: int
    row: int  # 0 the byte, then its codes
    text: str
    weight: int | None
    marked: bool
    hover: str


def _fields(record: GgufBlock) -> list[tuple[str, int, list[_Cell]]]:
    """Cells by what they hold: name, colour category, cells."""
    mine = record.byte_of(record.chosen)
    four = record.kind == "Q4_1"
    scale = [_header(record, byte, "d", record.scale) for byte in (0, 1)]
    found = [("scale d, fp16", _SCALE, scale)]
    if four:
        minimum = [_header(record, byte, "m", record.minimum) for byte in (2, 3)]
        found.append(("minimum m, fp16", _MINIMUM, minimum))
    bytes_of_codes: list[_Cell] = []
    low: list[_Cell] = []
    high: list[_Cell] = []
    for byte in range(record.header, len(record.data)):
        first = byte - record.header
        text = f"{record.data[byte]:02X}"
        whole = f"byte {byte}: {text}" + (f", bits {record.data[byte]:08b}" if four else "")
        bytes_of_codes.append(_Cell(byte, 0, text, first, byte == mine, whole))
        for weight in (first + _HALF, first) if four else (first,):
            row = 1 if record.is_high(weight) or not four else 2
            cell = _Cell(
                byte, row, str(record.codes[weight]).replace("-", "−"), weight, weight == record.chosen,
                f"{place_words(record, weight)}: code {record.codes[weight]}, weight {weight} = "
                f"{style.three_digits(record.weights[weight])}",
            )  # fmt: skip
            (high if record.is_high(weight) else low).append(cell)
    found.append(("bytes of codes", _BYTE, bytes_of_codes))
    found.append(("codes of weights 0 to 15" if four else "codes", _LOW, low))
    if four:
        found.append(("codes of weights 16 to 31", _HIGH, high))
    return found


def _header(record: GgufBlock, byte: int, name: str, value: float) -> _Cell:
    text = f"{record.data[byte]:02X}"
    words = f"byte {byte}: {text}, a half of {name} = {style.three_digits(value)} (fp16, low byte first)"
    return _Cell(byte, 0, text, None, True, words)


def _add_cells(figure: go.Figure, record: GgufBlock, per_line: int, rows: int, narrow: bool) -> None:
    for title, category, cells in _fields(record):
        name = _SHORT.get(title, title) if narrow else title
        color = style.LIGHT.muted if category == _BYTE else style.category(category)
        full = category in (_SCALE, _MINIMUM)
        tops = [(cell.byte // per_line) * (rows + 0.9) + 0.8 + cell.row for cell in cells]
        figure.add_bar(
            name=name,
            showlegend=category != _BYTE,
            x=[cell.byte % per_line + 0.5 for cell in cells],
            y=[0.9] * len(cells),
            base=[top + 0.05 for top in tops],
            width=0.92,
            text=[cell.text for cell in cells],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={
                "family": style.MONO,
                "size": 12,
                "color": [style.text_on(color) if full or cell.marked else style.LIGHT.ink for cell in cells],
            },
            marker={
                "color": [color if full or cell.marked else style.faded(color, 0.16) for cell in cells],
                "line": {"width": 1, "color": color},
            },
            customdata=[cell.weight for cell in cells],
            hovertext=[cell.hover for cell in cells],
            hovertemplate="%{hovertext}<extra></extra>",
        )
    places = range(len(record.data))
    figure.add_scatter(
        x=[byte % per_line + 0.5 for byte in places],
        y=[(byte // per_line) * (rows + 0.9) + 0.48 for byte in places],
        mode="text",
        text=[str(byte) for byte in places],
        textfont={"size": 10, "color": style.LIGHT.muted},
        showlegend=False,
        hoverinfo="skip",
    )


def _add_weights(figure: go.Figure, record: GgufBlock) -> None:
    axes = {"xaxis": "x2", "yaxis": "y2"}
    if record.kind == "Q4_1" and record.scale:
        levels = [record.scale * code + record.minimum for code in range(16)]
        figure.add_scatter(
            x=[x for _ in levels for x in (-0.8, 31.8, None)], y=[y for v in levels for y in (v, v, None)],
            mode="lines", line={"color": style.LIGHT.grid, "width": 1}, hoverinfo="skip", showlegend=False,
            **axes,
        )  # fmt: skip
        figure.add_scatter(
            x=[32.4] * 16, y=levels, mode="text", text=[str(code) for code in range(16)],
            textfont={"size": 10, "color": style.LIGHT.muted}, hoverinfo="skip", showlegend=False,
            cliponaxis=False, **axes,
        )  # fmt: skip
    for high in (False, True):
        weights = [i for i in range(len(record.codes)) if record.is_high(i) == high]
        if not weights:
            continue
        figure.add_scatter(
            x=weights, y=[record.weights[i] for i in weights], mode="markers", showlegend=False,
            marker={
                "symbol": "square" if high else "circle", "size": 9,
                "color": style.category(_HIGH if high else _LOW),
            },
            customdata=weights,
            hovertext=[f"weight {i}: code {record.codes[i]}, {record.weights[i]:.6g}" for i in weights],
            hovertemplate="%{hovertext}<extra></extra>", **axes,
        )  # fmt: skip
    if record.before:
        figure.add_scatter(
            name="before", x=list(range(len(record.before))), y=list(record.before),
            mode="markers", hovertemplate="before packing: %{y:.6g}<extra></extra>",
            customdata=list(range(len(record.before))), showlegend=True,
            marker={"symbol": "circle-open", "size": 13, "color": style.LIGHT.ink, "line": {"width": 1.2}},
            **axes,
        )  # fmt: skip
    figure.add_scatter(
        x=[record.chosen], y=[record.weights[record.chosen]], mode="markers", hoverinfo="skip",
        showlegend=False, cliponaxis=False,
        marker={"symbol": "circle-open", "size": 21, "color": style.LIGHT.accent, "line": {"width": 3}},
        **axes,
    )  # fmt: skip
