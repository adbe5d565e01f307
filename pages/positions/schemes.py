"""Four schemes side by side: sinusoidal, learned, rotary, ALiBi."""

from __future__ import annotations

import inspect
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
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from viz.positions.schemes import (
    Missing,
    Scheme,
    scheme_record,
    scheme_sentence,
    slopes_record,
    spiral_record,
    wavelengths_record,
    widest_columns,
)
from viz.positions.schemes_figure import schemes_figure
from viz.positions.waves import slopes_figure, spiral_figure, wavelengths_figure
from viz.style import three_digits

LEARNED_MODEL = "gpt2-mini"  # where the loaded model has no learned table
D_PLAIN = 64  # width of a calculated table where no model gives one
REACHES = (16, 32, 64, 128, 256, 512, 1024)
BASES = {"own": "model's own", "10000": "10,000", "100000": "100,000", "1000000": "1,000,000"}
QUESTION = (
    "Three of the four give two tokens five places apart the same similarity wherever they stand. Which one "
    "does not have to, and why does it come close?"
)
ANSWER = (
    "The learned table: nothing in it says that row 5 and row 10 should resemble each other as rows 105 and "
    "110 do. Training brings it there, since in text the distance between words matters more than the page "
    "number; how far it came is the share above the curve. The other three are formulas of the distance, "
    "up to rounding."
)
SOURCES = """
- Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), 3.5: sinusoidal
  encodings.
- Radford et al. 2018, [Improving language understanding by generative pre-training][gpt]: a learned table.
- Su et al. 2021, [RoFormer](https://arxiv.org/abs/2104.09864), 3.2 and 3.4.3: rotary positions and how they
  fade with distance.
- Press et al. 2022, [Train short, test long](https://arxiv.org/abs/2108.12409), 3: ALiBi and its slopes.
- Wang and Chen 2020, [What do position embeddings learn?](https://arxiv.org/abs/2010.04903): the similarity
  of learned tables.

[gpt]: https://openai.com/index/language-unsupervised/
"""


@dataclass(frozen=True, eq=False)
class Learned:
    """A learned table, whose it is, and its main components."""

    name: str
    table: np.ndarray  # [pos, d_model]
    pca: schemes.TablePca


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side of this part."""

    drawing: Drawing
    reach: int
    records: tuple[Scheme | Missing, ...]
    learned: Learned | None
    rotary: str  # whose rotation, in words
    frequency: np.ndarray  # of the rotation, [pair]
    d: int  # width of the sinusoidal table


def learned_of(drawing: Drawing) -> Learned | None:
    """The run's own table, else that of the small bundled model of GPT-2's layout; None without either."""
    run = drawing.run
    if drawing.spec().positions != "learned":
        if row_of(LEARNED_MODEL) is None:
            return None
        run = replace(run, model=LEARNED_MODEL, dtype="auto", edits=())
    try:
        model = runtime.model_for(run)
        table = schemes.learned_table(model)
    except GlassformerError:
        return None
    return Learned(model.spec.name, table, _pca(run, table))


def _pca(run: Run, table: np.ndarray) -> schemes.TablePca:
    """Main components of all rows that were trained, kept for all visitors."""
    return runtime.computed(
        run, "position_pca", lambda: schemes.table_pca(table), words="Finding the table's main components"
    )


def rotation_of(drawing: Drawing, reach: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Whose rotation in words, its table [pos, d] and its frequencies [pair]."""
    model, layer, chosen = runtime.model_for(drawing.run), drawing.layer, state.get("theta")
    if model.spec.layers[layer].rotates:
        edits = drawing.run.edits if chosen == "own" else (*drawing.run.edits, RopeBase(float(chosen)))
        name = model.spec.name if chosen == "own" else f"{model.spec.name}, base {BASES[chosen]}"
        return (
            name,
            schemes.model_rotary_table(model, range(reach), layer, edits),
            schemes.model_frequencies(model, layer, edits),
        )
    base = schemes.BASE if chosen == "own" else float(chosen)
    d = model.spec.d_head - model.spec.d_head % 2 or D_PLAIN
    name = f"by formula, base {base:,.0f}"
    return name, schemes.rotary_table(reach, d, base), schemes.frequencies(d, base)


