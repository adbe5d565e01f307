"""All heads: every head at a glance, one head's pattern in detail, and what happens without it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st

from model_runtime import teaching
from model_runtime.errors import PointUnavailable
from model_runtime.interventions import ScaleHead
from pages.attention.drawing import Drawing
from pages.shared import runtime
from pages.shared import url_state as state
from pages.shared.live_figure import live_figure
from pages.shared.opening import measures_for
from pages.shared.page import View
from pages.shared.parts import Lesson
from pages.shared.runs import Run
from pages.shared.words import plain, quoted, token_text
from viz.attention_map import attention_difference_figure, attention_pattern_figure, attention_row_figure
from viz.attention_pattern import (
    AttentionPattern,
    attention_difference_record,
    attention_pattern_record,
    row_sentence,
    strongest_keys,
)
from viz.attention_words import softmax_fraction
from viz.distribution_change import change_sentence, distribution_change_record
from viz.head_grid import head_grid_figure, head_grid_record
from viz.heads import MEASURES, Measures, findings, shared_top, strongest


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side of this part."""

    drawing: Drawing
    measures: Measures
    pattern: AttentionPattern

    @property
    def run(self) -> Run:
        return self.drawing.run

    @property
    def layer(self) -> int:
        return self.drawing.layer

    @property
    def head(self) -> int:
        return self.drawing.head


def side_of(drawing: Drawing) -> Side:
    """Measures and pattern of a run at its selection."""
    run, layer, head = drawing.run, drawing.layer, drawing.head
    record = attention_pattern_record(
        drawing.trace().get("pattern", layer, head),
        drawing.texts,
        layer=layer,
        head=head,
        selected=drawing.query,
        sink=sink_of(run, layer, head),
        off=ScaleHead(layer, head) in run.edits,
    )
    return Side(drawing, measures_for(run), record)


def sink_of(run: Run, layer: int, head: int):
    """What each query pays to a learned sink, [query_pos], or None where the model has none."""
    try:
        return runtime.trace_for(run).get("sink_weight", layer, head)
    except PointUnavailable:
        return None


def controls(view: View, measures: Measures) -> str:
    """The measure that colours the overview (returned), a way to its strongest head, and the switch."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Colour the heads by",
            [*MEASURES],
            format_func=lambda key: MEASURES[key].name,
            required=True,
            **state.bound("measure"),
        )
        measure = state.get("measure")
        best = strongest(measures.of(measure))
        words = "No head stands out" if best is None else f"Go to the strongest, L{best[0]} H{best[1]}"
        here = best is None or best == (view.layer, view.head)
        st.button(words, disabled=here, on_click=choose_head, args=best, help=MEASURES[measure].asks)
        switch(view.layer, view.head)
    return measure


def choose_head(layer: int, head: int) -> None:
    state.set(layer=layer, head=head)


def switch(layer: int, head: int) -> None:
    """The toggle that cuts the chosen head out of the model, for this visitor's runs only."""
    key = f"gf.switch.{layer}.{head}"
    st.session_state[key] = is_off(layer, head)
    st.toggle(
        f"Switch L{layer} H{head} off",
        key=key,
        on_change=turn,
        args=(layer, head),
        help="Sets the head's output to zero before it joins the stream (ablation). The edit stays, on every "
        "page, until you switch the head on again.",
    )


def is_off(layer: int, head: int) -> bool:
    return ScaleHead(layer, head) in state.get("edits")


def heads_off(run: Run) -> list[tuple[int, int]]:
    """(layer, head) of every head that is switched off in a run."""
    return [
        (edit.layer, edit.head)
        for edit in run.edits
        if isinstance(edit, ScaleHead) and edit == ScaleHead(edit.layer, edit.head)
    ]


def turn(layer: int, head: int) -> None:
    cut = ScaleHead(layer, head)
    others = tuple(edit for edit in state.get("edits") if edit != cut)
    state.set(edits=others if is_off(layer, head) else (*others, cut))


