"""What an expert did: its part of the layer's output, and what the model says without it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.interventions import Intervention
from model_runtime.moe import outputs as expert_outputs
from pages.moe import effects, expert_edit
from pages.moe import experts_words as words
from pages.moe.drawing import Routed
from pages.moe.without import continuations
from pages.shared.escape import counted, plain, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import describe
from pages.shared.settings.table import FIRST_EXPERT
from viz.distribution_bars import DistributionBars, distribution_bars_figure, pair_record
from viz.distributions import change_sentence
from viz.moe.experts import (
    ExpertCosines,
    ExpertShares,
    chosen_sentence,
    cosines_sentence,
    expert_cosines_figure,
    expert_cosines_record,
    expert_shares_figure,
    expert_shares_record,
    share_ends,
)
from viz.moe.routing import named
from viz.style import share

MOST_COMPARED = 8  # experts in the map of cosines


@dataclass(frozen=True, eq=False)
class Side:
    """One run, measured: the experts' outputs for the selected token, and the next token with the edit."""

    drawing: Routed
    outputs: Any  # model_runtime.moe.outputs.ExpertOutputs
    edit: Intervention
    next_token: DistributionBars


def side_of(drawing: Routed) -> Side:
    """Everything measured of a run. (Runs the prompt once more, with the edit.)"""
    edit = expert_edit.edit_of(drawing)
    before, after = expert_edit.before_and_after(drawing.run, edit)
    model = runtime.model_for(drawing.run)
    next_token = pair_record(
        runtime.logits_for(before),
        runtime.logits_for(after),
        lambda token_id: token_text(model.token(token_id)),
        ("as it is", "edited"),
        most=6,
    )
    return Side(drawing, outputs_of(drawing), edit, next_token)


def outputs_of(drawing: Routed) -> Any:
    """The asked experts' outputs, the chosen one's, and those of the best that were not asked."""
    model, layer, position = runtime.model_for(drawing.run), drawing.layer, drawing.query
    routing = drawing.routing()
    order = np.argsort(-routing.logits[routing.row(layer), position], kind="stable").tolist()
    others = (drawing.expert, *map(int, order[:MOST_COMPARED]))
    return runtime.derived(
        drawing.run,
        ("expert_outputs", layer, position, others),
        lambda trace: expert_outputs.ask_experts(model, trace, layer, position, others),
        words="Asking single experts",
        points=expert_outputs.POINTS,
        layers=(layer,),
    )


def shares_of(side: Side, ends: tuple[float, float] | None = None) -> ExpertShares:
    drawing, outputs = side.drawing, side.outputs
    return expert_shares_record(
        outputs.experts[: outputs.n_asked],
        outputs.weights[: outputs.n_asked],
        outputs.projection_shares(),
        outputs.length_shares(),
        text=drawing.texts[drawing.query],
        position=drawing.query,
        layer=drawing.layer,
        chosen=drawing.expert,
        shared_gate=None if outputs.shared is None else outputs.shared_gate,
        ends=ends,
    )


def cosines_of(side: Side) -> ExpertCosines:
    outputs, drawing = side.outputs, side.drawing
    return expert_cosines_record(
        outputs.experts,
        outputs.n_asked,
        outputs.cosines(),
        text=drawing.texts[drawing.query],
        layer=drawing.layer,
    )


def choose_expert(drawing: Routed) -> None:
    """The control for the expert; "first choice" follows the token."""
    routing = drawing.routing()
    row = routing.row(drawing.layer)
    asked = [int(expert) for expert in routing.indices[row, drawing.query]]
    weights = dict(zip(asked, routing.weights[row, drawing.query].tolist(), strict=True))

    def name(expert: int) -> str:
        if expert == FIRST_EXPERT:
            return f"First choice of the token ({named(asked[0])})"
        weight = weights.get(expert)
        return f"{named(expert)} · " + ("not asked" if weight is None else f"weight {share(weight)}")

    st.selectbox(
        f"Expert of layer {drawing.layer}",
        [FIRST_EXPERT, *range(routing.n_experts)],
        format_func=name,
        width=320,
        **state.bound("expert"),
    )


