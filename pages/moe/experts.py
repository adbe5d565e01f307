"""What an expert did: its part of the layer's output, and what the model says without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st

from model_runtime.interventions import ForceExperts, Intervention
from model_runtime.moe import experts as measured
from model_runtime.moe.experts import ExpertOutputs, ask_experts
from pages.moe import effects, without
from pages.moe.routed import Routed, routed_of
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import Click
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import describe
from pages.shared.settings.table import FIRST_EXPERT
from viz.distribution_bars import DistributionBars, distribution_bars_figure, pair_record
from viz.distributions import change_sentence
from viz.equations import tex, tex_after_sign, worked
from viz.moe.experts import (
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
from viz.style import share, three_digits

MOST_COMPARED = 8  # experts in the map of cosines
SHARES = (
    "Bar: the part of the sum that points along the sum itself (a projection); these add up to 100\u00a0%, "
    "and a "
    "part against the sum is below 0. Diamond: the length of the part as a share of all lengths together."
)
COSINES = "1: the same direction, 0: nothing in common, −1: opposite. Framed and bold: the asked experts."


@dataclass(frozen=True, eq=False)
class Asked:
    """One run, measured: the experts' outputs for the selected token, and the next token with the edit."""

    routed: Routed
    outputs: ExpertOutputs
    edit: Intervention
    before: PageRun  # without the edit
    next_token: DistributionBars


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    several = routed_of(sides)
    choose_expert(several[0])
    if len(several) == 1:
        asked = [asked_of(several[0])]
        alone(asked[0])
    else:
        without.controls(several[0])
        asked = [asked_of(routed) for routed in several]
        ends = share_ends(*(one.outputs.projection_shares() for one in asked))
        top = max(one.next_token.top for one in asked)
        for place, one in zip(st.columns(2), asked, strict=True):
            with column(place, one.routed.side):
                beside(one, ends, top)
        without.keep_switch(several[0], asked[0].edit)
    effects.section(several)
    return Lesson(
        mathematics=partial(mathematics, asked[0]),
        code=(
            measured.expert_output,
            measured.shared_output,
            measured.recombined,
            measured.projection_shares,
        ),
    )


def choose_expert(routed: Routed) -> None:
    """The control for the expert; "first choice" follows the token."""
    found, token = routed.routing, routed.side.query
    asked = found.indices[routed.row, token].tolist()
    weights = dict(zip(asked, found.weights[routed.row, token].tolist(), strict=True))

    def name(expert: int) -> str:
        if expert == FIRST_EXPERT:
            return f"First choice of the token ({named(asked[0])})"
        weight = weights.get(expert)
        return f"{named(expert)} · " + ("not asked" if weight is None else f"weight {share(weight)}")

    st.selectbox(
        f"Expert of layer {routed.layer}",
        [FIRST_EXPERT, *range(found.n_experts)],
        format_func=name,
        width=320,
        **state.bound("expert"),
    )


def asked_of(routed: Routed) -> Asked:
    """Everything measured of a run. (Runs the prompt once more, with the edit.)"""
    run, layer, token = routed.side.run, routed.layer, routed.side.query
    edit = without.edit_of(routed)
    before, after = without.before_and_after(run, edit)
    outputs = run.measure(
        ask_experts,
        "Asking single experts",
        layer=layer,
        position=token,
        others=(routed.expert, *routed.routing.by_score(layer, token)[:MOST_COMPARED]),
    )
    names = ("as it is", "edited")
    return Asked(
        routed,
        outputs,
        edit,
        before,
        pair_record(before.logits, after.logits, run.text_of, names, most=6),
    )


def alone(asked: Asked) -> None:
    """One run: its parts beside the words, then the edit."""
    record = shares_of(asked)
    left, right = st.columns([3, 2])
    with left:
        shares(asked, record)
    with right:
        cosines(asked)
    st.subheader("And without it?", anchor=False)
    without.controls(asked.routed)
    left, right = st.columns([3, 2])
    with left:
        next_token(asked, asked.next_token.top)
    with right:
        effect(asked)
        without.keep_switch(asked.routed, asked.edit)


def beside(asked: Asked, ends: tuple[float, float], top: float) -> None:
    """One of two runs, in a column."""
    shares(asked, shares_of(asked, ends))
    cosines(asked)
    next_token(asked, top)
    effect(asked)


def shares_of(asked: Asked, ends: tuple[float, float] | None = None) -> ExpertShares:
    routed, outputs = asked.routed, asked.outputs
    return expert_shares_record(
        outputs.experts[: outputs.n_asked],
        outputs.weights[: outputs.n_asked].tolist(),
        outputs.projection_shares(),
        outputs.length_shares(),
        text=routed.side.texts[outputs.position],
        position=outputs.position,
        layer=outputs.layer,
        chosen=routed.expert,
        shared_gate=None if outputs.shared is None else outputs.shared_gate,
        ends=ends,
    )


