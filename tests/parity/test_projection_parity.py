"""Projections against scikit-learn and umap-learn called bare with the same seed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from model_runtime.records import ProjectionSettings
from model_runtime.steps import listening
from model_runtime.vectors.projection import nearest, pca, project

VECTORS = np.random.default_rng(3).normal(size=(60, 24)).astype(np.float32) * np.linspace(3, 1, 24)


@pytest.mark.parametrize("n_points", [60, 15])
def test_pca_is_scikit_learn_s(n_points: int) -> None:
    from sklearn.decomposition import PCA

    points = VECTORS[:n_points].astype(np.float64)
    bare = PCA(3, svd_solver="full")
    expected = bare.fit_transform(points)
    coordinates, explained = pca(points, 3)
    assert coordinates == pytest.approx(expected, abs=1e-9)
    assert explained == pytest.approx(tuple(bare.explained_variance_ratio_), abs=1e-12)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_neighbours_are_scikit_learn_s(distance: str) -> None:
    from sklearn.neighbors import NearestNeighbors

    bare = NearestNeighbors(n_neighbors=10, metric=distance).fit(VECTORS.astype(np.float64))
    distances, indices = bare.kneighbors()
    near = nearest(VECTORS, distance)
    assert np.array_equal(near.indices, indices)
    assert near.distances == pytest.approx(distances, abs=1e-5)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_tsne_is_scikit_learn_s_to_the_bit(distance: str) -> None:
    from sklearn.manifold import TSNE

    bare = TSNE(2, perplexity=12.0, metric=distance, random_state=7).fit_transform(VECTORS)
    ours = project(VECTORS, ProjectionSettings("tsne", 2, distance, perplexity=12.0, seed=7))
    assert np.array_equal(ours.coordinates, bare)
    assert ours.explained is None


@pytest.mark.slow
def test_tsne_in_space_keeps_about_as_many_neighbours_as_in_the_plane() -> None:
    """With scikit-learn's own learning rate it keeps 76 of 100 here, where the plane keeps 95."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((5, 64)), 10, axis=0) + 0.8 * rng.standard_normal((50, 64))
    plane, space = (project(vectors, ProjectionSettings("tsne", n_axes, "cosine")) for n_axes in (2, 3))
    for found in (plane, space):
        near, drawn = (
            NearestNeighbors(n_neighbors=10, metric=metric).fit(points).kneighbors(return_distance=False)
            for metric, points in (("cosine", vectors), ("euclidean", found.coordinates))
        )
        kept = np.mean([len({*a} & {*b}) / 10 for a, b in zip(near, drawn, strict=True)])
        assert found.mean_kept == pytest.approx(kept)
    assert space.mean_kept > 0.85 * plane.mean_kept
    assert trustworthiness(vectors, space.coordinates, n_neighbors=10, metric="cosine") > 0.85


def test_umap_is_umap_learn_s_to_the_bit_from_two_threads_too() -> None:
    from umap import UMAP

    bare = UMAP(
        n_components=2, n_neighbors=8, min_dist=0.25, metric="cosine", random_state=7, n_jobs=1
    ).fit_transform(VECTORS)
    settings = ProjectionSettings("umap", n_neighbors=8, min_dist=0.25, seed=7)
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(project(VECTORS, settings).coordinates))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert all(np.array_equal(ours, bare) for ours in found)


@pytest.mark.slow
def test_umap_tells_how_far_it_is_and_ends_when_nobody_waits() -> None:
    told: list[float | None] = []

    class Gone(BaseException):
        pass

    def leave(done: float | None) -> None:
        told.append(done)
        if done is not None and done > 0.1:
            raise Gone

    with pytest.raises(Gone), listening(leave):
        project(VECTORS, ProjectionSettings("umap", n_neighbors=8, seed=7))
    assert told == [epoch / 500 for epoch in range(1, 52)]
