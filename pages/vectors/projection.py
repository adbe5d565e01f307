"""Projection: many points in two or three dimensions, and how much of them the picture keeps."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.vectors import projection as arithmetic
from model_runtime.vectors.point_sets import tokenizer_kind
from pages.shared.escape import plain, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.errors import explain
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.tokens.side import Side, column, columns, sides_of
from pages.vectors.placed import Placed, depth_of, first_position, kept_by, placed, point_words
from pages.vectors.projection_controls import controls
from viz.palette import token_color
from viz.style import share, three_digits
from viz.vectors.projection import (
    DISTANCES,
    METHODS,
    ProjectionMap,
    axis_words,
    found_words,
    kept_words,
    order_words,
    projection_record,
    selected_words,
    shared_ranges,
)
from viz.vectors.projection_figure import projection_figure
from viz.vectors.senses import depth_words

QUESTION = (
    "Two dimensions of hundreds: how many of a word's ten nearest neighbours will still be its nearest in "
    "the picture? Guess for PCA, then for t-SNE and UMAP; then take 1,000 tokens of the vocabulary "
    "instead of the words."
)
_NAMES = {"words": "words", "prompt": "tokens of the prompt", "vocabulary": "the vocabulary"}
SOURCES = """
- Pearson, "On lines and planes of closest fit to systems of points in space", *Philosophical Magazine* 2
  (1901): PCA.
