"""RoPE on the loaded model: real queries and keys of one head, before and after they are turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from model_runtime.positions.rotation import (
    HeadRotation,
    head_rotation,
    interleaving,
    largest_length_change,
    largest_rotation_error,
    layout_difference,
    rotate_interleaved,
    rotate_split,
    score_by_distance,
)
from pages.shared.escape import counted, plain, quoted
from pages.shared.figure.live_figure import Slider, live_figure
from pages.shared.frame.errors import missing
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from pages.shared.settings.table import DEFAULT_MODEL
from viz.equations import tex, worked
from viz.positions.distance_score import (
    DistanceScore,
    distance_score_figure,
    distance_score_record,
    tables_figure,
    tables_record,
    with_shared_ends,
)
from viz.positions.rotation import Turning, turning_figure, turning_record
from viz.style import three_digits

OWN_POSITION = -1
LEAST_REACH = 64  # the slider and the curve reach at least this far


@dataclass(frozen=True, eq=False)
class Turned:
    """One run's head, and what of it is looked at."""

    side: Side
    head: HeadRotation
    pair: int
    key: int  # position of the key whose score is computed
    at: int  # position by which the selected query is turned


def rotation_of(side: Side) -> HeadRotation:
    return side.run.measure(head_rotation, layer=side.layer, head=side.head)


def turned_of(side: Side) -> Turned:
    """The selection, fitted to this head."""
    head, query, key = rotation_of(side), side.query, side.chosen_key
    if key is None or key > query:
        key = int(np.argmax(head.scores[query, : query + 1]))
    asked = state.get("turn")
    at = query if asked == OWN_POSITION else min(asked, reach_of(side))
    return Turned(side, head, min(state.get("pair"), head.n_pairs - 1), key, at)


def reach_of(side: Side) -> int:
    """The last position of the slider."""
    return max(LEAST_REACH, len(side.texts) - 1)


def plane_of(turned: Turned) -> Turning:
    """Values -> what will be drawn of the pair."""
    side, head = turned.side, turned.head
    rows = {"q": head.q, "k": head.k, "turned_q": head.rot_q, "turned_k": head.rot_k}
    return turning_record(
        {name: head.pair(values, turned.pair) for name, values in rows.items()},
        head.frequencies,
        side.texts,
        layer=side.layer,
        head=side.head,
        pair=turned.pair,
        query=side.query,
        key=turned.key,
        at=turned.at,
        length=head.length,
        resting=(head.q.shape[1] - head.d_rotary) // 2,
    )


def hero(turned: Turned, record: Turning) -> None:
    """The plane of a pair, and all pairs as clocks."""
    side = turned.side
    live_figure(
        turning_figure(record),
        key=side.key_figure("turning"),
        provenance=side.origin(pair=turned.pair),
        sliders=[
            Slider(
                "position",
                "Turn the selected query as if it stood at position",
                turned.at,
                0,
                reach_of(side),
                1,
                help="Moves in the browser; the model is not asked.",
            )
        ],
        on_slide=lambda values: state.set(turn=round(values["position"])),
        slide_on_release=True,
    )


def scores_of(turned: Turned) -> DistanceScore:
    """The score of this query with this key, were they further apart."""
    side, head = turned.side, turned.head
    reach = max(LEAST_REACH, 2 * (side.query - turned.key), min(len(side.texts), 512))
    return distance_score_record(
        score_by_distance(head, side.query, turned.key, range(reach + 1)),
        side.texts,
        layer=side.layer,
        head=side.head,
        query=side.query,
        key=turned.key,
        captured=float(head.scores[side.query, turned.key]),
    )


def by_distance(turned: Turned, record: DistanceScore) -> None:
    side = turned.side
    live_figure(
        distance_score_figure(record),
        key=side.key_figure("distance-score"),
        provenance=side.origin("computed", query=side.query, key=turned.key),
    )


def tables(turned: Turned) -> None:
    side = turned.side
    live_figure(
        tables_figure(tables_record(turned.head.cos, turned.head.sin, side.layer)),
        key=side.key_figure("rope-tables"),
        provenance=side.origin(head=False),
    )


def words(turned: Turned, record: DistanceScore) -> None:
    """What was measured on this head."""
    side, head, texts = turned.side, turned.head, turned.side.texts
    own = "is hidden by the window" if record.captured is None else plain(three_digits(record.captured))
    st.markdown(
        f"**Score.** {quoted(texts[side.query])} ({side.query}) with {quoted(texts[turned.key])} "
        f"({turned.key}), {counted(record.distance, 'token')} apart: computed "
        f"{plain(three_digits(record.scores[record.distance]))}, the model's own {own}."
    )
    if head.offsets:
        furthest = head.offsets[-1]
        st.markdown(
            f"**Only the distance counts.** All positions moved by {furthest.offset:,}: the largest change "
            f"of any score is {plain(three_digits(furthest.largest))}, rounding of the angles."
        )
    scaled = (
        f" This model's scaled rotation also multiplies every length by {three_digits(head.length)}."
        if abs(head.length - 1) > 1e-6
        else ""
    )
    st.markdown(
        f"**Lengths stay.** Largest relative change of any pair's length: "
        f"{plain(three_digits(largest_length_change(head)))}.{scaled}"
    )
    st.markdown(
        f"**Two layouts, one rotation.** The paper pairs neighbours (0, 1), (2, 3) …; this code pairs entry "
        f"m with entry m + {head.n_pairs}. A real query turned both ways, then reordered: largest "
        f"difference {plain(three_digits(layout_difference(head, len(head.q) - 1)))}."
    )
    d_head = head.q.shape[1]
    rest = d_head - head.d_rotary
    part = f" {rest} of its {d_head} numbers do not turn: dashed clocks." if rest else ""
    st.caption(
        f"Our rotation against the model's own q and k: largest difference "
        f"{plain(three_digits(largest_rotation_error(head)))}. v is never turned: what is read does not "
        f"depend on where it stood.{part}{other_bases(side)}"
    )


