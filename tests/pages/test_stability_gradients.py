"""The Loss scaling part under AppTest: tiny models, a model that is too large, awkward prompts and links."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from model_runtime.numbers import gradients
from model_runtime.sampling.settings import SamplingSettings
from pages.numbers import gradients as page
from pages.shared.frame.sides import Side
from pages.shared.run import runtime
from pages.shared.run.opened import opened
from pages.shared.run.runs import Run
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said
from tests.pages.watched_turns import watch, watch_turns
from tests.tiny_models import tiny_model

STABILITY = "numbers/stability.py"
FIGURES = ["gradient-sizes", "gradient-fates", "gradient-layers", "gradient-errors"]


@pytest.fixture(scope="session")
def gradients_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gradients")
    hf_model, tokenizer = tiny_model("mixtral")
    hf_model.save_pretrained(folder / "mixtral")
    tokenizer.save_pretrained(folder / "mixtral")
    return folder


@pytest.fixture
def models(model_folder: Path, gradients_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("GLASSFORMER_ALLOW", f"{model_folder},{gradients_folder}")
    return {
        "llama": str(model_folder / "llama"),
        "gpt2": str(model_folder / "gpt2"),
        "mixtral": str(gradients_folder / "mixtral"),
    }


def part(model: str, **link: str) -> AppTest:
    return open_page(model, STABILITY, **{"stability": "gradients", "prompt": "hello", **link})


def layout(app: AppTest, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(figures(app)[key]["figure"])["layout"]
    return found


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_every_model_draws(models: dict[str, str], family: str) -> None:
    app = part(models[family])
    assert [*figures(app)] == FIGURES
    assert "nats" in said(app)
    assert "gradients of weights" in said(app)
    assert not app.info  # it reads the prompt itself


@pytest.mark.parametrize("prompt", [HOSTILE, "🙂", "a" * 64, "  x  y "])
def test_any_prompt_draws(tiny: str, prompt: str) -> None:
    assert [*figures(part(tiny, prompt=prompt))] == FIGURES


def test_one_token_has_nothing_to_learn_from(tiny: str) -> None:
    app = part(tiny, prompt="x")
    assert not figures(app)
    assert "no next token to learn from" in app.info[0].value
    app.session_state["gf.details.The mathematics"] = True
    assert not app.run().exception


@pytest.mark.parametrize("k", ["0", "7", "24"])
@pytest.mark.parametrize("batch", ["0", "4", "16"])
def test_every_scale_and_batch(tiny: str, k: str, batch: str) -> None:
    app = part(tiny, loss_scale=k, loss_batch=batch)
    assert [*figures(app)] == FIGURES
    line = layout(app, "gradient-fates")["shapes"][0]
    assert line["x0"] == int(k)


def test_moving_the_scale_does_not_run_the_model_again(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = part(tiny, prompt="hello again")

    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(gradients, "backward", never)
    before = figures(app)["gradient-sizes"]["figure"]
    app.select_slider[0].set_value(3).run()
    assert not app.exception
    assert figures(app)["gradient-sizes"]["figure"] != before


def run_of(model: str, prompt: str, dtype: str = "auto") -> Run:
    return Run(model, dtype, prompt, (), SamplingSettings())


def backwards_of(run: Run) -> page.Backwards:
    return page.backwards_of(Side(opened(run), "", 0, 0, 0, None))


def test_every_pass_takes_a_turn(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = watch_turns(monkeypatch)
    calls = watch(monkeypatch, gradients, "backward", turns)
    backwards_of(run_of(tiny, "every pass"))
    assert len(turns.counted) == len(calls) == 1 + len(gradients.PASSES) + 2


def test_all_that_decides_the_gradients_is_in_their_key(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(run: Run) -> list[float]:
        report = backwards_of(run).report
        assert report is not None
        # NaN differs from itself and would let any key pass.
        return [report.loss, *report.weights.largest.tolist(), *np.nan_to_num(report.fp16.error).tolist()]

    run = run_of(models["llama"], "in its key")
    first = numbers(run)
    assert numbers(replace(run, prompt="in their key")) != first
    assert numbers(replace(run, model=models["gpt2"])) != first
    # Weights that were rounded when they were loaded are another model's in fp32, if only a little.
    assert numbers(replace(run, dtype="float16")) == pytest.approx(first)
    monkeypatch.setattr(gradients, "MOST_TOKENS", 4)
    assert numbers(run) != first


def test_fp32_is_not_loaded_twice(models: dict[str, str]) -> None:
    part(models["mixtral"], prompt="loaded once")
    assert runtime._models().holds(models["mixtral"], "auto")
    assert not runtime._models().holds(models["mixtral"], "float32")


def test_how_products_add_up_is_said_of_the_device(tiny: str) -> None:
    captions = "\n".join(caption.value for caption in part(tiny).caption)
    assert "adds up in fp32 inside and rounds its result to fp16" in captions
    assert page.inside(["cpu"]) != page.inside(["cuda:0"]) == page.inside(["cpu", "cuda:0"])
    assert "allow_fp16_reduced_precision_reduction" in page.inside(["cuda:0"])
    assert hasattr(torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction")
    assert "fp32" not in page.inside(["mps"])


def test_a_large_model_lets_the_small_one_read_and_says_so(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "MOST_WEIGHTS", 5_000_000)
    monkeypatch.setattr(runtime, "model_for", large(runtime.model_for, tiny))
    app = part(tiny, prompt="Good morning, good night")
    assert "GPT\\-2 mini" in app.info[0].value
    assert "1,000,000,000 parameters" in app.info[0].value
    assert all("GPT-2 mini" in message["badge"]["text"] for message in figures(app).values())
    assert [*figures(app)] == FIGURES


def large(model_for: Any, name: str) -> Any:
    """The loaded models, of which `name` says that it has a billion parameters."""

    class Large:
        def __init__(self, model: Any) -> None:
            from dataclasses import replace

            self.model, self.spec = model, replace(model.spec, n_params=10**9)

        def __getattr__(self, key: str) -> Any:
            return getattr(self.model, key)

    return lambda run: Large(model_for(run)) if run.model == name else model_for(run)


def test_a_long_prompt_is_cut_and_says_so(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "MOST_TOKENS", 9)
    app = part(tiny, prompt="a rather long prompt")
    assert "read 9 tokens, the first of 20" in said(app)
    assert "the first 9" in figures(app)["gradient-sizes"]["caption"]


def test_edits_are_left_out_and_said_so(tiny: str) -> None:
    plain, edited = part(tiny), part(tiny, edits="h0.0*0")
    assert figures(plain)["gradient-sizes"]["figure"] == figures(edited)["gradient-sizes"]["figure"]
    assert "edits are left out" in said(edited)
    assert "edited" not in figures(edited)["gradient-sizes"]["badge"]["text"]


def test_half_weights_are_read_in_fp32(tiny: str) -> None:
    app = part(tiny, dtype="float16")
    assert "fp32" in figures(app)["gradient-sizes"]["badge"]["text"]


def test_two_runs_on_equal_scales(models: dict[str, str]) -> None:
    app = part(models["llama"], pin=pinned(models["gpt2"]), loss_batch="12")
    drawn = figures(app)
    assert len(drawn) == 8
    for name, axis in (
        ("gradient-sizes", "xaxis"),
        ("gradient-sizes", "yaxis"),
        ("gradient-fates", "yaxis"),
        ("gradient-errors", "yaxis"),
    ):
        one, other = (layout(app, f"{name}-{side}")[axis]["range"] for side in ("current", "pinned"))
        assert one == pytest.approx(other)
    tops = [
        json.loads(drawn[f"gradient-layers-{side}"]["figure"])["data"][0]["zmax"]
        for side in ("current", "pinned")
    ]
    assert tops[0] == tops[1]


def test_a_pinned_run_of_one_token_leaves_the_other_standing(tiny: str) -> None:
    app = part(tiny, pin=pinned(tiny, prompt="x"))
    assert [*figures(app)] == [f"{name}-current" for name in FIGURES]
    assert "no next token" in app.info[0].value


def test_the_closed_lines_have_the_numbers_and_the_code(tiny: str) -> None:
    app = part(tiny, loss_scale="9", loss_batch="16")
    for line in ("The mathematics", "The code", "Where this comes from"):
        app.session_state[f"gf.details.{line}"] = True
    app.run()
    assert not app.exception
    assert any("def backward" in block.value and "def fp16_limits" in block.value for block in app.code)
    assert "s = 2^{9}/65{,}536" in said(app)
    assert "Micikevicius" in said(app)


def test_nonsense_in_the_link_falls_back(tiny: str) -> None:
    app = part(tiny, loss_scale="1e9", loss_batch="17")
    assert [*figures(app)] == FIGURES
    assert layout(app, "gradient-fates")["shapes"][0]["x0"] == 24
