"""Stability under AppTest: order of operations, softmax and sums; any family, long, short and pinned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said

STABILITY = "numbers/stability.py"
FIGURES = {
    "order": ["order-products", "order-patterns", "breaking-gains"],
    "softmax": ["softmax-rows", "softmax-breaks"],
    "sums": ["sum-errors", "sum-orders"],
}
CODE = {"order": "def scores_in", "softmax": "def softmax", "sums": "def partial_sums"}


def part(model: str, name: str, **link: str) -> AppTest:
    return open_page(model, STABILITY, **{"stability": name, "prompt": "hello there", **link})


def family(tiny: str, name: str) -> str:
    return str(Path(tiny).parent / name)


def title(app: AppTest, key: str) -> str:
    return str(json.loads(figures(app)[key]["figure"])["layout"]["title"]["text"])


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("model", ["llama", "gpt2", "mixtral-mini"])
def test_every_part_on_every_family(tiny: str, model: str, name: str) -> None:
    app = part(model if model == "mixtral-mini" else family(tiny, model), name)
    assert not app.exception
    assert [*figures(app)] == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("prompt", ["a", HOSTILE, "word " * 12, "🙂 שלום"])
def test_short_long_and_hostile_prompts(tiny: str, name: str, prompt: str) -> None:
    app = part(tiny, name, prompt=prompt)
    assert not app.exception
    assert [*figures(app)] == FIGURES[name]
    assert "<img" not in "".join(figure["figure"] for figure in figures(app).values())


def test_the_overflow_comes_with_the_gain_and_goes_with_the_order(tiny: str) -> None:
    calm, wild = part(tiny, "order"), part(tiny, "order", gain="50000")
    assert "stays within fp16" in title(calm, "order-products")
    assert "overflows" in title(wild, "order-products")
    assert "stays within bf16" in title(part(tiny, "order", gain="50000", narrow="bf16"), "order-products")
    assert any("Broken: in fp16" in caption.value for caption in wild.caption)


def test_the_gain_moves_without_running_the_model_again(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = part(tiny, "order")
    from model_runtime.model import Model

    monkeypatch.setattr(Model, "trace", lambda *args, **kwargs: pytest.fail("the model ran"))
    app.select_slider[0].set_value(64.0).run()
    assert not app.exception
    assert "gain 64" in title(app, "order-products")


def test_a_narrow_sum_inside_says_so(tiny: str) -> None:
    caption = figures(part(tiny, "order", inside="narrow"))["order-products"]["caption"]
    assert "sums inside rounded at every step" in caption


@pytest.mark.parametrize("added", ["norm", "logit", "vocabulary"])
def test_three_sums(tiny: str, added: str) -> None:
    app = part(tiny, "sums", added=added)
    assert not app.exception
    assert "rows at once" in said(app)
    assert "exact" in said(app)


@pytest.mark.parametrize("name", FIGURES)
def test_two_runs_side_by_side(tiny: str, name: str) -> None:
    app = part(tiny, name, pin=pinned(family(tiny, "gpt2")))
    assert not app.exception
    assert sorted(figures(app)) == sorted(
        f"{key}-{side}" for key in FIGURES[name] for side in ("current", "pinned")
    )


def test_another_token_is_another_row(tiny: str) -> None:
    first, last = (figures(part(tiny, "softmax", token=token))["softmax-rows"]["figure"] for token in "27")
    assert len(json.loads(first)["data"][-1]["text"][0]) == 3
    assert len(json.loads(last)["data"][-1]["text"][0]) == 8


@pytest.mark.parametrize(
    ("model", "words"), [("gpt2", "distances from its mean"), ("llama", "RMSNorm in front")]
)
def test_the_norm_is_told_as_the_model_has_it(tiny: str, model: str, words: str) -> None:
    assert words in said(part(family(tiny, model), "sums", added="norm"))


def test_two_runs_share_the_axis_of_sums(tiny: str) -> None:
    drawn = figures(part(tiny, "sums", pin=pinned(family(tiny, "gpt2"))))
    ranges = [
        json.loads(drawn[f"sum-errors-{side}"]["figure"])["layout"]["yaxis"]["range"]
        for side in ("current", "pinned")
    ]
    assert ranges[0] == ranges[1]


@pytest.mark.parametrize("name", FIGURES)
def test_the_closed_lines_open(tiny: str, name: str) -> None:
    app = part(tiny, name)
    for line in ("The mathematics", "The code"):
        app.session_state[f"gf.details.{line}"] = True
    app.run()
    assert not app.exception
    assert any(CODE[name] in block.value for block in app.code)


def test_nonsense_in_the_link_falls_back(tiny: str) -> None:
    app = part(tiny, "nonsense", gain="-3", narrow="fp7", inside="x", added="y")
    assert not app.exception
    assert [*figures(app)] == FIGURES["order"]
