"""Who reads whom: lines from the selected token, and what every head of the layer reads most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from model_runtime import teaching
from model_runtime.attention.layer_rows import LayerRows, layer_rows
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, same_tokens
from pages.shared.settings import url_state as state
from viz.attention.layer_tops import layer_tops_figure, layer_tops_record
from viz.attention.lines import (
    AttentionLines,
    attention_lines_record,
    change_sentence,
    folded_sentence,
    lines_sentence,
    shown_positions,
)
from viz.attention.lines_figure import attention_lines_figure
from viz.equations import tex, worked
from viz.style import share


@dataclass(frozen=True, eq=False)
class Read:
    """What one run's selected token reads."""

    side: Side
    own: LayerRows  # the selected token's rows of all heads
    lines: AttentionLines


def rows_of(side: Side, queries: Sequence[int]) -> LayerRows:
    """Rows of all heads of the layer."""
    return side.run.measure(layer_rows, layer=side.layer, queries=tuple(queries))


def read_of(side: Side) -> Read:
    """Rows and lines of a run at its selection: of one head, or of the layer's mean."""
    head = None if state.get("averaged") else side.head
    own, query = rows_of(side, [side.query]), side.query
    row, sink = own.of(head)[0], own.sink_of(head)
    shown = shown_positions(row[: query + 1].tolist(), len(row), query, side.chosen_key)
    lines = attention_lines_record(
        row,
        rows_of(side, shown).of(head),
        shown,
        side.texts,
        side.run.ids,
        who=f"L{side.layer}, mean of {len(own.pattern)} heads" if head is None else f"L{side.layer} H{head}",
        selected=query,
        key=side.chosen_key,
        sink=None if sink is None else float(sink[0]),
    )
    return Read(side, own, lines)


def controls(side: Side) -> None:
    """Layer and head stand in the sidebar; here, one head or the layer's mean."""
    st.toggle(
        f"Average over all {side.spec.n_heads} heads of layer {side.layer}",
        help="The mean of the patterns. It hides what single heads do: compare.",
        **state.bound("averaged"),
    )


def draw_lines(read: Read) -> None:
    """The lines; a click on the left chooses the reader, on the right (or on a line) the key."""
    side = read.side
    averaged = side.origin(head=False, heads="mean of the layer")
    origin = averaged if state.get("averaged") else side.origin()
    if folded := folded_sentence(read.lines):
        st.caption(folded)
    click = live_figure(
        attention_lines_figure(read.lines),
        key=side.key_figure("lines"),
        provenance=origin,
        clickable=side.clickable,
    )
    match click.customdata if click is not None else None:
        case ["token" | "key" as setting, int(position)]:
            state.set(**{setting: position})
            st.rerun()


def draw_tops(read: Read) -> None:
    """What every head of the layer reads most; a click chooses the head."""
    side = read.side
    record = layer_tops_record(
        read.own.pattern[:, 0],
        side.texts,
        layer=side.layer,
        head=side.head,
        selected=side.query,
    )
    click = live_figure(
        layer_tops_figure(record),
        key=side.key_figure("tops"),
        provenance=side.origin(),
        clickable=side.clickable,
    )
    if click is not None and isinstance(click.customdata, int):
        state.set(head=click.customdata, averaged=False)
        st.rerun()


def words(read: Read) -> None:
    """The strongest five, and the chosen key where it is none of them."""
    st.markdown(plain(lines_sentence(read.lines)))
    key = read.lines.key
    if key is None:
        return
    if key >= len(read.lines.shares):
        st.markdown(
            f"The chosen key {quoted(read.lines.tokens[key])} ({key}) comes later and cannot be read."
        )
    elif key not in [strong for strong, _ in read.lines.strongest]:
        st.markdown(
            f"The chosen key {quoted(read.lines.tokens[key])} ({key}) gets {share(read.lines.shares[key])}."
        )


def mathematics(read: Read) -> str:
    """A line's width is one probability; the mean of the layer with its numbers."""
    side, rows, key = read.side, read.own.pattern[:, 0], read.lines.strongest[0][0]
    each = [float(p) for p in rows[:, key]]
    first, rest = each[:6], each[6:]
    mean = sum(each) / len(each)
    added = [*first, *([sum(rest)] if rest else [])]
    line = worked(mean, lambda *parts: sum(parts) / len(each), *added, words=tex)
    shown = " + ".join(map(line.tex, first))
    if rest:
        others = rf"\text{{{len(rest)} other{'s' * (len(rest) > 1)}}}"
        shown += rf" + \underbrace{{{line.tex(sum(rest))}}}_{{{others}}}"
    return (
        "A line from query $q$ to key $k$ is one cell of the pattern; the lines of a query add up to 1:\n\n"
        r"$$p_{qk} = \frac{e^{s_{qk}}}{\sum_{j \le q} e^{s_{qj}}}, \qquad \sum_{k \le q} p_{qk} = 1, \qquad "
        r"\bar p_{qk} = \frac{1}{n_\mathrm{heads}} \sum_{h} p^{(h)}_{qk}$$"
        f"\n\nFrom {quoted(side.texts[side.query])} ({side.query}) to {quoted(side.texts[key])} "
        f"({key}), the {len(each)} heads of layer {side.layer} give\n\n"
        rf"$$\bar p = \frac{{{shown}}}{{{len(each)}}} {line.tex_sign} {tex(mean)}, \qquad "
        rf"p^{{({side.head})}} = {tex(each[side.head])}$$"
        "\n\n(A learned sink, where a model has one, takes part in the sum of the denominator.)"
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    controls(sides[0])
    reads = [read_of(side) for side in sides]
    if len(reads) == 1:
        left, right = st.columns([3, 2])
        with left:
            draw_lines(reads[0])
        with right:
            words(reads[0])
            draw_tops(reads[0])
    else:
        for place, read in zip(st.columns(2), reads, strict=True):
            with column(place, read.side):
                draw_lines(read)
                draw_tops(read)
                words(read)
        difference(reads)
    return Lesson(
        mathematics=partial(mathematics, reads[0]),
        code=(teaching.attention_pattern, teaching.softmax, LayerRows),
    )


def difference(reads: Sequence[Read]) -> None:
    """What the pinned run reads otherwise, where both read the same tokens."""
    st.subheader("Difference", anchor=False)
    if same_tokens([read.side for read in reads]):
        st.markdown(plain(change_sentence(reads[0].lines, reads[1].lines)))
    else:
        st.markdown(
            "The two prompts are different tokens, so no line of one means the same as one of the other."
        )
