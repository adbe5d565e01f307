"""GGUF blocks: 32 weights in 20 bytes, from the model's own file, or packed here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from model_runtime.numbers import gguf_blocks, quantization_effects
from model_runtime.numbers.gguf_blocks import BLOCK, BLOCK_BYTES, Block, FileTensor, encode_block, file_block
from pages.numbers.matrices import choose_named, file_of, nearest_name, tensors_of, tensors_outside
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, drawings_of
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.numbers.gguf_block import (
    GgufBlock,
    equation,
    gguf_block_figure,
    gguf_block_record,
    place_words,
    six_digits,
)
from viz.style import share

KINDS = {"q4_1": "Q4_1", "q8_0": "Q8_0"}
FIRST = "attn_q.weight"
QUESTION = (
    "Codes of 4 bits take 16 bytes for 32 weights. Why has a Q4_1 block 20 bytes, and which weight shares a "
    "byte with weight 0? Say it before you click on it."
)
ANSWER = (
    "The scale and the minimum are fp16 numbers of 2 bytes each, so a weight costs 5 bits, not 4. Weight 0 "
    "shares byte 4 with weight 16: the low halves hold weights 0 to 15, the high halves 16 to 31, so that a "
    "program can take all low halves at once with one mask, and all high halves with one shift."
)
SOURCES = """
- ggml, [`ggml-common.h`](https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h): `block_q4_1`,
  `block_q8_0`; `ggml-quants.c`: how they are unpacked.
