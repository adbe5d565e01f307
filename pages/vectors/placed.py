"""One run's points, their neighbours and their projection: what the settings ask for, measured once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from model_runtime.records import Neighbours, Projection, ProjectionSettings
from model_runtime.vectors.point_sets import PointRequest, PointSet, points_of
from model_runtime.vectors.projection import (
    LEAST_POINTS,
    N_NEIGHBOURS,
    expected_seconds,
    neighbours_of,
    project,
    projection_of,
    settings_for,
    umap_is_ready,
)
from pages.shared.escape import counted
from pages.shared.frame.sides import Side
from pages.shared.run.opened import NotRead
from pages.shared.settings import url_state as state
from viz.vectors.projection import METHODS


@dataclass(frozen=True, eq=False)
class Placed:
    """What is drawn of one run."""

    side: Side
    request: PointRequest
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


def request_now(side: Side) -> PointRequest:
    """The points that the controls describe.

    Raises:
        NotRead: those of a prompt that cannot be read.
    """
    match state.get("points"):
        case "words":
            return PointRequest("words", groups=state.get("groups"))
        case "prompt":
            run = side.run.settings
            if side.run.unread is not None:
                raise NotRead(
                    "These points are the prompt's tokens, and the prompt is not read.",
                    "Choose words or the vocabulary as points: they need no prompt.",
                )
            first = state.get("first") or len(side.run.ids) < 3
            return PointRequest(
                "prompt", prompt=run.prompt, edits=run.edits, depth=depth_of(side), first=first
            )
    return PointRequest("vocabulary", top=state.get("top"))


def depth_of(side: Side) -> int:
    """The depth looked at, or the last one of a model with fewer blocks."""
    return min(state.get("depth"), side.spec.n_layers)


def ends_now() -> tuple[str, str]:
    """Both words of the own axis."""
    return state.get("left").strip(), state.get("right").strip()


def placed(side: Side) -> Placed:
    """Points, neighbours and projection of one run; the long methods wait in a line of their own.

    Raises:
        GlassformerError: too few points, equal points, words that cannot be used.
    """
    request, asked, run = request_now(side), settings_now(), side.run
    trace = {"trace": run.trace} if request.kind == "prompt" else {}
    points = run.measure(points_of, "Reading the vectors", at_hand=trace, request=request)
    # Points that cannot be projected are refused by `project`, which checks them before their neighbours.
    if len(points) < 2:
        project(points.vectors, asked)
    used = settings_for(asked, len(points))
    near = run.measure(
        neighbours_of,
        f"Comparing {len(points):,} points with one another",
        at_hand={"points": points},
        request=request,
        distance=asked.distance,
    )
    projection = _projected(side, request, used, points, near)
    return Placed(side, request, points, near, projection, asked)


def _projected(
    side: Side, request: PointRequest, used: ProjectionSettings, points: PointSet, near: Neighbours
) -> Projection:
    said = f"Placing {len(points):,} points by {METHODS[used.method]}"
    if used.method == "umap" and not umap_is_ready():
        said += " (its first run on a server takes half a minute more)"
    return side.run.measure(
        projection_of,
        said,
        slow=used.method in ("tsne", "umap"),
        seconds=expected_seconds(used, len(points)),
        at_hand={"points": points, "near": near},
        request=request,
        settings=used,
        ends=ends_now() if used.method == "axis" else None,
    )


def kept_by(one: Placed, method: str) -> Projection | None:
    """The projection by another method with the settings of now, if it is known or costs nothing."""
    if method == one.projection.settings.method:
        return one.projection
    n_points = len(one.points)
    if n_points < LEAST_POINTS[method]:
        return None
    used = settings_for(replace(one.asked, method=method), n_points)
    if method == "pca":
        return _projected(one.side, one.request, used, one.points, one.near)
    return one.side.run.known(projection_of, request=one.request, settings=used, ends=None)
