"""RoPE on the loaded model: real queries and keys of one head, before and after they are turned."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from model_runtime.positions import rotation
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.frame.errors import missing
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.table import DEFAULT_MODEL
from viz.positions.distance_score import (
    DistanceScore,
    distance_score_figure,
    distance_score_record,
    tables_figure,
    tables_record,
)
from viz.positions.turning import Turning, turning_record
from viz.positions.turning_figure import plane_reach, turning_figure
from viz.style import three_digits

OWN_POSITION = -1
LEAST_REACH = 64  # the slider and the curve reach at least this far
QUESTION = (
    "Drag the position from 0 upwards and watch the clocks. Which hands have hardly moved when the first one "
    "has gone round ten times, and what does that mean for tokens that are far apart?"
)
ANSWER = (
    "The last ones: their θ is thousands of times smaller. A fast pair tells neighbours apart but repeats "
    "itself after a few tokens; a slow pair is nearly blind to a step of one, and unambiguous over the whole "
    "context. Together they are like the digits of a number."
)
SOURCES = """
- Su et al. 2021, [RoFormer](https://arxiv.org/abs/2104.09864), 3.2.2 (the rotation), 3.3 (norms and
  distance), 3.4.2 (how it is computed).
- Peng et al. 2023, [YaRN](https://arxiv.org/abs/2309.00071), 3.4: a scaled rotation, which also scales
  lengths.
- Black et al. 2022, [GPT-NeoX-20B](https://arxiv.org/abs/2204.06745), 2.1: a part of the dimensions turns.
"""


@dataclass(frozen=True, eq=False)
class Measured:
    """A head's rotation and what was checked on it."""

    turned: rotation.HeadRotation
    error: float  # ours against the model's
    lengths: float  # largest relative change of a pair's length
    layouts: float  # largest difference of the two layouts
    offsets: tuple[rotation.OffsetCheck, ...]

    @property
    def nbytes(self) -> int:
        return self.turned.nbytes


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side of this part."""

    drawing: Drawing
    measured: Measured
    pair: int
    key: int
    at: int


def measured_of(drawing: Drawing) -> Measured:
    """The rotation of the chosen head (cached)."""
    model, layer, head = runtime.model_for(drawing.run), drawing.layer, drawing.head

    def measure(trace: object) -> Measured:
        turned = rotation.head_rotation(trace, model, layer, head)  # type: ignore[arg-type]
        return Measured(
            turned,
            rotation.largest_rotation_error(turned),
            rotation.largest_length_change(turned),
            rotation.layout_difference(turned, len(turned.q) - 1),
            rotation.offset_checks(model, trace, turned, layer),  # type: ignore[arg-type]
        )

    return runtime.derived(
        drawing.run, ("rotation", layer, head), measure, points=rotation.POINTS, layers=(layer,)
    )


def side_of(drawing: Drawing) -> Side:
    """The selection, fitted to this head."""
    measured = measured_of(drawing)
    turned, query = measured.turned, drawing.query
    key = drawing.chosen_key
    if key is None or key > query:
        key = int(np.argmax(turned.scores[query, : query + 1]))
    asked = state.get("turn")
    reach = reach_of(drawing)
    at = query if asked == OWN_POSITION else min(asked, reach)
    return Side(drawing, measured, min(state.get("pair"), turned.n_pairs - 1), key, at)


def reach_of(drawing: Drawing) -> int:
    """The last position of the slider."""
    return max(LEAST_REACH, len(drawing.texts) - 1)


def record_of(side: Side) -> Turning:
    """Values -> what will be drawn of the pair."""
    drawing, turned = side.drawing, side.measured.turned
    planes = {
        "q": turned.pair(turned.q, side.pair),
        "k": turned.pair(turned.k, side.pair),
        "turned_q": turned.pair(turned.rot_q, side.pair),
        "turned_k": turned.pair(turned.rot_k, side.pair),
    }
    return turning_record(
        planes,
        turned.frequencies,
        drawing.texts,
        layer=drawing.layer,
        head=drawing.head,
        pair=side.pair,
        query=drawing.query,
        key=side.key,
        at=side.at,
        length=turned.length,
        resting=(turned.q.shape[1] - turned.d_rotary) // 2,
    )


def hero(side: Side, record: Turning, reach: float) -> None:
    """The plane of a pair, and all pairs as clocks."""
    drawing = side.drawing
    live_figure(
        turning_figure(record, reach),
        key=drawing.key_figure("turning"),
        provenance=drawing.origin(pair=side.pair),
        sliders=[
            Slider(
                "position",
                "Turn the selected query as if it stood at position",
                side.at,
                0,
                reach_of(drawing),
                1,
                help="Moves in the browser; the model is not asked.",
            )
        ],
        on_slide=lambda values: state.set(turn=round(values["position"])),
        slide_on_release=True,
    )


def scores_of(side: Side) -> DistanceScore:
    """The score of this query with this key, were they further apart."""
    drawing, turned = side.drawing, side.measured.turned
    reach = max(LEAST_REACH, 2 * (drawing.query - side.key), min(len(drawing.texts), 512))
    return distance_score_record(
        rotation.score_by_distance(turned, drawing.query, side.key, range(reach + 1)),
        drawing.texts,
        layer=drawing.layer,
        head=drawing.head,
        query=drawing.query,
        key=side.key,
        captured=float(turned.scores[drawing.query, side.key]),
    )


def by_distance(side: Side, record: DistanceScore, ends: tuple[float, float]) -> None:
    drawing = side.drawing
    live_figure(
        distance_score_figure(record, ends),
        key=drawing.key_figure("distance-score"),
        provenance=drawing.origin("computed", query=drawing.query, key=side.key),
    )


def tables(side: Side) -> None:
    turned = side.measured.turned
    live_figure(
        tables_figure(tables_record(turned.cos, turned.sin, layer=side.drawing.layer, pair=side.pair)),
        key=side.drawing.key_figure("rope-tables"),
        provenance=runtime.provenance_of(side.drawing.run, layer=side.drawing.layer),
    )


def words(side: Side) -> None:
    """What was measured on this head."""
    drawing, measured, turned = side.drawing, side.measured, side.measured.turned
    texts = drawing.texts
    score = rotation.score_by_distance(turned, drawing.query, side.key, [drawing.query - side.key])[0]
    captured = float(turned.scores[drawing.query, side.key])
    st.markdown(
        f"**Score.** {quoted(texts[drawing.query])} ({drawing.query}) with {quoted(texts[side.key])} "
        f"({side.key}), {counted(drawing.query - side.key, 'token')} apart: computed "
        f"{plain(three_digits(float(score)))}, the model's own "
        f"{plain(three_digits(captured)) if np.isfinite(captured) else 'is hidden by the window'}."
    )
    if measured.offsets:
        furthest = measured.offsets[-1]
        st.markdown(
            f"**Only the distance counts.** All positions moved by {furthest.offset:,}: the largest change "
            f"of any score is {plain(three_digits(furthest.largest))}, rounding of the angles."
        )
    scaled = (
        f" This model's scaled rotation also multiplies every length by {turned.length:.4g}."
        if abs(turned.length - 1) > 1e-6
        else ""
    )
    st.markdown(
        f"**Lengths stay.** Largest relative change of any pair's length: "
        f"{plain(three_digits(measured.lengths))}.{scaled}"
    )
    st.markdown(
        f"**Two layouts, one rotation.** The paper pairs neighbours (0, 1), (2, 3) …; this code pairs entry "
        f"m with entry m + {turned.n_pairs}. A real query turned both ways, then reordered: largest "
        f"difference {plain(three_digits(measured.layouts))}."
    )
    rest = turned.q.shape[1] - turned.d_rotary
    part = f" {rest} of its {turned.q.shape[1]} numbers do not turn: dashed clocks." if rest else ""
    st.caption(
        f"Our rotation against the model's own q and k: largest difference "
        f"{plain(three_digits(measured.error))}. v is never turned: what is read does not depend on where it "
        f"stood.{part}"
    )


def mathematics(side: Side) -> str:
    """The rotation with the numbers of the selection."""
    turned, drawing = side.measured.turned, side.drawing
    theta, pair = turned.frequencies, side.pair
    before = turned.pair(turned.q, pair)[drawing.query]
    after = turned.pair(turned.rot_q, pair)[drawing.query]
    angle = drawing.query * theta[pair]
    parameters = runtime.model_for(drawing.run).adapter.rope_parameters(drawing.layer) or {}
    base, kind = parameters.get("rope_theta"), str(parameters.get("rope_type", "default"))
    d = turned.d_rotary
    said = (
        f"Here $d = {d}$ and the base of layer {drawing.layer} is {base:,.0f}"
        + (
            f": $\\theta_{{{pair}}} = {base:.6g}^{{-{2 * pair}/{d}}} = {base ** (-2 * pair / d):.4g}$"
            if base
            else ""
        )
        + (f", then scaled by the rule “{plain(kind)}”" if kind != "default" else "")
        + f". Read off the model: $\\theta_{{{pair}}} = {theta[pair]:.4g}$ rad."
        if base
        else f"Read off the model: $\\theta_{{{pair}}} = {theta[pair]:.4g}$ rad."
    )
    return (
        r"$$\theta_i = \mathrm{base}^{-2i/d}, \qquad \begin{pmatrix} x'_1 \\ x'_2 \end{pmatrix} = "
        r"\begin{pmatrix} \cos m\theta_i & -\sin m\theta_i \\ \sin m\theta_i & \cos m\theta_i \end{pmatrix} "
        r"\begin{pmatrix} x_1 \\ x_2 \end{pmatrix}$$"
        f"\n\n{said}\n\n"
        f"Query {drawing.query}: $m\\theta = {drawing.query} \\cdot {theta[pair]:.4g} = {angle:.4g}$ rad; "
        f"$({before[0]:.4g}, {before[1]:.4g}) \\to ({after[0]:.4g}, {after[1]:.4g})$.\n\n"
        r"A rotation by $m\theta$ against one by $n\theta$ leaves $(m-n)\theta$, so "
        r"$$(R_m q)\cdot(R_n k) = q^\top R_m^\top R_n\, k = q^\top R_{n-m}\, k .$$"
    )


def nothing(drawing: Drawing) -> None:
    """The state of a layer or model that does not rotate, with a way on."""
    spec = drawing.spec()
    rotating = [layer for layer in range(spec.n_layers) if spec.layers[layer].rotates]
    if rotating:
        nearest = min(rotating, key=lambda layer: abs(layer - drawing.layer))
        missing(
            f"Layer {drawing.layer} of {spec.name} does not turn queries and keys.",
            f"It is one of {spec.n_layers - len(rotating)} layers without positions (NoPE); the other "
            f"{len(rotating)} layers rotate.",
        )
        if drawing.clickable:
            st.button(
                f"Go to layer {nearest}", key="gf.rope.layer", on_click=state.set, kwargs={"layer": nearest}
            )
        return
    missing(
        f"{spec.name} does not turn queries and keys.",
        "Its positions come another way: see “Four schemes”. Models of the Llama family rotate.",
    )
    if drawing.clickable:
        st.button(
            "Look at the default model",
            key="gf.rope.model",
            on_click=state.set,
            kwargs={"model": DEFAULT_MODEL},
        )


def controls(drawings: Sequence[Drawing]) -> None:
    """The pair looked at."""
    pairs = max(
        (measured_of(d).turned.n_pairs for d in drawings if d.spec().layers[d.layer].rotates), default=1
    )
    if state.get("pair") >= pairs:
        state.open_with(pair=pairs - 1)
    with st.container(width=420):
        if pairs > 1:
            st.slider(
                "Pair of dimensions",
                0,
                pairs - 1,
                help="Pair 0 turns fastest, the last one slowest. Layer, head and token: in the sidebar.",
                **state.bound("pair"),
            )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    controls(drawings)
    rotating = [drawing for drawing in drawings if drawing.spec().layers[drawing.layer].rotates]
    sides = [side_of(drawing) for drawing in rotating]
    planes = [record_of(side) for side in sides]
    scores = [scores_of(side) for side in sides]
    reach = max((plane_reach(record) for record in planes), default=1.0)
    values = [score for record in scores for score in record.scores] or [0.0, 1.0]
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 1.0
    for drawing in drawings:
        with column(st.container(), drawing):
            if drawing not in rotating:
                nothing(drawing)
                continue
            number = rotating.index(drawing)
            side = sides[number]
            hero(side, planes[number], reach)
            left, right = st.columns([3, 2], gap="medium")
            with left:
                by_distance(side, scores[number], (low - room, high + room))
            with right:
                words(side)
            tables(side)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=(lambda: mathematics(sides[0])) if sides else "",
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (
                rotation.rotate_split,
                rotation.rotate_interleaved,
                rotation.interleaving,
                rotation.score_by_distance,
            )
        ),
        sources=SOURCES,
    )
