"""The picture of a projection: names where there is room, the selected point's lines, what is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.io as pio
import pytest

from model_runtime.records import ProjectionSettings
from model_runtime.vectors.projection import nearest, project
from viz.vectors.projection import (
    MOST_NAMES,
    MOST_NAMES_3D,
    ProjectionMap,
    axis_words,
    found_points,
    found_words,
    kept_words,
    named_points,
    order_words,
    projection_record,
    selected_words,
    shared_ranges,
)
from viz.vectors.projection_figure import projection_figure

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [9, 9, 1], [9, 8, 0]], dtype=np.float32)
LABELS = ("cat", " Cat", "cattle", "<b>", "$x$")


def record(
    vectors: np.ndarray = POINTS, labels: tuple[str, ...] = LABELS, n_axes: int = 2, **more: Any
) -> ProjectionMap:
    near = nearest(vectors, "euclidean", k=2)
    groups = [at % 2 for at in range(len(labels))]
    method = "axis" if "ends" in more else "pca"
    ends = (vectors[0], vectors[3]) if method == "axis" else None
    placed = project(vectors, ProjectionSettings(method, n_axes, "euclidean"), near, ends)
    return projection_record(placed, near, labels, groups, ("even", "odd"), **more)


def test_a_search_prefers_the_word_itself() -> None:
    assert found_points(LABELS, "CAT ") == (0, 1)
    assert found_points(LABELS, "att") == (2,)
    assert found_points(LABELS, "  ") == ()
    assert found_words(record(find="zebra"), "zebra") == "None of the 5 points is or has “zebra”."
    assert found_words(record(find="cat"), "cat") == "Found and ringed: “cat”, “·Cat”."


def test_names_do_not_lie_on_one_another_and_the_first_come_first() -> None:
    together = np.zeros((3, 2))
    assert named_points(together, ("a", "b", "c"), [2]) == (2,)
    apart = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert named_points(apart, ("a", "b", "c"), []) == (0, 1, 2)
    many = np.random.default_rng(0).normal(size=(2_000, 3))
    labels = tuple(str(at) for at in range(2_000))
    assert len(named_points(many[:, :2], labels, [5])) <= MOST_NAMES
    assert 5 in named_points(many[:, :2], labels, [5])
    assert len(named_points(many, labels, [5])) == MOST_NAMES_3D


def test_the_selected_point_is_joined_to_its_neighbours() -> None:
    drawn = record(selected=0)
    assert drawn.selected is not None
    assert drawn.selected.neighbours == (1, 2)
    assert drawn.selected.distances == pytest.approx((1, 2))
    lines = [trace for trace in projection_figure(drawn).figure.data if trace.mode == "lines"]
    assert sum(np.isnan(line.x).sum() for line in lines) == 2  # one break after each
    assert "Nearest to “cat” in the full space, by Euclid's distance: “·Cat” (1)" in selected_words(drawn)
    assert "Choose a point" in selected_words(record())


def test_every_point_is_drawn_once_with_its_index() -> None:
    for n_axes in (2, 3):
        figure = projection_figure(record(n_axes=n_axes)).figure
        points = [trace for trace in figure.data if trace.customdata is not None]
        assert sorted(index for trace in points for index in trace.customdata) == [0, 1, 2, 3, 4]
        assert {trace.type for trace in figure.data} == {"scatter3d" if n_axes == 3 else "scatter"}


def test_hostile_labels_are_inert() -> None:
    for drawn in (projection_figure(record()).figure, projection_figure(record(n_axes=3)).figure):
        texts = [text for trace in drawn.data if trace.text is not None for text in trace.text]
        assert "&lt;b&gt;" in texts
        assert not any("<" in text or "$" in text for text in texts)


def test_the_own_axis_says_where_groups_stand() -> None:
    drawn = record(ends=("left", "<right>"))
    assert axis_words(drawn).startswith("On the way from “left” (0) to “<right>” (1), on average: ")
    figure = projection_figure(drawn).figure
    assert [note.text for note in figure.layout.annotations] == ["← left", "&lt;right&gt; →"]
    assert figure.layout.yaxis.scaleanchor is None
    assert projection_figure(record()).figure.layout.yaxis.scaleanchor == "x"


def test_what_is_kept_is_said_beside_chance() -> None:
    assert "66.8\xa0%" in kept_words(0.668, 0.204, 10)
    assert "20.4\xa0%" in kept_words(0.668, 0.204, 10)
    assert kept_words(1, 1, 3).startswith("There are only 4 points")
    drawn = projection_figure(record(selected=0))
    assert drawn.figure.layout.title.text.startswith("PCA: ")
    assert "of the variance" in drawn.alt
    assert drawn.table["point"] == ["cat", "·Cat", "cattle", "<b>", "$x$"]


def test_two_runs_share_their_axes() -> None:
    one, other = record(), record(vectors=POINTS * 3)
    (low, high), _ = shared_ranges([one, other])
    assert low < min(other.places[0]) < max(other.places[0]) < high


def test_five_thousand_points_are_a_small_figure() -> None:
    places = np.random.default_rng(0).normal(size=(5_000, 3)).astype(np.float32)
    labels = tuple(f"token {at}" for at in range(5_000))
    for n_axes in (2, 3):
        drawn = projection_figure(record(vectors=places, labels=labels, n_axes=n_axes, selected=7))
        assert drawn.narrow_figure is not None
        sent = sum(len(pio.to_json(figure) or "") for figure in (drawn.figure, drawn.narrow_figure))
        assert sent < 500_000


def test_the_order_of_a_vocabulary_in_words() -> None:
    assert "order in which it learned them" in order_words("BPE")
    assert "likeliest first" in order_words("Unigram")
    assert "does not say" in order_words(None)
