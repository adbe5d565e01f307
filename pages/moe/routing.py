"""Who is asked: the router's decisions for every token and layer, and one of them in all its numbers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import streamlit as st

from model_runtime.moe import routing as experts
from model_runtime.records.distributions import softmax
from pages.moe import routing_words as words
from pages.moe.drawing import Routed, comparable
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import column, same_tokens
from pages.shared.settings import url_state as state
from pages.shared.settings.table import FIRST_EXPERT
from viz.moe import routing as records
from viz.moe.route_map import route_map_figure
from viz.moe.routed_text import routed_text_figure
from viz.moe.router import router_bars_figure, token_path_figure
from viz.moe.routing import RouterBars


def text_figure(drawing: Routed) -> None:
    """The prompt coloured by the experts of the chosen layer; a click chooses a token."""
    routing = drawing.routing()
    row = routing.row(drawing.layer)
    record = records.routed_text_record(
        drawing.texts,
        routing.indices[row],
        routing.weights[row],
        layer=drawing.layer,
        selected=drawing.query,
        n_experts=routing.n_experts,
    )
    live_figure(
        routed_text_figure(record),
        key=drawing.key_figure("routed-text"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
        on_click=_take_token,
    )


def map_figure(drawing: Routed) -> None:
    """Tokens by layers; a click chooses both."""
    routing = drawing.routing()
    record = records.route_map_record(
        drawing.texts,
        routing.indices,
        routing.weights,
        routing.layers,
        n_layers=drawing.spec().n_layers,
        layer=drawing.layer,
        selected=drawing.query,
        n_experts=routing.n_experts,
    )
    live_figure(
        route_map_figure(record),
        key=drawing.key_figure("route-map"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
        on_click=_take_cell,
    )


def path_figure(drawing: Routed, top: float) -> None:
    """The chosen token's routers, layer by layer; a click chooses layer and expert."""
    routing = drawing.routing()
    record = records.token_path_record(
        drawing.texts[drawing.query],
        drawing.query,
        [routing.probabilities(layer)[drawing.query] for layer in routing.layers],
        routing.indices[:, drawing.query],
        routing.weights[:, drawing.query],
        routing.layers,
        n_layers=drawing.spec().n_layers,
        layer=drawing.layer,
        expert=drawing.expert,
        top=top,
    )
    live_figure(
        token_path_figure(record),
        key=drawing.key_figure("token-path"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
        on_click=_take_layer_and_expert,
    )


def bars_of(drawing: Routed, top: float | None = None) -> RouterBars:
    """The chosen token's router in the chosen layer."""
    routing = drawing.routing()
    row = routing.row(drawing.layer)
    return records.router_bars_record(
        drawing.texts[drawing.query],
        drawing.query,
        drawing.layer,
        routing.logits[row, drawing.query],
        routing.probabilities(drawing.layer)[drawing.query],
        routing.indices[row, drawing.query],
        routing.weights[row, drawing.query],
        top,
    )


def bars_figure(drawing: Routed, record: RouterBars) -> None:
    live_figure(
        router_bars_figure(record),
        key=drawing.key_figure("router-bars"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
        on_click=_take_expert,
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


def numbers(drawing: Routed, record: RouterBars) -> None:
    """The decision as a sentence and a table, the rule of this family, and experts nobody asked."""
    routing = drawing.routing()
    if drawing.asked_layer != drawing.layer:
        st.info(
            f"Layer {drawing.asked_layer} is dense: every token uses its whole MLP. Shown is layer "
            f"{drawing.layer}, the nearest with experts."
        )
    st.markdown(plain(records.bars_sentence(record)))
    st.markdown(words.table(record))
    st.caption(plain(words.rule(routing)))
    st.markdown(
        plain(
            records.unused_sentence(
                routing.layers, routing.tokens_per_expert(), len(drawing.texts), layer=drawing.layer
            )
        )
    )


def _tell_window(drawing: Routed) -> None:
    """Of a long prompt, which stretch the pictures show."""
    n = len(drawing.texts)
    if n > records.MOST_MAP_TOKENS:
        st.caption(
            f"The prompt has {n:,} tokens. The text shows at most {records.MOST_TEXT_TOKENS:,} and the map "
            f"{records.MOST_MAP_TOKENS} around the selected one; choose another to move on. The counts below "
            "and the map's data are of the whole prompt."
        )


def alone(drawing: Routed, record: RouterBars, top: float) -> None:
    """One run: the text on top, the map beside the numbers, the token's way beside its bars."""
    text_figure(drawing)
    _tell_window(drawing)
    left, right = st.columns([3, 2])
    with left:
        map_figure(drawing)
    with right:
        numbers(drawing, record)
    left, right = st.columns(2)
    with left:
        path_figure(drawing, top)
    with right:
        bars_figure(drawing, record)


def beside(drawing: Routed, record: RouterBars, top: float) -> None:
    """One of two runs, in a column."""
    text_figure(drawing)
    _tell_window(drawing)
    map_figure(drawing)
    numbers(drawing, record)
    path_figure(drawing, top)
    bars_figure(drawing, record)


def draw(view: View, drawings: Sequence[Routed]) -> Lesson:
    """Draw the part."""
    bars = [bars_of(drawing) for drawing in drawings]
    if len(drawings) == 1:
        alone(drawings[0], bars[0], _top(drawings))
    else:
        top = max(record.top for record in bars)
        if comparable(drawings) and same_tokens(drawings):
            one, other = (drawing.routing().indices for drawing in drawings)
            st.markdown(plain(records.agreement_sentence(one, other)))
        for place, drawing in zip(st.columns(2), drawings, strict=True):
            with column(place, drawing):
                beside(drawing, bars_of(drawing, top), _top(drawings))
    return Lesson(
        words.QUESTION,
        words.ANSWER,
        mathematics=lambda: words.mathematics(bars[0], drawings[0].routing()),
        code=_code,
        sources=words.SOURCES,
    )


def _top(drawings: Sequence[Routed]) -> float:
    """The largest probability that any router gave the selected tokens: the end of a common scale."""
    return max(
        float(drawing.routing().probabilities(layer)[drawing.query].max())
        for drawing in drawings
        for layer in drawing.routing().layers
    )


def _code() -> str:
    parts: tuple[Any, ...] = (softmax, experts.weights_by_rule)
    return "\n\n".join(inspect.getsource(part) for part in parts)