- van der Maaten and Hinton, "Visualizing data using t-SNE", *JMLR* 9 (2008); and how to read it: Wattenberg
  et al., [How to use t-SNE effectively](https://doi.org/10.23915/distill.00002), *Distill* (2016).
- McInnes, Healy and Melville 2018, [UMAP](https://arxiv.org/abs/1802.03426).
- Venna and Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001: counting kept
  neighbours.
- Bolukbasi et al. 2016, [Man is to computer programmer as woman is to
  homemaker?](https://arxiv.org/abs/1607.06520): an axis between two words, and what it reveals.
- Sun et al. 2024, [Massive activations in large language models](https://arxiv.org/abs/2402.17762): the
  first token.
"""


def draw(view: View, *_: Any) -> Lesson:
    """Draw the part."""
    sides = sides_of(view, view.runs[0].prompt)
    controls(sides)
    found = [_placed(place, side) for place, side in zip(columns(sides), sides, strict=True)]
    drawn = [(place, one, record_of(one)) for place, one in found if one is not None]
    records = _on_one_scale([record for _, _, record in drawn])
    for (place, one, _), record in zip(drawn, records, strict=True):
        with place:
            _draw_one(one, record)
    if len(drawn) == 2:
        _difference(drawn[0][1], drawn[1][1])
    return Lesson(
        QUESTION,
        _answer([one for _, one, _ in drawn][:1]),
        mathematics=lambda: mathematics([one for _, one, _ in drawn][:1]),
        code=lambda: "\n\n".join(
            inspect.getsource(function)
            for function in (
                arithmetic.pca,
                arithmetic.principal_axes,
                arithmetic.own_axis,
                arithmetic.neighbours_kept,
            )
        ),
        sources=SOURCES,
    )


def _placed(place: Any, side: Side) -> tuple[Any, Placed | None]:
    """One run's place on the page and its projection; where there is none, the reason."""
    with column(place, side):
        inside = st.container()
        with inside:
            try:
                return inside, placed(side)
            except GlassformerError as error:
                explain(error)
                return inside, None


def selected_of(one: Placed) -> int | None:
    """Index of the selected point, or of the nearest that there is; None while none is selected."""
    n_points = len(one.points)
    if state.get("points") == "prompt":
        at = state.selected_token(len(runtime.tokens_for(one.side.run))) - first_position(one.side)
        return at if 0 <= at < n_points else None
    chosen: int = state.get("point")
    return None if chosen < 0 else min(chosen, n_points - 1)


def record_of(one: Placed) -> ProjectionMap:
    """What is drawn of one run."""
    points, of_prompt = one.points, state.get("points") == "prompt"
    labels = points.labels
    if state.get("points") != "words":
        labels = tuple(token_text(tokens[0]) for tokens in points.tokens)
    return projection_record(
        one.projection,
        one.near,
        labels,
        points.groups,
        points.group_names,
        colors=[token_color(tokens[0].id) for tokens in points.tokens] if of_prompt else None,
        selected=selected_of(one),
        find=state.get("find"),
        ends=(state.get("left").strip(), state.get("right").strip()),
    )


def _on_one_scale(records: Sequence[ProjectionMap]) -> list[ProjectionMap]:
    """Two pictures whose axes have the same unit, on the same ranges. (t-SNE and UMAP have none.)"""
    if len(records) < 2 or any(record.explained is None for record in records):
        return [*records]
    ranges = shared_ranges(records)
    return [replace(record, ranges=ranges) for record in records]


def _draw_one(one: Placed, record: ProjectionMap) -> None:
    if one.side.name:
        _figure(one, record)
        _words(one, record)
        return
    left, right = st.columns([13, 7], gap="medium")
    with left:
        _figure(one, record)
    with right:
        _words(one, record)


def _figure(one: Placed, record: ProjectionMap) -> None:
    for note in one.notes:
        st.caption(note)
    live_figure(
        projection_figure(record),
        key=one.side.key_figure(f"projection-{record.n_axes}d"),
        provenance=_origin(one),
        clickable=one.side.clickable,
        on_click=_choose(one) if one.side.clickable else None,
    )
    if len(record.named) < len(record.labels):
        st.caption("A point has no name where there is no room for one: point at it, or find it by its word.")


def _choose(one: Placed) -> Any:
    """What a click on a point does: the prompt's tokens are selected for all pages."""
    start = first_position(one.side)

    def clicked(click: Click) -> None:
        if isinstance(click.customdata, int):
            if state.get("points") == "prompt":
                state.set(token=click.customdata + start)
            else:
                state.set(point=click.customdata)

    return clicked


def _origin(one: Placed) -> Provenance:
    """Where the picture comes from: points, method and its parameters."""
    used = one.projection.settings
    extra: dict[str, object] = {"points": _NAMES[state.get("points")], "method": METHODS[used.method]}
    if state.get("points") == "prompt":
        extra["place"] = depth_words(depth_of(one.side))
    if state.get("points") == "vocabulary":
        extra["tokens"] = f"{len(one.points):,}"
    extra["distance"] = DISTANCES[used.distance]
    if used.method == "tsne":
        extra["perplexity"] = f"{used.perplexity:.3g}"
    if used.method == "umap":
        extra |= {"neighbours": used.n_neighbors, "least distance": f"{used.min_dist:g}"}
    seed = used.seed if used.method in ("tsne", "umap") else None
    origin = runtime.provenance_of(one.side.run, seed=seed, **extra)  # type: ignore[arg-type]
    return origin if state.get("points") == "prompt" else replace(origin, prompt=None)


def _words(one: Placed, record: ProjectionMap) -> None:
    """What is kept, by each method, and the neighbours of the selected point."""
    st.markdown(plain(kept_words(record.mean_kept, record.by_chance, record.k)))
    st.markdown(_table(one))
    if state.get("find").strip():
        st.markdown(plain(found_words(record, state.get("find"))))
    if record.method == "axis":
        st.markdown(plain(axis_words(record)))
    st.markdown(plain(selected_words(record)))
    for said in point_words(one.points):
        st.caption(said)
    if state.get("points") == "vocabulary":
        st.caption(plain(order_words(tokenizer_kind(one.side.model().tokenizer))))
    if state.get("points") == "prompt" and first_position(one.side):
        st.caption(_first_token_words(one))


def _first_token_words(one: Placed) -> str:
    """How long the vector is that was left out, beside the others."""
    trace, depth = runtime.trace_for(one.side.run), depth_of(one.side)
    first, rest = arithmetic.first_and_rest(
        trace.get("embed") if depth == 0 else trace.get("resid_post", layer=depth - 1)
    )
    return (
        f"The first token is left out: here its vector is {three_digits(first)} long, the others "
        f"{three_digits(rest)} on average."
    )


def _table(one: Placed) -> str:
    """Neighbours kept and variance, one line a method, as far as they are known."""
    lines = ["| method | neighbours kept | variance |", "|---|--:|--:|"]
    for method, name in METHODS.items():
        if method == "axis" and one.projection.settings.method != "axis":
            continue
        found = kept_by(one, method)
        shown = f"**{name}**" if method == one.projection.settings.method else name
        if found is None:
            lines.append(f"| {shown} | choose it | |")
            continue
        part = "" if found.explained is None else share(min(sum(found.explained), 1.0))
        lines.append(f"| {shown} | {share(found.mean_kept)} | {part} |")
    return "\n".join(lines)


def _difference(one: Placed, other: Placed) -> None:
    """What two runs of the same points have in common."""
    st.subheader("Difference", anchor=False)
    if one.points.labels != other.points.labels:
        st.markdown(
            "The two runs draw different points, so no point of one means the same as one of the other."
        )
        return
    same = arithmetic.same_neighbours(one.near, other.near)
    st.markdown(
        f"Of each point's {one.near.indices.shape[1]} nearest neighbours in the full space, "
        f"{share(same)} are the same in both runs (by chance {share(one.near.by_chance)}). "
        "Positions cannot be compared one by one: each picture has its own axes."
    )


def _answer(drawn: Sequence[Placed]) -> str:
    said = (
        "The picture always loses most of them when there are many points: a plane has no room for "
        "neighbours in hundreds of directions. t-SNE and UMAP give up distances to save neighbours, so they "
        "keep more of them; the distance between two far clumps then means little, and so does the size "
        "of one."
    )
    if not drawn:
        return said
    kept = [
        f"{METHODS[method]} {share(found.mean_kept)}"
        for method in ("pca", "tsne", "umap")
        if (found := kept_by(drawn[0], method)) is not None
    ]
    return f"Here: {', '.join(kept)}. {said}"


def mathematics(drawn: Sequence[Placed]) -> str:
    """The three aims, and the numbers of this picture."""
    said = r"""
PCA turns the centred points $x_i$ onto the eigenvectors $u_1, u_2, \dots$ of their covariance; the share of
the variance along axis $a$ is its eigenvalue's share of all:

$$y_i = U^\top (x_i - \bar x), \qquad \text{share}_a = \frac{\lambda_a}{\sum_b \lambda_b}$$

An axis of one's own from $l$ to $r$ places a point at

$$t_i = \frac{(x_i - l)^\top (r - l)}{\lVert r - l \rVert^2}, \qquad t = 0 \text{ at } l, \; 1 \text{ at } r$$

t-SNE moves points until the similarities in the picture, $q_{ij}$, are close to those of the full space,
$p_{ij}$: it minimises $\sum_{ij} p_{ij} \log (p_{ij} / q_{ij})$. UMAP does the same with a cross-entropy over
the edges of a neighbour graph. Both start from a seed. Neighbours kept, with $N_k(i)$ the $k$ nearest points:

$$\text{kept} = \frac{1}{n} \sum_i \frac{\lvert N_k^{\text{full}}(i) \cap N_k^{\text{picture}}(i) \rvert}{k},
\qquad \text{by chance } \frac{k}{n - 1}$$
"""
    if not drawn:
        return said
    one = drawn[0]
    n_points, k = one.near.indices.shape
    d_model = one.points.vectors.shape[1]
    return (
        f"{said}\nHere $n = {n_points}$ points of {d_model:,} dimensions, $k = {k}$: kept "
        f"${one.projection.mean_kept:.4g}$, by chance ${one.near.by_chance:.4g}$."
    )