def side_of(drawing: Drawing, reach: int, n_heads: int, head: int) -> Side:
    """The four schemes of a run."""
    rotary, table, frequency = rotation_of(drawing, reach)
    d = 2 * len(frequency)
    learned = learned_of(drawing)
    plain_table = schemes.sinusoidal_table(reach, d)
    slopes = schemes.alibi_slopes(n_heads)
    bias = schemes.alibi_bias(reach, float(slopes[head]))
    records = (
        record_of("sinusoidal", f"computed, d = {d}", plain_table, schemes.similarity(plain_table)),
        learned_record(learned, reach),
        record_of("rotary", rotary, table, schemes.similarity(table)),
        record_of("alibi", f"head {head} of {n_heads}", -np.arange(reach)[:, None] * slopes[None], bias),
    )
    return Side(drawing, reach, records, learned, rotary, frequency, d)


TABLE_SAYS = {
    "sinusoidal": "added to the embedding",
    "learned": "added to the embedding",
    "rotary": "cos | sin, turn q and k",
    "alibi": "distance by head",
}


def record_of(key: str, source: str, table: np.ndarray, similarity: np.ndarray) -> Scheme:
    """Values -> what will be drawn of one scheme."""
    profile = schemes.by_distance(similarity)
    return scheme_record(
        key,
        source,
        table,
        similarity,
        (profile.mean, profile.low, profile.high),
        profile.explained,
        table_says=TABLE_SAYS[key],
        similarity_says="added to scores" if key == "alibi" else "similarity of i to j",
    )


def learned_record(learned: Learned | None, reach: int) -> Scheme | Missing:
    """The learned table as far as it reaches."""
    if learned is None:
        return Missing("learned", "This model has no table of positions, and no model with one is at hand.")
    table = learned.table[:reach]
    return record_of("learned", learned.name, table[:, widest_columns(table)], schemes.similarity(table))


def controls(drawings: Sequence[Drawing]) -> tuple[int, int, int]:
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


def hero(side: Side) -> None:
    live_figure(
        schemes_figure(side.records),
        key=side.drawing.key_figure("schemes"),
        provenance=runtime.provenance_of(
            side.drawing.run,
            "computed",
            positions=f"0 to {side.reach - 1:,}",
            **({"learned table of": side.learned.name} if side.learned else {}),
        ),
    )


def words(side: Side) -> None:
    """What depends on the distance, measured."""
    for record in side.records:
        st.markdown(f"- {plain(scheme_sentence(record))}")
    st.caption(
        "Similarity is the cosine of two rows. For sinusoids and rotations it is the mean of cos((i − j) θ) "
        "over the pairs: how well two equal vectors still match at that distance. ALiBi has no vectors: "
        "drawn is what it adds to a score. The orange band, where there is one, holds all pairs equally far "
        "apart. The tables of RoPE and of learned positions are the models' own."
    )


def waves(side: Side) -> None:
    spec = side.drawing.spec()
    lines = [("sinusoidal, base 10,000", schemes.wavelengths(schemes.frequencies(side.d)))]
    lines.append((f"RoPE, {side.rotary}", schemes.wavelengths(side.frequency)))
    record = wavelengths_record(lines, spec.n_ctx)
    live_figure(
        wavelengths_figure(record),
        key=side.drawing.key_figure("waves"),
        provenance=runtime.provenance_of(side.drawing.run, "computed", layer=side.drawing.layer),
    )
    st.markdown(
        f"{record.n_slow[1]:,} of {counted(len(side.frequency), 'pair')} of this rotation do not come round "
        f"once in {spec.n_ctx:,} tokens: for them every position is new. A learned table has no wavelengths "
        f"given; ALiBi has slopes instead."
    )


def slopes(n_heads: int, head: int) -> None:
    from pages.shared.figure.provenance import Provenance

    def choose(click: Any) -> None:
        if isinstance(click.customdata, list) and click.customdata:
            state.set(slope=click.customdata[0])

    record = slopes_record(schemes.alibi_slopes(n_heads), head)
    live_figure(
        slopes_figure(record),
        key="slopes",
        provenance=Provenance("computed", extra={"heads": n_heads}),
        clickable=True,
        on_click=choose,
    )
    between = len(record.slopes) - record.n_regular
    st.markdown(
        f"{counted(n_heads, 'head')}: a geometric series of {record.n_regular:,}"
        + (
            f", and {between:,} from the series of {2 * record.n_regular:,} that fall in between."
            if between
            else "."
        )
        + f" Head {head} halves the weight of a key every {three_digits(np.log(2) / record.slopes[head])} "
        "positions, if nothing else speaks for it."
    )


