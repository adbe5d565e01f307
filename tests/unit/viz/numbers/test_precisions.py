"""Three formats as pictures: titles that say what broke, and infinities apart from numbers."""

from __future__ import annotations

import numpy as np
import pytest

from viz.numbers.precision_counts import lost_counts_figure, lost_counts_record, lost_title
from viz.numbers.precision_lines import errors_record, errors_title, largest_record, largest_title
from viz.numbers.precision_lines_figure import errors_figure, largest_figure
from viz.output.three_distributions import three_distributions_figure, three_distributions_record, three_title

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
    assert any(note.text == "fp16 NaN" for note in figure.layout.annotations)
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


def test_distributions_stand_in_the_same_rows() -> None:
    fp32, bf16 = np.array([3.0, 2.9, 0, -1, -5]), np.array([2.9, 3.0, 0, -1, -5])
    record = three_distributions_record({"fp32": fp32, "bf16": bf16, "fp16": fp32}, {}, text_of, most=3)
    assert record is not None
    assert record.token_ids == (0, 1, 2)
    for one, logits in zip(record.formats, (fp32, bf16, fp32), strict=True):
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(one.shares, expected[:3], rtol=1e-6)
        assert one.rest == pytest.approx(expected[3:].sum(), rel=1e-5)
    p, q = (np.exp(x) / np.exp(x).sum() for x in (fp32, bf16))
    change = record.formats[1].change
    assert change is not None
    assert change.divergence == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-6)
    assert three_title(record).startswith("bf16 prefers “·b” to “a”; fp16 moves 0\xa0%")
    drawn = three_distributions_figure(record)
    assert "<b>" not in "".join(drawn.figure.layout.yaxis.ticktext)
    assert drawn.table["probability, bf16"][0] == record.formats[1].shares[0]
    flat = three_distributions_record({"fp32": np.zeros(5)}, {}, text_of, most=2)
    assert flat is not None
    assert flat.top == pytest.approx(0.6)  # all others together are the longest bar
    layout = drawn.figure.layout
    assert layout.xaxis.range == layout.xaxis2.range == layout.xaxis3.range


def test_a_broken_format_has_no_bars_and_says_why() -> None:
    good, bad = np.array([1.0, 2, 0, 0, 0]), np.full(5, NAN)
    why = {"fp16": "5 of the model's 5 logits are not finite: there is no distribution."}
    record = three_distributions_record({"fp32": good, "bf16": good, "fp16": bad}, why, text_of)
    assert record is not None
    assert three_title(record) == "fp16 has no distribution left; bf16 moves 0\xa0% of the probability"
    drawn = three_distributions_figure(record)
    assert len(drawn.figure.data[2].x) == 0
    assert any("no distribution" in note.text for note in drawn.figure.layout.annotations)
    assert set(drawn.table["probability, fp16"]) == {"no distribution"}
    assert why["fp16"] in drawn.alt
    # Without fp32 there is nothing to compare with; without any, nothing to draw.
    alone = three_distributions_record({"fp32": bad, "bf16": good}, {"fp32": "broken"}, text_of)
    assert alone is not None
    assert three_title(alone) == "fp32 has no distribution left"
    assert three_distributions_record({"fp32": bad}, {"fp32": "broken"}, text_of) is None
