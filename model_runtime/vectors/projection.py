"""Many numbers a point to two or three: PCA, an axis of one's own, t-SNE and UMAP, and what each one loses.

Every flat picture of a space of hundreds of dimensions leaves most of it out. So each projection comes with
numbers: how much of the variance its axes hold (PCA and the own axis), and how many of each point's nearest
neighbours in the full space are still its nearest in the picture (all methods).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np

from model_runtime.errors import SettingError
from model_runtime.model import Model
from model_runtime.records import Neighbours, Projection, ProjectionSettings
from model_runtime.steps import step
from model_runtime.vectors.point_sets import PointRequest, PointSet, ends_of, points_of

METHODS = ("pca", "axis", "tsne", "umap")
DISTANCES = ("cosine", "euclidean")
MOST_POINTS = 5_000
N_NEIGHBOURS = 10  # nearest neighbours that are counted
LEAST_POINTS = {"pca": 2, "axis": 2, "tsne": 4, "umap": 6}
_NAMES = {"pca": "PCA", "axis": "An axis", "tsne": "t-SNE", "umap": "UMAP"}
_BLOCK = 512  # rows of distances at a time: 20 MB of float64 for 5,000 points
_UMAP_READY = threading.Event()
_TSNE_STEPS, _UMAP_EPOCHS = 1_000, 500  # the libraries' own numbers, for as many points as are allowed here


def settings_for(asked: ProjectionSettings, n_points: int) -> ProjectionSettings:
    """The settings that `n_points` allow, with those that the method does not read at their defaults.

    t-SNE looks at three times as many neighbours as its perplexity, UMAP at `n_neighbors` (a point
    itself included), and neither can find more than there are.

    Raises:
        SettingError: no such method, or fewer points than it can place at all.

    >>> settings_for(ProjectionSettings("tsne", perplexity=30), 13).perplexity
    4.0
    """
    if asked.method not in METHODS or asked.distance not in DISTANCES or asked.n_axes not in (2, 3):
        raise SettingError(
            f"{asked.method!r} in {asked.n_axes} dimensions by {asked.distance!r} is no projection.",
            f"Methods are {', '.join(METHODS)}; distances {', '.join(DISTANCES)}; 2 or 3 dimensions.",
        )
    if n_points < LEAST_POINTS[asked.method]:
        here = "is 1" if n_points == 1 else f"are {n_points}"
        raise SettingError(
            f"{_NAMES[asked.method]} needs at least {LEAST_POINTS[asked.method]} points; here {here}.",
            "Add points, or choose PCA.",
        )
    plain = ProjectionSettings(asked.method, asked.n_axes, asked.distance)
    if asked.method == "tsne":
        allowed = min(asked.perplexity, (n_points - 1) / 3)
        return replace(plain, perplexity=float(max(allowed, 1.0)), seed=asked.seed)
    if asked.method == "umap":
        near = max(2, min(asked.n_neighbors, n_points - 1))
        return replace(plain, n_neighbors=near, min_dist=asked.min_dist, seed=asked.seed)
    return plain


def expected_seconds(used: ProjectionSettings, n_points: int) -> float:
    """Roughly, on two cores, from runs of 40 to 5,000 points: enough to tell a moment from minutes."""
    if used.method == "tsne":  # each step: the tree of all points, and three neighbours a perplexity
        return n_points * (6e-3 + 6e-5 * used.perplexity) * (1.5 if used.n_axes == 3 else 1.0)
    if used.method == "umap":
        return n_points * (1e-3 + 8e-5 * used.n_neighbors)
    return 0.0


def neighbours_of(
    model: Model, request: PointRequest, distance: str, points: PointSet | None = None
) -> Neighbours:
    """The nearest neighbours of the points that are asked for, in the full space."""
    return nearest((points or points_of(model, request)).vectors, distance)


def projection_of(
    model: Model,
    request: PointRequest,
    settings: ProjectionSettings,
    ends: tuple[str, str] | None = None,
    points: PointSet | None = None,
    near: Neighbours | None = None,
) -> Projection:
    """The points that are asked for, projected. `ends`: the words of an own axis.

    Args:
        points, near: what `points_of` and `neighbours_of` gave, where they are at hand.

    Raises:
        PromptError, SettingError: as `ends_of` and `project`.
    """
    points = points or points_of(model, request)
    along = None if ends is None else ends_of(model, request, points, ends)
    return project(points.vectors, settings, near, along)


def project(
    vectors: np.ndarray,
    settings: ProjectionSettings,
    near: Neighbours | None = None,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
) -> Projection:
    """Project vectors [point, d] by the method of `settings`. UMAP's first use compiles for half a minute.

    Args:
        near: the nearest neighbours, where they are known already (`nearest`).
        ends: left and right end of the own axis, [d] each.

    Raises:
        SettingError: too few or too many points, points that are all the same, or no axis.
    """
    _check(vectors)
    used = settings_for(settings, len(vectors))
    near = near or nearest(vectors, used.distance)
    start = time.perf_counter()
    explained: tuple[float, ...] | None = None
    if used.method in ("pca", "axis"):
        scale = unit_length if used.distance == "cosine" else np.asarray
        points = scale(vectors.astype(np.float64))
        if used.method == "pca":
            coordinates, explained = pca(points, used.n_axes)
        elif ends is None:
            raise SettingError("An axis has two ends.", "Give a word for the left and one for the right.")
        else:
            coordinates, explained = own_axis(points, *(scale(end.astype(np.float64)) for end in ends))
            coordinates, explained = coordinates[:, : used.n_axes], explained[: used.n_axes]
    else:
        coordinates = _tsne(vectors, used) if used.method == "tsne" else _umap(vectors, used)
    seconds = time.perf_counter() - start
    coordinates = np.ascontiguousarray(coordinates, dtype=np.float32)
    drawn = nearest(coordinates, "euclidean", near.indices.shape[1]).indices
    return Projection(used, coordinates, explained, drawn, neighbours_kept(vectors, drawn, near), seconds)


def _check(vectors: np.ndarray) -> None:
    assert vectors.ndim == 2, vectors.shape
    if len(vectors) > MOST_POINTS:
        raise SettingError(f"{len(vectors):,} points are too many.", f"At most {MOST_POINTS:,} are allowed.")
    if len(vectors) < 2:
        raise SettingError("One point has nothing to be compared with.", "Add a second one.")
    if not np.isfinite(vectors).all():
        raise SettingError("Some vectors are not finite.", "Undo the edit that makes them so.")
    if np.ptp(vectors, axis=0).max() == 0:
        raise SettingError(
            f"All {len(vectors):,} vectors are the same, so there is nothing to spread out.",
            "Choose different words, or a later layer.",
        )


def pca(vectors: np.ndarray, n_axes: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Principal components: the axes along which the points vary most (Pearson 1901; Hotelling 1933).

    Returns [point, axis] and each axis's share of the variance. An axis points where its largest entry is
    positive, so that the same points always give the same picture.
    """
    centred = vectors - vectors.mean(axis=0)
    axes, strengths = principal_axes(centred, n_axes)  # [axis, d], [axis]
    total = (centred**2).sum()
    return centred @ axes.T, tuple(float(share) for share in strengths / (total or 1.0))


