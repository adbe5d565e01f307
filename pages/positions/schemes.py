"""Four schemes side by side: sinusoidal, learned, rotary, ALiBi."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.interventions import RopeBase
from model_runtime.loading.catalogue import row_of
from model_runtime.positions import schemes
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from viz.equations import tex
from viz.positions.schemes import (
    Missing,
    Scheme,
    scheme_record,
    scheme_sentence,
    schemes_figure,
    widest_columns,
)
from viz.positions.waves import (
    slopes_figure,
    slopes_record,
    slopes_sentence,
    spiral_figure,
    spiral_record,
    wavelengths_figure,
    wavelengths_record,
)

LEARNED_MODEL = "gpt2-mini"  # where the loaded model has no learned table
D_PLAIN = 64  # width of a calculated table where no model gives one
REACHES = (16, 32, 64, 128, 256, 512, 1024)
BASES = {"own": "model's own", "10000": "10,000", "100000": "100,000", "1000000": "1,000,000"}


@dataclass(frozen=True, eq=False)
class Learned:
    """A learned table, whose it is, and its main components."""

    name: str
    table: np.ndarray  # [pos, d_model]
    pca: schemes.TablePca


@dataclass(frozen=True, eq=False)
class Rotation:
    """What turns q and k in a layer: of whom, in words, and by how much."""

    name: str
    table: np.ndarray  # [pos, 2 pairs]
    frequencies: np.ndarray  # [pair]


@dataclass(frozen=True, eq=False)
class Schemes:
    """The four schemes over the first positions, as one run has them."""

    side: Side
    records: tuple[Scheme, Scheme | Missing, Scheme, Scheme]
    learned: Learned | None
    rotation: Rotation


def learned_of(side: Side) -> Learned | None:
    """The run's own table, else that of the small bundled model of GPT-2's layout; None without either."""
    run = side.run
    try:
        if run.spec.positions != "learned":
            if row_of(LEARNED_MODEL) is None:
                return None
            run = run.changed(model=LEARNED_MODEL, dtype="auto", edits=())
        table = schemes.learned_table(run.model)
    except GlassformerError:
        return None
    pca = run.measure(schemes.learned_pca, "Finding the table's main components")
    return Learned(run.spec.name, table, pca)


def rotation_of(side: Side, reach: int) -> Rotation:
    """The rotation of the chosen layer under the chosen base, or by the formula where it does not turn."""
    model, layer, chosen, edits = side.model, side.layer, state.get("theta"), side.run.settings.edits
    if model.spec.layers[layer].rotates:
        name = model.spec.name
        if chosen != "own":
            name, edits = f"{name}, base {BASES[chosen]}", (*edits, RopeBase(float(chosen)))
        table = schemes.model_rotary_table(model, range(reach), layer, edits)
        return Rotation(name, table, schemes.model_frequencies(model, layer, edits))
    base = schemes.BASE if chosen == "own" else float(chosen)
    d = model.spec.d_head - model.spec.d_head % 2 or D_PLAIN
    table = schemes.rotary_table(reach, d, base)
    return Rotation(f"by formula, base {base:,.0f}", table, schemes.frequencies(d, base))


def schemes_of(side: Side, reach: int, n_heads: int, head: int) -> Schemes:
    """The four schemes of a run over `reach` positions; ALiBi for `n_heads` heads."""
    rotation, learned = rotation_of(side, reach), learned_of(side)
    d = 2 * len(rotation.frequencies)
    plain_table, alibi = schemes.sinusoidal_table(reach, d), schemes.alibi_table(reach, n_heads)
    bias = schemes.alibi_bias(reach, float(schemes.alibi_slopes(n_heads)[head]))
    records = (
        record_of("sinusoidal", f"computed, d = {d}", plain_table),
        learned_record(learned, reach),
        record_of("rotary", rotation.name, rotation.table),
        record_of("alibi", f"head {head} of {n_heads}", alibi, bias),
    )
    return Schemes(side, records, learned, rotation)


def record_of(key: str, source: str, table: np.ndarray, similarity: np.ndarray | None = None) -> Scheme:
    """Values -> what will be drawn of one scheme. `similarity`: if it is not that of the table's rows."""
    values = schemes.similarity(table) if similarity is None else similarity
    profile = schemes.by_distance(values)
    spread = (profile.mean, profile.low, profile.high)
    return scheme_record(key, source, table, values, spread, profile.explained)


