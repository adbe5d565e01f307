"""Groups of heads, how much alike they read, the cache in bytes."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.records import HeadOverlap
from viz.attention.cache_sizes import (
    CacheSizes,
    cache_sentence,
    cache_sizes_figure,
    cache_sizes_record,
    tops_of,
)
from viz.attention.groups import (
    group_overlap_figure,
    group_overlap_record,
    key_groups_figure,
    key_groups_record,
    overlap_sentence,
    schemes_of,
)

OVERLAP = np.array([[1, 0.8, 0.2, 0.1], [0.8, 1, 0.3, 0.2], [0.2, 0.3, 1, 0.4], [0.1, 0.2, 0.4, 1]])


def overlap(values: np.ndarray, n_kv_heads: int):  # type: ignore[no-untyped-def]
    return group_overlap_record(HeadOverlap(values, 7, 0.5), n_kv_heads, layer=2, head=1)


def test_which_head_reads_which_keys() -> None:
    own = key_groups_record(9, 3, head=4).own
    assert [own.kv_of(head) for head in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [scheme.own for scheme in schemes_of(8, 1)] == [False, True]
    assert [scheme.name for scheme in schemes_of(1, 1)] == ["Multi-head"]


def test_overlap_within_and_between_groups() -> None:
    record = overlap(OVERLAP, 2)
    assert record.within == pytest.approx((0.8 + 0.4) / 2)
    assert record.between == pytest.approx((0.2 + 0.1 + 0.3 + 0.2) / 4)
    assert overlap_sentence(record).endswith("heads of one group read more alike.")


def test_overlap_where_there_is_nothing_to_compare() -> None:
    assert overlap(OVERLAP, 4).within is None
    assert overlap(OVERLAP, 1).between is None
    blank = overlap(np.full((2, 2), np.nan), 1)
    assert (blank.within, blank.between, blank.overlap) == (None, None, ((None, None), (None, None)))
    assert overlap_sentence(blank).startswith("There is nothing to compare")
    group_overlap_figure(blank)


def test_the_figure_frames_groups_and_marks_the_head() -> None:
    figure = group_overlap_figure(overlap(OVERLAP, 2)).figure
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(-0.5, 1.5), (1.5, 3.5)]
    assert figure.layout.xaxis.ticktext[1] == "<b>H1</b>"
    bar = figure.data[0].colorbar
    assert (bar.ticktext[-1], bar.ticklabeloverflow) == ("100\xa0%", "allow")  # plotly would drop it
    assert not group_overlap_figure(overlap(OVERLAP, 4)).figure.layout.shapes


@pytest.mark.parametrize(("n_heads", "n_kv_heads"), [(9, 3), (12, 12), (8, 1), (64, 8), (1, 1)])
def test_groups_are_drawn_for_any_model(n_heads: int, n_kv_heads: int) -> None:
    drawn = key_groups_figure(key_groups_record(n_heads, n_kv_heads, head=n_heads - 1))
    queries = [trace for trace in drawn.figure.data if (trace.name or "").startswith("queries")]
    assert len(queries) == len(schemes_of(n_heads, n_kv_heads))
    assert all(list(trace.customdata) == list(range(n_heads)) for trace in queries)
    assert all(trace.marker.line.width[-1] == 3 for trace in queries)
    assert sum("this model" in note.text for note in drawn.figure.layout.annotations) == 1


def sizes(n_heads: int = 4, n_kv_heads: int = 2) -> CacheSizes:
    lengths = (("1 token", 1), ("all", 100))
    n_bytes = {(kv, n): 8 * kv * n for kv in (n_heads, n_kv_heads, 1) for _, n in lengths}
    return cache_sizes_record(n_bytes, n_heads, n_kv_heads, lengths, "float32")


def test_bytes_by_scheme_and_length() -> None:
    record = sizes()
    assert record.n_bytes == ((32, 3200), (16, 1600), (8, 800))
    assert record.tops == (32, 3200)
    assert tops_of(record.n_bytes, ((99, 5),)) == (99, 3200)
    assert cache_sentence(record) == (
        "With 2 key and value heads for 4 query heads the cache takes 16\xa0bytes for 1 token, 1.60\xa0kB "
        "for all: "
        "2 times less than multi-head attention."
    )
    assert cache_sentence(sizes(4, 4)).startswith("This model has plain multi-head attention: 4")


def test_bars_start_at_zero_and_the_own_one_is_outlined() -> None:
    figure = cache_sizes_figure(sizes()).figure
    bars = figure.data[0]
    assert list(bars.x) == [32, 16, 8]
    assert list(bars.marker.line.width) == [0, 2, 0]
    assert list(figure.layout.xaxis.range) == [0, 40]
    assert "16\xa0bytes" in figure.data[1].text[1]
