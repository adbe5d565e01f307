"""Who is asked: the router's decisions for every token and layer, and one of them in all its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import streamlit as st

from model_runtime.moe.routing import RouterRule, Routing, weights_by_rule
from model_runtime.records.distributions import softmax
from pages.moe.routed import Routed, comparable, routed_of
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, same_tokens
from pages.shared.settings import url_state as state
from pages.shared.settings.table import FIRST_EXPERT
from viz.equations import tex, worked
from viz.moe import routing as records
from viz.moe.route_map import route_map_figure
from viz.moe.routed_text import routed_text_figure
from viz.moe.router import router_bars_figure, token_path_figure
from viz.moe.routing import RouterBars, named, rule_words
from viz.style import share, three_digits

_MOST_ROWS = 8


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    several = routed_of(sides)
    top = max(_largest(routed) for routed in several)
    bars = [bars_of(routed) for routed in several]
    if len(several) == 1:
        alone(several[0], bars[0], top)
    else:
        longest = max(record.top for record in bars)
        if comparable(several) and same_tokens([routed.side for routed in several]):
            one, other = (routed.routing.indices for routed in several)
            st.markdown(plain(records.agreement_sentence(one, other)))
        for place, routed in zip(st.columns(2), several, strict=True):
            with column(place, routed.side):
                beside(routed, bars_of(routed, longest), top)
    return Lesson(
        mathematics=partial(mathematics, bars[0], several[0].routing.rule),
        code=(softmax, RouterRule, weights_by_rule),
    )


def _largest(routed: Routed) -> float:
    """The largest probability that any router gave the selected token: the end of a common scale."""
    return float(softmax(routed.routing.logits[:, routed.side.query]).max())


def alone(routed: Routed, record: RouterBars, top: float) -> None:
    """One run: the text on top, the map beside the numbers, the token's way beside its bars."""
    text_figure(routed)
    _tell_window(routed)
    left, right = st.columns([3, 2])
    with left:
        map_figure(routed)
    with right:
        numbers(routed, record)
    left, right = st.columns(2)
    with left:
        path_figure(routed, top)
    with right:
        routed.show(router_bars_figure(record), "router-bars", _take_expert)


def beside(routed: Routed, record: RouterBars, top: float) -> None:
    """One of two runs, in a column."""
    text_figure(routed)
    _tell_window(routed)
    map_figure(routed)
    numbers(routed, record)
    path_figure(routed, top)
    routed.show(router_bars_figure(record), "router-bars", _take_expert)


def text_figure(routed: Routed) -> None:
    """The prompt coloured by the experts of the chosen layer; a click chooses a token."""
    record = records.routed_text_record(
        routed.side.texts,
        routed.routing.indices[routed.row],
        routed.routing.weights[routed.row],
        layer=routed.layer,
        selected=routed.side.query,
        n_experts=routed.routing.n_experts,
    )
    routed.show(routed_text_figure(record), "routed-text", _take_token)


def map_figure(routed: Routed) -> None:
    """Tokens by layers; a click chooses both."""
    record = records.route_map_record(
        routed.side.texts,
        routed.routing.indices,
        routed.routing.weights,
        routed.routing.layers,
        n_layers=routed.side.spec.n_layers,
        layer=routed.layer,
        selected=routed.side.query,
        n_experts=routed.routing.n_experts,
    )
    routed.show(route_map_figure(record), "route-map", _take_cell)


def path_figure(routed: Routed, top: float) -> None:
    """The chosen token's routers, layer by layer; a click chooses layer and expert."""
    found, token = routed.routing, routed.side.query
    record = records.token_path_record(
        routed.side.texts[token],
        token,
        [*softmax(found.logits[:, token])],
        found.indices[:, token],
        found.weights[:, token],
        found.layers,
        n_layers=routed.side.spec.n_layers,
        layer=routed.layer,
        expert=routed.expert,
        top=top,
    )
    routed.show(token_path_figure(record), "token-path", _take_layer_and_expert)


def bars_of(routed: Routed, top: float | None = None) -> RouterBars:
    """The chosen token's router in the chosen layer."""
    found, row, token = routed.routing, routed.row, routed.side.query
    return records.router_bars_record(
        routed.side.texts[token],
        token,
        routed.layer,
        found.logits[row, token],
        found.probabilities(routed.layer)[token],
        found.indices[row, token],
        found.weights[row, token],
        top,
    )


def _take_token(click: Click) -> None:
    if isinstance(click.customdata, int):
        state.set(token=click.customdata, expert=FIRST_EXPERT)


def _take_cell(click: Click) -> None:
    if isinstance(click.x, int) and isinstance(click.y, int):
        state.set(token=click.x, layer=click.y, expert=FIRST_EXPERT)


def _take_layer_and_expert(click: Click) -> None:
    if isinstance(click.point, tuple):
        state.set(layer=click.point[0], expert=click.point[1])


def _take_expert(click: Click) -> None:
    if isinstance(click.customdata, int):
        state.set(expert=click.customdata)