def learned_record(learned: Learned | None, reach: int) -> Scheme | Missing:
    """The learned table as far as it reaches."""
    if learned is None:
        return Missing("learned", "This model has no table of positions, and no model with one is at hand.")
    table = learned.table[:reach]
    return record_of("learned", learned.name, table[:, widest_columns(table)], schemes.similarity(table))


def controls() -> tuple[int, int, int]:
    """Number of positions, ALiBi's heads and the one looked at; the RoPE base."""
    first, second, third, fourth = st.columns([3, 3, 3, 3], gap="medium")
    with first:
        now = state.get("reach")
        st.select_slider(
            "Positions",
            sorted({*REACHES, now}),
            format_func=lambda n: f"{n:,}",
            help="0 up to this one. A learned table may end earlier.",
            **state.bound("reach"),
        )
    with second:
        st.selectbox("RoPE base", [*BASES], format_func=BASES.__getitem__, **state.bound("theta"))
    with third:
        st.number_input("ALiBi: heads", 1, 128, step=1, **state.bound("alibi"))
    n_heads = int(state.get("alibi"))
    if state.get("slope") >= n_heads:
        state.open_with(slope=n_heads - 1)
    with fourth:
        st.number_input("ALiBi: head", 0, n_heads - 1, step=1, **state.bound("slope"))
    return int(state.get("reach")), n_heads, int(state.get("slope"))


def hero(four: Schemes, reach: int) -> None:
    of: dict[str, Any] = {"learned table of": four.learned.name} if four.learned else {}
    live_figure(
        schemes_figure(four.records),
        key=four.side.key_figure("schemes"),
        provenance=four.side.run.origin("computed", positions=f"0 to {reach - 1:,}", **of),
    )


def words(four: Schemes) -> None:
    """What depends on the distance, measured."""
    for record in four.records:
        st.markdown(f"- {plain(scheme_sentence(record))}")
    st.caption(
        "Similarity is the cosine of two rows. For sinusoids and rotations it is the mean of cos((i − j) θ) "
        "over the pairs: how well two equal vectors still match at that distance. ALiBi has no vectors: "
        "drawn is what it adds to a score. The orange band, where there is one, holds all pairs equally far "
        "apart. The tables of RoPE and of learned positions are the models' own."
    )


def waves(four: Schemes) -> None:
    side, rotation = four.side, four.rotation
    pairs = len(rotation.frequencies)
    lines = (
        ("sinusoidal, base 10,000", schemes.frequencies(2 * pairs)),
        (f"RoPE, {rotation.name}", rotation.frequencies),
    )
    n_ctx = side.spec.n_ctx
    record = wavelengths_record([(name, schemes.wavelengths(theta)) for name, theta in lines], n_ctx)
    live_figure(
        wavelengths_figure(record),
        key=side.key_figure("waves"),
        provenance=side.origin("computed", head=False),
    )
    st.markdown(
        f"{record.n_slow[1]:,} of {counted(pairs, 'pair')} of this rotation do not come round once in "
        f"{n_ctx:,} tokens: for them every position is new. A learned table has no wavelengths given; ALiBi "
        f"has slopes instead."
    )


def slopes(n_heads: int, head: int) -> None:
    def choose(click: Click) -> None:
        if click.number is not None:
            state.set(slope=click.number)

    record = slopes_record(schemes.alibi_slopes(n_heads), head)
    live_figure(
        slopes_figure(record),
        key="slopes",
        provenance=Provenance("computed", extra={"heads": n_heads}),
        clickable=True,
        on_click=choose,
    )
    st.markdown(f"{counted(n_heads, 'head')}: {slopes_sentence(record)}")