def principal_axes(centred: np.ndarray, n_axes: int, dense: int = 1_000) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [axis, d] of the largest variance of points [point, d], and the sum of squares along each.

    They are eigenvectors of X^T X. With fewer points than dimensions those of the smaller X X^T lead to
    them; beyond the size `dense` neither is written out. Axes that the points do not have are zero.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import LinearOperator, eigsh

    n_points, d = centred.shape
    tall = n_points >= d
    size = min(n_points, d)
    found = min(n_axes, size)
    if size <= dense:
        square = centred.T @ centred if tall else centred @ centred.T  # [size, size]
        values, vectors = eigh(square, subset_by_index=[size - found, size - 1])
    else:
        one, other = (centred, centred.T) if tall else (centred.T, centred)
        operator = LinearOperator((size, size), matvec=lambda v: other @ (one @ v), dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(size)
        values, vectors = eigsh(operator, k=found, v0=start)
    order = np.argsort(values)[::-1]
    values, rows = np.maximum(values[order], 0.0), vectors[:, order].T  # [found], [found, size]
    if not tall:
        rows = rows @ centred  # [found, d]: an eigenvector of X X^T, taken through X
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-9 * (lengths.max() or 1))
    signs = np.sign(rows[np.arange(found), np.abs(rows).argmax(axis=1)])
    axes, strengths = np.zeros((n_axes, d)), np.zeros(n_axes)
    axes[:found], strengths[:found] = rows * signs[:, None], values
    return axes, strengths


