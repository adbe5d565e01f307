"""Records, words and figures of the arithmetic of experts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from viz.moe.sizes import (
    CalculatorRecord,
    SizeRow,
    calculator_title,
    sizes_record,
    sizes_sentence,
    work_sentence,
)
from viz.moe.sizes_figure import calculator_figure, memory_figure, sizes_figure

MIXTRAL = SizeRow("Mixtral 8x7B", 46_702_792_704, 12_879_925_248, 12_748_587_008, 8, 2, False)
OTHER = SizeRow("Other", 40_000_000_000, 10_000_000_000, 9_900_000_000, 8, 2, False)
DENSE = SizeRow("<i>Tiny</i> $x$", 1_000_000, 1_000_000, 900_000, 0, 0, True)


def test_rows_are_sorted_and_once() -> None:
    record = sizes_record([MIXTRAL, DENSE, DENSE])
    assert record.rows == (DENSE, MIXTRAL)
    assert record.own == (DENSE,)


def test_sentences() -> None:
    words = sizes_sentence(MIXTRAL)
    assert "46.7\u00a0B parameters in memory and uses 12.9\u00a0B of them (27.6\u00a0%)" in words
    assert "3.63 times less memory" in work_sentence(MIXTRAL)
    assert sizes_sentence(DENSE).endswith("Total = active.")
    assert work_sentence(DENSE).endswith("about one for every parameter.")


def test_a_bar_from_active_to_total() -> None:
    drawn = sizes_figure(sizes_record([MIXTRAL, DENSE]))
    between = [trace for trace in drawn.figure.data if trace.name == "between"]
    assert [list(trace.x) for trace in between] == [
        [1_000_000, 1_000_000],
        [MIXTRAL.active, MIXTRAL.total],
    ]
    assert drawn.figure.layout.xaxis.type == "log"
    assert "<i>" not in str(drawn.figure.to_json())
    assert drawn.table["active parameters"] == [1_000_000, MIXTRAL.active]


def test_memory_against_work_has_the_dense_line() -> None:
    drawn = memory_figure(sizes_record([MIXTRAL, OTHER, DENSE]))
    line, published, loaded = drawn.figure.data
    assert line.y[0] / line.x[0] == line.y[1] / line.x[1] == 2
    assert list(published.y) == [2 * OTHER.total, 2 * MIXTRAL.total]
    assert list(loaded.x) == [900_000]
    names = [note for note in drawn.figure.layout.annotations if note.showarrow]
    heights = [note.ay for note in names]
    assert len(names) == 2
    assert heights[1] - heights[0] > 0.3  # 0.07 decades apart, and moved so that both can be read


@pytest.mark.parametrize("least", [900_000, 12_000_000_000])
def test_published_names_have_room_at_the_left_of_the_narrowest_figure(least: int) -> None:
    own = replace(MIXTRAL, name="Mine", own=True, work=least)
    named = replace(OTHER, name="Qwen1.5-MoE-A2.7B")  # seventeen letters, of 11 pixels
    figure = memory_figure(sizes_record([own, named])).narrow_figure
    assert figure is not None
    name = next(note for note in figure.layout.annotations if note.showarrow)
    start, end = figure.layout.xaxis.range
    assert name.text == "Qwen1.5-MoE-A2.7B"
    assert (name.ax - start) / (end - start) * 260 >= 17 * 6


def calculator(**changes: int) -> CalculatorRecord:
    numbers = {"n_experts": 16, "k": 2, "d_ff": 64, "total": 2_000_000, "active": 1_000_000, "work": 900_000}
    return CalculatorRecord("Tiny", now=DENSE, **{**numbers, **changes})


def test_the_calculator_says_times() -> None:
    assert calculator_title(calculator()) == "16 experts, top-2, width 64: 2 × the memory, 1 × the work"
    assert calculator_title(calculator(n_experts=1, k=1)).startswith("One MLP, width 64")
    drawn = calculator_figure(calculator(), {"base": 5})
    assert [list(trace.x) for trace in drawn.figure.data] == [
        [1_000_000, 1_000_000, 900_000],
        [2_000_000, 1_000_000, 900_000],
    ]
    assert drawn.figure.layout.xaxis.range[1] == pytest.approx(2_400_000)
    assert drawn.browser_data["now"] == {"total": 1_000_000, "active": 1_000_000, "work": 900_000}
