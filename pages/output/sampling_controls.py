"""The controls of the sampling steps: four sliders inside the figure, the rest under "More"."""

from __future__ import annotations

import streamlit as st

from model_runtime.sampling.settings import DEFAULT_ORDER
from pages.output.choice import Choice
from pages.shared.figure.live_figure import Slider
from pages.shared.settings import url_state as state
from viz.output.sampling_words import LABELS

# Fine where the picture changes fast, coarse where it does not.
TEMPERATURES = (*(step / 20 for step in range(41)), 2.5, 3.0, 4.0, 5.0, 7.0, 10.0)
TOP_K = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 75, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 0)
TOP_P = (*(step / 100 for step in range(100)), 0.995, 0.999, 1.0)
MIN_P = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *(step / 20 for step in range(2, 21)))

_OFF = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repetition": 1.0,
    "presence": 0.0,
    "frequency": 0.0,
    "order": DEFAULT_ORDER,
}


def sliders(choice: Choice) -> tuple[Slider, ...]:
    """The four that move the picture while they are dragged."""
    sampling = choice.sampling
    return (
        Slider(
            "temperature",
            "Temperature",
            sampling.temperature,
            stops=TEMPERATURES,
            words={0: "greedy", 1: "off"},
            help="Divides the logits: below 1 sharper, above 1 flatter.",
        ),
        Slider(
            "top_k",
            "Top-k",
            sampling.top_k,
            stops=[k for k in TOP_K if k < choice.report.d_vocab],
            words={0: "off"},
            help="Keeps the k likeliest tokens.",
        ),
        Slider(
            "top_p",
            "Top-p",
            sampling.top_p,
            stops=TOP_P,
            words={1: "off"},
            help="Keeps the likeliest tokens until they have this probability together.",
        ),
        Slider(
            "min_p",
            "Min-p",
            sampling.min_p,
            stops=MIN_P,
            words={0: "off"},
            help="Keeps tokens with at least this share of the likeliest token's probability.",
        ),
    )


def more_settings(choice: Choice) -> None:
    """Everything that has no slider in the figure, and the way back to the model's own distribution."""
    with st.container(horizontal=True):
        with st.popover("More settings"):
            _numbers()
            _order()
        st.button("All steps off", on_click=_all_off, help="The model's own distribution, nothing cut.")


def _all_off() -> None:
    state.set(**_OFF)


def _numbers() -> None:
    left, right = st.columns(2)
    left.number_input(
        "Temperature", 0.0, 100.0, step=0.1, **state.bound("temperature", "exact"), help="Up to 100."
    )
    right.number_input(
        "Typical-p",
        0.0,
        1.0,
        step=0.05,
        **state.bound("typical_p"),
        help="Keeps the tokens whose surprise is closest to the average, until they have this probability "
        "together. 1 is off.",
    )
    left.number_input(
        "Repetition penalty",
        0.01,
        10.0,
        step=0.1,
        **state.bound("repetition"),
        help="Weakens every token that is already in the text, the prompt included. 1 is off.",
    )
    right.number_input(
        "Bars", 8, 40, step=1, **state.bound("bars"), help="How many candidates have a row of their own."
    )
    left.number_input(
        "Presence penalty",
        -10.0,
        10.0,
        step=0.1,
        **state.bound("presence"),
        help="Taken off the logit of every token already generated: it works under Generate, the prompt does "
        "not count. 0 is off.",
    )
    right.number_input(
        "Frequency penalty",
        -10.0,
        10.0,
        step=0.1,
        **state.bound("frequency"),
        help="The same for each time the token was generated. 0 is off.",
    )


def _order() -> None:
    order = list(state.get("order"))
    st.markdown("**Order of the steps:** " + " → ".join(LABELS[name] for name in order))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        step = st.selectbox(
            "Step",
            DEFAULT_ORDER,
            format_func=LABELS.__getitem__,
            index=DEFAULT_ORDER.index("temperature"),
            key="gf.next.step",
            width=200,
        )
        at = order.index(step)
        st.button("Earlier", on_click=_move, args=(step, -1), disabled=at == 0)
        st.button("Later", on_click=_move, args=(step, 1), disabled=at == len(order) - 1)
        st.button(
            "Usual order",
            on_click=state.set,
            kwargs={"order": DEFAULT_ORDER},
            disabled=tuple(order) == DEFAULT_ORDER,
        )


def _move(step: str, places: int) -> None:
    order = list(state.get("order"))
    at = order.index(step)
    order.insert(at + places, order.pop(at))
    state.set(order=tuple(order))
