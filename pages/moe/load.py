"""Load: how the work falls on the experts, the loss that evens it out, noise, capacity, and collapse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from model_runtime.moe import collapse as recorded
from model_runtime.moe import load as router_load
from model_runtime.moe.load import Balance
from model_runtime.records.distributions import softmax
from pages.moe.routed import Routed, routed_of
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import missing
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from viz.equations import tex, worked
from viz.moe.collapse import collapse_figure, collapse_record, collapse_sentence
from viz.moe.load import LoadRecord, load_figure, load_record, load_words, with_noise_and_capacity
from viz.moe.routing import named
from viz.style import share, three_digits

CAPACITIES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 0.0)  # 0: no limit
_MOST_ROWS = 8


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    several = routed_of(sides)
    columns_of(several)
    collapse(several[0].layer)
    return Lesson(
        mathematics=partial(mathematics, several[0]),
        code=(
            softmax,
            router_load.slot_counts,
            router_load.Balance,
            router_load.balance_loss,
            router_load.noisy_top_k,
            router_load.expert_capacity,
            router_load.Dispatch,
            router_load.dispatch,
        ),
    )


def columns_of(several: Sequence[Routed]) -> None:
    """The runs, side by side where there are two."""
    top = max(load_of(routed).top for routed in several)
    if len(several) == 1:
        left, right = st.columns([3, 2])
        with left:
            figure_of_load(several[0], load_of(several[0], top))
        with right:
            numbers(several[0])
        return
    for place, routed in zip(st.columns(2), several, strict=True):
        with column(place, routed.side):
            figure_of_load(routed, load_of(routed, top))
            numbers(routed)


def load_of(routed: Routed, top: int = 0) -> LoadRecord:
    """The chosen layer under the sliders' noise and capacity."""
    found, row = routed.routing, routed.row
    measured = found.indices[row]
    sigma, factor = state.get("noise"), state.get("capacity")
    used, moved = measured, 0
    if sigma and _can_be_noisy(routed):
        used = router_load.noisy_top_k(found.logits[row], measured.shape[1], _noise(routed), sigma)
        moved = router_load.moved_slots(measured, used)
    places = router_load.dispatch(used, found.n_experts, factor)
    return load_record(
        used,
        places.kept,
        places.taken,
        places.dropped,
        routed.side.texts,
        layer=routed.layer,
        capacity=places.capacity if factor else None,
        moved=moved,
        top=top,
    )


def _can_be_noisy(routed: Routed) -> bool:
    """Unless the router is edited, which no noise changes."""
    return routed.layer not in routed.routing.edited


def _noise(routed: Routed) -> np.ndarray:
    return router_load.gate_noise(len(routed.side.texts), routed.routing.n_experts)


def figure_of_load(routed: Routed, record: LoadRecord) -> None:
    """The picture with its two sliders."""
    found, side, noisy = routed.routing, routed.side, _can_be_noisy(routed)
    drawn = load_figure(record)
    if side.clickable:  # without sliders the browser would draw neither noise nor capacity
        logits, indices = found.logits[routed.row], found.indices[routed.row]
        drawn = with_noise_and_capacity(drawn, record, logits, _noise(routed), indices)
    sigma, factor = state.get("noise") if noisy else 0.0, state.get("capacity")
    extra = {"noise": f"Gaussian, σ {sigma:g}"} if sigma else {}
    extra |= {"capacity factor": f"{factor:g}"} if factor else {}
    live_figure(
        drawn,
        key=side.key_figure("load"),
        provenance=routed.origin(
            "computed" if extra else "measured", seed=router_load.NOISE_SEED if sigma else None, **extra
        ),
        sliders=sliders(noisy) if side.clickable else (),
        on_slide=lambda values: state.set(**values),
        slide_on_release=True,
    )
    if drawn.browser is None:
        st.markdown(plain(load_words(record)))


def sliders(noise: bool) -> list[Slider]:
    """Noise, where it can change anything, and capacity."""
    found = [
        Slider(
            "noise",
            "Noise σ",
            state.get("noise"),
            high=5.0,
            step=0.05,
            words={0: "none"},
            help="Gaussian noise of this standard deviation is added to the router's scores.",
        ),
        Slider(
            "capacity",
            "Capacity factor",
            state.get("capacity"),
            stops=CAPACITIES,
            words={0: "no limit"},
            help="Each expert takes at most this many times its equal share of the slots.",
        ),
    ]
    return found if noise else found[1:]


def numbers(routed: Routed) -> None:
    """The loss of the layer with its numbers, and of all layers."""
    found = routed.routing
    if routed.asked_layer != routed.layer:
        st.info(
            f"Layer {routed.asked_layer} is dense. Shown is layer {routed.layer}, the nearest with experts."
        )
    balance = router_load.balance_loss(found.logits[routed.row], found.indices[routed.row])
    st.markdown(balance_sentence(balance, routed.layer))
    st.markdown(balance_table(balance))
    st.caption(pooled_words(len(found.layers), router_load.pooled_loss(found)))


def balance_sentence(balance: Balance, layer: int) -> str:
    """The layer's loss, and how far it is from balance."""
    over = balance.loss / balance.k - 1
    line = worked(over, lambda loss: loss / balance.k - 1, balance.loss, words=share)
    far = f"{share(over)} above" if over >= 0.001 else f"{share(-over)} below" if over <= -0.001 else "at"
    return (
        f"Balancing loss of layer {layer}: $N \\sum f_i P_i$ = **{line.operand(balance.loss)}**, {far} the "
        f"{balance.k} of a perfectly even router."
    )


