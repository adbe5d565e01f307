"""Who knows what: which experts take which kind of text, and how much of that is chance."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from model_runtime.moe import domains as measured
from model_runtime.moe import load as router_load
from pages.moe import domains_words as words
from pages.moe.drawing import Routed, comparable
from pages.shared.escape import plain, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import missing
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import column
from pages.shared.run import measurements, runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.table import FIRST_EXPERT
from viz.moe.domains import (
    DomainMap,
    PromptDistance,
    divergence_sentence,
    divergences_record,
    domain_map_record,
    expert_sentence,
    nearest_sentence,
    prompt_sentence,
    typical_record,
    typical_sentence,
)
from viz.moe.domains_figure import (
    divergences_figure,
    domain_map_figure,
    prompt_distance_figure,
    typical_figure,
)
from viz.moe.routing import named

MOST_AT_ONCE = 500_000_000  # active parameters above which measuring waits for a button


def domains_of(drawing: Routed) -> Any | None:
    """The measurement on the held-out text; of a large model only when the button was pressed."""
    known = measurements.known_domains(drawing.run)
    if known is not None:
        return known
    spec = drawing.spec()
    used = spec.n_params * spec.experts_per_token // spec.n_experts
    if used > MOST_AT_ONCE and not st.button(
        "Measure on the held-out text (may take minutes)", key=f"gf.domains.{drawing.slug}", type="primary"
    ):
        return None
    return measurements.domains_for(drawing.run)


def map_of(found: Any, drawings: Sequence[Routed]) -> DomainMap:
    """All domains and the prompts of these runs of one model."""
    first = drawings[0]
    return domain_map_record(
        dict(zip(found.domains, measured.domain_shares(found), strict=True)),
        {drawing.name or "This prompt": drawing.routing().shares() for drawing in drawings},
        found.layers,
        layer=first.layer,
        expert=None if state.get("expert") == FIRST_EXPERT else state.get("expert"),
    )


def origin(drawing: Routed, found: Any, with_prompt: bool = False) -> Provenance:
    """Measured on the held-out text; the prompt and the edits matter only where the prompt is drawn."""
    told = drawing.origin(text=words.text_words(found))
    return told if with_prompt else replace(told, prompt=None, edits="")


def _take_cell(layers: Sequence[int]) -> Any:
    def take(click: Click) -> None:
        if isinstance(click.point, tuple) and click.point[0] < len(layers):
            state.set(layer=layers[click.point[0]], expert=click.point[1])

    return take


def _take_layer(click: Click) -> None:
    if isinstance(click.customdata, int):
        state.set(layer=click.customdata)


def controls(record: DomainMap) -> None:
    """Which expert is looked at; the layer is in the sidebar."""
    st.selectbox(
        "Expert",
        [FIRST_EXPERT, *range(record.n_experts)],
        format_func=lambda e: (
            f"the most specialised of the layer ({named(record.expert)})"
            if e == FIRST_EXPERT and state.get("expert") == FIRST_EXPERT
            else "the most specialised of the layer"
            if e == FIRST_EXPERT
            else named(e)
        ),
        width=360,
        **state.bound("expert"),
    )


def one_model(drawings: Sequence[Routed], found: Any, wide: bool) -> None:
    """Map, divergences and typical tokens of one model, with the prompts of its runs."""
    first = drawings[0]
    record = map_of(found, drawings)
    if first.clickable:
        controls(record)
    live_figure(
        domain_map_figure(record),
        key=first.key_figure("domains"),
        provenance=origin(first, found, with_prompt=True),
        clickable=first.clickable,
        on_click=_take_cell(found.layers),
    )
    st.markdown(plain(expert_sentence(record)))
    _nearest(drawings, found)
    st.caption(words.how_measured(found))
    left, right = st.columns(2) if wide else (st.container(), st.container())
    with left:
        _divergence(first, found)
    with right:
        _typical(first, found, record.expert)


def _nearest(drawings: Sequence[Routed], found: Any) -> None:
    for drawing in drawings:
        bits = measured.nearest_domain(found, drawing.routing().tokens_per_expert())
        sentence = nearest_sentence(drawing.name or "This prompt", found.domains, bits.tolist())
        short = " So short a prompt tells little." if len(drawing.texts) < 16 else ""
        st.markdown(plain(sentence) + short)


def _divergence(drawing: Routed, found: Any) -> None:
    distance = measured.domain_divergence(found)
    record = divergences_record(found.domains, distance.between, distance.within, found.layers, drawing.layer)
    live_figure(
        divergences_figure(record),
        key=drawing.key_figure("divergence"),
        provenance=origin(drawing, found),
        clickable=drawing.clickable,
        on_click=_take_layer,
    )
    st.markdown(plain(divergence_sentence(record)))
    st.caption(words.DIVERGENCE)


def _typical(drawing: Routed, found: Any, expert: int) -> None:
    model = runtime.model_for(drawing.run)
    rows = measured.typical_tokens(found, drawing.layer, expert)
    record = typical_record(
        [token_text(model.token(row.id)) for row in rows],
        [(row.id, row.seen, row.taken, row.share_of_expert, row.share_of_text) for row in rows],
        layer=drawing.layer,
        expert=expert,
    )
    if record.tokens:
        live_figure(
            typical_figure(record),
            key=drawing.key_figure("typical"),
            provenance=origin(drawing, found),
        )
    st.markdown(plain(typical_sentence(record)))
    st.caption(words.TYPICAL)


def prompts(drawings: Sequence[Routed]) -> None:
    """Two prompts compared; with one run, how to get there."""
    st.subheader("Two prompts", anchor=False)
    if len(drawings) < 2:
        st.markdown("Pin this run and type another prompt: their routing is then compared layer by layer.")
        return
    if not comparable(drawings):
        missing("The two models have other experts.", "Pin a run of the same model to compare two prompts.")
        return
    one, other = drawings
    found = runtime.derived(
        one.run,
        ("prompt_divergence", other.run.model, other.run.dtype, other.run.prompt, other.run.edits),
        lambda trace: router_load.prompt_divergence(one.routing(), other.routing()),
        words="Comparing two routings",
    )
    record = PromptDistance(
        found.layers,
        tuple(map(float, found.bits)),
        tuple(map(float, found.chance_mean)),
        tuple(map(float, found.chance_high)),
        found.n_tokens,
        one.layer,
    )
    left, right = st.columns([2, 1])
    with left:
        live_figure(
            prompt_distance_figure(record),
            key="prompt-divergence",
            provenance=runtime.provenance_of(
                one.run, layer=one.layer, compared_with=other.run, shuffles=found.shuffles
            ),
        )
    with right:
        st.markdown(plain(prompt_sentence(record)))
        st.caption(words.shuffled(found))


def draw(view: View, drawings: Sequence[Routed]) -> Lesson:
    """Draw the part."""
    try:
        _models(drawings)
    except measured.TextMissing as error:
        missing(error.what, error.remedy)
    prompts(drawings)
    return Lesson(
        words.QUESTION,
        words.ANSWER,
        mathematics=lambda: words.mathematics(drawings[0], measurements.known_domains(drawings[0].run)),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (router_load.js_divergence, measured.domain_divergence, measured.typical_tokens)
        ),
        sources=words.SOURCES,
    )


def _models(drawings: Sequence[Routed]) -> None:
    """One model with all its prompts, or two side by side."""
    found = [domains_of(drawing) for drawing in drawings]
    if len({id(one) for one in found}) == 1 or len(drawings) == 1:
        if found[0] is not None:
            one_model(drawings, found[0], wide=True)
        return
    for place, drawing, one in zip(st.columns(2), drawings, found, strict=True):
        with column(place, drawing):
            if one is not None:
                one_model([drawing], one, wide=False)
