"""One block of a GGUF file: its bytes as cells, and the 32 weights that they stand for, on their grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.weights import Block
from viz import style
from viz.drawn import Drawn
from viz.equations import Worked, worked
from viz.numbers.squares import Square, squares
from viz.panels import QUIET, SILENT, Json, Look, drawn, figure, hover, note, on, panels, scatter

_HALF = 16
_PHONE_LINE = {"Q4_1": 10, "Q8_0": 12}  # bytes a line on a phone
_SCALE, _MINIMUM, _LOW, _HIGH = 5, 1, 0, 2  # categories: vermillion, orange, blue, green
_BYTE = -1  # neutral: a byte of codes
_SHORT = {
    "scale d, fp16": "d",
    "minimum m, fp16": "m",
    "codes of weights 0 to 15": "0 to 15",
    "codes of weights 16 to 31": "16 to 31",
}
_ROW = 27  # pixels a row of cells
_NUMBERED = 0.9  # rows of cells that a line is higher than its cells, for byte numbers above them


@dataclass(frozen=True)
class GgufBlock:
    """A block. `before`: the weights that were packed, if they are known; `chosen`: the one looked at."""

    block: Block
    before: tuple[float, ...]
    chosen: int  # 0 to 31
    ends: tuple[float, float]  # of the axis of weights

    @property
    def halved(self) -> bool:
        """Whether a byte holds two codes (Q4_1)."""
        return self.block.kind == "Q4_1"

    @property
    def header(self) -> int:
        """Bytes before the codes."""
        return 4 if self.halved else 2

    @property
    def rows(self) -> int:
        """Of cells in a line: the byte, then its codes."""
        return 3 if self.halved else 2

    def byte_of(self, weight: int) -> int:
        """The byte that holds a weight's code."""
        return self.header + (weight % _HALF if self.halved else weight)

    def hex_of(self, byte: int) -> str:
        return f"{self.block.data[byte]:02X}"

    def is_high(self, weight: int) -> bool:
        """Whether the code is in the upper half of its byte."""
        return self.halved and weight >= _HALF


def gguf_block_record(
    block: Block, chosen: int, before: Sequence[float] = (), others: Sequence[float] = ()
) -> GgufBlock:
    """A decoded block -> what will be drawn; `others` are a second run's weights, which share the axis."""
    values = [*block.weights, *before, *others]
    low, high = min(values), max(values)
    room = 0.07 * (high - low) or abs(high) or 1.0
    return GgufBlock(block, tuple(before), chosen, (low - room, high + room))


def equation_digits(record: GgufBlock) -> Worked:
    """How many digits d and m need, so that a calculator gives the weight that is shown."""
    block, chosen = record.block, record.chosen
    least = block.minimum if record.halved else 0
    operands = block.scale, int(block.codes[chosen]), least
    return worked(block.weights[chosen], lambda d, code, m: d * code + m, *operands, least=6)


def equation(record: GgufBlock) -> str:
    """w = d q + m with the numbers of the chosen weight."""
    block, line = record.block, equation_digits(record)
    code = str(block.codes[record.chosen]).replace("-", "−")
    code = f"({code})" if code.startswith("−") else code
    words = f"{in_product(block.scale, line)} × {code}"
    if record.halved:
        sign = "−" if block.minimum < 0 else "+"
        words += f" {sign} {in_product(abs(block.minimum), line)}"
    return f"{words} {line.sign} {style.three_digits(block.weights[record.chosen])}"


def in_product(value: float, line: Worked) -> str:
    """An operand beside a ×: in brackets where it has one of its own, without zeros at its end."""
    words = line.operand(value)
    if "×" in words:
        return f"({words})"
    return words.rstrip("0").removesuffix(".") if "." in words else words


def title_of(record: GgufBlock) -> str:
    """The finding: bytes and bits, and the chosen weight in numbers."""
    n_bytes = len(record.block.data)
    bits = style.three_digits(8 * n_bytes / len(record.block.codes))
    return f"{n_bytes} bytes, {bits} bits a weight; weight {record.chosen}: {equation(record)}"


def place_words(record: GgufBlock, weight: int) -> str:
    """Where a weight's code stands: "byte 9, low half"."""
    half = (", high half" if record.is_high(weight) else ", low half") if record.halved else ""
    return f"byte {record.byte_of(weight)}{half}"


