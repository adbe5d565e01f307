"""Projections: neighbours counted by hand, variance, what is clamped and what is refused."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from model_runtime.errors import SettingError
from model_runtime.records import Neighbours, ProjectionSettings
from model_runtime.steps import listening
from model_runtime.vectors import projection
from model_runtime.vectors.projection import (
    nearest,
    neighbours_kept,
    own_axis,
    pca,
    principal_axes,
    project,
    settings_for,
    unit_length,
)

RANDOM = np.random.default_rng(5).normal(size=(40, 12)).astype(np.float32)


def kept_by_hand(vectors: np.ndarray, picture: np.ndarray, k: int) -> list[float]:
    """The share of each point's k nearest that are its k nearest in the picture: two sorts and a set."""
    shares = []
    for one in range(len(vectors)):
        others = [other for other in range(len(vectors)) if other != one]
        full = sorted(others, key=lambda other: np.linalg.norm(vectors[one] - vectors[other]))[:k]
        flat = sorted(others, key=lambda other: np.linalg.norm(picture[one] - picture[other]))[:k]
        shares.append(len({*full} & {*flat}) / k)
    return shares


def kept(vectors: np.ndarray, picture: np.ndarray, near: Neighbours) -> list[float]:
    k = near.indices.shape[1]
    return neighbours_kept(vectors, nearest(picture, "euclidean", k).indices, near).tolist()


def test_neighbours_kept_on_five_points_by_hand() -> None:
    # On a line at 0, 1, 3, 7, 8 the nearest are 1, 0, 1, 8, 7; drawn at 0, 9, 3, 4, 20: 3, 4, 4, 3, 9.
    vectors = np.array([[0.0], [1.0], [3.0], [7.0], [8.0]])
    picture = np.array([[0.0, 0.0], [9.0, 0.0], [3.0, 0.0], [4.0, 0.0], [20.0, 0.0]])
    near = nearest(vectors, "euclidean", k=1)
    assert near.indices[:, 0].tolist() == [1, 0, 1, 4, 3]
    assert near.distances[:, 0].tolist() == [1, 1, 2, 1, 1]
    assert kept(vectors, picture, near) == [0, 0, 0, 0, 0]
    assert kept(vectors, vectors, near) == [1, 1, 1, 1, 1]
    assert near.by_chance == 1 / 4


@pytest.mark.parametrize("k", [1, 3, 10])
def test_neighbours_kept_is_the_brute_force_count(k: int) -> None:
    picture = project(RANDOM, ProjectionSettings()).coordinates
    near = nearest(RANDOM, "euclidean", k)
    assert kept(RANDOM, picture, near) == pytest.approx(kept_by_hand(RANDOM, picture, k))
    units = unit_length(RANDOM.astype(np.float64))
    near = nearest(RANDOM, "cosine", k)
    assert kept(RANDOM, picture, near) == pytest.approx(kept_by_hand(units, picture, k))


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nearest(RANDOM, "cosine")
    monkeypatch.setattr("model_runtime.vectors.projection._BLOCK", 7)
    assert np.array_equal(nearest(RANDOM, "cosine").indices, whole.indices)


def test_cosine_is_one_less_the_distance_and_a_zero_vector_is_near_nobody() -> None:
    near = nearest(np.array([[1.0, 0.0], [2.0, 2.0], [0.0, 3.0]]), "cosine", k=2)
    assert near.distances[0] == pytest.approx([1 - np.sqrt(0.5), 1])
    with_zero = nearest(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 0.0]]), "cosine", k=1)
    assert with_zero.indices[:, 0].tolist()[:2] == [1, 0]


def test_equal_vectors_are_each_other_s_neighbours_whichever_is_drawn_nearer() -> None:
    vectors = np.array([[0.0, 0.0]] * 4 + [[9.0, 9.0]] * 4)
    picture = np.array([[0.1 * i, 0.0] for i in range(4)] + [[9 + 0.1 * i, 0.0] for i in range(4)])
    assert kept(vectors, picture, nearest(vectors, "euclidean", k=2)) == [1.0] * 8


def test_pca_of_points_on_a_line() -> None:
    line = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [6.0, 8.0, 0.0]])
    coordinates, explained = pca(line, 2)
    assert coordinates[:, 0] == pytest.approx([-5, 0, 5])
    assert explained == pytest.approx((1, 0))


def test_the_share_of_variance_by_hand() -> None:
    points = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # sums of squares 8 and 2
    _, explained = pca(points, 2)
    assert explained == pytest.approx((0.8, 0.2))


def test_few_points_and_few_dimensions_lead_to_the_same_axes() -> None:
    centred = RANDOM.astype(np.float64) - RANDOM.mean(axis=0)
    for rows in (centred, centred[:9]):  # more points than dimensions, and fewer
        axes, strengths = principal_axes(rows, 2)
        assert axes @ axes.T == pytest.approx(np.eye(2), abs=1e-9)
        assert ((rows @ axes.T) ** 2).sum(axis=0) == pytest.approx(strengths)
        others, same = principal_axes(rows, 2, dense=1)
        assert others == pytest.approx(axes, abs=1e-6)
        assert same == pytest.approx(strengths)


