"""Who reads whom: lines from the selected token, and what every head of the layer reads most."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from model_runtime import teaching
from model_runtime.attention.layer_rows import LayerRows, layer_rows
from pages.shared.escape import plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column, same_tokens
from pages.shared.run import runtime
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
from viz.style import share, three_digits

QUESTION = (
    "Take the default prompt, layer 24, head 4, and its last token `·Harry`. Which token will get the thick "
    "line? Now turn on *Average over all heads*: will the line get thicker or thinner?"
)
ANSWER = (
    "This head looks for what followed `·Harry` the last time, and reads `·Potter`. Averaged over the layer "
    "the line gets thinner: the other heads look elsewhere, many at the first token, and an average over "
    "heads hides the one that does the work. That is why heads are looked at one by one."
)
SOURCES = """
- Vig 2019, [A multiscale visualization of attention in the transformer
  model](https://arxiv.org/abs/1906.05714):
  lines between two columns of tokens.
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2.
- Jain and Wallace 2019, [Attention is not explanation](https://arxiv.org/abs/1902.10186): what is read is
  not yet what decides.
- Xiao et al. 2023, [Efficient streaming language models with attention sinks][sinks]: why so many lines end
  at
  the first token.

[sinks]: https://arxiv.org/abs/2309.17453
"""


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side of this part."""

    drawing: Drawing
    own: LayerRows  # the selected token's rows of all heads
    lines: AttentionLines


def rows_for(drawing: Drawing, queries: Sequence[int]) -> LayerRows:
    """Rows of all heads of the layer."""
    layer, wanted = drawing.layer, tuple(queries)
    return runtime.derived(
        drawing.run, ("layer_rows", layer, wanted), lambda trace: layer_rows(trace, layer, wanted)
    )


def one_or_mean(drawing: Drawing, values):
    """The chosen head's of [head, ...], or the mean over heads."""
    return values.mean(axis=0) if state.get("averaged") else values[drawing.head]


def side_of(drawing: Drawing) -> Side:
    """Rows and lines of a run at its selection."""
    own = rows_for(drawing, [drawing.query])
    row = one_or_mean(drawing, own.pattern)[0]
    n, query = len(drawing.texts), drawing.query
    shown = shown_positions([float(p) for p in row[: query + 1]], n, query, drawing.chosen_key)
    n_heads = len(own.pattern)
    lines = attention_lines_record(
        row,
        one_or_mean(drawing, rows_for(drawing, shown).pattern),
        shown,
        drawing.texts,
        [token.id for token in runtime.tokens_for(drawing.run)],
        who=f"L{drawing.layer}, mean of {n_heads} heads"
        if state.get("averaged")
        else f"L{drawing.layer} H{drawing.head}",
        selected=query,
        key=drawing.chosen_key,
        sink=None if own.sink is None else float(one_or_mean(drawing, own.sink)[0]),
    )
    return Side(drawing, own, lines)


def controls(view: View) -> None:
    """Layer and head stand in the sidebar; here, one head or the layer's mean."""
    st.toggle(
        f"Average over all {view.model.spec.n_heads} heads of layer {view.layer}",
        help="The mean of the patterns. It hides what single heads do: compare.",
        **state.bound("averaged"),
    )


def draw_lines(side: Side) -> None:
    """The lines; a click on the left chooses the reader, on the right (or on a line) the key."""
    drawing = side.drawing
    origin = drawing.origin()
    if state.get("averaged"):
        origin = runtime.provenance_of(drawing.run, layer=drawing.layer, heads="mean of the layer")
    if folded := folded_sentence(side.lines):
        st.caption(folded)
    click = live_figure(
        attention_lines_figure(side.lines),
        key=drawing.key_figure("lines"),
        provenance=origin,
        clickable=drawing.clickable,
    )
    match click.customdata if click is not None else None:
        case ["token" | "key" as setting, int(position)]:
            state.set(**{setting: position})
            st.rerun()


def draw_tops(side: Side) -> None:
    """What every head of the layer reads most; a click chooses the head."""
    drawing = side.drawing
    record = layer_tops_record(
        side.own.pattern[:, 0],
        drawing.texts,
        layer=drawing.layer,
        head=drawing.head,
        selected=drawing.query,
    )
    click = live_figure(
        layer_tops_figure(record),
        key=drawing.key_figure("tops"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
    )
    if click is not None and isinstance(click.customdata, int):
        state.set(head=click.customdata, averaged=False)
        st.rerun()


def words(side: Side) -> None:
    """The strongest five, and the chosen key where it is none of them."""
    st.markdown(plain(lines_sentence(side.lines)))
    key = side.lines.key
    if key is None:
        return
    if key >= len(side.lines.shares):
        st.markdown(
            f"The chosen key {quoted(side.lines.tokens[key])} ({key}) comes later and cannot be read."
        )
    elif key not in [strong for strong, _ in side.lines.strongest]:
        st.markdown(
            f"The chosen key {quoted(side.lines.tokens[key])} ({key}) gets {share(side.lines.shares[key])}."
        )


def mathematics(side: Side) -> str:
    """A line's width is one probability; the mean of the layer with its numbers."""
    drawing, rows = side.drawing, side.own.pattern[:, 0]
    key = int(rows.mean(axis=0).argmax()) if state.get("averaged") else side.lines.strongest[0][0]
    each = [float(p) for p in rows[:, key]]
    shown = " + ".join(three_digits(p) for p in each[:6]) + (r" + \dots" if len(each) > 6 else "")
    return (
        "A line from query $q$ to key $k$ is one cell of the pattern; the lines of a query add up to 1:\n\n"
        r"$$p_{qk} = \frac{e^{s_{qk}}}{\sum_{j \le q} e^{s_{qj}}}, \qquad \sum_{k \le q} p_{qk} = 1, \qquad "
        r"\bar p_{qk} = \frac{1}{n_\mathrm{heads}} \sum_{h} p^{(h)}_{qk}$$"
        f"\n\nFrom {quoted(drawing.texts[drawing.query])} ({drawing.query}) to {quoted(drawing.texts[key])} "
        f"({key}), the {len(each)} heads of layer {drawing.layer} give\n\n"
        rf"$$\bar p = \frac{{{shown}}}{{{len(each)}}} = {sum(each) / len(each):.4g}, \qquad "
        rf"p^{{({drawing.head})}} = {each[drawing.head]:.4g}$$"
        "\n\n(A learned sink, where a model has one, takes part in the sum of the denominator.)"
    )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    controls(view)
    sides = [side_of(drawing) for drawing in drawings]
    if len(sides) == 1:
        left, right = st.columns([3, 2])
        with left:
            draw_lines(sides[0])
        with right:
            words(sides[0])
            draw_tops(sides[0])
    else:
        for place, side in zip(st.columns(2), sides, strict=True):
            with column(place, side.drawing):
                draw_lines(side)
                draw_tops(side)
                words(side)
        difference(sides)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=lambda: (
            f"{inspect.getsource(teaching.attention_pattern)}\n\n{inspect.getsource(teaching.softmax)}\n\n"
            f"{inspect.getsource(layer_rows)}"
        ),
        sources=SOURCES,
    )


def difference(sides: Sequence[Side]) -> None:
    """What the pinned run reads otherwise, where both read the same tokens."""
    st.subheader("Difference", anchor=False)
    if same_tokens([side.drawing for side in sides]):
        st.markdown(plain(change_sentence(sides[0].lines, sides[1].lines)))
    else:
        st.markdown(
            "The two prompts are different tokens, so no line of one means the same as one of the other."
        )
