"""Who knows what: which experts take which kind of text, and how much of that is chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from model_runtime.moe import domains as measured
from model_runtime.moe import load as router_load
from model_runtime.moe.domains import DomainRouting, domain_routing
from pages.moe.routed import Routed, comparable, routed_of
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import missing
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from pages.shared.settings.table import FIRST_EXPERT
from viz.equations import tex, worked
from viz.moe.domains import (
    TITLES,
    DomainMap,
    PromptDistance,
    divergence_sentence,
    divergences_record,
    domain_map_record,
    expert_sentence,
    nearest_sentence,
    prompt_sentence,
    typical_record,
    typical_sentence,
)
from viz.moe.domains_figure import (
    divergences_figure,
    domain_map_figure,
    prompt_distance_figure,
    typical_figure,
)
from viz.moe.routing import floats, named

MOST_AT_ONCE = 500_000_000  # active parameters above which measuring waits for a button
LEAST_SEEN = 5  # occurrences in all the text, below which a token is not called typical of an expert
DIVERGENCE = (
    "Jensen-Shannon divergence of two shares over the experts, in bits: 0 if they are equal, 1 if no expert "
    "is common. Every dot compares two halves of the same size, so the dashed line (two halves of one "
    "domain) is what differences between texts of one kind and chance make. Click a dot to choose its layer."
)
TYPICAL = (
    f"Tokens seen at least {LEAST_SEEN} times in all the text, ordered by share of the expert's "
    "tokens × log₂ (that share / share of the text): much more often, and often at all."
)


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    several = routed_of(sides)
    try:
        _models(several)
    except measured.TextMissing as error:
        missing(error.what, error.remedy)
    prompts(several)
    return Lesson(
        mathematics=partial(mathematics, several[0]),
        code=(
            router_load.entropy_bits,
            router_load.js_divergence,
            router_load.shares,
            measured.DomainRouting,
            measured.domain_counts,
            measured.DomainDivergence,
            measured.domain_divergence,
            measured.TypicalToken,
            measured.typical_tokens,
        ),
    )


def _models(several: Sequence[Routed]) -> None:
    """One model with all its prompts, or two side by side."""
    found = [domains_of(routed) for routed in several]
    if len({id(one) for one in found}) == 1:
        if found[0] is not None:
            one_model(several, found[0], wide=True)
        return
    for place, routed, one in zip(st.columns(2), several, found, strict=True):
        with column(place, routed.side):
            if one is not None:
                one_model([routed], one, wide=False)


def domains_of(routed: Routed) -> DomainRouting | None:
    """The measurement on the held-out text; of a large model only when the button was pressed."""
    run, spec = routed.side.run, routed.side.spec
    known = run.known(domain_routing)
    if known is not None:
        return known
    used = spec.n_params * spec.experts_per_token // spec.n_experts
    if used > MOST_AT_ONCE and not st.button(
        "Measure on the held-out text (may take minutes)",
        key=f"gf.domains.{routed.side.slug}",
        type="primary",
    ):
        return None
    return run.measure(domain_routing, f"Running {spec.name} over the held-out text", dear=True)


def one_model(several: Sequence[Routed], found: DomainRouting, wide: bool) -> None:
    """Map, divergences and typical tokens of one model, with the prompts of its runs."""
    first = several[0]
    record = map_of(found, several)
    if first.side.clickable:
        expert_control(record)
    first.show(
        domain_map_figure(record),
        "domains",
        _take_cell(found.layers),
        provenance=first.origin(text=text_words(found)),
    )
    st.markdown(plain(expert_sentence(record)))
    _nearest(several, found)
    st.caption(how_measured(found))
    left, right = st.columns(2) if wide else (st.container(), st.container())
    with left:
        _divergence(first, found)
    with right:
        _typical(first, found, record.expert)


def map_of(found: DomainRouting, several: Sequence[Routed]) -> DomainMap:
    """All domains and the prompts of these runs of one model."""
    return domain_map_record(
        dict(zip(found.domains, measured.domain_shares(found), strict=True)),
        {routed.side.name or "This prompt": routed.routing.shares() for routed in _read(several)},
        found.layers,
        layer=several[0].layer,
        expert=None if state.get("expert") == FIRST_EXPERT else state.get("expert"),
    )


def _read(several: Sequence[Routed]) -> list[Routed]:
    """Those whose prompts are routed: a map without a prompt is one of the domains alone."""
    return [routed for routed in several if routed.decided is not None]


def expert_control(record: DomainMap) -> None:
    """Which expert is looked at; the layer is in the sidebar."""
    most = "the most specialised of the layer"
    if state.get("expert") == FIRST_EXPERT:
        most += f" ({named(record.expert)})"
    st.selectbox(
        "Expert",
        [FIRST_EXPERT, *range(record.n_experts)],
        format_func=lambda expert: most if expert == FIRST_EXPERT else named(expert),
        width=360,
        **state.bound("expert"),
    )


def _take_cell(layers: Sequence[int]) -> Callable[[Click], None]:
    def take(click: Click) -> None:
        if isinstance(click.point, tuple) and click.point[0] < len(layers):
            state.set(layer=layers[click.point[0]], expert=click.point[1])

    return take


def _take_layer(click: Click) -> None:
    if isinstance(click.customdata, int):
        state.set(layer=click.customdata)


def _of_text(routed: Routed, found: DomainRouting) -> Provenance:
    """Measured on the held-out text, where neither the prompt nor the edits matter."""
    return replace(routed.origin(text=text_words(found), as_it_is=True), prompt=None)


def text_words(found: DomainRouting) -> str:
    """Which text, in a caption."""
    tokens = min(found.n_tokens)
    names = ", ".join(TITLES.get(domain, domain) for domain in found.domains)
    return f"held-out, {tokens:,} tokens of each of {names}"


def _nearest(several: Sequence[Routed], found: DomainRouting) -> None:
    for routed in several:
        if routed.side.run.unread is None and routed.decided is None:
            name = routed.side.name or "This prompt"
            st.caption(f"{name} is left out: scores of its routers are infinite or not a number (NaN).")
    for routed in _read(several):
        bits = measured.nearest_domain(found, routed.routing.tokens_per_expert())
        sentence = nearest_sentence(routed.side.name or "This prompt", found.domains, bits.tolist())
        short = " So short a prompt tells little." if len(routed.side.texts) < 16 else ""
        st.markdown(plain(sentence) + short)


def how_measured(found: DomainRouting) -> str:
    """What stands behind the map."""
    counts = set(found.n_tokens)
    span = f"{min(counts):,} to {max(counts):,}" if len(counts) > 1 else f"{min(counts):,}"
    return (
        f"Measured on the bundled held-out text, which the mini models were not trained on: {span} tokens of "
        f"each domain in {measured.EXCERPTS} excerpts of at most {measured.EXCERPT_TOKENS} tokens, evenly "
        "spread over the file, each read on its own. Shares are of slots (a token sent to two experts has "
        "two), so each row of a map sums to 100\u00a0%. The colours end at the largest share of a domain."
    )


def _divergence(routed: Routed, found: DomainRouting) -> None:
    distance = measured.domain_divergence(found)
    record = divergences_record(found.domains, distance.between, distance.within, found.layers, routed.layer)
    routed.show(divergences_figure(record), "divergence", _take_layer, provenance=_of_text(routed, found))
    st.markdown(plain(divergence_sentence(record)))
    st.caption(DIVERGENCE)


def _typical(routed: Routed, found: DomainRouting, expert: int) -> None:
    rows = measured.typical_tokens(found, routed.layer, expert, least_seen=LEAST_SEEN)
    record = typical_record(
        [routed.side.run.text_of(row.id) for row in rows],
        [(row.id, row.seen, row.taken, row.share_of_expert, row.share_of_text) for row in rows],
        layer=routed.layer,
        expert=expert,
    )
    if record.tokens:
        routed.show(typical_figure(record), "typical", provenance=_of_text(routed, found))
    st.markdown(plain(typical_sentence(record)))
    st.caption(TYPICAL)


def prompts(several: Sequence[Routed]) -> None:
    """Two prompts compared; with one run, how to get there."""
    st.subheader("Two prompts", anchor=False)
    if len(several) < 2:
        st.markdown("Pin this run and type another prompt: their routing is then compared layer by layer.")
        return
    if len(_read(several)) < 2:
        missing(
            "Only prompts that are read, with routers' scores that are numbers, can be compared.",
            "The box above says what is wrong.",
        )
        return
    if not comparable(several):
        missing("The two models have other experts.", "Pin a run of the same model to compare two prompts.")
        return
    one, other = several
    found = router_load.prompt_divergence(one.routing, other.routing)
    bits, chance, high = floats((found.bits, found.chance_mean, found.chance_high))
    record = PromptDistance(found.layers, bits, chance, high, found.n_tokens, one.layer)
    left, right = st.columns([2, 1])
    with left:
        live_figure(
            prompt_distance_figure(record),
            key="prompt-divergence",
            provenance=one.origin(compared_with=other.side.run, shuffles=found.shuffles),
        )
    with right:
        st.markdown(plain(prompt_sentence(record)))
        a, b = found.n_tokens
        st.caption(
            f"The prompts have {a:,} and {b:,} tokens. For chance, the tokens of both are mixed and dealt "
            f"out into two heaps of these sizes, {found.shuffles} times (seed 0): the shorter the prompts, "
            "the more they differ by chance."
        )


def mathematics(routed: Routed) -> str:
    """The divergence, with the numbers of two domains in the chosen layer."""
    found = routed.side.run.known(domain_routing)
    formula = (
        "For the shares $p$ and $q$ of two texts over the experts of a layer:\n\n"
        r"$$\mathrm{JSD}(p, q) = H\!\left(\frac{p+q}{2}\right) - \frac{H(p) + H(q)}{2}, \qquad "
        r"H(p) = -\sum_i p_i \log_2 p_i \quad\text{bits}$$"
    )
    if found is None:
        return formula
    row = found.layers.index(routed.layer)
    p, q = (shares[row] for shares in measured.domain_shares(found)[:2])
    names = [TITLES.get(name, name) for name in found.domains[:2]]
    h = [float(router_load.entropy_bits(shares)) for shares in ((p + q) / 2, p, q)]
    found_jsd = float(router_load.js_divergence(p, q))
    line = worked(found_jsd, lambda both, of_p, of_q: both - (of_p + of_q) / 2, *h, least=4, words=tex)
    both, of_p, of_q = map(line.tex, h)
    return (
        f"{formula}\n\nLayer {routed.layer}, $p$ of {names[0]} and $q$ of {names[1]}, all their tokens: "
        f"$H((p+q)/2) = {both}$, $H(p) = {of_p}$, $H(q) = {of_q}$, so\n\n"
        rf"$$\mathrm{{JSD}} = {both} - \frac{{{of_p} + {of_q}}}{{2}} {line.tex_sign} "
        rf"{tex(found_jsd)} \text{{ bits}}$$"
        "\n\n"
        r"A token $t$ is typical of expert $e$ by its part of $D_\mathrm{KL}(p(\cdot\,|\,e)\,\|\,p)$:"
        "\n\n"
        r"$$p(t \,|\, e) \, \log_2 \frac{p(t \,|\, e)}{p(t)}$$"
    )