def gguf_block_figure(record: GgufBlock) -> Drawn:
    """Cells above, weights below; `customdata` of a cell of codes or of a weight is the weight's number."""
    block, chosen, n = record.block, record.chosen, range(len(record.block.codes))
    bytes_said = " ".join(f"{byte:02X}" for byte in block.data)
    fields = f"Scale d = {style.three_digits(block.scale)}"
    if record.halved:
        fields += f", minimum m = {style.three_digits(block.minimum)}"
    halves = ["high" if record.is_high(i) else "low" if record.halved else "whole byte" for i in n]
    return drawn(
        _figure,
        record,
        alt=f"A {block.kind} block: {len(block.data)} bytes, {bytes_said}. {fields}. Weight {chosen} is in "
        f"{place_words(record, chosen)}, code {block.codes[chosen]}: {equation(record)}. The weights go "
        f"from {style.three_digits(min(block.weights))} to {style.three_digits(max(block.weights))}.",
        stem="gguf-block",
        table={
            "weight": list(n),
            "byte": [record.byte_of(i) for i in n],
            "byte as hex": [record.hex_of(record.byte_of(i)) for i in n],
            "half": halves,
            "code": list(block.codes),
            "value": list(block.weights),
            **({"before packing": list(record.before)} if record.before else {}),
        },
    )


