"""Points in fewer dimensions, their neighbours, and one word in several sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_runtime.records.tokens import Token


@dataclass(frozen=True)
class ProjectionSettings:
    """How points are projected.

    distance: "cosine" compares directions (PCA and the own axis then read vectors scaled to length 1),
        "euclidean" the vectors as they are.
    perplexity: about how many neighbours t-SNE keeps each point near to (van der Maaten and Hinton 2008).
    n_neighbors, min_dist: UMAP's neighbours, and how close points may lie (McInnes et al. 2018).
    """

    method: str = "pca"
    n_axes: int = 2
    distance: str = "cosine"
    perplexity: float = 30.0
    n_neighbors: int = 15
    min_dist: float = 0.1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest other points of each point in the full space, nearest first.

    indices int32 [point, neighbour]; distances float32 [point, neighbour]: 1 - cosine, or Euclid's.
    """

    distance: str
    indices: np.ndarray
    distances: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.indices.nbytes + self.distances.nbytes

    @property
    def by_chance(self) -> float:
        """The share of neighbours that a picture of points strewn at random would keep: k / (n - 1)."""
        n_points, k = self.indices.shape
        return k / (n_points - 1)


@dataclass(frozen=True, eq=False)
class Projection:
    """Points in a picture, and what the picture keeps.

    coordinates: float32 [point, axis].
    explained: share of the variance that lies along each axis; None for t-SNE and UMAP, whose axes mean
        nothing.
    drawn: int32 [point, neighbour], the nearest other points in the picture, nearest first.
    kept: float32 [point], the share of its nearest neighbours in the full space that are among its nearest
        in the picture.
    settings: as used, with what the number of points allows.
    """

    settings: ProjectionSettings
    coordinates: np.ndarray
    explained: tuple[float, ...] | None
    drawn: np.ndarray
    kept: np.ndarray
    seconds: float

    @property
    def nbytes(self) -> int:
        return self.coordinates.nbytes + self.drawn.nbytes + self.kept.nbytes

    @property
    def mean_kept(self) -> float:
        return float(self.kept.mean(dtype=np.float64))


@dataclass(frozen=True)
class Occurrence:
    """Where a word stands in a sentence.

    text: the word as it is written there. n_times: how often it occurs; the last one is taken, which has
    read the most. positions: of its tokens; the last of them, `position`, has read the whole word.
    """

    sentence: str
    text: str
    n_times: int
    positions: tuple[int, ...]
    tokens: tuple[Token, ...]

    @property
    def position(self) -> int:
        return self.positions[-1]


@dataclass(frozen=True, eq=False)
class Senses:
    """One word's vectors in several sentences. Depth 0 is the embedding, depth l + 1 the output of block l.

    vectors: float32 [sentence, depth, d_model].
    cosines: float32 [pair, depth], of the pairs in `pairs` (sentence, sentence).
    baseline, low, high: float32 [depth], mean cosine of unrelated tokens, and the bounds that nine of ten
        pairs lie within; None where the sentences have no others. `n_unrelated` pairs were compared: tokens
        of different sentences, unequal ones, neither a word's nor the first of its sentence.
    lengths: float32 [sentence, depth], of the vectors.
    """

    occurrences: tuple[Occurrence, ...]
    vectors: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    cosines: np.ndarray
    baseline: np.ndarray | None
    low: np.ndarray | None
    high: np.ndarray | None
    n_unrelated: int

    @property
    def lengths(self) -> np.ndarray:
        return np.linalg.norm(self.vectors, axis=-1)

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes + self.cosines.nbytes


@dataclass(frozen=True, eq=False)
class SensePaths:
    """The vectors of `Senses` in the plane that holds most of their variance, all depths in one.

    coordinates: float32 [sentence, depth, axis]; explained: share of the variance along each axis.
    unit: of vectors scaled to length 1; apart: less the mean over the sentences at each depth.
    """

    coordinates: np.ndarray
    explained: tuple[float, ...]
    unit: bool
    apart: bool
