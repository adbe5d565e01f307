"""Why order must be added: the prompt and a shuffle of it, with and without mask and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from model_runtime.errors import PromptError
from model_runtime.finite import finite
from model_runtime.positions.order import (
    LONGEST,
    OrderCase,
    OrderExperiment,
    attend,
    order_experiment,
    shuffled_order,
)
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.errors import missing
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import fitting
from pages.shared.settings.table import DEFAULT_PROMPT, LAST_TOKEN
from viz.positions.order import (
    NextTokens,
    Shuffled,
    change_words,
    next_tokens_figure,
    next_tokens_record,
    nothing_moves,
    selected_words,
    shuffled_figure,
    shuffled_record,
    token_way_figure,
)
from viz.style import share, three_digits

MOST_SEED = 999_999
LONGEST_SHOWN = 400  # characters of the shuffled text


@dataclass(frozen=True, eq=False)
class Shuffle:
    """One run's prompt and a shuffle of it: the measurement and what is drawn of it."""

    side: Side
    measured: OrderExperiment
    record: Shuffled
    off: NextTokens  # causal mask, positions off
    on: NextTokens


def shuffle_of(side: Side, seed: int) -> Shuffle:
    """Six readings by the run's model (kept for all visitors).

    Raises:
        NotFinite: one of them has values that nothing can be compared with.
    """
    edits = fitting(side.run.settings.edits, side.spec, min(len(side.texts), LONGEST))
    measured = side.run.under(edits).measure(
        order_experiment, "Reading the prompt and its shuffle, three times each", seed=seed
    )
    cases = (measured.open, measured.masked, measured.model)
    for case, rule in zip(cases, ("without mask and positions", "without positions", "as ever"), strict=True):
        for values in (case.stream, case.attention, case.heads, case.logits_before, case.logits_after):
            finite(values, f"the prompt and its shuffle, read {rule},")
    changes = [case.stream for case in cases]
    texts = side.texts[: len(measured.ids)]
    record = shuffled_record(texts, measured.order, changes, side.query, measured.tolerance)

    def next_of(name: str, case: OrderCase) -> NextTokens:
        return next_tokens_record(name, case.logits_before, case.logits_after, side.run.text_of)

    off, on = next_of("Positions off", measured.masked), next_of("Positions on", measured.model)
    return Shuffle(side, measured, record, off, on)


def shuffles_of(sides: Sequence[Side], seed: int) -> list[Shuffle]:
    """The runs whose prompt has another order; where one has none, why, and a way on."""
    shuffles = []
    for side in sides:
        try:
            shuffles.append(shuffle_of(side, seed))
        except PromptError as refusal:
            missing(refusal.what, refusal.remedy)
            st.button(
                "Take the worked example",
                key=f"gf.order.example.{side.slug}",
                on_click=state.set,
                kwargs={"prompt": DEFAULT_PROMPT, "token": LAST_TOKEN},
            )
    return shuffles


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


def texts(shuffle: Shuffle) -> None:
    """The prompt and its shuffle, one below the other."""
    tokens, n_fixed = shuffle.record.tokens, shuffle.measured.n_fixed
    order = shuffle.record.order[n_fixed:]
    joined = shuffle.side.model.tokens
    if joined.joins_bytes:  # texts of tokens, because bytes out of order make no characters
        written, shuffled = "".join(tokens[n_fixed:]), "".join(tokens[place] for place in order)
    else:
        ids = shuffle.measured.ids
        written, shuffled = joined.text(ids[n_fixed:]), joined.text([ids[place] for place in order])
    st.markdown(
        f"As written: {quoted(written, LONGEST_SHOWN)}  \nShuffled: {quoted(shuffled, LONGEST_SHOWN)}"
    )
    n_all = len(shuffle.side.texts)
    cut = f" Of {n_all:,} tokens the first {len(tokens):,} are read." if n_all > len(tokens) else ""
    stays = "The last token stays" if not n_fixed else "The beginning token and the last one stay"
    st.caption(f"{stays}, so that the question, what comes next, stays the same.{cut}")