def balance_table(balance: Balance) -> str:
    """f, P and their product by expert, the busiest first where there are many."""
    order = range(len(balance.counts))
    if len(balance.counts) > _MOST_ROWS:
        order = np.argsort(-balance.counts, kind="stable")[:_MOST_ROWS].tolist()
    lines = ["| expert | $f$ | $P$ | $f P$ |", "|---|---:|---:|---:|"]
    for e in order:
        f, p = float(balance.fraction[e]), float(balance.probability[e])
        line = worked(f * p, lambda slots, share: slots * share, f, p)
        cells = (named(e), line.operand(f), line.operand(p), three_digits(f * p))
        lines.append(f"| {' | '.join(cells)} |")
    n = len(balance.counts)
    name = "all" if n == len(order) else f"all {n}"
    sums = (float(balance.k), 1.0, balance.loss / n)
    lines.append(f"| {name} | {' | '.join(map(three_digits, sums))} |")
    return "\n".join(lines)


def pooled_words(n_layers: int, pooled: float) -> str:
    """What f and P are, and the loss that a training would see on this prompt."""
    return (
        f"f: slots per token that go to the expert. P: its mean probability in the router's softmax. Over "
        f"{counted(n_layers, 'layer')} taken together, as transformers computes it for training: "
        f"{three_digits(pooled)}."
    )


def collapse(layer: int) -> None:
    """What becomes of a router without the loss, as our training recorded it."""
    st.subheader("Without the loss: collapse", anchor=False)
    try:
        found = recorded.read_collapse()
    except recorded.RecordMissing as error:
        missing(error.what, error.remedy)
        return
    both = (found.with_loss, found.without_loss)
    record = collapse_record(
        found.steps, [run.share for run in both], [run.loss for run in both], min(layer, found.n_layers - 1)
    )
    left, right = st.columns([2, 1])
    with left:
        live_figure(
            collapse_figure(record),
            key="collapse",
            provenance=Provenance(
                "measured",
                model="two trainings of our own",
                layer=record.layer,
                extra={"recorded": " ".join(found.description.split()).rstrip(".").removeprefix("Recorded ")},
            ),
        )
    with right:
        st.markdown(plain(collapse_sentence(record)))
        st.caption(
            "Recorded during two trainings of our own that differ in the balancing loss alone, not measured "
            f"on the loaded model. {plain(found.description)} {plain(found.note)}"
        )


def mathematics(routed: Routed) -> str:
    """Loss, variation, noise and capacity with the numbers of the layer."""
    found, row = routed.routing, routed.row
    balance = router_load.balance_loss(found.logits[row], found.indices[row])
    n, n_tokens, k = found.n_experts, found.indices.shape[1], balance.k
    busiest = int(balance.counts.argmax())
    factor = state.get("capacity") or 1.0
    places = router_load.expert_capacity(n_tokens, n, k, factor)
    spread = float(found.logits[row].std())
    f, p = float(balance.fraction[busiest]), float(balance.probability[busiest])
    count = int(balance.counts[busiest])
    mean = balance.loss / n
    slots = worked(f, lambda of_one, tokens: of_one / tokens, count, n_tokens, words=tex)
    loss = worked(balance.loss, lambda experts, each: experts * each, n, mean, least=4, words=tex)
    return (
        "The balancing loss of one layer (Switch, eq. 4 to 6), for $N$ experts and $T$ tokens:\n\n"
        r"$$L = N \sum_{i=1}^{N} f_i P_i, \qquad f_i = \frac{\text{slots of expert } i}{T}, \qquad "
        r"P_i = \frac{1}{T} \sum_t p_i(x_t)$$"
        f"\n\nHere $N = {n}$, $T = {n_tokens}$, and {named(busiest)} has $f = {count} / "
        f"{n_tokens} {slots.tex_sign} {tex(f)}$ and $P = {tex(p)}$; all in "
        f"all $L = {n} \\cdot {loss.tex(mean)} {loss.tex_sign} {tex(balance.loss)}$. Only $P$ has a "
        "gradient: it is pushed down most where $f$ is large. Switch sends a token to one expert, so its "
        "$f$ sum to 1 and "
        f"the least value at balance is 1. With $k = {k}$ experts a token transformers counts every slot, so "
        f"the $f$ sum to {k} and balance has $L = {k}$; divided by $k$ this prompt has "
        f"${tex(balance.per_slot)}$.\n\n"
        r"$$\mathrm{CV} = \frac{\text{standard deviation of the slots}}{\text{mean}} = "
        f"{tex(router_load.variation(balance.counts))}$$\n\n"
        "Noisy top-k (Shazeer, eq. 3 to 5) picks the $k$ largest of\n\n"
        r"$$H_i(x) = (x W_g)_i + \varepsilon_i \, \mathrm{softplus}((x W_\mathrm{noise})_i), \qquad "
        r"\varepsilon_i \sim \mathcal{N}(0, 1)$$"
        "\n\nThe learned $W_\\mathrm{noise}$ does not exist in this model, so the slider's σ stands in its "
        "place, the same for all tokens and experts; the ε are drawn once with seed "
        f"{router_load.NOISE_SEED}. The real scores of this layer have a standard deviation of "
        f"{three_digits(spread)}.\n\n"
        r"$$\text{places} = \left\lfloor \text{capacity factor} \cdot \frac{k\,T}{N} \right\rfloor = "
        f"\\left\\lfloor {factor:g} \\cdot \\frac{{{k} \\cdot {n_tokens}}}{{{n}}} \\right\\rfloor = "
        f"{places}$$\n\n"
        "(at least 1). Places are given in the order of the text, all first choices before all second ones."
    )