def spiral(side: Side) -> None:
    """The learned table in its main components."""
    if side.learned is None:
        return
    record = spiral_record(side.learned.name, side.learned.pca.coordinates, side.learned.pca.explained)
    live_figure(
        spiral_figure(record),
        key=side.drawing.key_figure("spiral"),
        provenance=replace(
            runtime.provenance_of(side.drawing.run), model=side.learned.name, prompt=None, revision=None
        ),
    )
    n = len(side.learned.table)
    half = int(np.searchsorted(np.cumsum(side.learned.pca.explained), 0.9)) + 1
    st.markdown(
        f"The whole table of {plain(side.learned.name)}, {n:,} positions: {half:,} of "
        f"{len(side.learned.pca.explained):,} components hold 90 % of its variance. Nobody told it to be "
        f"smooth: neighbours came to resemble each other by training."
    )


def mathematics(side: Side, n_heads: int, head: int) -> str:
    """The four formulas with the numbers of this model."""
    theta = side.frequency
    slope = float(schemes.alibi_slopes(n_heads)[head])
    learned = side.records[1]
    said = (
        f"$R^2 = {learned.explained:.4f}$ for {plain(learned.source)}"
        if isinstance(learned, Scheme)
        else "no table here"
    )
    return (
        r"$$PE(p, 2i) = \sin\!\big(p / 10{,}000^{2i/d}\big), \qquad PE(p, 2i+1) = \cos\!\big(p / "
        r"10{,}000^{2i/d}\big)$$"
        f"\n\nso that $PE(p) \\cdot PE(q) = \\sum_i \\cos((p-q)\\,\\theta_i)$. Here $d = {side.d}$.\n\n"
        r"RoPE turns pair $m$ of q and k by $p\,\theta_m$, with $\theta_m = \mathrm{base}^{-2m/d}$; then "
        r"$(R_p q)\cdot(R_s k) = q \cdot R_{s-p}\, k$. "
        f"Read off {plain(side.rotary)}: $\\theta_0 = {theta[0]:.4g}$, $\\theta_{{{len(theta) - 1}}} = "
        f"{_tex(float(theta[-1]))}$, wavelengths $2\\pi/\\theta$.\n\n"
        r"ALiBi adds $-m_h (q - k)$ to the score, with slopes $m_h = 2^{-8h/n}$, $h = 1 \dots n$ (for other "
        "than powers of two, every second slope of the next power fills in). "
        f"Head {head} of {n_heads}: $m = {slope:.4g}$.\n\n"
        "What the distance explains is the share of variance between diagonals: "
        r"$R^2 = 1 - \sum_{i \ge j} (s_{ij} - \bar s_{i-j})^2 / \sum_{i \ge j} (s_{ij} - \bar s)^2$; "
        f"{said}."
    )


def _tex(value: float) -> str:
    mantissa, exponent = f"{value:.3e}".split("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    reach, n_heads, head = controls(drawings)
    sides = [side_of(drawing, reach, n_heads, head) for drawing in drawings]
    for side in sides:
        with column(st.container(), side.drawing):
            hero(side)
    if len(sides) == 1:
        left, right = st.columns(2, gap="medium")
        with left:
            words(sides[0])
            waves(sides[0])
        with right:
            spiral(sides[0])
            slopes(n_heads, head)
    else:
        for place, side in zip(st.columns(len(sides), gap="medium"), sides, strict=True):
            with column(place, side.drawing):
                words(side)
                waves(side)
                spiral(side)
        slopes(n_heads, head)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0], n_heads, head),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (
                schemes.frequencies,
                schemes.sinusoidal_table,
                schemes.rotary_table,
                schemes.alibi_slopes,
                schemes.alibi_bias,
                schemes.by_distance,
            )
        ),
        sources=SOURCES,
    )