def maps(shuffle: Shuffle, seed: int) -> None:
    side = shuffle.side
    click = live_figure(
        shuffled_figure(shuffle.record),
        key=side.key_figure("shuffled"),
        provenance=side.run.origin(seed=seed),
        clickable=side.clickable,
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(token=click.point[0])
        st.rerun()


def words(shuffle: Shuffle) -> None:
    """The exact numbers, and what "equal" means."""
    side, measured, record = shuffle.side, shuffle.measured, shuffle.record
    last = len(record.tokens) - 1
    first_layer = float(measured.masked.attention[0, last])
    tolerance = measured.tolerance
    if first_layer <= tolerance:
        st.markdown(
            f"**Positions off, mask on.** What attention of layer 0 adds to the last token "
            f"{quoted(record.tokens[last])} is the same in both orders: change "
            f"{plain(change_words(first_layer, tolerance))}. Deeper layers differ: "
            f"{share(float(record.rules[1].change[last][-1]))} at the end."
        )
    else:
        st.markdown(
            f"**Positions off, mask on.** Attention of layer 0 sees only the last tokens here (a sliding "
            f"window), so even its sum changes with the order: {plain(change_words(first_layer, tolerance))}."
        )
    st.markdown(plain(selected_words(record)))
    bare, masked = (float(case.heads[side.layer, side.head]) for case in (measured.open, measured.masked))
    st.markdown(
        f"Layer {side.layer}, head {side.head}, no mask, no positions: its outputs z are the same "
        f"numbers in another order. Largest difference of any: {plain(three_digits(bare))}; with the mask "
        f"{plain(three_digits(masked))}."
    )
    st.caption(
        f"A sum whose terms come in another order is rounded otherwise, so equal values differ in their "
        f"last digits. Two vectors count as equal here if they agree in half the digits of "
        f"{side.spec.dtype}: a change below √ε = {plain(three_digits(tolerance))}."
    )


def mathematics(shuffle: Shuffle) -> str:
    """Equivariance, and what the mask does to it."""
    n, record = len(shuffle.record.tokens), shuffle.record
    ok = "only rounding" if nothing_moves(record, 0) else "more than rounding"
    return (
        "Let $P$ be the matrix that shuffles the rows of $X$. Softmax works row by row, so without mask and "
        "positions\n\n"
        r"$$\mathrm{softmax}\!\Big(\tfrac{(PQ)(PK)^\top}{\sqrt{d}}\Big) PV = P\,\mathrm{softmax}\!\Big("
        r"\tfrac{QK^\top}{\sqrt{d}}\Big) P^\top P V = P\,\mathrm{softmax}\!\Big(\tfrac{QK^\top}{\sqrt{d}}"
        r"\Big) V$$"
        f"\n\nbecause $P^\\top P = I$. Norms, MLPs and the residual stream treat each row alone, so the "
        f"whole model obeys $f(PX) = P f(X)$. Measured here on {counted(n, 'token')} and "
        f"{counted(record.depths - 1, 'layer')}: largest change "
        f"{plain(three_digits(record.rules[0].largest))}, {ok}.\n\n"
        "A causal mask $M$ is not the same after a shuffle: $P M P^\\top \\neq M$. Only the last row sees "
        r"everything in both orders, and for it $\sum_k p_k v_k$ is the same sum."
    )


def below(shuffle: Shuffle, reach: float, seed: int, alone: bool) -> None:
    """One token's way, the next token, and the numbers; side by side where no other run stands beside."""
    side, origin = shuffle.side, shuffle.side.run.origin(seed=seed)
    left, right = st.columns(2, gap="medium") if alone else (st.container(), st.container())
    with left:
        live_figure(token_way_figure(shuffle.record), key=side.key_figure("way"), provenance=origin)
    with right:
        live_figure(
            next_tokens_figure([shuffle.off, shuffle.on], reach),
            key=side.key_figure("order-next"),
            provenance=origin,
        )
    with left if alone else right:
        words(shuffle)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    seed = controls()
    shuffles = shuffles_of(sides, seed)
    if not shuffles:
        return Lesson(code=(attend, shuffled_order))
    reach = max(after.longest for shuffle in shuffles for after in (shuffle.off, shuffle.on))
    for place, shuffle in zip(places(shuffles, gap="medium"), shuffles, strict=True):
        with column(place, shuffle.side):
            texts(shuffle)
            maps(shuffle, seed)
    for place, shuffle in zip(places(shuffles, gap="medium"), shuffles, strict=True):
        with column(place, shuffle.side):
            below(shuffle, reach, seed, alone=len(shuffles) == 1)
    return Lesson(mathematics=lambda: mathematics(shuffles[0]), code=(attend, shuffled_order))