def shares_figure(side: Side, record: ExpertShares) -> None:
    live_figure(
        expert_shares_figure(record),
        key=side.drawing.key_figure("expert-shares"),
        provenance=side.drawing.origin(),
        clickable=side.drawing.clickable,
        on_click=_take_expert,
    )


def _take_expert(click: Click) -> None:
    if isinstance(click.customdata, int) and click.customdata >= 0:
        state.set(expert=click.customdata)


def cosines_figure(side: Side) -> None:
    record = cosines_of(side)
    live_figure(
        expert_cosines_figure(record),
        key=side.drawing.key_figure("expert-cosines"),
        provenance=side.drawing.origin(),
    )
    st.caption(f"{cosines_sentence(record)} {words.COSINES}")


def numbers(side: Side, record: ExpertShares) -> None:
    """The chosen expert's part in words, and how well the parts add up."""
    outputs, expert = side.outputs, side.drawing.expert
    idle = None
    if expert not in outputs.experts[: outputs.n_asked]:
        own = outputs.outputs[outputs.experts.index(expert)]
        idle = float(np.linalg.norm(own) / (np.linalg.norm(outputs.mlp_out) or 1.0))
    routing = side.drawing.routing()
    users = int(routing.tokens_per_expert()[routing.row(side.drawing.layer), expert])
    here = f"In this layer {named(expert)} works on {users:,} of {counted(len(side.drawing.texts), 'token')}."
    st.markdown(plain(f"{chosen_sentence(record, idle)} {here}"))
    st.caption(plain(f"{words.SHARES} {words.adds_up(outputs)}"))


def next_figure(side: Side, top: float) -> None:
    before, _ = expert_edit.before_and_after(side.drawing.run, side.edit)
    live_figure(
        distribution_bars_figure(replace(side.next_token, top=top)),
        key=side.drawing.key_figure("without-expert"),
        provenance=runtime.provenance_of(before, layer=side.drawing.layer, edited=describe(side.edit)),
    )


def effect(side: Side) -> None:
    """The change of the next token in one line, and the texts."""
    st.markdown(f"**{plain(words.headline(side.edit))}:** {plain(change_sentence(side.next_token.change))}")
    continuations(side.drawing, side.edit)


def alone(side: Side) -> None:
    """One run: its parts beside the words, then the edit."""
    record = shares_of(side)
    left, right = st.columns([3, 2])
    with left:
        shares_figure(side, record)
        numbers(side, record)
    with right:
        cosines_figure(side)
    st.subheader("And without it?", anchor=False)
    expert_edit.controls(side.drawing)
    left, right = st.columns([3, 2])
    with left:
        next_figure(side, side.next_token.top)
    with right:
        effect(side)
        expert_edit.keep_switch(side.drawing, side.edit)


def beside(side: Side, ends: tuple[float, float], top: float) -> None:
    """One of two runs, in a column."""
    record = shares_of(side, ends)
    shares_figure(side, record)
    numbers(side, record)
    cosines_figure(side)
    next_figure(side, top)
    effect(side)


def draw(view: View, drawings: Sequence[Routed]) -> Lesson:
    """Draw the part."""
    choose_expert(drawings[0])
    if len(drawings) == 1:
        sides = [side_of(drawings[0])]
        alone(sides[0])
        effects.section(drawings)
    else:
        expert_edit.controls(drawings[0])
        sides = [side_of(drawing) for drawing in drawings]
        ends = share_ends(*(side.outputs.projection_shares() for side in sides))
        top = max(side.next_token.top for side in sides)
        for place, side in zip(st.columns(2), sides, strict=True):
            with column(place, side.drawing):
                beside(side, ends, top)
        expert_edit.keep_switch(drawings[0], sides[0].edit)
        effects.section(drawings)
    return Lesson(
        words.QUESTION,
        words.ANSWER,
        mathematics=lambda: words.mathematics(shares_of(sides[0]), sides[0].outputs),
        code=lambda: "\n\n".join(
            inspect.getsource(part)
            for part in (
                expert_outputs.expert_output,
                expert_outputs.recombined,
                expert_outputs.projection_shares,
            )
        ),
        sources=words.SOURCES,
    )
