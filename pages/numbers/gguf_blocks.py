"""GGUF blocks: 32 weights in 20 bytes, from the model's own file, or packed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import streamlit as st

from model_runtime.numbers.gguf_blocks import (
    BLOCK,
    BLOCK_BYTES,
    FileTensor,
    block_error,
    decode_block,
    encode_block,
    file_block,
    file_tensors,
    gguf_file_of,
    tensors_of,
)
from model_runtime.numbers.quantization_effects import matrix_shapes, row_strip
from model_runtime.records.weights import Block
from pages.numbers.matrices import choose_named, nearest_name
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.equations import tex, tex_after_sign
from viz.numbers.gguf_blocks import (
    GgufBlock,
    equation,
    equation_digits,
    gguf_block_figure,
    gguf_block_record,
    in_product,
    place_words,
)
from viz.style import share

KINDS = {"q4_1": "Q4_1", "q8_0": "Q8_0"}
FIRST = "attn_q.weight"


@dataclass(frozen=True, eq=False)
class Source:
    """Where a run's blocks are taken from: names with their rows and weights in a row."""

    side: Side
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


@dataclass(frozen=True, eq=False)
class ChosenBlock:
    """A run's block: from its model's file, or packed here from 32 weights (`before`)."""

    side: Side
    name: str  # of the tensor or matrix
    row: int
    number: int
    block: Block
    before: tuple[float, ...] = ()

    @property
    def place(self) -> str:
        first = self.number * BLOCK
        return f"{plain(self.name)}, row {self.row:,}, columns {first:,} to {first + BLOCK - 1:,}"


def source_of(side: Side) -> Source:
    """The model's GGUF file, else the matrices of the chosen layer whose rows hold a block."""
    file = gguf_file_of(side.spec.model_id)
    if file is not None:
        outside = {tensor.name: tensor for tensor in file_tensors(file) if not tensor.name.startswith("blk.")}
        tensors = {**tensors_of(file, side.layer), **outside}
        if tensors:
            return Source(side, file, tensors, {name: (t.rows, t.width) for name, t in tensors.items()})
    shapes = matrix_shapes(side.model, side.layer)
    return Source(side, None, {}, {name: shape for name, shape in shapes.items() if shape[1] >= BLOCK})


def controls(source: Source) -> None:
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


def block_of(source: Source) -> ChosenBlock:
    """The block at the chosen place, or at the nearest that this run's model has."""
    side, name = source.side, nearest_name(source.setting, list(source.shapes), source.default)
    rows, n_blocks = source.size(name)
    row, number = min(state.get("block_row"), rows - 1), min(state.get("block"), n_blocks - 1)
    if source.file is not None:
        return ChosenBlock(
            side, name, row, number, file_block(source.file, source.tensors[name], row, number)
        )
    weights = row_strip(side.model, side.layer, name, row, number * BLOCK)
    block = encode_block(KINDS[state.get("block_kind")], weights)
    return ChosenBlock(side, name, row, number, block, tuple(map(float, weights)))


def record_of(mine: ChosenBlock, everyone: Sequence[ChosenBlock]) -> GgufBlock:
    others = [value for other in everyone for value in (*other.block.weights, *other.before)]
    return gguf_block_record(mine.block, state.get("weight"), mine.before, others)


def choose_weight(click: Click) -> None:
    """A click on a code or a weight chooses the weight."""
    if isinstance(click.customdata, int) and 0 <= click.customdata < BLOCK:
        state.set(weight=click.customdata)


def picture(mine: ChosenBlock, record: GgufBlock) -> None:
    side, inside = mine.side, not mine.name.startswith("token_embd")
    live_figure(
        gguf_block_figure(record),
        key=side.key_figure("gguf-block"),
        provenance=side.run.origin(
            "computed" if mine.before else "measured",
            as_it_is=True,
            layer=side.layer if inside else None,
            tensor=mine.name,
            row=mine.row,
            block=mine.number,
        ),
        clickable=side.clickable,
        on_click=choose_weight,
    )


def sentence(record: GgufBlock) -> None:
    """From the bits to the value, with the numbers of the chosen weight."""
    block, weight, line = record.block, record.chosen, equation_digits(record)
    byte = block.data[record.byte_of(weight)]
    shown = str(block.codes[weight]).replace("-", "−")
    low, rest = (" ".join(f"{part:02X}" for part in block.data[at : at + 2]) for at in (0, 2))
    header = f"Bytes 0 and 1 ({low}, low byte first) are d = {in_product(block.scale, line)} as fp16"
    if record.halved:
        bits, partner = f"{byte:08b}", (weight + 16) % BLOCK
        half = bits[:4] if record.is_high(weight) else bits[4:]
        words = (
            f"**Weight {weight}** is in {place_words(record, weight)}: {byte:02X} is {bits[:4]} {bits[4:]}, "
            f"and {half} is the code **q = {shown}**. (The other half is weight {partner}, code "
            f"{block.codes[partner]}.)"
        )
        formula = "w = d q + m"
        header += f", bytes 2 and 3 ({rest}) m = {in_product(block.minimum, line)}"
    else:
        words = (
            f"**Weight {weight}** is {place_words(record, weight)}: {byte:02X} is the code **q = {shown}**"
            + (f" ({byte} − 256: the byte has a sign)." if byte > 127 else ".")
        )
        formula = "w = d q"
    st.markdown(f"{words} **{plain(f'{formula} = {equation(record)}')}**. {header}.")


def origin_words(mine: ChosenBlock) -> None:
    """Where the bytes are from; for weights that were packed here, what both kinds lose."""
    side = mine.side
    if not mine.before:
        st.caption(
            f"Read from the model's own file: tensor {mine.place}, kept as {mine.block.kind}. Loading the "
            f"model wrote these {BLOCK} values out as {side.spec.dtype}."
        )
        return
    lost = []
    for kind, n_bytes in BLOCK_BYTES.items():
        error = block_error(encode_block(kind, mine.before), mine.before)
        lost.append(f"{kind} they take {n_bytes} bytes and are {plain(share(error))} off")
    before = BLOCK * {"float32": 4, "float64": 8}.get(side.spec.dtype, 2)
    st.caption(
        f"This model was not loaded from a GGUF file. The block was packed here, by the `gguf` package's own "
        f"code, from layer {side.layer}, {mine.place} ({before} bytes as loaded). As {'; as '.join(lost)}."
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
    block, chosen = record.block, record.chosen
    code, weight = block.codes[chosen], block.weights[chosen]
    line = equation_digits(record)
    least = f" + {tex_after_sign(block.minimum, line.digits)}" if record.halved else ""
    return (
        f"{head}\n\nHere, weight {chosen}:\n\n"
        f"$$w_{{{chosen}}} = {line.tex(block.scale)} \\cdot {tex_after_sign(code)}{least} {line.tex_sign} "
        f"{tex(weight, 3)}$$"
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    sources = [source_of(side) for side in sides]
    if sources[0].shapes:
        controls(sources[0])
    found = [block_of(source) if source.shapes else None for source in sources]
    everyone = [one for one in found if one]
    for place, side, mine in zip(places(sides), sides, found, strict=True):
        with column(place, side):
            if mine is None:
                st.info(
                    f"No row in layer {side.layer} of {plain(side.spec.name)} has {BLOCK} weights, "
                    "so there is no block to show. Choose another model."
                )
                continue
            record = record_of(mine, everyone)
            sentence(record)
            picture(mine, record)
            origin_words(mine)
    shown = partial(mathematics, record_of(everyone[0], everyone)) if everyone else ""
    return Lesson(mathematics=shown, code=(decode_block, encode_block))