def overview(drawing: Side, measure: str, top: float, key: str, clickable: bool) -> None:
    """The grid of heads; a click chooses one."""
    record = head_grid_record(
        drawing.measures.of(measure),
        measure,
        layer=drawing.layer,
        head=drawing.head,
        top=top,
        off=heads_off(drawing.run),
    )
    origin = runtime.provenance_of(drawing.run, layer=drawing.layer, head=drawing.head)
    click = live_figure(head_grid_figure(record), key=key, provenance=origin, clickable=clickable)
    if click is not None and isinstance(click.point, tuple):
        state.set(layer=click.point[0], head=click.point[1])
        st.rerun()


def pattern(drawing: Side, key: str, clickable: bool) -> None:
    """The map of the chosen head; a click on a cell chooses its query token."""
    origin = runtime.provenance_of(drawing.run, layer=drawing.layer, head=drawing.head)
    click = live_figure(
        attention_pattern_figure(drawing.pattern), key=key, provenance=origin, clickable=clickable
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(token=drawing.pattern.query_at(click.point))
        st.rerun()


def row_words(drawing: Side, key: str) -> None:
    """The selected row in one sentence, and bar by bar where the map shows blocks."""
    st.markdown(plain(row_sentence(drawing.pattern)))
    if drawing.pattern.block > 1:
        block = drawing.pattern.block
        st.caption(
            f"{len(drawing.pattern.tokens):,} tokens are more than the map has cells, so each cell shows the "
            f"largest of {block} × {block} probabilities. This row is exact:"
        )
        live_figure(
            attention_row_figure(drawing.pattern),
            key=key,
            provenance=runtime.provenance_of(
                drawing.run, layer=drawing.layer, head=drawing.head, query=drawing.pattern.selected
            ),
        )


def head_words(drawing: Side, measure: str) -> None:
    """What kind of head this is on this prompt."""
    values = drawing.measures.at(drawing.layer, drawing.head)
    found = findings(values)
    for sentence in found.values():
        st.markdown(plain(sentence))
    value = values[measure]
    if measure not in found and value == value:  # not NaN: the prompt can tell
        st.markdown(
            f"{MEASURES[measure].name}: {plain(MEASURES[measure].written(value))}. {MEASURES[measure].asks}"
        )


def effect(drawing: Side) -> None:
    """What the next-token distribution loses without the head, in one line."""
    cut = ScaleHead(drawing.layer, drawing.head)
    if cut not in drawing.run.edits:
        return
    whole = replace(drawing.run, edits=tuple(edit for edit in drawing.run.edits if edit != cut))
    model = runtime.model_for(whole)
    change = distribution_change_record(
        runtime.logits_for(whole), runtime.logits_for(drawing.run), lambda i: token_text(model.token(i))
    )
    st.markdown(f"**Without L{drawing.layer} H{drawing.head}:** {plain(change_sentence(change))}")


def beside(current: Side, pinned: Side, measure: str) -> None:
    """Two runs side by side on shared scales, then their difference where the tokens are the same."""
    top = shared_top(measure, current.measures, pinned.measures)
    for column, drawing, name in zip(
        st.columns(2), (current, pinned), ("Current run", "Pinned run"), strict=True
    ):
        is_current = drawing is current
        with column:
            st.subheader(name, anchor=False)
            st.markdown(quoted(drawing.run.prompt))
            # The words come last: two texts of unequal length would push the figures out of line.
            pattern(drawing, f"pattern-{name}", clickable=is_current)
            overview(drawing, measure, top, f"heads-{name}", clickable=is_current)
            row_words(drawing, f"row-{name}")
            head_words(drawing, measure)
            if not is_current:
                effect(drawing)
    difference(current, pinned)


def difference(current: Side, pinned: Side) -> None:
    st.subheader("Difference", anchor=False)
    tokens = [[token.id for token in runtime.trace_for(d.run).tokens] for d in (current, pinned)]
    if tokens[0] != tokens[1]:
        st.markdown(
            f"The two prompts are different tokens ({len(tokens[0]):,} and {len(tokens[1]):,}), so no cell "
            "of one map means the same as a cell of the other: there is no difference to draw. Pin a run of "
            "the same prompt, with a head switched off or another number format, to see one."
        )
        return
    record = attention_difference_record(
        *(runtime.trace_for(d.run).get("pattern", d.layer, d.head) for d in (current, pinned)),
        current.pattern.tokens,
        layer=current.layer,
        head=current.head,
        selected=current.pattern.selected,
    )
    live_figure(
        attention_difference_figure(record),
        key="difference",
        provenance=runtime.provenance_of(
            current.run, layer=current.layer, head=current.head, compared_with=pinned.run
        ),
    )


def alone(drawing: Side, measure: str) -> None:
    """One run: the overview on the left, the chosen head on the right."""
    heads, map_ = st.columns([1, 2])
    with heads:
        overview(drawing, measure, shared_top(measure, drawing.measures), "heads", clickable=True)
        head_words(drawing, measure)
    with map_:
        pattern(drawing, "pattern", clickable=True)
        row_words(drawing, "row")


def mathematics(drawing: Side) -> str:
    """Scaled dot-product attention with the numbers of the selected query and the key it reads most."""
    trace = runtime.trace_for(drawing.run)
    query = drawing.pattern.selected
    key, probability = strongest_keys(drawing.pattern, 1)[0]
    scores = trace.get("attn_scores", drawing.layer, drawing.head)[query]
    fraction = softmax_fraction(scores, key, drawing.pattern.sink)
    return (
        "One head compares the query of each token with the keys of all tokens up to it, and reads their "
        "values in proportion (Vaswani et al. 2017):\n\n"
        r"$$s_{qk} = \frac{q \cdot k}{\sqrt{d_\mathrm{head}}}, \qquad "
        r"p_{qk} = \frac{e^{s_{qk} - \max s_q}}{\sum_{j \le q} e^{s_{qj} - \max s_q}}, \qquad "
        r"z_q = \sum_{k \le q} p_{qk} v_k$$"
        f"\n\nHere query {query} is {quoted(drawing.pattern.tokens[query])} and key {key} is "
        f"{quoted(drawing.pattern.tokens[key])}, with $d_\\mathrm{{head}} = {trace.spec.d_head}$:\n\n"
        rf"$$s = {fraction.score:.4g}, \quad \max s_q = {fraction.top:.4g}, \quad "
        rf"p = \frac{{{fraction.numerator:.4g}}}{{{fraction.denominator:.4g}}} = {probability:.4g}$$"
        f"\n\nThe sum runs over the {fraction.n_keys:,} tokens this query may read. (Some families scale "
        "differently, cap the scores, or add a learned sink to the sum; the numbers are as this model used "
        "them.)"
    )


TRY_QUESTION = (
    "The prompt `Mr and Mrs Dursley of number four. Mr and Mrs` begins to say something again. Which "
    "token will a head read that looks for what followed the last word before? Type the prompt in, "
    "colour by *Induction* and go to the strongest head."
)
TRY_ANSWER = (
    "The last `Mrs` reads the token after the first one, where the name begins, and so the model can "
    "say it again. Two heads work together for this: one in an earlier layer tells each token what "
    "stands before it, and a later one looks for a token whose predecessor is the present one (Olsson "
    "et al. 2022)."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.2: attention, heads.
- Elhage et al. 2021, [A mathematical framework for transformer circuits][circuits]: previous-token heads and
  how they feed induction.
- Olsson et al. 2022, [In-context learning and induction heads](https://arxiv.org/abs/2209.11895).
- Wang et al. 2022, [Interpretability in the wild](https://arxiv.org/abs/2211.00593): duplicate-token heads.
- Xiao et al. 2023, [Efficient streaming language models with attention sinks][sinks].

The shares from which a head is given a name here (induction and duplicate 30 %, previous token 40 %, sink
50 %) are ours: the papers describe the heads, not a threshold. A pattern says what a head reads, not what it
does with it.

[circuits]: https://transformer-circuits.pub/2021/framework/index.html
[sinks]: https://arxiv.org/abs/2309.17453
"""


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    sides = [side_of(drawing) for drawing in drawings]
    chosen_measure = controls(view, sides[0].measures)
    effect(sides[0])
    if len(sides) == 1:
        alone(sides[0], chosen_measure)
    else:
        beside(sides[0], sides[1], chosen_measure)
    return Lesson(
        TRY_QUESTION,
        TRY_ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=lambda: (
            f"{inspect.getsource(teaching.attention_pattern)}\n\n{inspect.getsource(teaching.softmax)}"
        ),
        sources=SOURCES,
    )
