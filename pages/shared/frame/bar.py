"""The bar on top of every page: prompt, model and examples, then the tokens that are drawn.

tokens = bar.draw(entry)       # before the run is opened: the prompt is in sight while a model loads
bar.fill(tokens, run)
"""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.limits import Limits
from model_runtime.loading.catalogue import catalogue
from model_runtime.loading.permitted import absent, allowed_entries, offered
from model_runtime.tokens.encodings import tokenize_with_model
from pages.shared.escape import counted
from pages.shared.frame import changes, contents, prompt_box
from pages.shared.frame.contents import Entry
from pages.shared.frame.coverage import loss_words
from pages.shared.frame.examples import EXAMPLES, OPENING, Example
from pages.shared.frame.token_chips import token_chips
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state
from pages.shared.settings.table import LAST_TOKEN

_EXAMPLES = "gf.examples"  # how many examples were chosen


def draw(entry: Entry) -> DeltaGenerator:
    """Draw prompt, model and examples; gives the place for what needs the run."""
    with st.container(key="gf-bar", gap="xsmall"):
        with st.container(key="gf-bar-run", horizontal=True, gap="small"):
            if not entry.has_prompt_box:
                prompt_box.draw()
            _model()
            _examples()
        return st.container(key="gf-bar-tokens", gap="xsmall")


def fill(place: DeltaGenerator, run: PageRun | None) -> None:
    """Draw the tokens of the run, and what was changed. None: the current run cannot be computed."""
    with place:
        with st.container(key="gf-bar-row", horizontal=True, gap="small", vertical_alignment="center"):
            if run is not None and run.unread is None:
                _tokens(run)
            changes.pin_button()
        changes.draw(run)


def _model() -> None:
    rows = {row.id: row for row in catalogue()}
    options = list(dict.fromkeys([*offered(), url_state.get("model")]))
    free = bool(allowed_entries())  # whoever runs the server lets visitors name other models

    def name(model_id: str) -> str:
        row = rows.get(model_id)
        if row is None:
            return model_id
        why_not = absent(row)
        return f"{row.name} · {why_not}" if why_not else row.name

    st.selectbox(
        "Model",
        options,
        format_func=name,
        accept_new_options=free,
        label_visibility="collapsed",
        width=220,
        **url_state.bound("model"),
    )


def _examples() -> None:
    # A new key after each choice: a new box, which is closed.
    key = f"{_EXAMPLES}.{st.session_state.get(_EXAMPLES, 0)}"
    with st.popover("Examples", key=key), st.container(gap=None):
        st.caption(f"{OPENING}…")
        for index, example in enumerate(EXAMPLES):
            st.button(
                f"… {example.sees}",
                key=f"gf.example.{index}",
                help=example.hint,
                type="tertiary",
                on_click=_open_example,
                args=(example,),
            )


def _open_example(example: Example) -> None:
    url_state.forget_refused()
    st.session_state[_EXAMPLES] = st.session_state.get(_EXAMPLES, 0) + 1
    url_state.set(**example.opens)
    if example.page != url_state.page():
        st.switch_page(contents.entry_of(example.page).file)


def _tokens(run: PageRun) -> None:
    tokens, model = run.tokens, run.model
    if run.settings.prompt != url_state.get("prompt") or url_state.refused("prompt"):
        st.caption("The last picture's tokens:", width="content")
    token_chips(tokens, url_state.selected_token(len(tokens)), pick_token, key="gf.chips")
    st.caption(counted(len(tokens), "token"), width="content", help=most_words(model.spec.n_ctx))
    loss = (
        "" if model.tokens.coverage.complete else loss_words(tokenize_with_model(model, run.settings.prompt))
    )
    if loss:
        st.caption(loss)


def most_words(n_ctx: int) -> str:
    """How many tokens are read of a prompt, and why no more."""
    most = Limits.from_environment().max_prompt_tokens
    if most >= n_ctx:
        return f"At most {n_ctx:,}: the context of this model."
    return f"At most {most:,}: this app reads no more of a prompt, though the model's context is {n_ctx:,}."


def pick_token(position: int, n_tokens: int) -> None:
    """Select a token; the last one is kept as "the last", so that it follows a prompt that grows."""
    url_state.set(token=LAST_TOKEN if position == n_tokens - 1 else position)
