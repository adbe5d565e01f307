"""Projection: many points in two or three dimensions, and how much of them the picture keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from model_runtime.vectors import projection as arithmetic
from model_runtime.vectors.point_sets import first_and_rest, tokenizer_kind
from pages.shared.escape import plain, quoted, token_text
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Provenance
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.vectors.found import beside, found_by
from pages.vectors.placed import Placed, ends_now, kept_by, placed
from pages.vectors.projection_controls import controls
from viz.equations import tex
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

_NAMES = {"words": "words", "prompt": "tokens of the prompt", "vocabulary": "the vocabulary"}


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    controls(sides[0])
    drawn = found_by(sides, placed)
    records = _on_one_scale([record_of(one) for _, one in drawn])
    for (place, one), record in zip(drawn, records, strict=True):
        with place:
            _draw_one(one, record)
    if len(drawn) == 2:
        _difference(drawn[0][1], drawn[1][1])
    return Lesson(
        code=(
            arithmetic.pca,
            arithmetic.principal_axes,
            arithmetic.own_axis,
            arithmetic.neighbours_kept,
            arithmetic.distances_to,
            arithmetic.unit_length,
        ),
        fill=_numbers(drawn[0][1]) if drawn else {"kept_here": "", "numbers": ""},
    )


def selected_of(one: Placed) -> int | None:
    """Index of the selected point, or of the nearest that there is; None while none is selected."""
    n_points = len(one.points)
    if one.request.kind == "prompt":
        at = one.side.query - _start(one)
        return at if 0 <= at < n_points else None
    chosen: int = state.get("point")
    return None if chosen < 0 else min(chosen, n_points - 1)


def _start(one: Placed) -> int:
    """Position of the first token of the prompt that is drawn."""
    return 0 if one.request.first else 1


def record_of(one: Placed) -> ProjectionMap:
    """What is drawn of one run."""
    points, kind = one.points, one.request.kind
    labels = points.labels
    if kind != "words":
        labels = tuple(token_text(tokens[0]) for tokens in points.tokens)
    return projection_record(
        one.projection,
        one.near,
        labels,
        points.groups,
        points.group_names,
        colors=[token_color(tokens[0].id) for tokens in points.tokens] if kind == "prompt" else None,
        selected=selected_of(one),
        find=state.get("find"),
        ends=ends_now(),
    )


def _on_one_scale(records: Sequence[ProjectionMap]) -> list[ProjectionMap]:
    """Two pictures whose axes have the same unit, on the same ranges. (t-SNE and UMAP have none.)"""
    if len(records) < 2 or any(record.explained is None for record in records):
        return [*records]
    ranges = shared_ranges(records)
    return [replace(record, ranges=ranges) for record in records]


def _draw_one(one: Placed, record: ProjectionMap) -> None:
    left, right = beside(one.side, [13, 7])
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


def _choose(one: Placed) -> Callable[[Click], None]:
    """What a click on a point does: the prompt's tokens are selected for all pages."""

    of_prompt, start = one.request.kind == "prompt", _start(one)

    def clicked(click: Click) -> None:
        if isinstance(click.customdata, int):
            if of_prompt:
                state.set(token=click.customdata + start)
            else:
                state.set(point=click.customdata)

    return clicked


def _origin(one: Placed) -> Provenance:
    """Where the picture comes from: points, method and its parameters."""
    used, kind = one.projection.settings, one.request.kind
    extra: dict[str, Any] = {"points": _NAMES[kind], "method": METHODS[used.method]}
    if kind == "prompt":
        extra["place"] = depth_words(one.request.depth)
    if kind == "vocabulary":
        extra["tokens"] = f"{len(one.points):,}"
    extra["distance"] = DISTANCES[used.distance]
    if used.method == "tsne":
        extra["perplexity"] = f"{used.perplexity:.3g}"
    if used.method == "umap":
        extra |= {"neighbours": used.n_neighbors, "least distance": f"{used.min_dist:g}"}
    seed = used.seed if used.method in ("tsne", "umap") else None
    origin = one.side.run.origin(seed=seed, as_it_is=kind != "prompt", **extra)
    return origin if kind == "prompt" else replace(origin, prompt=None)


def _words(one: Placed, record: ProjectionMap) -> None:
    """What is kept, by each method, and the neighbours of the selected point."""
    st.markdown(plain(kept_words(record.mean_kept, record.by_chance, record.k)))
    st.markdown(_table(one))
    if state.get("find").strip():
        st.markdown(plain(found_words(record, state.get("find"))))
    if record.method == "axis":
        st.markdown(plain(axis_words(record)))
    st.markdown(plain(selected_words(record)))
    _notes_on_points(one)


def _notes_on_points(one: Placed) -> None:
    """Words of several tokens, words that came twice, what the order means, the token left out."""
    points, request = one.points, one.request
    if request.kind == "words" and points.split:
        names = ", ".join(
            f"{quoted(label, 24)} ({len(tokens)})"
            for label, tokens in zip(points.labels, points.tokens, strict=True)
            if len(tokens) > 1
        )
        st.caption(f"Of several tokens, and drawn as their mean: {names}.")
    if points.repeated:
        names = ", ".join(quoted(word, 24) for word in points.repeated)
        st.caption(f"Came more than once, drawn once: {names}.")
    if request.kind == "vocabulary":
        st.caption(plain(order_words(tokenizer_kind(one.side.model.tokenizer))))
    if request.kind == "prompt" and not request.first:
        first, rest = first_and_rest(one.side.trace, request.depth)
        st.caption(
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


def _numbers(one: Placed) -> dict[str, str]:
    """What the lesson's text says of this picture."""
    kept = [
        f"{METHODS[method]} {share(found.mean_kept)}"
        for method in ("pca", "tsne", "umap")
        if (found := kept_by(one, method)) is not None
    ]
    n_points, k = one.near.indices.shape
    return {
        "kept_here": f"Here: {', '.join(kept)}. ",
        "numbers": f"Here $n = {n_points}$ points of {one.points.vectors.shape[1]:,} dimensions, $k = {k}$: "
        f"kept ${tex(one.projection.mean_kept)}$, by chance ${tex(one.near.by_chance)}$.",
    }