def test_an_own_axis_runs_from_left_to_right() -> None:
    left, right = np.array([1.0, 0.0, 0.0]), np.array([3.0, 0.0, 0.0])
    points = np.array([left, right, [2.0, 5.0, 0.0], [2.0, -5.0, 0.1]])
    coordinates, shares = own_axis(points, left, right)
    assert coordinates[:, 0] == pytest.approx([0, 1, 0.5, 0.5])
    assert coordinates[2, 1] == pytest.approx(5, abs=0.1)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] == pytest.approx(2 / ((points - points.mean(axis=0)) ** 2).sum())


def test_an_axis_without_a_length_is_refused() -> None:
    with pytest.raises(SettingError, match="the same vector"):
        own_axis(RANDOM, RANDOM[0], RANDOM[0])
    with pytest.raises(SettingError, match="two ends"):
        project(RANDOM, ProjectionSettings("axis"))


@pytest.mark.parametrize(
    ("settings", "n_points", "used"),
    [
        (ProjectionSettings("tsne", perplexity=30), 31, ProjectionSettings("tsne", perplexity=10)),
        (ProjectionSettings("tsne", perplexity=5), 31, ProjectionSettings("tsne", perplexity=5)),
        (ProjectionSettings("umap", n_neighbors=15), 10, ProjectionSettings("umap", n_neighbors=9)),
        # What a method does not read does not make another picture.
        (ProjectionSettings("pca", perplexity=9, n_neighbors=9, seed=9), 31, ProjectionSettings("pca")),
    ],
)
def test_settings_are_fitted_to_the_points(
    settings: ProjectionSettings, n_points: int, used: ProjectionSettings
) -> None:
    assert settings_for(settings, n_points) == used


@pytest.mark.parametrize(("method", "least"), [("pca", 2), ("tsne", 4), ("umap", 6)])
def test_too_few_points_are_refused_with_both_numbers(method: str, least: int) -> None:
    settings = ProjectionSettings(method)
    settings_for(settings, least)
    with pytest.raises(SettingError, match=f"at least {least} points; here (is|are) {least - 1}"):
        settings_for(settings, least - 1)


def test_fewer_points_than_neighbours_count_all_others() -> None:
    assert nearest(RANDOM[:4], "cosine").indices.shape == (4, 3)
    assert nearest(RANDOM[:4], "cosine").by_chance == 1


def test_constant_single_and_broken_points_are_refused() -> None:
    with pytest.raises(SettingError, match="All 3 vectors are the same"):
        project(np.ones((3, 4)), ProjectionSettings())
    with pytest.raises(SettingError, match="nothing to be compared with"):
        project(RANDOM[:1], ProjectionSettings())
    with pytest.raises(SettingError, match="not finite"):
        project(np.full((3, 4), np.nan), ProjectionSettings())
    with pytest.raises(SettingError, match=r"5,001 points are too many"):
        project(np.zeros((5_001, 1)), ProjectionSettings())


def test_unknown_settings_are_refused() -> None:
    for wrong in ({"method": "lda"}, {"n_axes": 4}, {"distance": "manhattan"}):
        with pytest.raises(SettingError):
            settings_for(ProjectionSettings(**wrong), 31)  # type: ignore[arg-type]


class _Gone(BaseException):
    """What a listener raises whose visitor has gone."""


def test_tsne_tells_every_step_and_ends_at_the_next_when_nobody_waits() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    settings = ProjectionSettings("tsne", perplexity=3.0)
    told: list[float | None] = []
    with listening(told.append):
        project(vectors, settings)
    steps = [round(1_000 * done) for done in told if done is not None]
    assert steps == [*range(1, len(steps) + 1)]
    assert len(steps) > 250  # it may end early, where it makes no progress
    told.clear()

    def leave(done: float | None) -> None:
        told.append(done)
        if len(told) == 3:
            raise _Gone

    with pytest.raises(_Gone), listening(leave):
        project(vectors, settings)
    assert told == [0.001, 0.002, 0.003]


def test_long_work_with_numba_steps_aside_for_who_waits() -> None:
    numba, order = projection._Numba(), []
    begun, waits = threading.Event(), threading.Event()

    def short() -> None:
        assert begun.wait(10)
        waits.set()
        with numba.mine():
            order.append("short")

    other = threading.Thread(target=short, daemon=True)
    other.start()
    with numba.mine():
        begun.set()
        assert waits.wait(10)
        while len(numba.line) < 2:
            pass
        order.append("long begins")
        numba.step_aside()
        order.append("long ends")
        numba.step_aside()  # nobody else is there
    other.join(10)
    assert order == ["long begins", "short", "long ends"]
    assert not numba.line


def test_who_is_gone_leaves_numba_s_line() -> None:
    numba, ended = projection._Numba(), []

    def leave(done: float | None) -> None:
        raise _Gone

    def wait() -> None:
        try:
            with listening(leave), numba.mine():
                ended.append("had it")
        except _Gone:
            ended.append("gone")

    with numba.mine():
        other = threading.Thread(target=wait, daemon=True)
        other.start()
        other.join(10)
        assert ended == ["gone"]
        assert len(numba.line) == 1
    assert not numba.line