def other_bases(side: Side) -> str:
    """The layers that turn with another base than this one (Gemma 3 has two); "" where all have one."""
    bases: dict[float, list[int]] = {}
    for layer in range(side.spec.n_layers):
        if side.spec.layers[layer].rotates:
            base = (side.model.adapter.rope_parameters(layer) or {}).get("rope_theta")
            bases.setdefault(float(base or 0), []).append(layer)
    if len(bases) < 2:
        return ""
    told = "; ".join(
        f"{base:,.0f} in layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
        for base, layers in sorted(bases.items())
    )
    return f" This model has more than one base: {told}. A larger base turns more slowly."


def mathematics(turned: Turned) -> str:
    """The rotation with the numbers of the selection."""
    side, head, pair = turned.side, turned.head, turned.pair
    theta = head.frequencies
    before, after = (head.pair(rows, pair)[side.query] for rows in (head.q, head.rot_q))
    angle = side.query * float(theta[pair])
    parameters = side.model.adapter.rope_parameters(side.layer) or {}
    base, kind = parameters.get("rope_theta"), str(parameters.get("rope_type", "default"))
    d = head.d_rotary
    own = float(theta[pair])
    turned_by = worked(angle, lambda at, by: at * by, side.query, own, least=4, words=tex)
    said = (
        f"Here $d = {d}$ and the base of layer {side.layer} is {base:,.0f}"
        + (
            f": $\\theta_{{{pair}}} = {tex(base, 9)}^{{-{2 * pair}/{d}}} = {tex(base ** (-2 * pair / d))}$"
            if base
            else ""
        )
        + (f", then scaled by the rule “{plain(kind)}”" if kind != "default" else "")
        + f". Read off the model: $\\theta_{{{pair}}} = {turned_by.tex(own)}$ rad."
        if base
        else f"Read off the model: $\\theta_{{{pair}}} = {turned_by.tex(own)}$ rad."
    )
    return (
        r"$$\theta_i = \mathrm{base}^{-2i/d}, \qquad \begin{pmatrix} x'_1 \\ x'_2 \end{pmatrix} = "
        r"\begin{pmatrix} \cos m\theta_i & -\sin m\theta_i \\ \sin m\theta_i & \cos m\theta_i \end{pmatrix} "
        r"\begin{pmatrix} x_1 \\ x_2 \end{pmatrix}$$"
        f"\n\n{said}\n\n"
        f"Query {side.query}: $m\\theta = {side.query} \\cdot {turned_by.tex(own)} {turned_by.tex_sign} "
        f"{tex(angle)}$ rad; $({', '.join(map(tex, before))}) \\to ({', '.join(map(tex, after))})$.\n\n"
        r"A rotation by $m\theta$ against one by $n\theta$ leaves $(m-n)\theta$, so "
        r"$$(R_m q)\cdot(R_n k) = q^\top R_m^\top R_n\, k = q^\top R_{n-m}\, k .$$"
    )


def nothing(side: Side) -> None:
    """The state of a layer or model that does not rotate, with a way on."""
    spec = side.spec
    rotating = [layer for layer in range(spec.n_layers) if spec.layers[layer].rotates]
    if rotating:
        nearest = min(rotating, key=lambda layer: abs(layer - side.layer))
        missing(
            f"Layer {side.layer} of {spec.name} does not turn queries and keys.",
            f"It is one of {spec.n_layers - len(rotating)} layers without positions (NoPE); the other "
            f"{len(rotating)} layers rotate.",
        )
        if side.clickable:
            st.button(
                f"Go to layer {nearest}", key="gf.rope.layer", on_click=state.set, kwargs={"layer": nearest}
            )
        return
    missing(
        f"{spec.name} does not turn queries and keys.",
        "Its positions come another way: see “Four schemes”. Models of the Llama family rotate.",
    )
    if side.clickable:
        st.button(
            "Look at the default model",
            key="gf.rope.model",
            on_click=state.set,
            kwargs={"model": DEFAULT_MODEL},
        )


def controls(rotating: Sequence[Side]) -> None:
    """The pair looked at."""
    pairs = max((rotation_of(side).n_pairs for side in rotating), default=1)
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


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    rotating = [side for side in sides if side.spec.layers[side.layer].rotates]
    controls(rotating)
    turned = [turned_of(side) for side in rotating]
    planes = [plane_of(one) for one in turned]
    reach = max((plane.reach for plane in planes), default=0.0)  # equal planes, so that arrows compare
    scores = with_shared_ends([scores_of(one) for one in turned])
    for side in sides:
        with column(st.container(), side):
            if side not in rotating:
                nothing(side)
                continue
            number = rotating.index(side)
            one, score = turned[number], scores[number]
            hero(one, replace(planes[number], reach=reach))
            left, right = st.columns([3, 2], gap="medium")
            with left:
                by_distance(one, score)
            with right:
                words(one, score)
            tables(one)
    return Lesson(
        mathematics=(lambda: mathematics(turned[0])) if turned else "",
        code=(rotate_split, rotate_interleaved, interleaving, HeadRotation, score_by_distance),
    )
