"""Records, words and figures of who knows what."""

from __future__ import annotations

import numpy as np
import pytest

from viz.moe.domains import (
    PromptDistance,
    divergence_sentence,
    divergences_record,
    domain_map_record,
    expert_sentence,
    map_title,
    nearest_sentence,
    prompt_sentence,
    typical_record,
    typical_sentence,
)
from viz.moe.domains_figure import (
    divergences_figure,
    domain_map_figure,
    prompt_distance_figure,
    typical_figure,
)

PLAYS = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
PYTHON = np.array([[0.4, 0.6, 0.0], [0.1, 0.8, 0.1]])
PROMPT = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])


def test_the_map_opens_on_the_most_unequal_expert() -> None:
    domains = {"plays": PLAYS, "python": PYTHON}
    found = domain_map_record(domains, {"This prompt": PROMPT}, (1, 3), layer=3, expert=None)
    assert found.expert == 1  # 0.3 and 0.8; expert 2 has 0.5 and 0.1
    assert found.top == 0.8
    assert map_title(found) == "L3: E1 takes 80.0\u00a0% of Python, 30.0\u00a0% of Plays"
    assert "plays 30.0\u00a0%, Python 80.0\u00a0%, this prompt 50.0\u00a0%" in expert_sentence(found)
    assert domain_map_record(domains, {}, (1, 3), layer=1, expert=99).expert == 2


def test_every_panel_has_one_scale_and_the_frame() -> None:
    found = domain_map_record({"plays": PLAYS, "python": PYTHON}, {"<b>": PROMPT}, (1, 3), layer=3, expert=2)
    drawn = domain_map_figure(found)
    for figure in (drawn.figure, drawn.middle_figure, drawn.narrow_figure):
        assert figure is not None
        assert len(figure.data) == 3
        assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}
        assert [(shape.x0, shape.y0) for shape in figure.layout.shapes] == [(1.5, 0.5)] * 3
    assert drawn.table["share of Python"] == pytest.approx(PYTHON.ravel())
    assert drawn.table["layer"] == [1, 1, 1, 3, 3, 3]


def test_large_models_are_drawn() -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(128), size=48)
    found = domain_map_record({"plays": values, "python": values}, {}, range(48), layer=47, expert=127)
    figure = domain_map_figure(found).figure
    assert figure.layout.yaxis.ticktext[-1] == "<b>L47</b>"
    assert figure.layout.height < 600


def test_divergences_stand_against_chance() -> None:
    between = np.array([[0.2, 0.1, 0.3], [0.5, 0.4, 0.6]])
    within = np.array([[0.01, 0.02, 0.03], [0.05, 0.05, 0.05]])
    found = divergences_record(("plays", "python", "sums"), between, within, (0, 2), 2)
    assert found.pairs == ("Plays and Python", "Plays and sums", "Python and sums")
    assert found.mean_between == pytest.approx((0.2, 0.5))
    words = divergence_sentence(found)
    assert "two domains differ by 0.500\u00a0bits on average, two halves of one domain by 0.0500" in words
    assert "Furthest apart: Python and sums (0.600\u00a0bits); closest: Plays and sums" in words
    figure = divergences_figure(found).figure
    assert "10.0 times as much as chance" in figure.layout.title.text
    assert figure.data[0].customdata[-1] == 2
    assert figure.layout.yaxis.range[0] == 0


def test_no_chance_at_all_is_drawn() -> None:
    found = divergences_record(("a", "b"), np.zeros((1, 1)), np.zeros((1, 2)), (0,), 0)
    divergences_figure(found)


def test_typical_tokens_are_safe_and_visible() -> None:
    rows = [(7, 20, 10, 0.5, 0.1), (8, 10, 5, 0.25, 0.05)]
    found = typical_record(["<i>x", "\n "], rows, layer=1, expert=2)
    assert found.tokens == ("<i>x", "↵·")
    assert "5 times as much. It took 10 of 20." in typical_sentence(found)
    drawn = typical_figure(found)
    assert drawn.figure.layout.yaxis.ticktext == ("“&lt;i&gt;x”", "“↵·”")
    assert [list(trace.x) for trace in drawn.figure.data] == [[0.1, 0.05], [0.5, 0.25]]
    assert "<i>" not in drawn.figure.data[0].hovertemplate[0].replace("<extra></extra>", "")


def test_an_expert_without_typical_tokens() -> None:
    found = typical_record([], [], layer=1, expert=2)
    assert typical_sentence(found).startswith("E2 of layer 1 takes no token")
    typical_figure(found)


def test_two_prompts_against_chance() -> None:
    found = PromptDistance((0, 1), (0.4, 0.1), (0.1, 0.1), (0.2, 0.2), (5, 9), 0)
    assert found.beyond == 1
    assert prompt_sentence(found).endswith("1 of 2 layers are beyond that.")
    figure = prompt_distance_figure(found).figure
    assert figure.layout.title.text == "1 of 2 layers route the two prompts differently"
    assert list(figure.data[0].y) == [0.4, 0.1]


def test_the_nearest_domain_is_named() -> None:
    words = nearest_sentence("This prompt", ("plays", "python"), (0.3, 0.1))
    assert words.startswith("This prompt is routed most like Python (0.100\u00a0bits apart")