def _tell_window(routed: Routed) -> None:
    """Of a long prompt, which stretch the pictures show."""
    n = len(routed.side.texts)
    if n > records.MOST_MAP_TOKENS:
        st.caption(
            f"The prompt has {n:,} tokens. The text shows at most {records.MOST_TEXT_TOKENS:,} and the map "
            f"{records.MOST_MAP_TOKENS} around the selected one; choose another to move on. The counts below "
            "and the map's data are of the whole prompt."
        )


def numbers(routed: Routed, record: RouterBars) -> None:
    """The decision as a sentence and a table, the rule of this family, and experts nobody asked."""
    found = routed.routing
    if routed.asked_layer != routed.layer:
        st.info(
            f"Layer {routed.asked_layer} is dense: every token uses its whole MLP. Shown is layer "
            f"{routed.layer}, the nearest with experts."
        )
    st.markdown(plain(records.bars_sentence(record)))
    st.markdown(table(record))
    st.caption(plain(rule_of(found)))
    n_tokens, counts = len(routed.side.texts), found.tokens_per_expert()
    st.markdown(plain(records.unused_sentence(found.layers, counts, n_tokens, layer=routed.layer)))


def table(record: RouterBars) -> str:
    """Score, probability and weight of the chosen experts and of the best that was not chosen."""
    lines = ["| expert | score | probability | weight |", "|---|---:|---:|---:|"]
    for expert, weight in list(zip(record.experts, record.weights, strict=True))[:_MOST_ROWS]:
        lines.append(_row(record, expert, share(weight)))
    chosen = {*record.experts}
    rest = [expert for expert in range(len(record.logits)) if expert not in chosen]
    if rest:
        best = max(rest, key=lambda expert: record.logits[expert])
        lines.append(_row(record, best, "not asked"))
    return "\n".join(lines)


def _row(record: RouterBars, expert: int, last: str) -> str:
    score, probability = record.logits[expert], record.probabilities[expert]
    return f"| {named(expert)} | {three_digits(score)} | {share(probability)} | {last} |"


def rule_of(found: Routing) -> str:
    """How this family makes weights of scores, and how well that gives the numbers it used."""
    rule = found.rule
    said = f"In this model {rule_words(rule.over, rule.renormalised, rule.bias, rule.shared)}."
    if not math.isnan(found.largest_error):
        said += (
            f" Computed from the scores by that rule, all weights of this prompt agree with those the model "
            f"used to within {three_digits(found.largest_error)}."
        )
    if rule.over == "chosen":
        said += " The probabilities over all experts are shown for comparison; the model never computes them."
    if found.edited:
        said += f" Edited routers: layer {', '.join(map(str, found.edited))}."
    return said


def mathematics(record: RouterBars, rule: RouterRule) -> str:
    """The router with the numbers of the selected token and layer."""
    k, n = len(record.experts), len(record.logits)
    expert, weight = record.experts[0], record.weights[0]
    score = record.logits[expert]
    return (
        "The router is one small matrix. It scores each of the $N$ experts for the token's vector $x$ and "
        f"keeps the $k$ best; here $N = {n}$ and $k = {k}$:\n\n"
        r"$$s = W_r x" + (" + b" if rule.bias else "") + r", \qquad T = \mathrm{top}_k(s)$$"
        f"\n\n{_formula(rule)}\n\n"
        r"$$\mathrm{MLP}(x) = \sum_{i \in T} w_i \, E_i(x)"
        + (r" + \sigma(g \cdot x)\, E_\mathrm{shared}(x)" if rule.shared else "")
        + "$$"
        f"\n\nFor token {record.position} in layer {record.layer}, the first choice is {named(expert)}:\n\n"
        rf"$$s_{{{expert}}} = {tex(score)}, \qquad p_{{{expert}}} = {tex(record.probabilities[expert])}, "
        rf"\qquad w_{{{expert}}} = {_fraction(record, rule)} {tex(weight)}$$"
    )


def _formula(rule: RouterRule) -> str:
    if rule.over == "chosen":
        return r"$$w_i = \frac{e^{s_i}}{\sum_{j \in T} e^{s_j}} \quad (i \in T)$$"
    probability = r"p_i = \frac{e^{s_i}}{\sum_{j=1}^{N} e^{s_j}}"
    if rule.renormalised:
        return rf"$${probability}, \qquad w_i = \frac{{p_i}}{{\sum_{{j \in T}} p_j}} \quad (i \in T)$$"
    return rf"$${probability}, \qquad w_i = p_i \quad (i \in T)$$"


def _fraction(record: RouterBars, rule: RouterRule) -> str:
    """The weight of the first choice with its numbers put in, and the sign before its value."""
    first = record.probabilities[record.experts[0]]
    if not rule.sums_to_one:
        return f"p_{{{record.experts[0]}}} ="
    total = sum(record.probabilities[expert] for expert in record.experts)
    line = worked(record.weights[0], lambda p, all_p: p / all_p, first, total, least=4, words=tex)
    return rf"\frac{{{line.tex(first)}}}{{{line.tex(total)}}} {line.tex_sign}"
