"""Change the rotation: base, offset, scaling, or none; the edited run stands beside the run on screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.capture.rotary import RopeEdit, rope_angles, rotate, rotate_half
from model_runtime.interventions import (
    Intervention,
    PositionsOff,
    RopeBase,
    RopeOffset,
    RopeScaling,
)
from model_runtime.positions.change import PatternChange, pattern_change
from pages.positions.rotation import nothing
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, same_tokens
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import describe, misfit
from viz.attention.pattern import attention_difference_record, attention_pattern_record
from viz.attention.pattern_map import attention_difference_figure, attention_pattern_figure
from viz.distribution_bars import distribution_bars_figure, pair_record
from viz.distributions import change_sentence
from viz.positions.change import (
    heads_moved_figure,
    heads_moved_record,
    moved_difference_figure,
    pattern_change_figure,
)
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


@dataclass(frozen=True, eq=False)
class Changed:
    """A run without an edit of this kind, the same with it, and what moved."""

    side: Side
    before: PageRun
    after: PageRun
    change: PatternChange


def edit_of_controls() -> Intervention:
    """The edit that the controls describe."""
    way = state.get("twist")
    if way == "base":
        return RopeBase(state.get("twist_base"))
    if way == "offset":
        return RopeOffset(state.get("twist_by"))
    return PositionsOff() if way == "off" else RopeScaling(way, state.get("twist_factor"))


def base_of(side: Side) -> float | None:
    """The model's own base in the chosen layer, without the run's edits."""
    base = (side.model.adapter.rope_parameters(side.layer) or {}).get("rope_theta")
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


def _slider(label: str, key: str, stops: Sequence[float], words: Callable[[float], str]) -> None:
    st.select_slider(label, sorted({*stops, state.get(key)}), format_func=words, **state.bound(key))


def changed_by(side: Side, edit: Intervention) -> Changed:
    """Run the model with the edit (kept) and compare every head; other edits stay in both runs."""
    others = tuple(other for other in side.run.settings.edits if type(other) is not type(edit))
    before, after = side.run.comparable(others), side.run.comparable((*others, edit))
    change = before.measure(pattern_change, "Comparing all heads", edits=after.settings.edits)
    return Changed(side, before, after, change)


def maps(changed: Changed) -> None:
    """The chosen head: as it is, edited, and the difference."""
    side, before, after = changed.side, changed.before, changed.after
    layer, head = side.layer, side.head
    one, other = (run.trace.get("pattern", layer, head) for run in (before, after))
    chosen: dict[str, Any] = {"layer": layer, "head": head, "selected": side.query, "key": side.chosen_key}
    shown = [
        ("As it is", before, attention_pattern_figure(attention_pattern_record(one, side.texts, **chosen))),
        ("Edited", after, attention_pattern_figure(attention_pattern_record(other, side.texts, **chosen))),
        (
            "Difference",
            after,
            pattern_change_figure(attention_difference_record(other, one, side.texts, **chosen)),
        ),
    ]
    for place, (name, run, drawn) in zip(st.columns(3, gap="small"), shown, strict=True):
        with place:
            st.markdown(f"**{name}**")
            compared = before if name == "Difference" else None
            live_figure(
                drawn,
                key=side.key_figure(f"twist-{name.split(' ')[0].lower()}"),
                provenance=run.origin(layer=layer, head=head, compared_with=compared),
            )


def heads(changed: Changed, edit: Intervention, top: float) -> None:
    def choose(click: Click) -> None:
        if isinstance(click.point, tuple):
            state.set(layer=click.point[0], head=click.point[1])

    side = changed.side
    record = heads_moved_record(
        changed.change.moved, layer=side.layer, head=side.head, top=top, edit=describe(edit)
    )
    live_figure(
        heads_moved_figure(record),
        key=side.key_figure("twist-heads"),
        provenance=changed.after.origin(compared_with=changed.before),
        clickable=side.clickable,
        on_click=choose,
    )


def difference(changes: Sequence[Changed]) -> None:
    """Current less pinned: how much further each head moves, and the chosen head's edited maps."""
    st.subheader("Difference", anchor=False)
    current, pinned = changes
    chosen: dict[str, Any] = {"layer": current.side.layer, "head": current.side.head}
    origin = current.after.origin(compared_with=pinned.after, **chosen)
    heads, map_ = st.columns([1, 2], gap="medium")
    with heads:
        if current.change.moved.shape == pinned.change.moved.shape:
            drawn = moved_difference_figure(current.change.moved, pinned.change.moved, **chosen)
            live_figure(drawn, key="twist-heads-difference", provenance=origin)
        else:
            st.markdown("The two models have different numbers of layers or heads.")
    with map_:
        if same_tokens([changed.side for changed in changes]):
            here, there = (
                changed.after.trace.get("pattern", changed.side.layer, changed.side.head)
                for changed in changes
            )
            chosen |= {"selected": current.side.query, "key": current.side.chosen_key}
            record = attention_difference_record(here, there, current.side.texts, **chosen)
            live_figure(attention_difference_figure(record), key="twist-map-difference", provenance=origin)
        else:
            st.markdown("The two prompts are different tokens, so their maps have no cells in common.")


def next_tokens(changed: Changed, edit: Intervention) -> None:
    """Both distributions, and the change in one sentence."""
    before, after = changed.before, changed.after
    record = pair_record(before.logits, after.logits, before.text_of, ("as it is", describe(edit)))
    live_figure(
        distribution_bars_figure(record),
        key=changed.side.key_figure("twist-next"),
        provenance=after.origin(compared_with=before),
    )
    st.markdown(plain(change_sentence(record.change)))


def words(changed: Changed, edit: Intervention) -> None:
    side, change = changed.side, changed.change
    moved, score = (float(values[side.layer, side.head]) for values in (change.moved, change.scores))
    st.markdown(
        f"With {plain(describe(edit))}, layer {side.layer}, head {side.head} moves "
        f"{plain(share(moved))} of its attention; its scores change by at most "
        f"{plain(three_digits(score))}. Over all heads a score "
        f"changes by at most {plain(three_digits(float(np.max(change.scores))))}."
    )
    own = base_of(side)
    st.caption(
        (f"The model's own base in layer {side.layer} is {own:,.0f}. " if own else "")
        + "The whole model was run again with this rotation in every layer that has one, for this request "
        "only: nobody else's runs change. Moved: half the sum of absolute differences of a row (total "
        "variation), mean over queries."
    )
    if side.clickable:
        kept = edit in state.get("edits")
        st.button(
            "Take this edit back" if kept else "Keep this edit on every page",
            key="gf.twist.keep",
            on_click=state.set,
            kwargs={"edits": (changed.before if kept else changed.after).settings.edits},
            help="Puts the edit into this run and into the link, until you take it back here or on "
            "top of the page.",
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


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    controls(base_of(sides[0]))
    edit = edit_of_controls()
    able = [side for side in sides if misfit(edit, side.spec, len(side.texts)) is None]
    changes = [changed_by(side, edit) for side in able]
    top = max((float(changed.change.moved.max()) for changed in changes), default=1.0)
    for side in sides:
        with column(st.container(), side):
            if side not in able:
                nothing(side)
                continue
            changed = changes[able.index(side)]
            words(changed, edit)
            maps(changed)
            left, right = st.columns(2, gap="medium")
            with left:
                heads(changed, edit, top)
            with right:
                next_tokens(changed, edit)
    if len(changes) > 1:
        difference(changes)
    return Lesson(mathematics=lambda: mathematics(edit), code=(RopeEdit, rope_angles, rotate, rotate_half))