def _figure(record: GgufBlock, look: Look) -> go.Figure:
    n_bytes = len(record.block.data)
    per_line = look.pick(n_bytes, _PHONE_LINE[record.block.kind])
    lines = -(-n_bytes // per_line)
    tall = lines * (record.rows + _NUMBERED)  # in rows of cells
    weights, between = look.pick(300, 270), 34  # pixels of the panel of weights, and above it
    total = _ROW * tall + weights + between
    of_cells: Json = {"range": [-0.05, per_line + 0.05], **QUIET}
    of_weights: Json = {
        "range": [-1.2, 33],
        "showgrid": False,
        "tickvals": [0, 4, 8, 12, 16, 20, 24, 28, 31],
        "title": {"text": "weight of the block"},
    }
    values: Json = {"range": list(record.ends), "showgrid": False, "title": {"text": "weight"}, "nticks": 7}
    return figure(
        [*_cells(record, per_line, look), *_weights(record)],
        **panels(
            [(0, 1)],
            [((weights + between) / total, 1), (0, weights / total)],
            [of_cells, of_weights],
            [{"range": [tall, 0], **QUIET}, values],
        ),
        title=look.title(style.inert(title_of(record)), ";"),
        height=round(total) + look.pick(112, 174),
        width=look.pick(style.WIDE_PRINT, None),
        barmode="overlay",
        bargap=0,
        legend={"itemclick": False, "itemdoubleclick": False},
        margin={"l": look.pick(84, 44), "r": 34, "t": look.pick(64, 128)},
        annotations=_row_names(record, lines, look),
        uniformtext={"minsize": 8, "mode": "show"},
    )


def _row_names(record: GgufBlock, lines: int, look: Look) -> list[Json]:
    """What each row of cells is."""
    half = look.pick(" half", "")
    names = ("byte", f"high{half}", f"low{half}") if record.halved else ("byte", "code")
    return [
        note(name, 0, line * (record.rows + _NUMBERED) + 0.8 + row + 0.5, "right middle", xshift=-6)
        for line in range(lines)
        for row, name in enumerate(names)
    ]


def _place(record: GgufBlock, per_line: int, byte: int, row: float) -> tuple[int, float]:
    """Left and top of a cell: row 0 has the bytes, those below it their codes."""
    return byte % per_line, byte // per_line * (record.rows + _NUMBERED) + 0.8 + row


def _fields(record: GgufBlock, per_line: int) -> Iterator[tuple[str, int, list[Square]]]:
    """Cells by what they hold: name, colour category, cells."""
    block, of_codes = record.block, range(record.header, len(record.block.data))
    yield "scale d, fp16", _SCALE, [_header(record, per_line, byte, "d", block.scale) for byte in (0, 1)]
    if record.halved:
        minimum = [_header(record, per_line, byte, "m", block.minimum) for byte in (2, 3)]
        yield "minimum m, fp16", _MINIMUM, minimum
    yield "bytes of codes", _BYTE, [_byte(record, per_line, byte) for byte in of_codes]
    codes = [_code(record, per_line, weight) for weight in range(len(block.codes))]
    if not record.halved:
        yield "codes", _LOW, codes
        return
    yield "codes of weights 0 to 15", _LOW, codes[:_HALF]
    yield "codes of weights 16 to 31", _HIGH, codes[_HALF:]


def _header(record: GgufBlock, per_line: int, byte: int, name: str, value: float) -> Square:
    text = record.hex_of(byte)
    words = f"byte {byte}: {text}, a half of {name} = {style.three_digits(value)} (fp16, low byte first)"
    return Square(*_place(record, per_line, byte, 0), text, True, None, words)


def _byte(record: GgufBlock, per_line: int, byte: int) -> Square:
    text, marked = record.hex_of(byte), byte == record.byte_of(record.chosen)
    words = f"byte {byte}: {text}" + (f", bits {record.block.data[byte]:08b}" if record.halved else "")
    return Square(*_place(record, per_line, byte, 0), text, marked, byte - record.header, words)


def _code(record: GgufBlock, per_line: int, weight: int) -> Square:
    code, value = record.block.codes[weight], style.three_digits(record.block.weights[weight])
    row = 2 if record.halved and not record.is_high(weight) else 1
    words = f"{place_words(record, weight)}: code {code}, weight {weight} = {value}"
    text, place = str(code).replace("-", "−"), _place(record, per_line, record.byte_of(weight), row)
    return Square(*place, text, weight == record.chosen, weight, words)


def _cells(record: GgufBlock, per_line: int, look: Look) -> list[Json]:
    """A trace of squares a field, and the number of each byte above it."""
    traces = []
    for title, category, cells in _fields(record, per_line):
        name, shown = look.pick(title, _SHORT.get(title, title)), category != _BYTE
        color = style.category(category) if shown else style.LIGHT.muted
        traces.append(squares(name, cells, color, 12, showlegend=shown))
    places = [_place(record, per_line, byte, -0.32) for byte in range(len(record.block.data))]
    above: Json = {"textfont": {"size": 10, "color": style.LIGHT.muted}, "showlegend": False, **SILENT}
    x, y = [left + 0.5 for left, _ in places], [top for _, top in places]
    return [*traces, scatter("byte", x, y, "text", text=[*map(str, range(len(places)))], **above)]


def _weights(record: GgufBlock) -> list[Json]:
    """The panel below: levels with their codes, the weights on them, what they were, a ring."""
    block, below = record.block, {"showlegend": False, **on(1)}
    traces = []
    if record.halved and block.scale:
        levels = [block.scale * code + block.minimum for code in range(_HALF)]
        ends = [x for _ in levels for x in (-0.8, 31.8, None)]
        grid: Json = {"line": {"color": style.LIGHT.grid, "width": 1}, **SILENT, **below}
        traces.append(scatter("level", ends, [y for v in levels for y in (v, v, None)], "lines", **grid))
        font = {"size": 10, "color": style.LIGHT.muted}
        words: Json = {"text": [*map(str, range(_HALF))], "textfont": font, "cliponaxis": False}
        traces.append(scatter("code", [32.4] * _HALF, levels, "text", **words, **SILENT, **below))
    numbers = range(len(block.codes))
    for color, symbol, high in ((_LOW, "circle", False), (_HIGH, "square", True)):
        weights = [i for i in numbers if record.is_high(i) == high]
        lines = [f"weight {i}: code {block.codes[i]}, {block.weights[i]:.6g}" for i in weights]
        lines = [said.replace("-", "−") for said in lines]
        look: Json = {"marker": {"symbol": symbol, "size": 9, "color": style.category(color)}}
        look |= {"customdata": weights, **hover(lines), **below}
        traces += [scatter("weight", weights, [block.weights[i] for i in weights], **look)] if weights else []
    if record.before:
        hollow = {"symbol": "circle-open", "size": 13, "color": style.LIGHT.ink, "line": {"width": 1.2}}
        look = {"marker": hollow, "customdata": list(numbers), "showlegend": True, **on(1)}
        reads = "before packing: %{y:.6g}<extra></extra>"
        traces.append(scatter("before", numbers, record.before, hovertemplate=reads, **look))
    ring = {"symbol": "circle-open", "size": 21, "color": style.LIGHT.accent, "line": {"width": 3}}
    look = {"marker": ring, "cliponaxis": False, **SILENT, **below}
    return [*traces, scatter("chosen", [record.chosen], [block.weights[record.chosen]], **look)]