- The [GGUF format](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""


@dataclass(frozen=True, eq=False)
class Side:
    """A run's block: from its model's file, or packed here from 32 weights (`before`)."""

    drawing: Drawing
    name: str  # of the tensor or matrix
    row: int
    number: int
    block: Block
    before: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Source:
    """Where a run's blocks are taken from: names with their rows and weights in a row."""

    drawing: Drawing
    file: Path | None
    tensors: Mapping[str, FileTensor]  # of the file
    shapes: Mapping[str, tuple[int, int]]  # name -> rows, weights in a row

    @property
    def setting(self) -> str:
        return "tensor" if self.file else "matrix"

    @property
    def default(self) -> str:
        return FIRST if FIRST in self.shapes else next(iter(self.shapes))

    def size(self, name: str) -> tuple[int, int]:
        """Rows, and blocks in a row."""
        rows, width = self.shapes[name]
        return rows, width // BLOCK


def source_of(drawing: Drawing) -> Source:
    """The model's GGUF file, else the matrices of the chosen layer whose rows hold a block."""
    file = file_of(drawing)
    if file is not None:
        tensors = {**tensors_of(file, drawing.layer), **tensors_outside(file)}
        if tensors:
            shapes = {name: (tensor.rows, tensor.width) for name, tensor in tensors.items()}
            return Source(drawing, file, tensors, shapes)
    matrices = quantization_effects.matrices_of(runtime.model_for(drawing.run), drawing.layer)
    shapes = {
        name: (int(np.prod(matrix.shape[:-1])), int(matrix.shape[-1]))
        for name, matrix in matrices.items()
        if matrix.shape[-1] >= BLOCK
    }
    return Source(drawing, None, {}, shapes)


def controls(source: Source) -> str:
    """Tensor, row, block, weight, and for weights that are packed here the kind."""
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        label = "Tensor of the file" if source.file else "Matrix"
        name = choose_named(source.setting, label, list(source.shapes), source.default)
        rows, n_blocks = source.size(name)
        told: list[str] = []
        for key, words, most in (
            ("block_row", "Row", rows - 1),
            ("block", "Block", n_blocks - 1),
            ("weight", "Weight", BLOCK - 1),
        ):
            if (asked := state.get(key)) > most:
                told.append(f"{words} {asked:,} does not exist here; {most:,} is shown.")
                state.open_with(**{key: most})
            st.number_input(f"{words} (0 to {most:,})", 0, most, step=1, width=150, **state.bound(key))
        if source.file is None:
            st.segmented_control(
                "Kind",
                [*KINDS],
                format_func=KINDS.__getitem__,
                required=True,
                width="content",
                **state.bound("block_kind"),
            )
    if told:
        st.warning("  \n".join(told))
    return name


def side_of(source: Source, name: str) -> Side:
    """The block at the chosen place, or at the nearest that this run's model has."""
    rows, n_blocks = source.size(name)
    row, number = min(state.get("block_row"), rows - 1), min(state.get("block"), n_blocks - 1)
    drawing = source.drawing
    if source.file is not None:
        return Side(drawing, name, row, number, file_block(source.file, source.tensors[name], row, number))
    model = runtime.model_for(drawing.run)
    weights = quantization_effects.row_strip(model, drawing.layer, name, row, number * BLOCK)
    block = encode_block(KINDS[state.get("block_kind")], weights)
    return Side(drawing, name, row, number, block, tuple(map(float, weights)))


def record_of(side: Side, sides: Sequence[Side]) -> GgufBlock:
    block = side.block
    return gguf_block_record(
        block.kind,
        block.data,
        block.scale,
        block.minimum,
        block.codes,
        block.weights,
        state.get("weight"),
        side.before,
        [value for other in sides for value in (*other.block.weights, *other.before)],
    )


def choose_weight(click: Click) -> None:
    """A click on a code or a weight chooses the weight."""
    if isinstance(click.customdata, int) and 0 <= click.customdata < BLOCK:
        state.set(weight=click.customdata)


def picture(side: Side, record: GgufBlock) -> None:
    inside = not side.name.startswith("token_embd")
    live_figure(
        gguf_block_figure(record),
        key=side.drawing.key_figure("gguf-block"),
        provenance=runtime.provenance_of(
            side.drawing.run,
            "computed" if side.before else "measured",
            layer=side.drawing.layer if inside else None,
            tensor=side.name,
            row=side.row,
            block=side.number,
        ),
        clickable=side.drawing.clickable,
        on_click=choose_weight,
    )


def sentence(record: GgufBlock) -> None:
    """From the bits to the value, with the numbers of the chosen weight."""
    weight = record.chosen
    byte = record.data[record.byte_of(weight)]
    code = record.codes[weight]
    shown = str(code).replace("-", "−")
    low = " ".join(f"{part:02X}" for part in record.data[:2])
    if record.kind == "Q4_1":
        bits = f"{byte:08b}"
        half = bits[:4] if record.is_high(weight) else bits[4:]
        partner = (weight + 16) % BLOCK
        words = (
            f"**Weight {weight}** is in {place_words(record, weight)}: {byte:02X} is {bits[:4]} {bits[4:]}, "
            f"and {half} is the code **q = {shown}**. (The other half is weight {partner}, code "
            f"{record.codes[partner]}.)"
        )
        rest = " ".join(f"{part:02X}" for part in record.data[2:4])
        formula = f"w = d q + m = {equation(record)}"
        header = (
            f"Bytes 0 and 1 ({low}, low byte first) are d = {six_digits(record.scale)} as fp16, bytes 2 "
            f"and 3 ({rest}) m = {six_digits(record.minimum)}."
        )
    else:
        words = (
            f"**Weight {weight}** is {place_words(record, weight)}: {byte:02X} is the code **q = {shown}**"
            + (f" ({byte} − 256: the byte has a sign)." if byte > 127 else ".")
        )
        formula = f"w = d q = {equation(record)}"
        header = f"Bytes 0 and 1 ({low}, low byte first) are d = {six_digits(record.scale)} as fp16."
    st.markdown(f"{words} **{plain(formula)}**. {header}")


def origin_words(side: Side) -> None:
    """Where the bytes are from; for weights that were packed here, what both kinds lose."""
    drawing = side.drawing
    if not side.before:
        kind = side.block.kind
        st.caption(
            f"Read from the model's own file: tensor {plain(side.name)}, row {side.row:,}, columns "
            f"{side.number * BLOCK:,} to {side.number * BLOCK + BLOCK - 1:,}, kept as {kind}. Loading the "
            f"model wrote these {BLOCK} values out as {drawing.spec().dtype}."
        )
        return
    lost = []
    for kind in BLOCK_BYTES:
        near = np.array(encode_block(kind, side.before).weights)
        own = np.array(side.before)
        size = float(np.linalg.norm(own))
        off = float(np.linalg.norm(near - own)) / size if size else 0.0
        lost.append(f"{kind} they take {BLOCK_BYTES[kind]} bytes and are {plain(share(off))} off")
    before = BLOCK * {"float32": 4, "float64": 8}.get(drawing.spec().dtype, 2)
    st.caption(
        f"This model was not loaded from a GGUF file. The block was packed here, by the `gguf` package's own "
        f"code, from layer {drawing.layer}, {plain(side.name)}, row {side.row:,}, columns "
        f"{side.number * BLOCK:,} to {side.number * BLOCK + BLOCK - 1:,} ({before} bytes as loaded). As "
        f"{'; as '.join(lost)}."
    )


def mathematics(record: GgufBlock) -> str:
    """Both formulas, with the chosen weight's numbers."""
    head = (
        r"$$\text{Q4\_1: } w_i = d\, q_i + m,\ q_i \in \{0, \dots, 15\}; \qquad "
        r"\text{Q8\_0: } w_i = d\, q_i,\ q_i \in \{-127, \dots, 127\}$$"
        "\n\n"
        r"$$\text{Q4\_1: } \frac{8\,(2 + 2 + 16)}{32} = 5 \text{ bits a weight}; \qquad "
        r"\text{Q8\_0: } \frac{8\,(2 + 32)}{32} = 8.5$$"
    )
    code, weight = record.codes[record.chosen], record.weights[record.chosen]
    least = f" + ({record.minimum:.6g})" if record.kind == "Q4_1" else ""
    return (
        f"{head}\n\nHere, weight {record.chosen}:\n\n"
        f"$$w_{{{record.chosen}}} = {record.scale:.6g} \\cdot {code}{least} = {weight:.6g}$$"
    )


def draw(view: View) -> Lesson:
    """Draw the part."""
    drawings = drawings_of(view)
    sources = [source_of(drawing) for drawing in drawings]
    record = None
    if sources[0].shapes:
        controls(sources[0])
    sides = [
        side_of(source, nearest_name(source.setting, list(source.shapes), source.default))
        for source in sources
        if source.shapes
    ]
    found = {id(side.drawing): side for side in sides}
    for place, drawing in zip(st.columns(len(drawings)), drawings, strict=True):
        with column(place, drawing):
            side = found.get(id(drawing))
            if side is None:
                st.info(
                    f"No row in layer {drawing.layer} of {plain(drawing.spec().name)} has {BLOCK} weights, "
                    "so there is no block to show. Choose another model."
                )
                continue
            mine = record_of(side, sides)
            record = record or mine
            sentence(mine)
            picture(side, mine)
            origin_words(side)
    shown = record
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics="" if shown is None else lambda: mathematics(shown),
        code=lambda: "\n\n".join(
            map(inspect.getsource, (gguf_blocks.decode_block, gguf_blocks.encode_block))
        ),
        sources=SOURCES,
    )
