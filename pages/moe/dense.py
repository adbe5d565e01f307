"""The designed state of a dense model: it has no experts, and one button loads a model that has."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model_runtime.loading.catalogue import row_of
from model_runtime.records import ModelSpec
from pages.shared.escape import counted, plain
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from viz.style import in_words

BUNDLED_MOE = "mixtral-mini"
DENSE_LOOK = "Without experts there is nothing to route. One click below brings a model that has them."


def dense_state(spec: ModelSpec) -> None:
    """What a dense model does instead, and the way on."""
    st.info(
        f"{plain(spec.name)} is a dense model: in each of its {counted(spec.n_layers, 'layer')} every token "
        f"passes through the whole MLP, all {in_words(spec.n_params)} parameters of the model are used for "
        "every token, and no router has anything to decide.",
        title="This model has no experts",
    )
    row = row_of(BUNDLED_MOE)
    st.button(
        f"Switch to {BUNDLED_MOE if row is None else row.name}",
        key="gf.moe.switch",
        type="primary",
        disabled=row is None,
        on_click=state.set,
        kwargs={"model": BUNDLED_MOE},
        help="A small mixture of experts that comes with Glassformer and works offline.",
    )
    if row is None:
        st.caption(
            f"The bundled model `{BUNDLED_MOE}` is not in this installation's `assets/models`. Any other "
            "mixture of experts in the list of models will do: Mixtral, OLMoE, Qwen MoE."
        )
    else:
        st.caption("Your prompt stays as it is. To come back, choose another model on top of the page.")


def tell_of_dense_runs(sides: Sequence[Side]) -> None:
    """Where one of two runs is dense, which one is left out."""
    for side, name in zip(sides, ("The current run", "The pinned run"), strict=False):
        if not side.spec.n_experts:
            st.info(f"{name} is of {plain(side.spec.name)}, a dense model: it has no experts to draw.")
