"""Load: how the work falls on the experts, the loss that evens it out, noise, capacity, and collapse."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from model_runtime.moe import collapse as recorded
from model_runtime.moe import load as router_load
from pages.moe import load_words as words
from pages.moe.drawing import Routed
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import missing
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import column
from pages.shared.settings import url_state as state
from viz.moe.collapse import collapse_figure, collapse_record, collapse_sentence
from viz.moe.load import LoadRecord, load_figure, load_record, load_words, with_noise_and_capacity

CAPACITIES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 0.0)  # 0: no limit


def sliders(noise: bool) -> list[Slider]:
    """Noise (unless the router is forced, which no noise changes) and capacity."""
    found = [
        Slider(
            "noise",
            "Noise σ",
            state.get("noise"),
            high=5.0,
            step=0.05,
            words={0: "none"},
            help="Gaussian noise of this standard deviation is added to the router's scores.",
        ),
        Slider(
            "capacity",
            "Capacity factor",
            state.get("capacity"),
            stops=CAPACITIES,
            words={0: "no limit"},
            help="Each expert takes at most this many times its equal share of the slots.",
        ),
    ]
    return found if noise else found[1:]


def load_of(drawing: Routed, top: int = 0) -> LoadRecord:
    """The chosen layer under the sliders' noise and capacity."""
    routing = drawing.routing()
    row = routing.row(drawing.layer)
    logits, measured = routing.logits[row], routing.indices[row]
    sigma, factor = state.get("noise"), state.get("capacity")
    used, moved = measured, 0
    if sigma and _can_be_noisy(drawing):
        used = router_load.noisy_top_k(logits, measured.shape[1], _noise(drawing), sigma)
        moved = router_load.moved_slots(measured, used)
    found = router_load.dispatch(used, routing.n_experts, factor)
    return load_record(
        used,
        found.kept,
        found.taken,
        found.dropped,
        drawing.texts,
        layer=drawing.layer,
        capacity=found.capacity if factor else None,
        moved=moved,
        top=top,
    )


def _can_be_noisy(drawing: Routed) -> bool:
    return drawing.layer not in drawing.routing().edited


def _noise(drawing: Routed) -> Any:
    routing = drawing.routing()
    return router_load.gate_noise(routing.logits.shape[1], routing.n_experts)


def figure_of_load(drawing: Routed, record: LoadRecord) -> None:
    """The picture with its two sliders."""
    routing, noisy = drawing.routing(), _can_be_noisy(drawing)
    row = routing.row(drawing.layer)
    drawn = load_figure(record)
    if drawing.clickable:  # without sliders the browser would draw neither noise nor capacity
        drawn = with_noise_and_capacity(
            drawn, record, routing.logits[row], _noise(drawing), routing.indices[row]
        )
    sigma, factor = state.get("noise") if noisy else 0.0, state.get("capacity")
    extra = {"noise": f"Gaussian, σ {sigma:g}"} if sigma else {}
    extra |= {"capacity factor": f"{factor:g}"} if factor else {}
    live_figure(
        drawn,
        key=drawing.key_figure("load"),
        provenance=drawing.origin(
            "computed" if extra else "measured", seed=router_load.NOISE_SEED if sigma else None, **extra
        ),
        sliders=sliders(noisy) if drawing.clickable else (),
        on_slide=_take,
        slide_on_release=True,
    )
    if drawn.browser is None:
        st.markdown(plain(load_words(record)))


def _take(values: dict[str, float]) -> None:
    state.set(**values)


def numbers(drawing: Routed) -> None:
    """The loss of the layer with its numbers, and of all layers."""
    routing = drawing.routing()
    if drawing.asked_layer != drawing.layer:
        st.info(
            f"Layer {drawing.asked_layer} is dense. Shown is layer {drawing.layer}, the nearest with experts."
        )
    row = routing.row(drawing.layer)
    balance = router_load.balance_loss(routing.logits[row], routing.indices[row])
    st.markdown(words.balance_sentence(balance, drawing.layer))
    st.markdown(words.balance_table(balance))
    pooled = router_load.pooled_loss(routing)
    st.caption(words.pooled_words(routing, pooled))


def columns_of(drawings: Sequence[Routed]) -> None:
    """The runs, side by side where there are two."""
    top = max(load_of(drawing).top for drawing in drawings)
    if len(drawings) == 1:
        left, right = st.columns([3, 2])
        with left:
            figure_of_load(drawings[0], load_of(drawings[0], top))
        with right:
            numbers(drawings[0])
        return
    for place, drawing in zip(st.columns(2), drawings, strict=True):
        with column(place, drawing):
            figure_of_load(drawing, load_of(drawing, top))
            numbers(drawing)


def collapse(layer: int) -> None:
    """What becomes of a router without the loss, as our training recorded it."""
    st.subheader("Without the loss: collapse", anchor=False)
    try:
        found = recorded.read_collapse()
    except recorded.RecordMissing as error:
        missing(error.what, error.remedy)
        return
    both = (found.with_loss, found.without_loss)
    record = collapse_record(
        found.steps, [run.share for run in both], [run.loss for run in both], min(layer, found.n_layers - 1)
    )
    left, right = st.columns([2, 1])
    with left:
        live_figure(
            collapse_figure(record),
            key="collapse",
            provenance=Provenance(
                "measured",
                model="two trainings of our own",
                layer=record.layer,
                extra={"recorded": plain_line(found.description).removeprefix("Recorded ")},
            ),
        )
    with right:
        st.markdown(plain(collapse_sentence(record)))
        st.caption(
            "Recorded during two trainings of our own that differ in the balancing loss alone, not measured "
            f"on the loaded model. {plain(found.description)} {plain(found.note)}"
        )


def plain_line(text: str) -> str:
    """A description on one line, without its full stop."""
    return " ".join(text.split()).rstrip(".")


def draw(view: View, drawings: Sequence[Routed]) -> Lesson:
    """Draw the part."""
    columns_of(drawings)
    collapse(drawings[0].layer)
    first = drawings[0]
    return Lesson(
        words.QUESTION,
        words.ANSWER,
        mathematics=partial(words.mathematics, first),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (router_load.balance_loss, router_load.noisy_top_k, router_load.dispatch)
        ),
        sources=words.SOURCES,
    )
