"""From prompt to next token: the whole forward pass of the current prompt in one picture."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from model_runtime import attention_reading, early_guesses, stream_contributions, teaching
from model_runtime.finite import finite
from pages.shared.escape import plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.figure.walk import Walk as Walking
from pages.shared.frame import contents
from pages.shared.frame.choice import tell_example
from pages.shared.frame.not_finite import whole
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Lesson, end_part
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.shared.settings.table import DEFAULT_PROMPT
from pages.start import opened
from viz.equations import tex, worked
from viz.start.figure import forward_pass_figure
from viz.start.forward_pass import Block, ForwardPass, forward_pass_record
from viz.start.walk import Walk, block_to_visit, invitation, walk_record
from viz.start.words import sentences, stage_sentences
from viz.style import share, three_digits


def record_of(side: Side) -> ForwardPass:
    """The forward pass of a run, followed at the selected position."""
    run, spec, position = side.run, side.spec, side.query
    whole(run.finiteness)
    lengths = run.measure(stream_contributions)
    return forward_pass_record(
        token_texts=run.texts,
        token_ids=run.ids,
        selected=position,
        selected_layer=side.layer,
        embedding=run.trace.get("embed"),
        attention_lengths=lengths.attn_out[:, position],
        mlp_lengths=lengths.mlp_out[:, position],
        stream_lengths=np.append(lengths.resid_pre[0, position], lengths.resid_post[:, position]),
        final_length=None if lengths.ln_final is None else lengths.ln_final[position],
        logits=logits_of(side),
        text_of=run.text_of,
        norm=spec.norm,
        mlp_name="MLP (experts)" if spec.n_experts else "MLP",
    )


def logits_of(side: Side) -> np.ndarray:
    """What the model expects after the selected token, float32 [d_vocab]."""
    run, position = side.run, side.query
    if position == len(run.tokens) - 1:
        return run.logits
    trace = run.traced(points=("embed",), positions=(position,), logits_at=(position,))
    return finite(trace.get("logits")[0], "the logits")


def walk_of(side: Side, record: ForwardPass) -> Walk:
    """What the steps through the picture say of two blocks."""
    run, position, visited = side.run, side.query, block_to_visit(record)
    final = record.candidates[0].id
    return walk_record(
        run.measure(attention_reading, opened.TAKING, layer=0, position=position),
        run.measure(early_guesses, opened.READING_OUT, layer=visited, position=position, token=final),
        run.texts.__getitem__,
    )


def walking(record: ForwardPass) -> Walking:
    """The walk through the picture, and the page behind its last step."""
    _, after = contents.neighbours(state.page())
    assert after is not None
    return Walking(
        at=state.get("step"),
        invitation=invitation(record),
        onward="Next: how text becomes tokens →",
        on_step=lambda step: state.set(step=step),
        on_onward=lambda: st.switch_page(after.file),
    )


def stages(side: Side, record: ForwardPass) -> None:
    """Under the picture: what each stage does, what it did here, and a link where it has its own page."""
    spec = side.spec
    explained = (
        ("① Tokens", "The text is cut into pieces of a fixed list; the model sees only their numbers."),
        (
            "② Embedding",
            "A table has a row for each number. The row starts the token's *stream*; ten are drawn.",
        ),
        (
            f"③ {spec.n_layers} blocks",
            "In each, attention brings in what earlier tokens hold and the MLP works on this one alone. Both "
            "only *add*. Bars: length added, as a share of all lengths that meet in the block.",
        ),
        ("④ Final norm", "All streams are brought to one scale: from here on only the direction counts."),
        (
            "⑤ Next token",
            f"It is compared with all {spec.d_vocab:,} tokens; softmax turns scores into shares.",
        ),
    )
    columns = st.columns(5) if state.get("text") == "normal" else [*st.columns(3), *st.columns(3)[:2]]
    for column, (name, what), here in zip(columns, explained, stage_sentences(record), strict=True):
        with column:
            st.markdown(f"**{name}**")
            st.caption(what)
            st.markdown(plain(here))
            if name.startswith("③"):
                st.page_link(opened.ATTENTION, label=f"Attention in block {side.layer} →")
            if name.startswith("⑤"):
                st.page_link(opened.NEXT_TOKEN, label="How one is chosen →")
                if record.followed_by is not None:
                    st.caption("That page goes on from the end of the prompt.")


def mathematics(record: ForwardPass, block: Block) -> str:
    """The formulas of one block and of the end, with the selection's numbers."""
    k = block.layer
    best = record.candidates[0]
    lengths = block.before, block.attention, block.mlp
    line = worked(sum(lengths), lambda *each: sum(each), *lengths, least=4, words=tex)
    return (
        "The residual stream of one token is a vector $x$; block $k$ adds to it twice "
        "(Elhage et al. 2021):\n\n"
        r"$$x_{k+1} = x_k + a_k + m_k, \qquad a_k = \mathrm{Attention}_k(\mathrm{norm}(x_k)), \qquad "
        r"m_k = \mathrm{MLP}_k(\mathrm{norm}(x_k + a_k))$$"
        f"\n\nMeasured here for $k = {k}$, as lengths (Euclidean norms):\n\n"
        rf"$$\|x_{{{k}}}\| = {tex(block.before)}, \quad \|a_{{{k}}}\| = {tex(block.attention)}, \quad "
        rf"\|m_{{{k}}}\| = {tex(block.mlp)}, \quad \|x_{{{k + 1}}}\| = {tex(block.after)}$$"
        "\n\nVectors add head to tail, so the lengths do not sum: "
        f"${' + '.join(map(line.tex, lengths))} {line.tex_sign} {tex(sum(lengths))}$, of which attention is "
        f"{share(block.attention_share)} and the {record.mlp_name} {share(block.mlp_share)}. These shares "
        "are the bars. (In parallel blocks $m_k$ reads $x_k$; in some families a norm follows instead.)\n\n"
        "At the end, with one row $u_t$ of the output table for each token $t$ of the vocabulary:\n\n"
        r"$$p(t) = \frac{e^{u_t \cdot \mathrm{norm}(x)}}{\sum_s e^{u_s \cdot \mathrm{norm}(x)}}, \qquad "
        rf"\max_t p(t) = {tex(best.probability)}$$"
    )


def draw(side: Side, records: list[ForwardPass], record: ForwardPass) -> None:
    """One run's picture, and what is opened under it."""
    walk = walk_of(side, record) if side.clickable else None
    live_figure(
        forward_pass_figure(record, beside=records, walk=walk),
        key=side.key_figure("forward-pass"),
        provenance=side.run.origin(selected=f"token {record.selected.position}"),
        clickable=side.clickable,
        on_click=opened.take,
        walk=walking(record) if side.clickable else None,
    )
    if side.clickable:
        opened.show(side, record, logits_of(side))
        stages(side, record)
    else:
        st.markdown(plain(sentences(record)))


sides = start_page()
if state.get("prompt") != DEFAULT_PROMPT:  # there the walk says what to look at
    tell_example()
with showing_errors():
    records = [record_of(side) for side in sides]
    for side, record in zip(sides, records, strict=True):
        if not side.clickable:
            st.subheader("Pinned run", anchor=False)
        draw(side, records, record)
    end_part(
        Lesson(
            mathematics=partial(mathematics, records[0], records[0].blocks[sides[0].layer]),
            code=(teaching,),
            fill={"length": three_digits(records[0].stream_lengths[-1])},
        )
    )
end_page()
