"""Why order must be added: the prompt and a shuffle of it, with and without mask and positions."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from model_runtime.errors import PromptError
from model_runtime.positions import shuffling as order
from pages.shared.escape import counted, plain, quoted, token_text
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.errors import missing
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import fitting
from pages.shared.settings.table import DEFAULT_PROMPT, LAST_TOKEN
from viz.positions.shuffled import (
    NextTokens,
    Shuffled,
    change_words,
    next_tokens_record,
    nothing_moves,
    selected_words,
    shuffled_record,
)
from viz.positions.shuffled_figure import next_tokens_figure, shuffled_figure, token_way_figure
from viz.style import share, three_digits

MOST_SEED = 999_999
LONGEST_SHOWN = 400  # characters of the shuffled text
QUESTION = (
    "Switch all positions off, but keep the causal mask. Does the model still notice that the earlier words "
    "were shuffled?"
)
ANSWER = (
    "Yes, a little later. In layer 0 the last token reads the same set of keys and values in any order, so "
    "what it adds up is the same. But the earlier tokens do not see the same set: one that now stands first "
    "sees only itself. From layer 1 on the last token reads *their* changed vectors. The mask itself leaks "
    "the order, which is why decoders without any positions can be trained at all (Haviv et al. 2022). "
    "This model was not trained that way: without its positions it writes worse."
)
SOURCES = """
- Lee et al. 2019, [Set Transformer](https://arxiv.org/abs/1810.00825), 3.1: attention without positions is
  permutation-equivariant.
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.5: why positions are
  added.
- Haviv et al. 2022, [Transformer language models without positional encodings still learn positional
  information](https://arxiv.org/abs/2203.16634).
- Kazemnejad et al. 2023, [The impact of positional encoding on length
  generalization](https://arxiv.org/abs/2305.19466): what a causal decoder without positions can represent.
"""


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side: the measurement and what is drawn of it."""

    drawing: Drawing
    measured: order.OrderExperiment
    record: Shuffled
    off: NextTokens  # causal mask, positions off
    on: NextTokens


def side_of(drawing: Drawing, seed: int) -> Side:
    """Six forwards of the run's model (kept for all visitors)."""
    run = drawing.run
    model = runtime.model_for(run)
    edits = fitting(run.edits, model.spec, min(len(drawing.texts), order.LONGEST))
    measured = runtime.derived(
        run,
        ("order", seed),
        lambda trace: order.order_experiment(model, run.prompt, seed, edits),
        words="Reading the prompt and its shuffle, three times each",
    )
    texts = drawing.texts[: len(measured.ids)]
    cases = (measured.open, measured.masked, measured.model)
    record = shuffled_record(
        texts, measured.order, [case.stream for case in cases], drawing.query, measured.tolerance
    )

    def text_of(token_id: int) -> str:
        return token_text(model.token(token_id))

    def next_of(name: str, case: order.OrderCase) -> NextTokens:
        return next_tokens_record(name, case.logits_before, case.logits_after, text_of)

    off, on = next_of("Positions off", measured.masked), next_of("Positions on", measured.model)
    return Side(drawing, measured, record, off, on)


def controls() -> int:
    """Another shuffle, counted from the seed in the link."""

    def another() -> None:
        state.set(shuffle=(state.get("shuffle") + 1) % (MOST_SEED + 1))

    seed = int(state.get("shuffle"))
    st.button(
        "Another shuffle",
        key="gf.shuffle",
        on_click=another,
        icon=":material/shuffle:",
        help=f"Shown is number {seed:,}.",
    )
    return seed


def texts(side: Side) -> None:
    """The prompt and its shuffle, one below the other."""
    tokens, n_fixed = side.record.tokens, side.measured.n_fixed
    written = "".join(tokens[n_fixed:])
    shuffled = "".join(tokens[place] for place in side.record.order[n_fixed:])
    st.markdown(
        f"As written: {quoted(written, LONGEST_SHOWN)}  \nShuffled: {quoted(shuffled, LONGEST_SHOWN)}"
    )
    n_all = len(side.drawing.texts)
    cut = f" Of {n_all:,} tokens the first {len(tokens):,} are read." if n_all > len(tokens) else ""
    stays = "The last token stays" if not n_fixed else "The beginning token and the last one stay"
    st.caption(f"{stays}, so that the question, what comes next, stays the same.{cut}")


def maps(side: Side, seed: int) -> None:
    click = live_figure(
        shuffled_figure(side.record),
        key=side.drawing.key_figure("shuffled"),
        provenance=runtime.provenance_of(side.drawing.run, seed=seed),
        clickable=side.drawing.clickable,
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(token=click.point[0])
        st.rerun()


def words(side: Side) -> None:
    """The exact numbers, and what "equal" means."""
    measured, record = side.measured, side.record
    last = len(record.tokens) - 1
    first_layer = float(measured.masked.attention[0, last])
    tolerance = measured.tolerance
    name = quoted(record.tokens[last])
    if first_layer <= tolerance:
        st.markdown(
            f"**Positions off, mask on.** What attention of layer 0 adds to the last token {name} is the "
            f"same in both orders: change {plain(change_words(first_layer, tolerance))}. Deeper layers "
            f"differ: {share(float(record.rules[1].change[last][-1]))} at the end."
        )
    else:
        st.markdown(
            f"**Positions off, mask on.** Attention of layer 0 sees only the last tokens here (a sliding "
            f"window), so even its sum changes with the order: {plain(change_words(first_layer, tolerance))}."
        )
    st.markdown(plain(selected_words(record)))
    drawing = side.drawing
    head = float(measured.open.heads[drawing.layer, drawing.head])
    st.markdown(
        f"Layer {drawing.layer}, head {drawing.head}, no mask, no positions: its outputs z are the same "
        f"numbers in another order. Largest difference of any: {plain(three_digits(head))}; with the mask "
        f"{plain(three_digits(float(measured.masked.heads[drawing.layer, drawing.head])))}."
    )
    st.caption(
        f"A sum whose terms come in another order is rounded otherwise, so equal values differ in their "
        f"last digits. Two vectors count as equal here if they agree in half the digits of "
        f"{drawing.spec().dtype}: a change below √ε = {plain(three_digits(tolerance))}."
    )


def mathematics(side: Side) -> str:
    """Equivariance, and what the mask does to it."""
    n = len(side.record.tokens)
    largest = side.record.rules[0].largest
    ok = "only rounding" if nothing_moves(side.record, 0) else "more than rounding"
    return (
        "Let $P$ be the matrix that shuffles the rows of $X$. Softmax works row by row, so without mask and "
        "positions\n\n"
        r"$$\mathrm{softmax}\!\Big(\tfrac{(PQ)(PK)^\top}{\sqrt{d}}\Big) PV = P\,\mathrm{softmax}\!\Big("
        r"\tfrac{QK^\top}{\sqrt{d}}\Big) P^\top P V = P\,\mathrm{softmax}\!\Big(\tfrac{QK^\top}{\sqrt{d}}"
        r"\Big) V$$"
        f"\n\nbecause $P^\\top P = I$. Norms, MLPs and the residual stream treat each row alone, so the "
        f"whole model obeys $f(PX) = P f(X)$. Measured here on {counted(n, 'token')} and "
        f"{counted(side.record.depths - 1, 'layer')}: largest change {largest:.2e}, {ok}.\n\n"
        "A causal mask $M$ is not the same after a shuffle: $P M P^\\top \\neq M$. Only the last row sees "
        r"everything in both orders, and for it $\sum_k p_k v_k$ is the same sum."
    )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    seed = controls()
    sides = shuffled_sides(drawings, seed)
    if not sides:
        return Lesson(QUESTION, ANSWER, code=code, sources=SOURCES)
    reach = max(
        max(candidate.before, candidate.after)
        for side in sides
        for rule in (side.off, side.on)
        for candidate in rule.candidates
    )
    for place, side in zip(_columns(sides), sides, strict=True):
        with column(place, side.drawing):
            texts(side)
            maps(side, seed)
    if len(sides) == 1:
        left, right = st.columns(2, gap="medium")
        below(sides[0], reach, seed, [left, right])
        with left:
            words(sides[0])
    else:
        for place, side in zip(_columns(sides), sides, strict=True):
            with column(place, side.drawing):
                below(side, reach, seed, [st.container(), st.container()])
                words(side)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0]),
        code=code,
        sources=SOURCES,
    )


def code() -> str:
    """The attention and the shuffle that are shown."""
    return "\n\n".join(inspect.getsource(function) for function in (order.attend, order.shuffled_order))


def shuffled_sides(drawings: Sequence[Drawing], seed: int) -> list[Side]:
    """The runs whose prompt has another order; where one has none, why, and a way on."""
    sides = []
    for drawing in drawings:
        try:
            sides.append(side_of(drawing, seed))
        except PromptError as refusal:
            missing(refusal.what, refusal.remedy)
            st.button(
                "Take the worked example",
                key=f"gf.order.example.{drawing.slug}",
                on_click=state.set,
                kwargs={"prompt": DEFAULT_PROMPT, "token": LAST_TOKEN},
            )
    return sides


def below(side: Side, reach: float, seed: int, places: Sequence[Any]) -> None:
    """One token's way, and the next token."""
    origin = runtime.provenance_of(side.drawing.run, seed=seed)
    with places[0]:
        live_figure(token_way_figure(side.record), key=side.drawing.key_figure("way"), provenance=origin)
    with places[1]:
        live_figure(
            next_tokens_figure([side.off, side.on], reach),
            key=side.drawing.key_figure("order-next"),
            provenance=origin,
        )


def _columns(sides: Sequence[Side]) -> list[Any]:
    return [st.container()] if len(sides) == 1 else list(st.columns(len(sides), gap="medium"))
