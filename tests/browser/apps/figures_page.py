"""Figures of fixed numbers that try every part of the frame: sliders, clicks, links, frames, hostile text."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.figure.provenance import Provenance
from viz.drawn import Drawn
from viz.style import CUT, LIGHT, MASKED, PROBABILITY_SCALE, SIGNED_SCALE, TEMPLATE, label, share

HOSTILE = '</script><img src=x onerror="window.hacked=1">'
TOKENS = [
    "The",
    " quick",
    " brown",
    HOSTILE,
    "$x^2$",
    " %{y}",
    "\u202eabc",
    "\u200b",
    "\n",
    " fox",
    " fox",
    "🦊",
]
LOGITS = np.array([3.0, 2.5, 2.0, 1.4, 1.1, 0.7, 0.3, 0.1, -0.2, -0.5, -0.9, -1.4])
NAMES = [label(token) for token in TOKENS]
PLACE = Provenance(
    "computed",
    model="Test-1B",
    revision="0" * 40,
    dtype="float32",
    device="cpu",
    prompt=" ".join(TOKENS),
    layer=3,
    head=1,
)


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    scaled = np.exp((logits - logits.max()) / temperature)
    return scaled / scaled.sum()


def bars(temperature: float, kept: int) -> Drawn:
    probabilities = softmax(LOGITS, temperature)
    positions = np.arange(len(TOKENS))
    figure = go.Figure(
        layout={"template": TEMPLATE, "height": 380, "title": {"text": "Which token comes next"}}
    )
    for name, some, marker in (
        ("kept", positions < kept, {"color": LIGHT.accent}),
        ("cut", positions >= kept, CUT),
    ):
        figure.add_bar(
            x=positions[some],
            y=probabilities[some],
            name=name,
            marker=marker,
            customdata=positions[some],
            text=[share(p) for p in probabilities[some]],
            hovertemplate="%{x}: %{y:.3f}<extra></extra>",
        )
    figure.update_xaxes(tickvals=positions, ticktext=NAMES, title_text="token")
    figure.update_yaxes(title_text="probability", range=[0, 1], tickformat=".0%")
    figure.update_layout(showlegend=False)
    return Drawn(
        figure,
        alt=f"Bars of {len(TOKENS)} probabilities at temperature {temperature:g}.",
        stem="next-token",
        table={"token": TOKENS, "logit": LOGITS, "probability": probabilities},
        browser="trial.js#bars",
        browser_data={"logits": LOGITS.astype(np.float32), "names": NAMES},
    )


def cells() -> Drawn:
    n = len(TOKENS)
    pattern = np.tril(np.arange(1.0, n + 1)[None, :] / np.arange(1, n + 1)[:, None] ** 1.5)
    pattern[np.triu_indices(n, 1)] = np.nan
    figure = go.Figure(
        go.Heatmap(
            z=pattern.astype(np.float32),
            customdata=np.tile(np.arange(n), (n, 1)),
            zmin=0,
            zmax=1,
            colorscale=PROBABILITY_SCALE,
            colorbar_title_text="share of attention",
            hovertemplate="%{y} to %{x}: %{z:.3f}<extra></extra>",
        ),
        layout={
            "template": TEMPLATE,
            "height": 480,
            "title": {"text": "Where each token looks"},
            "plot_bgcolor": MASKED,
        },
    )
    ticks = {"tickvals": list(range(n)), "ticktext": NAMES, "showgrid": False}
    figure.update_xaxes(side="top", **ticks)
    figure.update_yaxes(autorange="reversed", **ticks)
    return Drawn(
        figure,
        alt=f"Attention pattern of {n} tokens.",
        stem="attention-pattern",
        table={
            "query": np.repeat(np.arange(n), n),
            "key": np.tile(np.arange(n), n),
            "share": pattern.ravel(),
        },
        narrow_layout={"xaxis.tickangle": 90},
    )


def steps() -> Drawn:
    values = np.linspace(-1, 1, 9)
    marker = {"colorscale": SIGNED_SCALE, "cmin": -1, "cmax": 1, "color": values, "size": 14}
    figure = go.Figure(
        go.Scatter(x=np.arange(9), y=values, mode="markers", marker=marker),
        layout={"template": TEMPLATE, "height": 260, "yaxis_range": [-1.1, 1.1]},
        frames=[go.Frame(name=f"layer {at}", data=[go.Scatter(y=values * at / 4)]) for at in range(5)],
    )
    return Drawn(figure, alt="Nine values over five layers.", stem="steps", table={"value": values})


def slid(values: dict[str, float]) -> None:
    st.session_state.update(values)


st.set_page_config(page_title="Figures", layout="wide")
state = st.session_state
state.setdefault("temperature", 1.0)
state.setdefault("kept", 12.0)
state.runs = state.get("runs", 0) + 1

click = live_figure(
    bars(state.temperature, int(state.kept)),
    key="bars",
    provenance=PLACE,
    clickable=True,
    link_group="tokens",
    on_slide=slid,
    sliders=(
        Slider("temperature", "Temperature", state.temperature, 0.1, 3, 0.05),
        Slider("kept", "Tokens kept (top-k)", state.kept, stops=(1, 2, 3, 5, 8, 12), words={12: "all"}),
    ),
)
if click:
    state.clicked = click
click = live_figure(cells(), key="cells", provenance=PLACE, clickable=True, link_group="tokens")
if click:
    state.clicked = click
live_figure(steps(), key="steps", provenance=Provenance("illustration"))
st.text(f"clicked {state.get('clicked')}")
st.text(f"server temperature {state.temperature:g} kept {state.kept:g}")
st.text(f"runs {state.runs}")
if st.button("Hotter"):
    state.temperature = 2.0
    st.rerun()
