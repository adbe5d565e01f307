"""The sidebar, the same on every page: the selection, and what is rarely changed."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model_runtime.model import Model
from model_runtime.records import Token
from pages.shared.escape import counted, plain, quoted, token_text
from pages.shared.frame import proof
from pages.shared.frame.bar import pick_token
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state
from viz.style import in_words

_TOKEN = "gf.token"
DTYPES = {
    "auto": "automatic",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}


def draw(run: PageRun | None) -> None:
    """Draw the sidebar. None: the current run cannot be computed; what needs it is left out, and what needs
    its tokens where its prompt cannot be read."""
    read = run is not None and run.unread is None
    with st.sidebar:
        if run is not None:
            _size(run.model)
            _selection(run.model, run.tokens if read else ())
        _more(can_check=read)


def _size(model: Model) -> None:
    spec = model.spec
    heads = counted(spec.n_heads, "head")
    if spec.n_kv_heads != spec.n_heads:
        heads += f" share {counted(spec.n_kv_heads, 'key/value head')}"
    st.caption(
        f"{in_words(spec.n_params)} parameters · {counted(spec.n_layers, 'layer')} · {heads} · "
        f"{plain(spec.dtype)} on {plain(spec.device)}"
    )


def _token_typed(n_tokens: int) -> None:
    pick_token(st.session_state[_TOKEN], n_tokens)


def _selection(model: Model, tokens: Sequence[Token]) -> None:
    spec = model.spec
    layer, head, token = st.columns(3)
    layer.number_input("Layer", 0, spec.n_layers - 1, step=1, **url_state.bound("layer"))
    head.number_input("Head", 0, spec.n_heads - 1, step=1, **url_state.bound("head"))
    if not tokens:
        return
    at = url_state.selected_token(len(tokens))
    st.session_state[_TOKEN] = at
    token.number_input(
        "Token",
        0,
        len(tokens) - 1,
        step=1,
        key=_TOKEN,
        help="Position in the prompt, from 0. While the last token is selected, it stays the last one.",
        on_change=_token_typed,
        args=(len(tokens),),
    )
    st.caption(f"Token {at}: {quoted(token_text(tokens[at]), 24)}, id {tokens[at].id:,}")


def _more(*, can_check: bool) -> None:
    with st.expander("More"):
        st.selectbox("Number format", [*DTYPES], format_func=DTYPES.__getitem__, **url_state.bound("dtype"))
        st.caption(
            "Automatic: float32 on a CPU, where half precision is slow and can be wrong; on a GPU the format "
            "the weights are stored in."
        )
        st.segmented_control(
            "Text size",
            ["normal", "large"],
            required=True,
            format_func={"normal": "Normal", "large": "Projector"}.__getitem__,
            **url_state.bound("text"),
        )
        if can_check:
            st.button("Check the numbers", key="gf.check", on_click=proof.ask, help=proof.WHY)