def spiral(four: Schemes) -> None:
    """The learned table in its main components."""
    if four.learned is None:
        return
    name, pca = four.learned.name, four.learned.pca
    live_figure(
        spiral_figure(spiral_record(name, pca.coordinates, pca.explained)),
        key=four.side.key_figure("spiral"),
        provenance=replace(four.side.run.origin(as_it_is=True), model=name, prompt=None, revision=None),
    )
    st.markdown(
        f"The whole table of {plain(name)}, {len(four.learned.table):,} positions: "
        f"{pca.components_for(0.9):,} of {len(pca.explained):,} components hold 90\u00a0% of its variance. "
        "Nobody "
        f"told it to be smooth: neighbours came to resemble each other by training."
    )


def mathematics(four: Schemes, n_heads: int, head: int) -> str:
    """The four formulas with the numbers of this model."""
    theta, pairs = four.rotation.frequencies, len(four.rotation.frequencies)
    slope = float(schemes.alibi_slopes(n_heads)[head])
    learned = four.records[1]
    said = (
        f"$R^2 = {tex(learned.explained)}$ for {plain(learned.source)}"
        if isinstance(learned, Scheme)
        else "no table here"
    )
    return (
        r"$$PE(p, 2i) = \sin\!\big(p / 10{,}000^{2i/d}\big), \qquad PE(p, 2i+1) = \cos\!\big(p / "
        r"10{,}000^{2i/d}\big)$$"
        f"\n\nso that $PE(p) \\cdot PE(q) = \\sum_i \\cos((p-q)\\,\\theta_i)$. Here $d = {2 * pairs}$.\n\n"
        r"RoPE turns pair $m$ of q and k by $p\,\theta_m$, with $\theta_m = \mathrm{base}^{-2m/d}$; then "
        r"$(R_p q)\cdot(R_s k) = q \cdot R_{s-p}\, k$. "
        f"Read off {plain(four.rotation.name)}: $\\theta_0 = {tex(float(theta[0]))}$, "
        f"$\\theta_{{{pairs - 1}}} = {tex(float(theta[-1]))}$, wavelengths $2\\pi/\\theta$.\n\n"
        r"ALiBi adds $-m_h (q - k)$ to the score, with slopes $m_h = 2^{-8h/n}$, $h = 1 \dots n$ (for other "
        "than powers of two, every second slope of the next power fills in). "
        f"Head {head} of {n_heads}: $m = {tex(slope)}$.\n\n"
        "What the distance explains is the share of variance between diagonals: "
        r"$R^2 = 1 - \sum_{i \ge j} (s_{ij} - \bar s_{i-j})^2 / \sum_{i \ge j} (s_{ij} - \bar s)^2$; "
        f"{said}."
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    reach, n_heads, head = controls()
    several = [schemes_of(side, reach, n_heads, head) for side in sides]
    for four in several:
        with column(st.container(), four.side):
            hero(four, reach)
    if len(several) == 1:
        left, right = st.columns(2, gap="medium")
        with left:
            words(several[0])
            waves(several[0])
        with right:
            spiral(several[0])
            slopes(n_heads, head)
    else:
        for place, four in zip(places(several, gap="medium"), several, strict=True):
            with column(place, four.side):
                words(four)
                waves(four)
                spiral(four)
        slopes(n_heads, head)
    return Lesson(
        mathematics=lambda: mathematics(several[0], n_heads, head),
        code=(
            schemes.frequencies,
            schemes.sinusoidal_table,
            schemes.rotary_table,
            schemes.alibi_slopes,
            schemes.alibi_bias,
            schemes.similarity,
            schemes.DistanceProfile,
            schemes.by_distance,
        ),
    )
