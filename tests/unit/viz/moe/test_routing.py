"""Figures of routers: windows, boxes of text, colours, rings, hatched bars, sentences; 4 to 128 experts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from viz import style
from viz.moe import routing
from viz.moe.route_map import route_map_figure
from viz.moe.routed_text import places, routed_text_figure
from viz.moe.router import router_bars_figure, token_path_figure

HOSTILE = ("</script><img src=x onerror=a()>", "%{y} $x$", "\u202e\n\t😀", "", "日本語")


def decisions(n_layers: int, n_tokens: int, n_experts: int, k: int) -> tuple[Any, Any, Any]:
    """Logits, indices and weights [layer, pos, ...] of random routers, the best score first."""
    logits = np.random.default_rng(0).normal(size=(n_layers, n_tokens, n_experts)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    indices = np.argsort(-logits, axis=-1)[..., :k]
    weights = np.take_along_axis(p, indices, -1)
    return p, indices, weights


def text_record(n_tokens: int, n_experts: int, k: int, selected: int = 0) -> routing.RoutedText:
    _, indices, weights = decisions(1, n_tokens, n_experts, k)
    texts = [f"w{n}" for n in range(n_tokens)]
    return routing.routed_text_record(
        texts, indices[0], weights[0], layer=3, selected=selected, n_experts=n_experts
    )


def map_record(n_tokens: int, layers: tuple[int, ...], n_layers: int, n_experts: int) -> routing.RouteMap:
    _, indices, weights = decisions(len(layers), n_tokens, n_experts, 2)
    return routing.route_map_record(
        [f"w{n}" for n in range(n_tokens)],
        indices,
        weights,
        layers,
        n_layers=n_layers,
        layer=layers[0],
        selected=n_tokens - 1,
        n_experts=n_experts,
    )


def path_record(layers: tuple[int, ...], n_layers: int, n_experts: int, k: int) -> routing.TokenPath:
    p, indices, weights = decisions(len(layers), 1, n_experts, k)
    return routing.token_path_record(
        "w",
        0,
        list(p[:, 0]),
        indices[:, 0],
        weights[:, 0],
        layers,
        n_layers=n_layers,
        layer=layers[0],
        expert=int(indices[0, 0, 0]),
    )


BARS = routing.router_bars_record(
    " dog",
    8,
    2,
    np.log([0.1, 0.5, 0.1, 0.3]),
    np.array([0.1, 0.5, 0.1, 0.3]),
    np.array([1, 3]),
    np.array([0.625, 0.375]),
)


def test_windows() -> None:
    assert routing.window(1000, 0, 48) == range(48)
    assert routing.window(1000, 500, 48) == range(476, 524)
    assert routing.window(1000, 999, 48) == range(952, 1000)


def test_tokens_are_set_like_words_in_a_paragraph() -> None:
    found = places(("ab", "日本", "x" * 30, "y"), per_line=12, least=3)
    assert [(p.line, p.left, p.width) for p in found] == [(0, 0, 3), (0, 3, 5), (1, 0, 31), (2, 0, 3)]


def test_a_token_has_its_first_experts_colour_and_both_numbers() -> None:
    record = text_record(5, 4, 2, selected=2)
    figure = routed_text_figure(record).figure
    assert list(figure.data[0].marker.color) == [style.category(chosen[0]) for chosen in record.experts]
    assert list(figure.data[0].marker.line.width) == [0, 0, 3, 0, 0]
    assert list(figure.data[2].text) == [f"{a}·{b}" for a, b in record.experts]
    assert list(figure.data[0].customdata) == [0, 1, 2, 3, 4]


def test_of_a_long_text_the_stretch_around_the_selection_is_drawn_and_said() -> None:
    drawn = routed_text_figure(text_record(1024, 8, 2, selected=700))
    assert drawn.table["position"][0] == 580
    assert len(drawn.table["position"]) == routing.MOST_TEXT_TOKENS
    assert "(of 1,024, around the selected)" in drawn.alt
    assert drawn.figure.layout.title.text.endswith("of 240 tokens shown")


def test_the_map_has_numbers_in_its_cells_and_words_on_dense_layers() -> None:
    record = map_record(6, (0, 2), 3, 12)
    drawn = route_map_figure(record)
    cells = drawn.figure.data[0]
    assert np.isnan(np.asarray(cells.z, dtype=float)[1]).all()
    first = record.experts[0]
    assert first is not None
    assert list(cells.text[0]) == [str(expert) for expert in first]
    assert np.asarray(cells.z)[0].tolist() == [expert % 8 for expert in first]
    assert "dense" in drawn.figure.layout.annotations[0].text
    assert len(drawn.table["layer"]) == 12


@pytest.mark.parametrize(
    ("n_layers", "n_experts", "k"), [(4, 8, 2), (24, 60, 4), (16, 64, 8), (48, 128, 8), (1, 4, 1)]
)
def test_every_size_of_model_is_drawn(n_layers: int, n_experts: int, k: int) -> None:
    layers = tuple(range(n_layers))
    for drawn in (
        token_path_figure(path_record(layers, n_layers, n_experts, k)),
        route_map_figure(map_record(700, layers, n_layers, n_experts)),
        routed_text_figure(text_record(30, n_experts, k)),
    ):
        assert drawn.figure.layout.height <= 860
        assert drawn.figure.layout.template
        assert drawn.narrow_figure is not None
        assert {len(column) for column in drawn.table.values()} == {len(next(iter(drawn.table.values())))}


def test_the_path_rings_every_asked_expert_the_larger_the_heavier() -> None:
    record = path_record((0, 2), 3, 4, 2)
    figure = token_path_figure(record).figure
    lines, rings = figure.data[1], figure.data[2]
    assert list(lines.y) == [0, 2]
    assert list(zip(rings.y, rings.x, strict=True)) == [
        (layer, expert) for layer in (0, 2) for expert in record.experts[layer] or ()
    ]
    assert rings.marker.size[0] > rings.marker.size[1]
    assert lines.hoverinfo == rings.hoverinfo == "skip", "a click means the cell below"


def test_what_was_not_chosen_stays_hatched_with_its_mass() -> None:
    drawn = router_bars_figure(BARS)
    chosen, rest = drawn.figure.data[:2]
    assert list(chosen.x) == [1, 3]
    assert list(rest.x) == [0, 2]
    assert rest.marker.pattern.shape == "/"
    assert BARS.left_out == pytest.approx(0.2)
    assert drawn.figure.layout.title.text == "L2 asks E1 and E3; 20.0\xa0% is left out"
    assert drawn.table["weight"] == [0.0, 0.625, 0.0, 0.375]
    assert "sent to E1 (weight 62.5\xa0%) and E3 (weight 37.5\xa0%)" in drawn.alt


def test_where_all_experts_are_asked_nothing_is_left_out() -> None:
    both = np.array([0.5, 0.5])
    record = routing.router_bars_record("x", 0, 0, both, both, np.array([0, 1]), both)
    assert router_bars_figure(record).figure.layout.title.text == "L0 asks E0 and E1"
    assert "The other" not in routing.bars_sentence(record)


def test_who_was_never_asked() -> None:
    counts = np.array([[2, 0, 1, 0], [1, 1, 1, 0]])
    said = routing.unused_sentence((0, 3), counts, 2, layer=0)
    assert said == "3 of 8 experts get none of the 2 tokens of this prompt; in layer 0: E1 and E3."
    assert "Every one of the 8 experts" in routing.unused_sentence((0, 3), counts + 1, 2, layer=3)


def test_agreement_of_two_runs() -> None:
    one, other = np.array([[[0, 1], [2, 3]]]), np.array([[[0, 2], [3, 2]]])
    assert "in 1 of 2 cells of the map (50.0\xa0%)" in routing.agreement_sentence(one, other)


def test_strangers_text_stays_text() -> None:
    _, indices, weights = decisions(2, len(HOSTILE), 4, 2)
    text = routing.routed_text_record(HOSTILE, indices[0], weights[0], layer=0, selected=0, n_experts=4)
    cells = routing.route_map_record(
        HOSTILE, indices, weights, (0, 1), n_layers=2, layer=0, selected=1, n_experts=4
    )
    for drawn in (routed_text_figure(text), route_map_figure(cells)):
        for figure in (drawn.figure, drawn.narrow_figure):
            assert figure is not None
            assert "<img" not in figure.to_json().replace("\\u003c", "<")
