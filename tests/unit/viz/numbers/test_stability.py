"""The figures of Stability: findings in titles, infinities and NaN where they are, one axis at every gain."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import pytest

from model_runtime.numbers.scaling_order import HeadSizes
from model_runtime.records.numbers import (
    ORDERS,
    BreakCurve,
    LengthErrors,
    Order,
    OrderReport,
    OrderResult,
    RowReport,
    RowResult,
    Way,
)
from viz.numbers.breaking_gains import (
    breaking_gains_figure,
    breaking_gains_record,
    breaking_title,
    heads_sentence,
)
from viz.numbers.order_patterns import MOST_TOKENS, order_patterns_figure, order_patterns_record
from viz.numbers.scaling_order import (
    OrderProducts,
    difference_words,
    order_products_figure,
    order_products_record,
    products_title,
)
from viz.numbers.softmax import (
    MOST_KEYS,
    SoftmaxBreaks,
    SoftmaxRows,
    breaks_title,
    rows_title,
    softmax_breaks_figure,
    softmax_rows_figure,
    softmax_rows_record,
)
from viz.numbers.sums import (
    errors_title,
    orders_title,
    sum_errors_figure,
    sum_errors_record,
    sum_orders_figure,
    sum_orders_record,
)

HOSTILE = "</script><b>$x$ %{y}"
Pair = tuple[OrderResult, OrderResult]  # in fp32 and in a narrow format


def row(meant: float, *, up: int = 0, down: int = 0, broken: int = 0, hidden: int = 0) -> Pair:
    """What an order hands on in fp32, and in fp16 with so many infinities."""
    largest = math.inf if up or down or hidden else meant
    pattern = np.zeros((9, 9), np.float32)
    return (
        OrderResult(meant, 0, 0, 0, 0, 45, (), pattern, 0.0),
        OrderResult(largest, up + down + hidden, up, down, 0, 45, tuple(range(broken)), pattern, 0.0004),
    )


def products(*pairs: Pair, gain: float = 4.0, number_format: str = "fp16") -> OrderProducts:
    results = {}
    for order, (wide, narrow) in zip(ORDERS, pairs, strict=True):
        results[order, "fp32"], results[order, number_format] = wide, narrow
    return order_products_record(
        OrderReport(1, 2, gain, "wide", 0.125, 64, results), number_format, (1.0, 128.0)
    )


def words(figure: go.Figure) -> str:
    return " ".join(note.text for note in figure.layout.annotations)


def test_products_say_which_order_breaks() -> None:
    fine = products(*(row(1000.0) for _ in ORDERS))
    assert products_title(fine) == "L1 H2 at gain 4: every order stays within fp16"
    broken = products(row(80_000.0, up=3, down=1, broken=2), row(10_000.0), row(10_000.0))
    assert products_title(broken) == "L1 H2 at gain 4: (q kᵀ) / √d overflows in fp16; dividing first does not"
    drawn = order_products_figure(broken)
    assert [trace.marker.symbol for trace in drawn.figure.data] == ["x", "circle", "circle"]
    assert "of 45 scores 3 are +∞ and 1 is −∞; 2 of 9 rows are NaN" in words(drawn.figure)
    assert drawn.table["largest in fp16"] == [math.inf, 10_000.0, 10_000.0]
    every = products(*(row(1e6, down=1) for _ in ORDERS))
    assert products_title(every) == "L1 H2 at gain 4: every order overflows in fp16"
    assert "their keys vanish" in words(order_products_figure(every).figure)
    two = products(row(1e6, up=1, broken=1), row(1e5, up=1, broken=1), row(1e4))
    assert products_title(two).endswith("(q kᵀ) / √d and q (k / √d)ᵀ overflow in fp16; the rest does not")


def test_an_overflow_that_a_soft_cap_hides_is_told() -> None:
    record = products(row(80_000.0, hidden=4), row(10_000.0), row(10_000.0))
    assert products_title(record) == "L1 H2 at gain 4: (q kᵀ) / √d overflows in fp16; dividing first does not"
    drawn = order_products_figure(record)
    assert "4 of 45 are infinite; the soft cap hides it" in words(drawn.figure)
    assert drawn.figure.data[0].marker.symbol == "x"


def test_the_axis_is_the_same_at_every_gain() -> None:
    ends = {
        tuple(
            order_products_figure(
                products(*(row(40.0 * gain**2) for _ in ORDERS), gain=gain)
            ).figure.layout.xaxis.range
        )
        for gain in (1.0, 8.0, 128.0)
    }
    assert len({tuple(round(end, 9) for end in pair) for pair in ends}) == 1


def patterns(reference: np.ndarray, narrow: dict[Order, np.ndarray], number_format: str) -> OrderReport:
    """A report of patterns: rows that are no number, and the largest difference in the others."""
    results = {("after", "fp32"): OrderResult(1.0, 0, 0, 0, 0, 1, (), reference, 0.0)}
    for order, pattern in narrow.items():
        gaps = np.abs(pattern - reference).max(1)
        whole = np.isfinite(gaps)
        off = float(gaps[whole].max()) if whole.any() else math.nan
        broken = tuple(np.flatnonzero(~whole).tolist())
        results[order, number_format] = OrderResult(1.0, 0, 0, 0, 0, 1, broken, pattern, off)
    return OrderReport(1, 2, 1.0, "wide", 0.125, 64, results)  # type: ignore[arg-type]


def test_patterns_mark_the_rows_that_are_no_number() -> None:
    whole = np.tril(np.full((4, 4), 0.25))
    lost = whole.copy()
    lost[2, :3] = np.nan
    report = patterns(whole, {"after": lost, "key": whole, "query": whole}, "fp16")
    record = order_patterns_record(report, ["a", "b", HOSTILE, "d"], 3, "fp16")
    assert record.finding == "(q kᵀ) / √d loses rows; the others are fp32's"
    drawn = order_patterns_figure(record)
    assert words(drawn.figure).count("NaN") == 1
    assert drawn.table["(q kᵀ) / √d, fp16"][3:6] == ["NaN"] * 3
    assert "</script>" not in drawn.figure.to_json().replace("<\\/script>", "")
    assert "&lt;/scri" in drawn.figure.layout.yaxis.ticktext[2]
    grey = [trace for trace in drawn.figure.data if not np.isnan(np.array(trace.z, dtype=float)).all()]
    assert len(grey) == 5  # four maps, and the grey rows of one


@pytest.mark.parametrize(("selected", "first"), [(10, 0), (60, 13), (99, 52)])
def test_long_prompts_show_a_window_with_the_selected_token(selected: int, first: int) -> None:
    pattern = np.tril(np.full((100, 100), 0.01))
    report = patterns(pattern, dict.fromkeys(ORDERS, pattern), "bf16")
    record = order_patterns_record(report, [str(n) for n in range(100)], selected, "bf16")
    assert (record.first, len(record.texts)) == (first, MOST_TOKENS)
    assert record.texts[selected - first] == str(selected)
    assert f"{first} tokens before them" in order_patterns_figure(record).alt or first == 0


def test_patterns_that_are_all_lost_or_all_whole() -> None:
    whole, lost = np.eye(2), np.array([[np.nan, 0], [np.nan, np.nan]])

    def finding(pattern: np.ndarray) -> str:
        report = patterns(whole, dict.fromkeys(ORDERS, pattern), "fp16")
        return order_patterns_record(report, ["a", "b"], 1, "fp16").finding

    assert finding(lost) == "No pattern in fp16 is whole"
    near = whole + np.array([[0, 0], [0.02, -0.02]])
    assert finding(near) == "All three patterns differ from fp32 by 2.00\u00a0% at most"


def test_breaking_gains_count_heads_and_name_the_first() -> None:
    after = np.array([[4.0, 8.0], [16.0, math.inf]])
    gains = {"after": after, "key": after * 2, "query": after * 2}
    record = breaking_gains_record(gains, (1, 4, 8, 16, 32), 8.0, 1)
    assert record.shares[0] == (0.0, 0.25, 0.5, 0.75, 0.75)
    assert record.first[0] == (4.0, 16.0)
    assert breaking_title(record) == "The first head leaves fp16 at gain 4; with the division first at 8"
    assert heads_sentence(record).startswith("Broken at gain 8, of 4 heads: 2 with (q kᵀ) / √d, 1 with")
    between = breaking_gains_record(gains, (1, 4, 8, 16, 32), 15.9, 1)  # nearer to 16, where a third breaks
    assert between.broken_now == (2, 1, 1)
    drawn = breaking_gains_figure(record)
    assert drawn.table["gain of the first head, q (k / √d)ᵀ"] == [8.0, 32.0]
    same = breaking_gains_record(dict.fromkeys(ORDERS, after), (1, 4), 1.0, 0)
    assert breaking_title(same).endswith("in any order")
    never = breaking_gains_record(dict.fromkeys(ORDERS, np.full((1, 1), math.inf)), (1, 4), 1.0, 0)
    assert breaking_title(never) == "No head leaves fp16 at any gain"
    assert breaking_gains_figure(never).figure.data


def test_heads_that_are_no_numbers_as_they_stand_are_not_said_to_be_whole() -> None:
    sizes = np.array([[100.0], [np.nan], [np.inf]])  # [layer, head]
    found = HeadSizes(sizes, np.ones_like(sizes), np.ones_like(sizes), np.full(3, 0.5))
    by_order = {order: found.breaking_gains(order) for order in ORDERS}
    np.testing.assert_allclose(by_order["after"].ravel(), [(65_520 / 100) ** 0.5, np.nan, np.nan])
    record = breaking_gains_record(by_order, (1, 16, 64), 1.0, 0)
    assert (record.n_heads, record.n_lost, record.shares[0]) == (1, 2, (0.0, 0.0, 1.0))
    assert breaking_title(record).startswith("The first head leaves fp16 at gain 25.6;")
    said = heads_sentence(record)
    assert said.startswith("At gain 1 the one head is not broken. 2 heads of layers with values")
    assert "(NaN)" in said
    assert breaking_gains_figure(record).figure.data[1].x == (record.first[0][0], None, None)


WAYS: tuple[Way, ...] = ((False, "narrow"), (False, "wide"), (True, "narrow"), (True, "wide"))


def softmax_rows(
    broken: tuple[bool, ...] = (True, True, False, False),
    texts: tuple[str, ...] = ("a", HOSTILE, "c"),
    keys: tuple[int, ...] = (0, 1, 2),
    exact: np.ndarray | None = None,
) -> SoftmaxRows:
    """All of the probability is on the first key; in broken ways its share is no number."""
    n = len(keys)
    results = {}
    for way, lost in zip(WAYS, broken, strict=True):
        shares = np.array([math.nan if lost else 1.0, *[0.0] * (n - 1)])
        results[way] = RowResult(shares, 1.0, shares, math.nan if lost else 2e-4)
    scores = np.array([108.0, 1.0, 2.0, *[0.0] * n])[:n]
    report = RowReport(np.array(keys), scores, np.eye(n)[0] if exact is None else exact, results)
    return softmax_rows_record(report, texts, query="c", number_format="fp16", gain=4.0)


def test_softmax_rows_say_which_ways_break() -> None:
    record = softmax_rows()
    assert rows_title(record) == "Largest score 108: naive, fp16 and naive, fp32 inside give no probabilities"
    drawn = softmax_rows_figure(record)
    assert [trace.texttemplate for trace in drawn.figure.data] == ["%{text}", "%{text}"]
    assert np.array(drawn.figure.data[0].text)[1:3, 0].tolist() == ["NaN", "NaN"]
    assert drawn.table["naive, fp16"] == ["NaN", 0.0, 0.0]
    fine = softmax_rows((False,) * 4)
    assert rows_title(fine).endswith("every share right to 2.00 × 10⁻⁴ of the largest")
    assert len(softmax_rows_figure(fine).figure.data) == 1
    gone = softmax_rows((True,) * 4)
    assert "no way survives" in rows_title(gone)


def test_softmax_rows_draw_the_likeliest_keys_in_order() -> None:
    exact = np.linspace(0, 1, 40) / 20
    record = softmax_rows(keys=tuple(range(40)), texts=tuple(f"t{n}" for n in range(40)), exact=exact)
    assert record.keys == tuple(range(40 - MOST_KEYS, 40))
    assert len(record.report.keys) == 40


def test_tokens_that_come_twice_are_named_with_their_position() -> None:
    assert softmax_rows(texts=("a", "b", "a")).texts == ("a 0", "b", "a 2")


def test_keys_of_a_window_have_their_own_names() -> None:
    record = softmax_rows(keys=(4, 5, 7), texts=tuple(f"t{n}" for n in range(8)))
    assert record.texts == ("t4", "t5", "t7")
    assert softmax_rows_figure(record).table["key"] == [4, 5, 7]


def test_softmax_breaks_name_the_first_gain() -> None:
    curves = [np.array(row) for row in ([0, 0.5, 1], [0, 0, 1.0], [0, 0, 0.0], [0, 0, 0.0])]
    errors = [np.array([1e-4, np.nan, np.nan])] * 4
    by_way = (dict(zip(WAYS, rows, strict=True)) for rows in (curves, errors))
    record = SoftmaxBreaks(BreakCurve((1, 2, 4), *by_way, n_rows=9), "fp16", 2.0)  # type: ignore[misc]
    title = breaks_title(record)
    assert title == "Broken: naive, fp16 by gain 2; naive, fp32 inside by gain 4; shifted never"
    drawn = softmax_breaks_figure(record)
    assert drawn.table["largest error, naive, fp16"] == [1e-4, "", ""]
    assert len({trace.line.dash for trace in drawn.figure.data}) == 4


def test_sums_mark_what_overflowed() -> None:
    errors = {"fp16 in order": np.array([1e-4, math.inf]), "fp32 in order": np.array([0.0, 1e-7])}
    sums = {"fp16 in order": math.inf, "fp32 in order": 70_000.0}
    record = sum_errors_record(LengthErrors((1, 2), errors, sums, 70_000.0), "Squares")
    assert errors_title(record) == "Squares: fp16 in order overflows"
    drawn = sum_errors_figure(record)
    crosses = [trace for trace in drawn.figure.data if trace.marker.symbol == "x"]
    assert [list(trace.x) for trace in crosses] == [[2]]
    assert drawn.table["error, fp16 in order"] == [1e-4, "infinite"]
    errors = {"a": np.array([0.01]), "b": np.array([1e-7])}
    fine = sum_errors_record(LengthErrors((1,), errors, {"a": 0.95, "b": 1.0}, 1.0), "S")
    assert errors_title(fine) == "S: a is wrong by 5.00\u00a0%"  # of the sum, not of the sum of sizes
    exact = sum_errors_record(LengthErrors((1,), {"a": np.array([0.0])}, {"a": 0.0}, 0.0), "S")
    assert sum_errors_figure(exact).figure.data


def test_sums_in_several_orders() -> None:
    record = sum_orders_record({"up": 1.0, "down": 1.0 + 2**-22}, 1.0)
    assert record.steps == (0.0, 2.0)  # in gaps of fp32 at 1
    assert orders_title(record) == "2 orders of the same fp32 numbers, 2 different sums"
    drawn = sum_orders_figure(record)
    assert "1.00000024" in words(drawn.figure)
    assert "one result" in orders_title(sum_orders_record({"up": 1.0, "down": 1.0}, 1.0))
    assert sum_orders_figure(sum_orders_record({"up": 0.0}, 0.0)).figure.data


def test_a_phone_s_title_has_room_for_each_line() -> None:
    whole = np.tril(np.full((4, 4), 0.25))
    lost = whole.copy()
    lost[2, :3] = np.nan
    near = whole + np.tril(np.full((4, 4), 1e-3))
    report = patterns(whole, {"after": lost, "key": near, "query": near}, "fp16")
    maps = order_patterns_record(report, list("abcd"), 3, "fp16")
    record = products(row(80_000.0, up=1, broken=1), row(10_000.0), row(10_000.0))
    for drawn in (order_patterns_figure(maps), order_products_figure(record)):
        assert drawn.narrow_figure is not None
        layout = drawn.narrow_figure.layout
        lines = 1 + layout.title.text.count("<br>")
        assert lines == 3
        assert layout.title.pad.t == 18 * lines
        assert layout.margin.t >= 48 + 18 * lines


def test_rows_that_are_no_number_are_not_said_to_differ_by_nothing() -> None:
    pattern = np.full((10, 10), 0.1)
    results = [
        OrderResult(1.0, 0, 0, 0, 0, 55, tuple(range(broken)), pattern, off)
        for broken, off in ((0, 0.0), (3, 0.0), (9, 0.0), (10, 0.0), (0, 0.000565), (0, 0.00489))
    ]
    assert difference_words(results) == [
        "0\xa0%",
        "0\xa0% in the other 7 rows",
        "0\xa0% in the other 1 row",
        "no row is a number",
        "0.0565\xa0%",
        "0.489\xa0%",
    ]
