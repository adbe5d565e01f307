"""The sidebar, the same on every page: model, prompt and its tokens, selection, edits, pinned run."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model_runtime.limits import Limits
from model_runtime.loading.catalogue import catalogue
from model_runtime.loading.permitted import absent, allowed_entries, offered
from model_runtime.model import Model
from model_runtime.records import Token
from model_runtime.tokens.encodings import tokenize_with_model
from pages.shared.escape import counted, plain, quoted, token_text
from pages.shared.frame import contents, proof
from pages.shared.frame.coverage import loss_words
from pages.shared.frame.examples import EXAMPLES, OPENING, Example
from pages.shared.frame.token_chips import token_chips
from pages.shared.run import runs
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state
from pages.shared.settings.edit_codes import describe, misfit
from pages.shared.settings.table import DEFAULT_MODEL, LAST_TOKEN, MOST_PROMPT_CHARACTERS
from viz.style import in_words

_TOKEN = "gf.token"
_EXAMPLES = "gf.examples"  # how many examples were chosen
DTYPES = {
    "auto": "automatic",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}


def draw(run: PageRun | None) -> None:
    """Draw the sidebar. None: the current run cannot be computed; what needs it is left out, and what needs
    its tokens where its prompt cannot be read."""
    model = None if run is None else run.model
    read = run if run is not None and run.unread is None else None
    tokens = () if read is None else read.tokens
    with st.sidebar:
        _model(model)
        _prompt(model, tokens)
        if model is not None:
            _selection(model, tokens)
        _edits(None if read is None else model, tokens)
        _pinned()
        _more(can_check=read is not None)


def _model(model: Model | None) -> None:
    rows = {row.id: row for row in catalogue()}
    chosen = url_state.get("model")
    options = list(dict.fromkeys([*offered(), chosen]))
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
        help="Models without a mark are on this server. Those that need network are fetched from the Hugging "
        "Face hub when you choose them; the others have to be fetched by whoever runs the server."
        + (" You can also type the hub id of another model." if free else ""),
        **url_state.bound("model"),
    )
    if model is not None:
        spec = model.spec
        heads = counted(spec.n_heads, "head")
        if spec.n_kv_heads != spec.n_heads:
            heads += f" share {counted(spec.n_kv_heads, 'key/value head')}"
        st.caption(
            f"{in_words(spec.n_params)} parameters · {counted(spec.n_layers, 'layer')} · {heads} · "
            f"{plain(spec.dtype)} on {plain(spec.device)}"
        )


def _prompt(model: Model | None, tokens: Sequence[Token]) -> None:
    st.text_area(
        "Prompt",
        height=96,
        help=f"Press Ctrl+Enter, or click elsewhere, to run. At most {MOST_PROMPT_CHARACTERS:,} characters.",
        **url_state.bound("prompt"),
    )
    # A new key after each choice: a new box, which is closed.
    key = f"{_EXAMPLES}.{st.session_state.get(_EXAMPLES, 0)}"
    with st.popover(f"{OPENING}…", width="stretch", key=key), st.container(gap=None):
        for index, example in enumerate(EXAMPLES):
            st.button(
                f"… {example.sees}",
                key=f"gf.example.{index}",
                help=quoted(example.prompt, 120),
                type="tertiary",
                on_click=_open_example,
                args=(example,),
            )
    if tokens:
        most = Limits.from_environment().max_prompt_tokens
        if model is not None:
            most = min(most, model.spec.n_ctx)
        st.caption(f"{counted(len(tokens), 'token')} of at most {most:,}")
        token_chips(tokens, url_state.selected_token(len(tokens)), _pick_token, key="gf.chips")
        read = None if model is None or model.tokens.coverage.complete else model
        if read is not None and (loss := loss_words(tokenize_with_model(read, url_state.get("prompt")))):
            st.caption(loss)


def _pick_token(position: int, n_tokens: int) -> None:
    """Select a token; the last one is kept as "the last", so that it follows a prompt that grows."""
    url_state.set(token=LAST_TOKEN if position == n_tokens - 1 else position)


def _token_typed(n_tokens: int) -> None:
    _pick_token(st.session_state[_TOKEN], n_tokens)


def _open_example(example: Example) -> None:
    url_state.forget_refused()
    st.session_state[_EXAMPLES] = st.session_state.get(_EXAMPLES, 0) + 1
    # What an example lets one see was found on one model.
    settings = {"model": DEFAULT_MODEL, **example.settings}
    url_state.set(prompt=example.prompt, token=LAST_TOKEN, edits=(), **settings)
    if example.page != url_state.page():
        st.switch_page(contents.entry_of(example.page).file)


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


def _edits(model: Model | None, tokens: Sequence[Token]) -> None:
    edits = url_state.get("edits")
    if not edits:
        return
    words, button = st.columns([3, 2], vertical_alignment="center")
    words.caption("**Edits of the model**")
    if len(edits) > 1:
        help_text = f"Remove all {len(edits)} edits"
        button.button("✕ all", key="gf.edits", help=help_text, type="tertiary", on_click=_remove_edits)
    for index, edit in enumerate(edits):
        words, button = st.columns([5, 1], vertical_alignment="center")
        wrong = misfit(edit, model.spec, len(tokens)) if model is not None else None
        words.caption(describe(edit) + (f": not made, {wrong}" if wrong else ""))
        button.button(
            "✕",
            key=f"gf.edit.{index}",
            help=f"Remove: {describe(edit)}",
            type="tertiary",
            on_click=_remove_edit,
            args=(index, edit),
        )


def _remove_edits() -> None:
    url_state.set(edits=())


def _remove_edit(index: int, edit: object) -> None:
    edits = url_state.get("edits")
    if index < len(edits) and edits[index] == edit:
        url_state.set(edits=edits[:index] + edits[index + 1 :])


def _pinned() -> None:
    pinned = runs.pinned_run()
    if pinned is None:
        st.button(
            "Pin this run",
            key="gf.pin",
            width="stretch",
            on_click=runs.pin,
            help="Keep this run, then change model, prompt, edits or sampling: pages draw both on one scale.",
        )
        return
    current = runs.current_run()
    st.caption("**Pinned run**")
    apart = runs.differences(pinned, current)
    words = ", ".join(map(plain, apart))
    equal = "Equal to the current run. Change something to compare."
    st.caption(f"Unlike the current run, it has: {words}." if words else equal)
    url_state.say_apart()
    if pinned.prompt != current.prompt:
        st.caption(quoted(pinned.prompt))
    with st.container(horizontal=True):
        help_text = "Make the pinned run the current one, and pin this one."
        st.button("Swap", key="gf.swap", on_click=runs.swap, help=help_text)
        st.button("Unpin", key="gf.unpin", on_click=runs.unpin)


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
