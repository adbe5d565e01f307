"""What a click in the picture opens under it: what a block changed, or how a guess gets its share."""

from __future__ import annotations

import numpy as np
import streamlit as st

from model_runtime import attention_reading, early_guesses
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.shared.settings.table import TOP_CANDIDATE
from viz.equations import tex, tex_after_sign, tex_share, worked
from viz.start.change import (
    BlockChange,
    attention_sentence,
    block_change_figure,
    block_change_record,
    guess_sentence,
    mlp_sentence,
)
from viz.start.forward_pass import ForwardPass
from viz.style import quoted, three_digits

ATTENTION, NEXT_TOKEN = "attention/attention.py", "output/next_token.py"
TAKING, READING_OUT = (
    "Following what attention took in",
    "Reading the stream out early",
)  # while it is measured
LENS = (
    "The guesses are read out by the *logit lens* (nostalgebraist 2020): the model's own final norm and "
    "output table, applied to the stream half-way. The length of a piece says how much came from a token, "
    "all heads together (pattern × value × output weights; Kobayashi et al. 2020), not what it did to the "
    "guess: *reading is not causing*."
)


def take(click: Click) -> None:
    """What a click in the picture chooses. What comes over the wire is checked: it is anybody's."""
    match click.customdata:
        case ["token", int(position)]:
            state.set(token=position)
        case ["layer", int(layer)]:
            again = state.get("opened") == "block" and state.get("layer") == layer
            state.set(layer=layer, opened="nothing" if again else "block")
        case ["candidate", int(token_id)]:
            again = state.get("opened") == "guess" and state.get("guess") == token_id
            state.set(guess=token_id, opened="nothing" if again else "guess")


def show(side: Side, record: ForwardPass, logits: np.ndarray) -> None:
    """The control that opens, and what is open."""
    guess = _guess(record)
    names = {
        "nothing": "Nothing",
        "block": f"Block {side.layer}",
        "guess": f"The guess {plain(quoted(side.run.text_of(guess), 12))}",
    }
    st.segmented_control(
        "Open here: click a block or a bar in the picture, or choose",
        [*names],
        format_func=names.__getitem__,
        required=True,
        **state.bound("opened"),
    )
    if state.get("opened") == "block":
        _block(side, record)
    elif state.get("opened") == "guess":
        _share(side, record, logits, guess)


def _guess(record: ForwardPass) -> int:
    chosen = state.get("guess")
    return record.candidates[0].id if chosen == TOP_CANDIDATE else min(chosen, record.d_vocab - 1)


def change_of(side: Side, record: ForwardPass, layer: int) -> BlockChange:
    """What a block changed for the selected token."""
    run, position = side.run, side.query
    final = record.candidates[0].id
    return block_change_record(
        run.measure(attention_reading, TAKING, layer=layer, position=position),
        run.measure(early_guesses, READING_OUT, layer=layer, position=position, token=final),
        record.blocks[layer],
        mlp_name=record.mlp_name,
        is_last=layer == side.spec.n_layers - 1,
        text_at=run.texts.__getitem__,
        text_of=run.text_of,
    )


def _block(side: Side, record: ForwardPass) -> None:
    change = change_of(side, record, side.layer)
    live_figure(
        block_change_figure(change),
        key=side.key_figure("block-change"),
        provenance=side.run.origin(layer=side.layer, selected=f"token {side.query}"),
    )
    left, right = st.columns([3, 2], gap="large")
    for said in (attention_sentence(change), mlp_sentence(change), guess_sentence(change)):
        left.markdown(plain(said))
    with right:
        st.number_input("Block", 0, side.spec.n_layers - 1, step=1, **state.bound("layer", "opened"))
        if st.button(f"Open L{side.layer} H{change.head} in Attention →"):
            state.set(head=change.head)
            st.switch_page(ATTENTION)
    st.caption(LENS)


def _share(side: Side, record: ForwardPass, logits: np.ndarray, guess: int) -> None:
    """How one token's share comes about, with its numbers."""
    scores = logits.astype(np.float64)
    below = float(scores[guess] - scores.max())
    total = float(np.exp(scores - scores.max()).sum())
    share, top = float(np.exp(below)) / total, record.candidates[0]
    rank = int((scores > scores[guess]).sum()) + 1
    text = plain(quoted(side.run.text_of(guess)))
    st.markdown(
        f"{text} has the score {three_digits(float(scores[guess]))}, rank {rank:,} of {record.d_vocab:,}. "
        f"Softmax measures it against the highest, {three_digits(float(scores.max()))} of "
        f"{plain(quoted(top.text))}, and divides by the sum over all tokens:"
    )
    line = worked(share, lambda d, s: float(np.exp(d)) / s, below, total, least=4, words=tex_share)
    st.latex(
        rf"p = \frac{{e^{{z - z_{{\max}}}}}}{{\sum_t e^{{z_t - z_{{\max}}}}}} = "
        rf"\frac{{e^{{{tex(below, line.digits)}}}}}{{{tex_after_sign(total, line.digits)}}} "
        rf"{line.tex_sign} {tex_share(share)}"
    )
    if record.followed_by is not None:
        st.caption("Next token goes on from the end of the prompt, not from the selected token.")
    if st.button("Open in Next token →"):
        state.set(candidate=guess)
        st.switch_page(NEXT_TOKEN)
