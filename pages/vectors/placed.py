"""One run's points, their neighbours and their projection: what the settings ask for, from the caches."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from model_runtime.errors import PromptError
from model_runtime.records import Neighbours, Projection, ProjectionSettings
from model_runtime.vectors import point_sets
from model_runtime.vectors.point_sets import PointSet
from model_runtime.vectors.projection import (
    LEAST_POINTS,
    N_NEIGHBOURS,
    nearest,
    project,
    settings_for,
    umap_is_ready,
)
from pages.shared.escape import counted, quoted
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from pages.tokens.side import Side
from viz.vectors.projection import METHODS


@dataclass(frozen=True, eq=False)
class Placed:
    """What is drawn of one run. `key` is the recipe of its points."""

    side: Side
    key: Hashable
    points: PointSet
    near: Neighbours
    projection: Projection
    asked: ProjectionSettings

    @property
    def notes(self) -> list[str]:
        """What was fitted to the points, in sentences."""
        used, n = self.projection.settings, len(self.points)
        said = []
        if used.method == "tsne" and used.perplexity < self.asked.perplexity:
            said.append(
                f"Perplexity {self.asked.perplexity:g} asks for more neighbours than {n:,} points have; "
                f"{used.perplexity:.3g} is used."
            )
        if used.method == "umap" and used.n_neighbors < self.asked.n_neighbors:
            said.append(
                f"{self.asked.n_neighbors} neighbours were asked for, but there are {n:,} points; "
                f"{used.n_neighbors} are used."
            )
        if n <= N_NEIGHBOURS:
            said.append(
                f"With {n} points there are {counted(n - 1, 'neighbour')} to count, not {N_NEIGHBOURS}."
            )
        return said


def settings_now() -> ProjectionSettings:
    """The projection that the controls describe."""
    return ProjectionSettings(
        method=state.get("method"),
        n_axes=int(state.get("axes")),
        distance=state.get("by"),
        perplexity=state.get("perplexity"),
        n_neighbors=state.get("near"),
        min_dist=state.get("apart"),
        seed=state.get("shake"),
    )


def depth_of(side: Side) -> int:
    """The depth looked at, or the last one of a model with fewer blocks."""
    return min(state.get("depth"), side.model().spec.n_layers)


def first_position(side: Side) -> int:
    """Position of the first token of the prompt that is drawn."""
    return 0 if state.get("first") or len(runtime.tokens_for(side.run)) < 3 else 1


def points_key(side: Side) -> Hashable:
    """Everything that decides the points, beside the model."""
    match state.get("points"):
        case "words":
            return ("words", state.get("groups"))
        case "prompt":
            run = side.run
            return ("prompt", run.prompt, run.edits, depth_of(side), first_position(side))
    return ("vocabulary", state.get("top"))


def points_of(side: Side) -> PointSet:
    """The points that the controls describe.

    Raises:
        GlassformerError: no words, or a prompt that cannot be read.
    """
    model, key = side.model(), points_key(side)

    def make() -> PointSet:
        match state.get("points"):
            case "words":
                return point_sets.word_points(model, point_sets.parse_groups(state.get("groups")))
            case "prompt":
                trace = runtime.trace_for(side.run)
                return point_sets.prompt_points(trace, depth_of(side), first_position(side) == 0)
        return point_sets.vocabulary_points(model, state.get("top"))

    return runtime.computed(side.run, ("points", key), make, words="Reading the vectors")


def ends_of(side: Side, points: PointSet) -> tuple[Any, Any]:
    """Both ends of the own axis: a prompt's own tokens, else words of the embedding.

    Raises:
        PromptError: a blank end, or a token that the prompt does not have.
    """
    ends = []
    for end in ("left", "right"):
        word = state.get(end).strip()
        if not word:
            raise PromptError(f"The {end} end of the axis has no word.", "Type one.")
        if state.get("points") != "prompt":
            ends.append(point_sets.word_points(side.model(), (("", (word,)),)).vectors[0])
            continue
        at = [i for i, label in enumerate(points.labels) if label.strip().lower() == word.lower()]
        if not at:
            raise PromptError(
                f"“{word}” is no token of the points drawn, so the axis has no {end} end.",
                "Take two tokens of the prompt.",
            )
        ends.append(points.vectors[at[0]])
    return ends[0], ends[1]


def near_of(side: Side, points: PointSet, distance: str) -> Neighbours:
    """The nearest neighbours in the full space."""
    return runtime.computed(
        side.run,
        ("near", points_key(side), distance),
        lambda: nearest(points.vectors, distance),
        words=f"Comparing {len(points):,} points with one another",
    )


def projection_key(side: Side, used: ProjectionSettings) -> Hashable:
    ends = (state.get("left"), state.get("right")) if used.method == "axis" else ()
    return ("projection", points_key(side), used, ends)


def placed(side: Side) -> Placed:
    """Points, neighbours and projection of one run; the long methods wait in a line of their own.

    Raises:
        GlassformerError: too few points, equal points, words that cannot be used.
    """
    points, asked = points_of(side), settings_now()
    # Points that cannot be projected are refused by `project`, which checks them before their neighbours.
    if len(points) < 2:
        project(points.vectors, asked)
    used = settings_for(asked, len(points))
    ends = ends_of(side, points) if used.method == "axis" else None
    near = near_of(side, points, asked.distance)
    projection = runtime.computed(
        side.run,
        projection_key(side, used),
        lambda: project(points.vectors, used, near, ends),
        words=_waiting_words(used, len(points)),
        slow=used.method in ("tsne", "umap"),
    )
    return Placed(side, points_key(side), points, near, projection, asked)


def _waiting_words(used: ProjectionSettings, n_points: int) -> str:
    said = f"Placing {n_points:,} points by {METHODS[used.method]}"
    if used.method == "umap" and not umap_is_ready():
        said += " (its first run on a server takes half a minute more)"
    return said


def kept_by(one: Placed, method: str) -> Projection | None:
    """The projection by another method with the settings of now, if it is known or costs nothing."""
    if method == one.projection.settings.method:
        return one.projection
    n_points = len(one.points)
    if n_points < LEAST_POINTS[method]:
        return None
    used = settings_for(replace(one.asked, method=method), n_points)
    key = projection_key(one.side, used)
    if method == "pca":
        return runtime.computed(one.side.run, key, lambda: project(one.points.vectors, used, one.near))
    found: Projection | None = runtime.known(one.side.run, key)
    return found


def point_words(points: PointSet) -> list[str]:
    """Words of several tokens and words that came twice, in sentences of markdown."""
    said = []
    if state.get("points") == "words" and points.split:
        names = ", ".join(
            f"{quoted(label, 24)} ({len(tokens)})"
            for label, tokens in zip(points.labels, points.tokens, strict=True)
            if len(tokens) > 1
        )
        said.append(f"Of several tokens, and drawn as their mean: {names}.")
    if points.repeated:
        said.append(f"Came more than once, drawn once: {', '.join(quoted(w, 24) for w in points.repeated)}.")
    return said