def shares(asked: Asked, record: ExpertShares) -> None:
    """The parts, the chosen expert's in words, and how well they add up."""
    routed = asked.routed
    routed.show(expert_shares_figure(record), "expert-shares", _take_expert)
    users = int(routed.routing.tokens_per_expert()[routed.row, routed.expert])
    n_tokens = counted(len(routed.side.texts), "token")
    here = f"In this layer {named(routed.expert)} works on {users:,} of {n_tokens}."
    said = chosen_sentence(record, asked.outputs.idle_length(routed.expert))
    st.markdown(plain(f"{said} {here}"))
    st.caption(plain(f"{SHARES} {adds_up(asked.outputs)}"))


def adds_up(outputs: ExpertOutputs) -> str:
    """How well the experts' weighted outputs give what the layer added."""
    if math.isnan(outputs.largest_error):
        return (
            "An edit changed the output of this MLP after its experts were added, so the sum is not compared."
        )
    return (
        "The weighted outputs, computed one expert at a time, add up to what this layer added: the largest "
        f"error over all tokens is {three_digits(outputs.largest_error)}, where the largest number is "
        f"{three_digits(outputs.largest)}."
    )


def _take_expert(click: Click) -> None:
    if isinstance(click.customdata, int) and click.customdata >= 0:
        state.set(expert=click.customdata)


def cosines(asked: Asked) -> None:
    """How alike the experts' outputs point."""
    outputs, texts = asked.outputs, asked.routed.side.texts
    record = expert_cosines_record(
        outputs.experts,
        outputs.n_asked,
        outputs.cosines(),
        text=texts[outputs.position],
        layer=outputs.layer,
    )
    asked.routed.show(expert_cosines_figure(record), "expert-cosines")
    st.caption(f"{cosines_sentence(record)} {COSINES}")


def next_token(asked: Asked, top: float) -> None:
    """The next token with the edit and without it."""
    told = asked.before.origin(layer=asked.routed.layer, edited=describe(asked.edit))
    drawn = distribution_bars_figure(replace(asked.next_token, top=top))
    asked.routed.show(drawn, "without-expert", provenance=told)


def effect(asked: Asked) -> None:
    """The change of the next token in one line, and the texts."""
    words = describe(asked.edit)
    forced = isinstance(asked.edit, ForceExperts)
    headline = f"{words[:1].upper()}{words[1:]}" if forced else f"With {words}"
    st.markdown(f"**{plain(headline)}:** {plain(change_sentence(asked.next_token.change))}")
    without.continuations(asked.routed, asked.edit)


def _three_tex(value: float) -> str:
    return tex(value, 3)


def mathematics(asked: Asked) -> str:
    """The weighted sum and the shares, with the numbers of the selected token."""
    record, outputs = shares_of(asked), asked.outputs
    k = outputs.n_asked
    terms = " + ".join(
        rf"{tex(weight, 3)}\,E_{{{expert}}}(x)"
        for expert, weight in zip(outputs.experts[: min(k, 4)], outputs.weights[: min(k, 4)], strict=True)
    )
    more = r" + \dots" if k > 4 else ""
    shared = "" if outputs.shared is None else rf" + {tex(outputs.shared_gate, 3)}\,E_\mathrm{{shared}}(x)"
    shown, rest = record.projections[:8], record.projections[8:]
    total = sum(record.projections)
    line = worked(total, lambda *each: sum(each), *shown, *([sum(rest)] if rest else []), words=_three_tex)
    parts = " + ".join(tex_after_sign(part, line.digits) for part in shown)
    if rest:
        others = rf"\text{{{len(rest)} other{'s' * (len(rest) > 1)}}}"
        parts += rf" + \underbrace{{{line.tex(sum(rest))}}}_{{{others}}}"
    return (
        "Each expert is a small MLP of its own; its output is multiplied by the router's weight, and all are "
        "added:\n\n"
        r"$$m = \sum_{i \in T} w_i E_i(x)" + (r" + g\,E_\mathrm{shared}(x)" if shared else "") + "$$\n\n"
        f"Here, for token {record.position} in layer {record.layer}:\n\n"
        rf"$$m = {terms}{more}{shared}$$"
        "\n\nThe share of a part $c_i = w_i E_i(x)$ in the sum is its projection on it. The shares add up to "
        "1, because the parts add up to $m$:\n\n"
        r"$$\frac{c_i \cdot m}{m \cdot m}, \qquad \sum_i \frac{c_i \cdot m}{m \cdot m} = "
        rf"{parts} {line.tex_sign} {_three_tex(total)}$$"
        f"\n\nSwitched off, {named(record.chosen)} has $w = 0$ for every token of the prompt; everything "
        f"after layer {record.layer} then reads another stream."
    )
