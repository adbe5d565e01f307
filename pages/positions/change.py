"""Change the rotation: base, offset, scaling, or none; the edited run stands beside the run on screen."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.capture import rotary as rope
from model_runtime.interventions import (
    Intervention,
    PositionsOff,
    RopeBase,
    RopeOffset,
    RopeScaling,
)
from model_runtime.positions import rotation
from pages.positions.rotation import nothing
from pages.shared.escape import plain, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import describe, misfit
from viz.attention.pattern import attention_difference_record, attention_pattern_record
from viz.attention.pattern_map import attention_pattern_figure
from viz.distribution_bars import distribution_bars_figure, pair_record
from viz.distributions import change_sentence
from viz.positions.rope_change import heads_moved_figure, heads_moved_record, pattern_change_figure
from viz.style import share, three_digits

WAYS = {
    "base": "Base",
    "offset": "Move",
    "linear": "Linear",
    "ntk": "NTK",
    "off": "Off",
}
BASES = (100, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1e6, 1e7, 1e8)
OFFSETS = (0, 1, 10, 100, 500, 1_000, 5_000, 10_000, 100_000)
FACTORS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0)
QUESTION = (
    "What happens to the next-token probabilities if every position is moved by 1,000? Predict, then choose "
    "“Move”. And if only the base changes?"
)
ANSWER = (
    "Moved together, nothing happens: each q turns further, each k by as much, and a score only knows the "
    "difference. What is left is rounding. Another base changes every θ but the first, so the same distance "
    "turns by another angle than the model was trained with: scores change, most where heads rely on "
    "position."
)
SOURCES = """
- Su et al. 2021, [RoFormer](https://arxiv.org/abs/2104.09864), 3.2: base and distance.
- Chen et al. 2023, [Position interpolation](https://arxiv.org/abs/2306.15595), 3: positions divided.
- bloc97 2023, NTK-aware scaled RoPE; described in Peng et al. 2023,
  [YaRN](https://arxiv.org/abs/2309.00071), 3.1: the base raised instead.
"""


@dataclass(frozen=True, eq=False)
class Side:
    """A run as it is, the same with the edit, and what moved."""

    drawing: Drawing
    before: Run
    after: Run
    change: rotation.PatternChange


def edit_of_controls() -> Intervention:
    """The edit that the controls describe."""
    way = state.get("twist")
    if way == "base":
        return RopeBase(state.get("twist_base"))
    if way == "offset":
        return RopeOffset(state.get("twist_by"))
    return PositionsOff() if way == "off" else RopeScaling(way, state.get("twist_factor"))


def base_of(drawing: Drawing) -> float | None:
    """The model's own base in the chosen layer, without the run's edits."""
    parameters = runtime.model_for(drawing.run).adapter.rope_parameters(drawing.layer) or {}
    base = parameters.get("rope_theta")
    return None if base is None else float(base)


def controls(own: float | None) -> None:
    """What is changed, and by how much. The model runs when the slider is let go."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.segmented_control(
            "Change the rotation",
            [*WAYS],
            format_func=WAYS.__getitem__,
            required=True,
            help="Base: another θ. Move: a number is added to every position. Linear and NTK stretch the "
            "context: positions divided, or the base raised. Off: nothing turns.",
            **state.bound("twist"),
        )
    way = state.get("twist")
    with right:
        if way == "base":
            stops = {*map(float, BASES), *([] if own is None else [own])}
            _slider(
                "RoPE base",
                "twist_base",
                sorted(stops),
                lambda v: f"{v:,.0f}" + (" (its own)" if v == own else ""),
            )
        elif way == "offset":
            _slider("Added to every position", "twist_by", OFFSETS, lambda v: f"{v:,}")
        elif way != "off":
            _slider("Factor", "twist_factor", FACTORS, lambda v: f"{v:g}")


def _slider(label: str, key: str, stops: Sequence[float], words: Any) -> None:
    st.select_slider(label, sorted({*stops, state.get(key)}), format_func=words, **state.bound(key))


def before_and_after(run: Run, edit: Intervention) -> tuple[Run, Run]:
    """The run without an edit of this kind, and with this one; other edits stay in both."""
    others = tuple(other for other in run.edits if type(other) is not type(edit))
    return replace(run, edits=others), replace(run, edits=(*others, edit))


def side_of(drawing: Drawing, edit: Intervention) -> Side:
    """Run the model with the edit (cached) and compare every head."""
    before, after = before_and_after(drawing.run, edit)

    trace_before = runtime.trace_for(before)

    def compare(trace: Any) -> rotation.PatternChange:
        return rotation.pattern_change(trace_before, trace)

    change = runtime.derived(after, ("rope change", before.edits), compare, words="Comparing all heads")
    return Side(drawing, before, after, change)


def maps(side: Side) -> None:
    """The chosen head: as it is, edited, and the difference."""
    drawing = side.drawing
    layer, head = drawing.layer, drawing.head
    patterns = [runtime.trace_for(run).get("pattern", layer, head) for run in (side.before, side.after)]
    chosen = {"layer": layer, "head": head, "selected": drawing.query, "key": drawing.chosen_key}
    figures = [
        attention_pattern_figure(attention_pattern_record(one, drawing.texts, **chosen)) for one in patterns
    ]
    figures.append(
        pattern_change_figure(attention_difference_record(patterns[1], patterns[0], drawing.texts, **chosen))
    )
    names = ("As it is", "Edited", "Difference")
    runs = (side.before, side.after, side.after)
    for place, name, drawn, run in zip(st.columns(3, gap="small"), names, figures, runs, strict=True):
        with place:
            st.markdown(f"**{name}**")
            live_figure(
                drawn,
                key=drawing.key_figure(f"twist-{name.split(' ')[0].lower()}"),
                provenance=runtime.provenance_of(
                    run,
                    layer=layer,
                    head=head,
                    compared_with=side.before if name == "Difference" else None,
                ),
            )


def heads(side: Side, edit: Intervention, top: float) -> None:
    def choose(click: Click) -> None:
        if isinstance(click.point, tuple):
            state.set(layer=click.point[0], head=click.point[1])

    drawing = side.drawing
    record = heads_moved_record(
        side.change.moved, layer=drawing.layer, head=drawing.head, top=top, edit=describe(edit)
    )
    live_figure(
        heads_moved_figure(record),
        key=drawing.key_figure("twist-heads"),
        provenance=runtime.provenance_of(side.after, compared_with=side.before),
        clickable=drawing.clickable,
        on_click=choose,
    )


def next_tokens(side: Side, edit: Intervention) -> None:
    """Both distributions, and the change in one sentence."""
    model = runtime.model_for(side.before)
    record = pair_record(
        runtime.logits_for(side.before),
        runtime.logits_for(side.after),
        lambda token_id: token_text(model.token(token_id)),
        ("as it is", describe(edit)),
    )
    live_figure(
        distribution_bars_figure(record),
        key=side.drawing.key_figure("twist-next"),
        provenance=runtime.provenance_of(side.after, compared_with=side.before),
    )
    st.markdown(plain(change_sentence(record.change)))


def words(side: Side, edit: Intervention) -> None:
    drawing, change = side.drawing, side.change
    moved = float(change.moved[drawing.layer, drawing.head])
    st.markdown(
        f"With {plain(describe(edit))}, layer {drawing.layer}, head {drawing.head} moves "
        f"{plain(share(moved))} of its attention; its scores change by at most "
        f"{plain(three_digits(float(change.scores[drawing.layer, drawing.head])))}. Over all heads a score "
        f"changes by at most {plain(three_digits(float(np.max(change.scores))))}."
    )
    own = base_of(drawing)
    st.caption(
        (f"The model's own base in layer {drawing.layer} is {own:,.0f}. " if own else "")
        + "The whole model was run again with this rotation in every layer that has one, for this request "
        "only: nobody else's runs change. Moved: half the sum of absolute differences of a row (total "
        "variation), mean over queries."
    )
    if drawing.clickable:
        kept = edit in state.get("edits")
        st.button(
            "Take this edit back" if kept else "Keep this edit on every page",
            key="gf.twist.keep",
            on_click=state.set,
            kwargs={"edits": side.before.edits if kept else side.after.edits},
            help="Puts the edit into this run and into the link, until you take it back here or in the "
            "sidebar.",
        )


def mathematics(edit: Intervention) -> str:
    """What each change does to the angle."""
    return (
        r"$$\theta_i = b^{-2i/d}, \qquad \text{score} \propto \mathrm{Re} \sum_i q_i\, \bar k_i\, "
        r"e^{\mathrm{i}(m-n)\theta_i}$$"
        "\n\n"
        r"| change | angle of pair $i$ |" + "\n|---|---|\n"
        r"| base $b'$ | $m\, b'^{-2i/d}$ |" + "\n"
        r"| moved by $s$ | $(m+s)\theta_i$; in a score $s$ cancels: $(m+s)-(n+s) = m-n$ |" + "\n"
        r"| linear, factor $f$ | $(m/f)\,\theta_i$ |" + "\n"
        r"| NTK, factor $f$ | $b' = b f^{d/(d-2)}$: the fastest pair keeps its angle, the slowest is divided "
        r"by $f$ |" + "\n\n"
        f"Chosen: {plain(describe(edit))}."
    )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    controls(base_of(drawings[0]))
    edit = edit_of_controls()
    able = [d for d in drawings if misfit(edit, d.spec(), len(d.texts)) is None]
    sides = [side_of(drawing, edit) for drawing in able]
    top = max((float(side.change.moved.max()) for side in sides), default=1.0)
    for drawing in drawings:
        with column(st.container(), drawing):
            if drawing not in able:
                nothing(drawing)
                continue
            side = sides[able.index(drawing)]
            words(side, edit)
            maps(side)
            left, right = st.columns(2, gap="medium")
            with left:
                heads(side, edit, top)
            with right:
                next_tokens(side, edit)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(edit),
        code=lambda: "\n\n".join(map(inspect.getsource, (rope.RopeEdit, rope.rotate, rope.RopeEditor))),
        sources=SOURCES,
    )
