"""Rows, rankings and word matrices as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from viz.vectors.table import (
    ranked_tokens_figure,
    ranked_tokens_record,
    row_strip_figure,
    row_strip_record,
    strip_title,
)
from viz.vectors.words import word_similarity_figure, word_similarity_record


@pytest.mark.parametrize("n", [32, 64, 100, 576, 4096])
def test_every_number_has_its_cell(n: int) -> None:
    values = np.arange(n, dtype=np.float32) - n / 2
    record = row_strip_record(" a<b>", 3, values)
    drawn = row_strip_figure(record)
    for figure in (drawn.figure, drawn.narrow_figure):
        assert figure is not None
        cells = np.asarray(figure.data[0].z).ravel()
        np.testing.assert_array_equal(cells[:n], values)
        assert np.isnan(cells[n:]).all()
        assert (figure.data[0].zmin, figure.data[0].zmax) == (-n / 2, n / 2)
    assert "<b>" not in drawn.figure.layout.title.text
    assert strip_title(record).startswith("“·a<b>” is row 3: ")
    assert drawn.table["value"] == values.tolist()


def test_a_ranking_starts_at_nought_and_marks_what_went_in() -> None:
    record = ranked_tokens_record("Near", "cosine", [4, 9], [" x", "y"], [0.8, -0.1], marked=[9])
    bar = ranked_tokens_figure(record).figure.data[0]
    assert list(bar.customdata) == [4, 9]
    assert list(bar.marker.pattern.shape) == ["", "/"]
    axis = ranked_tokens_figure(record).figure.layout.xaxis.range
    assert axis[0] == pytest.approx(-0.11)
    assert axis[1] == pytest.approx(1.05)
    assert ranked_tokens_figure(ranked_tokens_record("Near", "euclidean", [], [], [])).table["id"] == []


def test_the_most_alike_are_named_and_large_matrices_have_no_numbers() -> None:
    cosines = np.array([[1, 0.2, 0.9], [0.2, 1, 0.1], [0.9, 0.1, 1]])
    record = word_similarity_record(["a", "<i>", "c"], cosines)
    assert record.title == "Most alike: “a” and “c”, cosine 0.900"
    drawn = word_similarity_figure(record)
    assert list(drawn.figure.data[0].text[0]) == ["1.00", "0.20", "0.90"]
    assert "<i>" not in drawn.figure.layout.xaxis.ticktext
    many = word_similarity_figure(word_similarity_record([f"w{i}" for i in range(20)], np.eye(20)))
    assert set(many.figure.data[0].text[0]) == {""}
    # Words whose vectors have no direction are alike to nothing.
    assert word_similarity_record(["a", "b"], np.full((2, 2), np.nan)).nearest is None
