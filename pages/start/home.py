"""From prompt to next token: the whole forward pass of the current prompt in one picture."""

from __future__ import annotations

import inspect
from typing import Any

import streamlit as st

from model_runtime import stream_contributions, teaching
from pages.shared.escape import plain, token_text
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View, details, end_page, showing_errors, start_page, try_this
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from viz.start.figure import forward_pass_figure
from viz.start.forward_pass import Block, ForwardPass, forward_pass_record
from viz.start.words import sentences, stage_sentences
from viz.style import share, three_digits

ATTENTION, NEXT_TOKEN = "attention/attention.py", "output/next_token.py"


def record_of(run: Run, position: int, layer: int) -> ForwardPass:
    """The forward pass of a run, followed at one position."""
    model, trace = runtime.model_for(run), runtime.trace_for(run)
    lengths = runtime.derived(run, "stream_contributions", stream_contributions)
    spec = model.spec
    is_last = position == len(trace.tokens) - 1
    return forward_pass_record(
        token_texts=[token_text(token) for token in trace.tokens],
        token_ids=[token.id for token in trace.tokens],
        selected=position,
        selected_layer=layer,
        embedding=trace.get("embed"),
        attention_lengths=lengths.attn_out[:, position],
        mlp_lengths=lengths.mlp_out[:, position],
        stream_lengths=[lengths.resid_pre[0, position], *lengths.resid_post[:, position]],
        final_length=None if lengths.ln_final is None else lengths.ln_final[position],
        logits=trace.next_token_logits() if is_last else logits_at(run, position),
        text_of=lambda token_id: token_text(model.token(token_id)),
        norm=spec.norm,
        mlp_name="MLP (experts)" if spec.n_experts else "MLP",
    )


def logits_at(run: Run, position: int) -> Any:
    """What the model expects after an earlier token, float32 [d_vocab]."""
    trace = runtime.trace_for(run, points=("embed",), positions=(position,), logits_at=(position,))
    return trace.get("logits")[0]


def follow(target: Any) -> None:
    """Go where a click in the picture leads. What comes over the wire is checked: it is anybody's."""
    match target:
        case ["token", int(position)]:
            state.set(token=position)
            st.rerun()
        case ["layer", int(layer)]:
            state.set(layer=layer)
            st.switch_page(ATTENTION)
        case ["candidate", int(token_id)]:
            state.set(candidate=token_id)
            st.switch_page(NEXT_TOKEN)


def stages(view: View, record: ForwardPass) -> None:
    """Under the picture: what each stage does, what it did here, and a link where it has its own page."""
    spec = view.model.spec
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
                st.page_link(ATTENTION, label=f"Attention in block {view.layer} →")
            if name.startswith("⑤"):
                st.page_link(NEXT_TOKEN, label="How one is chosen →")
                if record.followed_by is not None:
                    st.caption("That page goes on from the end of the prompt.")


def mathematics(record: ForwardPass, block: Block) -> str:
    """The formulas of one block and of the end, with the selection's numbers."""
    k = block.layer
    best = record.candidates[0]
    return (
        "The residual stream of one token is a vector $x$; block $k$ adds to it twice "
        "(Elhage et al. 2021):\n\n"
        r"$$x_{k+1} = x_k + a_k + m_k, \qquad a_k = \mathrm{Attention}_k(\mathrm{norm}(x_k)), \qquad "
        r"m_k = \mathrm{MLP}_k(\mathrm{norm}(x_k + a_k))$$"
        f"\n\nMeasured here for $k = {k}$, as lengths (Euclidean norms):\n\n"
        rf"$$\|x_{{{k}}}\| = {block.before:.4g}, \quad \|a_{{{k}}}\| = {block.attention:.4g}, \quad "
        rf"\|m_{{{k}}}\| = {block.mlp:.4g}, \quad \|x_{{{k + 1}}}\| = {block.after:.4g}$$"
        "\n\nVectors add head to tail, so the lengths do not sum: "
        f"{block.before:.4g} + {block.attention:.4g} + {block.mlp:.4g} = "
        f"{block.before + block.attention + block.mlp:.4g}, of which attention is "
        f"{share(block.attention_share)} and the {record.mlp_name} {share(block.mlp_share)}. These shares "
        "are the bars. (In parallel blocks $m_k$ reads $x_k$; in some families a norm follows instead.)\n\n"
        "At the end, with one row $u_t$ of the output table for each token $t$ of the vocabulary:\n\n"
        r"$$p(t) = \frac{e^{u_t \cdot \mathrm{norm}(x)}}{\sum_s e^{u_s \cdot \mathrm{norm}(x)}}, \qquad "
        rf"\max_t p(t) = {best.probability:.4g}$$"
    )


SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762): the block.
- Radford et al. 2019, *Language models are unsupervised multitask learners* (GPT-2): norms come first.
- Elhage et al. 2021, [A mathematical framework for transformer circuits][circuits]: the residual stream as
  what every block reads from and adds to.
- Sun et al. 2024, [Massive activations in large language models](https://arxiv.org/abs/2402.17762): why the
  first token's stream grows so long.

[circuits]: https://transformer-circuits.pub/2021/framework/index.html
"""

view = start_page(
    "Start",
    "From prompt to next token",
    "A prompt goes in as tokens and a guess at the next one comes out. In between, every block adds to the "
    "stream of the selected token: look for the blocks that add most.",
)
with showing_errors():
    records = [
        record_of(run, state.selected_token(len(runtime.tokens_for(run))), view.layer) for run in view.runs
    ]
    for index, (run, record) in enumerate(zip(view.runs, records, strict=True)):
        if index:
            st.subheader("Pinned run", anchor=False)
        click = live_figure(
            forward_pass_figure(record, beside=records),
            key=f"forward-pass-{index}",
            provenance=runtime.provenance_of(run, selected=f"token {record.selected.position}"),
            clickable=index == 0,
        )
        if click is not None:
            follow(click.customdata)
        if index == 0:
            stages(view, record)
        else:
            st.markdown(plain(sentences(record)))
    chosen = records[0].blocks[view.layer]
    try_this(
        "Select the first token. Which bars shrink to almost nothing, and how long does its stream become?",
        "Attention's shrink: the first token has nobody but itself to read. In many models its stream grows "
        "far longer than all others in a few early blocks, and later heads use it as a place to rest "
        "(*massive activations*, *attention sinks*). The stream on screen ends at length "
        f"{three_digits(records[0].stream_lengths[-1])}.",
    )
    details(
        mathematics=mathematics(records[0], chosen),
        code=inspect.getsource(teaching.forward_pass) + "\n\n" + inspect.getsource(teaching.mlp),
        sources=SOURCES,
    )
end_page()
