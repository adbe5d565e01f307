"""A head switched off: the switch, which heads of a run are off, and what the model says without one."""

from __future__ import annotations

from functools import partial

import streamlit as st

from model_runtime.attention.layer_rows import layer_rows
from model_runtime.errors import NotFinite
from model_runtime.interventions import ScaleHead
from model_runtime.records.distributions import softmax
from model_runtime.sampling.greedy import greedy_text, parting
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.errors import missing
from pages.shared.frame.generated_html import STYLE, rows, written
from pages.shared.frame.sides import Side
from pages.shared.run.opened import PageRun
from pages.shared.settings import url_state as state
from pages.shared.settings.table import TOP_CANDIDATE
from viz.attention.worth import Effect, beyond, effect_record, effect_sentence
from viz.distribution_bars import distribution_bars_figure, pair_record
from viz.distributions import change_sentence

NEW_TOKENS = 8
MOST_BARS = 5  # likeliest tokens of each distribution
QUICK_PARAMETERS = 500_000_000  # of larger models the texts are written on a button


def switch(layer: int, head: int) -> None:
    """The toggle that cuts the chosen head out of the model, for this visitor's runs only."""
    key = f"gf.switch.{layer}.{head}"
    st.session_state[key] = _is_off(layer, head)
    st.toggle(
        f"Switch L{layer} H{head} off",
        key=key,
        on_change=_turn,
        args=(layer, head),
        help="Sets the head's output to zero before it joins the stream (ablation). The edit stays, on every "
        "page, until you switch the head on again.",
    )


def _is_off(layer: int, head: int) -> bool:
    """Whether the current run is without this head."""
    return ScaleHead(layer, head) in state.get("edits")


def _turn(layer: int, head: int) -> None:
    """Switch a head off, or on again."""
    cut = ScaleHead(layer, head)
    others = tuple(edit for edit in state.get("edits") if edit != cut)
    state.set(edits=others if _is_off(layer, head) else (*others, cut))


def heads_off(run: PageRun) -> list[tuple[int, int]]:
    """(layer, head) of every head that is switched off in a run."""
    return [
        (edit.layer, edit.head)
        for edit in run.interventions
        if isinstance(edit, ScaleHead) and edit == ScaleHead(edit.layer, edit.head)
    ]


def next_token(run: PageRun) -> int:
    """Id of the next token that is looked at: the chosen candidate, else the likeliest."""
    candidate: int = state.get("candidate")
    chosen = candidate != TOP_CANDIDATE and candidate < run.spec.d_vocab
    return candidate if chosen else int(run.logits.argmax())


def effect_of(run: PageRun, layer: int, head: int, token: int, before: float, after: float) -> Effect:
    """What a head reads at the end of the prompt, beside the next token's probability with it and without."""
    last = len(run.tokens) - 1
    row = run.measure(layer_rows, layer=layer, queries=(last,)).of(head)[0]
    return effect_record(
        row,
        run.ids,
        run.texts,
        layer=layer,
        head=head,
        token=token,
        text=run.text_of(token),
        before=before,
        after=after,
    )


def effect(side: Side) -> None:
    """What the run loses (or gains) without the chosen head: in words, in bars, and in the text it goes on
    with. Nothing while the head is on."""
    run, cut = side.run, ScaleHead(side.layer, side.head)
    if cut not in run.interventions:
        return
    try:
        whole = run.comparable(tuple(edit for edit in run.interventions if edit != cut))
    except NotFinite as error:
        missing(error.what, error.remedy)
        return
    token = next_token(whole)
    shares = (float(softmax(logits)[token]) for logits in (whole.logits, run.logits))
    found = effect_of(run, side.layer, side.head, token, *shares)
    st.markdown(f"**{plain(effect_sentence(found))}** {plain(beyond(found))}")
    record = pair_record(
        whole.logits, run.logits, run.text_of, (f"with {found.name}", f"without {found.name}"), MOST_BARS
    )
    bars, texts = st.columns([3, 2], gap="medium") if not side.name else [st.container(), st.container()]
    with bars:
        live_figure(
            distribution_bars_figure(record, "next-tokens-without-a-head"),
            key=side.key_figure("without"),
            provenance=side.origin(compared_with=whole),
        )
    with texts:
        _continuations(side, whole, found.name)
        st.caption(plain(change_sentence(record.change)))


def _continuations(side: Side, whole: PageRun, name: str) -> None:
    """How the prompt goes on with the head and without it, and where the two texts part."""
    if not _writes(side):
        return
    several = (whole, side.run)
    with_it, without = (run.measure(greedy_text, "Writing on", n_tokens=NEW_TOKENS).tokens for run in several)
    named = zip(
        (f"With {name}", "Without"), map(partial(written, numbers=False), (with_it, without)), strict=True
    )
    st.html(STYLE + rows([*named]))
    at = parting(with_it, without)
    if at is None:
        said = "Both texts are the same: always the likeliest token, and that stays so."
    else:
        said = f"They part at {'once' if not at else f'new token {at + 1}'}."
    st.caption(f"{said} {counted(NEW_TOKENS, 'token')} at most, greedy; the darker, the more probable.")


def _writes(side: Side) -> bool:
    """Whether the texts may be written: at once where it is quick, else when the button was pressed."""
    if side.spec.n_params <= QUICK_PARAMETERS:
        return True
    name = side.key_figure("gf.switch.write")
    st.button(
        f"Write {NEW_TOKENS} tokens with and without the head",
        key=f"{name}.button",
        on_click=st.session_state.__setitem__,
        args=(name, side.run.settings),
    )
    return bool(st.session_state.get(name) == side.run.settings)
