"""Three formats as pictures: titles that say what broke, and infinities apart from numbers."""

from __future__ import annotations

import numpy as np

from viz.numbers.precision_counts import lost_counts_figure, lost_counts_record, lost_title
from viz.numbers.precision_lines import errors_record, errors_title, largest_record, largest_title
from viz.numbers.precision_lines_figure import errors_figure, largest_figure

INF, NAN = np.inf, np.nan
CALM = {
    "fp32": np.array([1.0, 200, 300]),
    "bf16": np.array([1.0, 201, 304]),
    "fp16": np.array([1.0, 200, 300]),
}
BROKEN = {
    "fp32": np.array([1.0, 200, 1e6]),
    "bf16": np.array([1.0, 201, 1e6]),
    "fp16": np.array([1.0, INF, NAN]),
}


def text_of(token_id: int) -> str:
    return ["a", " b", "<b>", "d", "e"][token_id]


def test_the_largest_number_and_how_much_of_fp16_it_takes() -> None:
    title = largest_title(largest_record(CALM, 65504.0, 0))
    assert title == "Largest number in the stream: 300, after layer 1; 0.458\xa0% of what fp16 can hold"
    drawn = largest_figure(largest_record(CALM, 65504.0, 0))
    assert [trace.name for trace in drawn.figure.data] == ["fp32", "bf16", "fp16"]
    assert list(drawn.figure.data[0].customdata) == [-1, 0, 1]
    assert drawn.table["place"] == ["embedding", "layer 0", "layer 1"]
    assert any(shape.y0 == 65504.0 for shape in drawn.figure.layout.shapes)
    assert any("65,504" in note.text for note in drawn.figure.layout.annotations)
    assert drawn.narrow_figure is not None


def test_infinity_is_a_mark_above_every_number() -> None:
    record = largest_record(BROKEN, 65504.0, None)
    assert largest_title(record) == "fp16 overflows in layer 0; fp32 and bf16 go on"
    figure = largest_figure(record).figure
    line = next(trace for trace in figure.data if trace.name == "fp16")
    marks = next(trace for trace in figure.data if trace.name == "fp16, not finite")
    assert list(line.y) == [1.0, None, None]
    assert list(marks.x) == [1, 2]
    assert list(marks.marker.symbol) == ["triangle-up", "x"]
    assert list(marks.text) == ["∞", ""]
    assert min(marks.y) > 1e6
    assert np.log10(max(marks.y)) < figure.layout.yaxis.range[1]
    (nan,) = (note for note in figure.layout.annotations if note.text == "fp16 NaN")
    (both,) = (note for note in figure.layout.annotations if note.text == "fp32,<br>bf16")
    assert abs(nan.y - both.y) > 1.4 * 16 / 212  # a line and a half of letters in a panel of 212 pixels
    assert "fp16 is infinite or no number from layer 0 on" in largest_figure(record).alt


def test_each_lost_format_has_its_own_place() -> None:
    lines = {**BROKEN, "fp32": np.array([INF, NAN, NAN])}
    title = largest_title(largest_record(lines, 65504.0, None))
    assert title == "fp32 overflows in embedding, fp16 overflows in layer 0; bf16 goes on"
    same = {**BROKEN, "fp32": np.array([1.0, INF, NAN])}
    assert largest_title(largest_record(same, 65504.0, None)) == (
        "fp32 and fp16 overflow in layer 0; bf16 goes on"
    )


def test_two_runs_share_axes_and_the_room_for_infinity() -> None:
    one, other = largest_record(CALM, 65504.0, 0, BROKEN), largest_record(BROKEN, 65504.0, 0, CALM)
    assert largest_figure(one).figure.layout.yaxis.range == largest_figure(other).figure.layout.yaxis.range
    rest, worse = {"bf16": np.array([0.01, 0.02])}, {"bf16": np.array([0.01, NAN])}
    first = errors_record(rest, rest, 0, worse, worse)
    second = errors_record(worse, worse, 0, rest, rest)
    assert errors_figure(first).figure.layout.yaxis.range == errors_figure(second).figure.layout.yaxis.range


def test_errors_say_where_a_format_ends() -> None:
    rest = {"bf16": np.array([0.001, 0.02, 0.05]), "fp16": np.array([0.001, 0.002, NAN])}
    first = {"bf16": np.array([0.001, 0.03, 0.07]), "fp16": np.array([0.001, NAN, NAN])}
    record = errors_record(rest, first, 1)
    assert (
        errors_title(record)
        == "After the last layer: bf16 is 5.00\xa0% off; fp16 is no number from layer 1 on"
    )
    names = [trace.name for trace in errors_figure(record).figure.data]
    assert names == ["bf16", "fp16", "fp16, not finite", "bf16, first token", "fp16, first token"]


def test_one_token_is_drawn_as_the_first() -> None:
    nothing = {"bf16": np.array([NAN, NAN])}
    record = errors_record(nothing, {"bf16": np.array([0.01, 0.04])}, None)
    assert errors_title(record) == "After the last layer: bf16 is 4.00\xa0% off"
    assert [trace.name for trace in errors_figure(record).figure.data] == ["bf16"]
    assert not record.strip


def test_a_format_broken_from_the_start_and_an_exact_one_draw() -> None:
    lines = {"fp32": np.array([NAN, NAN]), "bf16": np.array([0.0, 0.0]), "fp16": np.array([INF, NAN])}
    assert "fp32 and fp16 overflow in embedding" in largest_figure(largest_record(lines, 65504.0, 0)).alt
    errors = {"bf16": np.array([0.0, 0.0])}
    assert "0\xa0% off" in errors_title(errors_record(errors, errors, 0))
    errors_figure(errors_record(errors, errors, 0))


def test_counts_keep_the_columns_that_have_any() -> None:
    fp16 = np.array([[0, 0, 0, 0], [0, 0, 12, 0], [0, 0, 3, 1]])
    record = lost_counts_record({"bf16": np.zeros((3, 4), int), "fp16": fp16}, [100, 300, 300])
    assert record.columns == (("fp16", "subnormal"), ("fp16", "zero"))
    assert record.totals == (15, 1)
    assert lost_title(record) == "Too small or cancelled: 2.29\xa0% of the values in fp16"
    drawn = lost_counts_figure(record)
    assert drawn.table["fp16, subnormal"] == [0, 12, 3]
    assert drawn.table["layer"] == ["embedding", "layer 0", "layer 1"]
    heat = drawn.figure.data[0]
    assert heat.text[1][0] == "12"
    assert heat.text[0][0] == "·"
    np.testing.assert_allclose(heat.z[1], [12 / 300, 0])
    broken = lost_counts_record({"fp16": np.array([[1, 6, 0, 0]])}, [70])
    assert lost_title(broken) == "fp16: 10.0\xa0% of all values infinite or NaN"
    assert not lost_counts_record({"fp16": np.zeros((3, 4), int)}, [1, 1, 1]).columns