def own_axis(
    vectors: np.ndarray, left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Points along the line from `left` (0) to `right` (1), then the first two principal axes of the rest.

    Returns [point, 3] and the share of the variance along each.

    Raises:
        SettingError: both ends are the same vector.
    """
    direction = right - left
    length = np.linalg.norm(direction)
    if length <= 1e-9 * max(np.linalg.norm(left), np.linalg.norm(right)):
        raise SettingError("Both ends of the axis are the same vector.", "Choose two different words.")
    unit = direction / length
    along = (vectors - left) @ unit  # [point]
    centred = vectors - vectors.mean(axis=0)
    on_axis = centred @ unit  # [point]
    rest = centred - on_axis[:, None] * unit  # [point, d]: what the axis leaves
    axes, strengths = principal_axes(rest, 2)
    total = (centred**2).sum() or 1.0
    shares = ((on_axis**2).sum() / total, *(strengths / total))
    return np.column_stack((along / length, rest @ axes.T)), tuple(float(share) for share in shares)


def _learning_rate(n_points: int, n_axes: int) -> float:
    """In the plane what scikit-learn's "auto" is; in space far less.

    There its 50 throws few points apart for good: of 50 words' 10 nearest neighbours it kept 39 %, where 5
    keeps 70 % and the plane 77 %.
    """
    return max(n_points / 48.0, 50.0) if n_axes == 2 else max(n_points / 200.0, 5.0)


class _Rate(np.float64):
    """A learning rate that knows when it is used: scikit-learn multiplies each gradient by it, once a step,
    and has no other place to look in on a run of minutes. The product is the same to the bit.
    """

    used = 0

    def __mul__(self, gradients: Any) -> Any:
        self.used += 1
        step(self.used, _TSNE_STEPS)
        return np.float64(self) * gradients


def _tsne(vectors: np.ndarray, used: ProjectionSettings) -> np.ndarray:
    from sklearn.manifold import TSNE

    method = TSNE(
        used.n_axes,
        perplexity=used.perplexity,
        metric=used.distance,
        random_state=used.seed,
        max_iter=_TSNE_STEPS,
        early_exaggeration=12.0,
        learning_rate=_Rate(_learning_rate(len(vectors), used.n_axes)),
    )
    return np.asarray(method.fit_transform(vectors))


def umap_is_ready() -> bool:
    """Whether UMAP is imported and compiled in this process; else its first run takes half a minute more."""
    return _UMAP_READY.is_set()


def same_neighbours(one: Neighbours, other: Neighbours) -> float:
    """The mean share of each point's nearest neighbours that are the same in two spaces of equal points.

    >>> near = nearest(np.array([[0.0], [1.0], [3.0]]), "euclidean", k=1)
    >>> same_neighbours(near, near)
    1.0
    """
    assert one.indices.shape == other.indices.shape, (one.indices.shape, other.indices.shape)
    both = (one.indices[:, :, None] == other.indices[:, None, :]).any(axis=2)
    return float(both.mean())


class _Numba:
    """One thread at a time, in the order of their coming: numba's plainest threading layer ends the process
    when two run a compiled function at once. Who is at long work steps aside between two of its steps, so
    that short work is done between them."""

    def __init__(self) -> None:
        self.line: deque[object] = deque()  # the first is at work
        self.moved = threading.Condition()

    @contextmanager
    def mine(self) -> Iterator[None]:
        """Alone with numba."""
        me = object()
        with self.moved:
            self.line.append(me)
        try:
            self._wait(me)
            yield
        finally:
            with self.moved:
                self.line.remove(me)
                self.moved.notify_all()

    def step_aside(self) -> None:
        """Let those who wait have their turn, or their next step, first."""
        with self.moved:
            me = self.line[0]
            self.line.rotate(-1)
            self.moved.notify_all()
        self._wait(me)

    def _wait(self, me: object) -> None:
        while True:
            with self.moved:
                if self.moved.wait_for(lambda: self.line[0] is me, 0.2):
                    return
            step()  # outside, so that nobody is held up; raises where this is not waited for any more


_NUMBA = _Numba()


class _Interval(float):
    """The least time between two drawings of UMAP's progress bar, which its loop compares after each epoch
    with the time that has passed: the one place to look in. Never enough, so that no bar is drawn (drawing
    holds a lock of all threads).
    """

    epochs = 0

    def __le__(self, passed: float) -> bool:
        self.epochs += 1
        step(self.epochs, _UMAP_EPOCHS)
        _NUMBA.step_aside()
        return False


def _umap(vectors: np.ndarray, used: ProjectionSettings) -> np.ndarray:
    with _NUMBA.mine():
        from umap import UMAP

        method = UMAP(
            n_components=used.n_axes,
            n_neighbors=used.n_neighbors,
            min_dist=used.min_dist,
            metric=used.distance,
            random_state=used.seed,
            n_jobs=1,  # what a seed makes of it anyway
            tqdm_kwds={"disable": False, "file": StringIO(), "miniters": 1, "mininterval": _Interval(1.0)},
        )
        placed = np.asarray(method.fit_transform(vectors))
        _UMAP_READY.set()
        return placed


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., d] scaled to length 1; a zero vector stays, and NaN stays NaN."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # an infinite one has no direction: NaN
        return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths != 0)


def nearest(vectors: np.ndarray, distance: str, k: int = N_NEIGHBOURS) -> Neighbours:
    """The `k` nearest other points of every point (all others where there are fewer), by brute force.

    Args:
        distance: "cosine" (1 - cosine; a zero vector has cosine 0 with all) or "euclidean".

    >>> nearest(np.array([[0.0], [1.0], [3.0]]), "euclidean", k=1).indices.tolist()
    [[1], [0], [1]]
    """
    points = vectors.astype(np.float64)
    points = unit_length(points) if distance == "cosine" else points - points.mean(axis=0)
    n_points = len(points)
    k = min(k, n_points - 1)
    squares = (points**2).sum(axis=1)
    indices = np.empty((n_points, k), dtype=np.int32)
    for start in range(0, n_points, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n_points))
        far = squares[rows, None] + squares - 2 * points[rows] @ points.T  # squared distances
        own = np.arange(rows.start, rows.stop)
        far[own - rows.start, own] = np.inf
        some = np.sort(np.argpartition(far, k - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(np.take_along_axis(far, some, axis=1), axis=1, kind="stable")
        indices[rows] = np.take_along_axis(some, order, axis=1)
    return Neighbours(distance, indices, distances_to(points, indices, distance).astype(np.float32))


def distances_to(points: np.ndarray, indices: np.ndarray, distance: str) -> np.ndarray:
    """Distances [point, neighbour] from each point to those named in its row of `indices`.

    Taken from differences, which lose no digits where points lie close. (`points` of length 1 for cosine:
    1 - cosine is half the squared distance.)
    """
    columns = [np.linalg.norm(points - points[indices[:, at]], axis=1) for at in range(indices.shape[1])]
    far = np.stack(columns, axis=1)
    return far**2 / 2 if distance == "cosine" else far


def neighbours_kept(vectors: np.ndarray, drawn: np.ndarray, near: Neighbours) -> np.ndarray:
    """For each point, the share of its k nearest in the full space that are among its k nearest in the
    picture, float32 [point] (Venna and Kaski 2001 count the same errors).

    A point of the picture that is as near in the full space as the k-th neighbour, up to rounding, counts as
    one: of equal vectors none is nearer than the other.

    Args:
        drawn: the k nearest in the picture, int32 [point, k].
    """
    points = vectors.astype(np.float64)
    points = unit_length(points) if near.distance == "cosine" else points
    bound = distances_to(points, near.indices[:, -1:], near.distance)  # [point, 1]
    within = distances_to(points, drawn, near.distance) <= bound * (1 + 1e-6) + 1e-12  # [point, k]
    return within.mean(axis=1, dtype=np.float64).astype(np.float32)
