"""Figures of the Positions page: records by hand, and what is drawn of them."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.positions.schemes import (
    alibi_bias,
    alibi_slopes,
    by_distance,
    similarity,
    sinusoidal_table,
)
from viz.positions.length import curve_sentence, length_figure, length_record
from viz.positions.length import title as length_title
from viz.positions.order import (
    NextTokens,
    next_tokens_figure,
    next_tokens_record,
    nothing_moves,
    shuffled_figure,
    shuffled_record,
    title,
    token_way_figure,
)
from viz.positions.schemes import (
    Missing,
    Scheme,
    scheme_record,
    scheme_sentence,
    schemes_figure,
    shown_positions,
    widest_columns,
)
from viz.positions.waves import (
    slopes_figure,
    slopes_record,
    slopes_sentence,
    spiral_figure,
    spiral_record,
    wavelengths_figure,
    wavelengths_record,
)


def scheme(key: str, n: int = 8) -> Scheme:
    table = sinusoidal_table(n, 4)
    values = alibi_bias(n, 0.5) if key == "alibi" else similarity(table)
    profile = by_distance(values)
    return scheme_record(
        key,
        "<b>from somewhere",
        table,
        values,
        (profile.mean, profile.low, profile.high),
        profile.explained,
    )


def changes(n: int = 3, depth: int = 3) -> list[np.ndarray]:
    quiet = np.full((depth, n), 1e-7, dtype=np.float32)
    moved = quiet.copy()
    moved[1:, 0] = 0.5
    loud = np.full((depth, n), 1.5, dtype=np.float32)
    return [quiet, moved, loud]


def test_a_shuffle_as_a_record_and_three_maps() -> None:
    record = shuffled_record(["a", "b", "c"], (1, 0, 2), changes(), selected=9, tolerance=3e-4)
    assert record.selected == 2
    assert record.rules[1].change[0] == (pytest.approx(1e-7), 0.5, 0.5)
    assert [nothing_moves(record, rule) for rule in range(3)] == [True, False, False]
    assert title(record) == "Without mask and positions nothing moves; the mask alone already tells order"
    drawn = shuffled_figure(record)
    for figure in (drawn.figure, drawn.narrow_figure):
        assert figure is not None
        assert [trace.name for trace in figure.data] == [rule.name for rule in record.rules]
        np.testing.assert_allclose(figure.data[2].z, 1.5)
        assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    assert drawn.table["change, no mask, no positions"][:2] == pytest.approx([1e-7, 1e-7])
    assert len(drawn.table["token"]) == 9
    way = token_way_figure(record).figure
    assert len(way.data) == 3
    assert list(way.data[2].y) == [1.5] * 3
    with pytest.raises(ValueError, match="tokens"):
        shuffled_record(["a"], (0,), changes(), 0, 1e-3)


def test_a_map_that_moves_does_not_claim_otherwise() -> None:
    loud = changes()[2]
    record = shuffled_record(["a", "b", "c"], (1, 0, 2), [loud, loud, loud], 0, 3e-4)
    assert "nothing" not in title(record)


def test_next_tokens_are_those_likely_in_either_order() -> None:
    before, after = np.zeros(20), np.zeros(20)
    before[3], after[17] = 5.0, 5.0
    record = next_tokens_record("off", before, after, lambda i: f"t{i}")
    assert record.texts[0] == "t3"
    assert "t17" in record.texts
    p = np.exp(5) / (np.exp(5) + 19)
    assert record.before[0] == pytest.approx(p)
    assert record.moved == pytest.approx(p - 1 / (np.exp(5) + 19))
    drawn = next_tokens_figure([record, record], reach=p)
    assert drawn.figure.data[0].x[0] == pytest.approx(p)
    assert len(drawn.table["rule"]) == 2 * len(record.texts)


def test_shares_in_one_column_are_all_in_percent() -> None:
    rare = NextTokens("off", ("a", "b"), before=(0.0584, 0.000144), after=(0.000144, 0.0584), moved=0.058)
    bars = next_tokens_figure([rare], reach=0.0584).figure.data
    written = [text.replace("\u00a0", " ") for trace in bars for text in trace.text]
    assert written == ["5.84 %", "0.0144 %", "0.0144 %", "5.84 %"]


def test_a_scheme_holds_its_diagonals_and_says_what_decides() -> None:
    record = scheme("sinusoidal")
    assert record.mean[0] == pytest.approx(1)
    assert "the distance alone decides" in scheme_sentence(record)
    assert record.similarity_reach == 1.0
    bias = scheme("alibi")
    assert bias.similarity[0][1] is None
    assert bias.similarity_reach == pytest.approx(3.5)
    assert bias.mean[-1] == pytest.approx(-3.5)
    with pytest.raises(ValueError, match="distances"):
        scheme_record("alibi", "", np.ones((2, 2)), np.ones((2, 3)), (np.ones(2),) * 3, 1)


def test_four_schemes_are_drawn_and_a_missing_one_is_said() -> None:
    records: list[Scheme | Missing] = [
        scheme("sinusoidal"),
        Missing("learned", "nowhere <i>"),
        scheme("rotary"),
        scheme("alibi"),
    ]
    drawn = schemes_figure(records)
    for figure in (drawn.figure, drawn.narrow_figure):
        assert figure is not None
        assert len(figure.data) == 3 * 4
        texts = " ".join(annotation.text for annotation in figure.layout.annotations)
        assert "nowhere &lt;i&gt;" in texts
        assert "&lt;b&gt;from somewhere" in texts
    assert "Sinusoidal, RoPE and ALiBi: only the distance counts" in drawn.figure.layout.title.text
    assert set(drawn.table["scheme"]) == {"Sinusoidal", "RoPE", "ALiBi"}


def test_many_positions_are_thinned_but_profiles_are_whole() -> None:
    record = scheme("rotary", n=300)
    assert len(record.positions) == 60
    assert len(record.similarity) == 60
    assert len(record.mean) == 300
    assert shown_positions(64) == tuple(range(64))
    table = np.zeros((5, 100))
    table[:, [7, 3]] = np.arange(5)[:, None]
    assert widest_columns(table, 2).tolist() == [3, 7]


def test_wavelengths_slopes_and_spiral() -> None:
    waves = wavelengths_record([("a", np.array([6.28, 1e5])), ("b", np.array([6.28, np.inf]))], 1000)
    assert waves.n_slow == (1, 1)
    assert waves.lines[1][1][1] is None
    assert "never" in wavelengths_figure(waves).alt
    slopes = slopes_record(alibi_slopes(12), head=50)
    assert (slopes.n_regular, slopes.head) == (8, 11)
    assert slopes_sentence(slopes).startswith("a geometric series of 8, and 4 from the series of 16")
    figure = slopes_figure(slopes).figure
    assert [list(trace.x) for trace in figure.data] == [[*range(8)], [*range(8, 12)]]
    assert [trace.name for trace in slopes_figure(slopes_record(alibi_slopes(8), 0)).figure.data] == [
        "one series"
    ]
    spiral = spiral_record("x", np.arange(8.0).reshape(4, 2), np.array([0.7, 0.3]))
    assert spiral.components[2] == (0.0,) * 4
    assert "1,00" not in spiral_figure(spiral).figure.layout.title.text


def reading(n: int, jump_at: int) -> tuple[np.ndarray, np.ndarray]:
    loss = np.where(np.arange(n) < jump_at, 2.0, 6.0).astype(np.float32)
    loss[0] = np.nan
    return loss, np.full(n, 1.5, dtype=np.float32)


def test_loss_along_a_text_is_smoothed_and_the_end_of_the_context_is_said() -> None:
    record = length_record([("as it is", *reading(1280, 1024)), ("linear", *reading(1280, 5000))], 1024, 1000)
    assert record.width == 64
    assert len(record.windows) == 20
    first, second = record.curves
    assert (first.inside, first.beyond, second.beyond) == (2.0, 6.0, 2.0)
    assert first.loss[15:17] == (2.0, 6.0)
    assert record.blind == pytest.approx(np.log(1000))
    assert length_title(record) == "Beyond 1,024 tokens the loss rises from 2 to 6\xa0nats"
    assert curve_sentence(record, second).endswith("2 beyond it.")
    drawn = length_figure(record)
    for figure in (drawn.figure, drawn.narrow_figure):
        assert figure is not None
        assert len(figure.data) == 4
        assert figure.layout.shapes[0].x0 == 1024
        assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    assert len(drawn.table["first position"]) == 20


def test_a_text_that_ends_within_the_context_claims_nothing_beyond() -> None:
    record = length_record([("as it is", *reading(100, 1000))], 1024, 1000)
    assert not record.goes_beyond
    assert length_title(record) == "Loss along 100 tokens"
    assert "in the first half of the text" in curve_sentence(record, record.curves[0])
    assert not any(shape.type == "rect" for shape in length_figure(record).figure.layout.shapes)
    with pytest.raises(ValueError, match="tokens"):
        length_record([("a", *reading(5, 9)), ("b", *reading(6, 9))], 10, 10)
