"""Quantization under AppTest: any scheme, both scopes, experts, a pinned run, clicks, nonsense links."""

from __future__ import annotations

import json
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime import load_model
from model_runtime.numbers import quantization_effects
from pages.numbers import quantization
from pages.numbers.quantization import megabytes
from pages.shared.figure.live_figure import Click
from pages.shared.run import runtime
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said
from tests.pages.test_number_formats_page import FIGURES, NUMBERS
from tests.tiny_checkpoints import byte_tokenizer
from tests.tiny_models import tiny_model


def part(model: str, **link: str) -> AppTest:
    return open_page(model, NUMBERS, **{"formats": "quant", "prompt": "hello", **link})


def layout(app: AppTest, key: str) -> dict:  # type: ignore[type-arg]
    return json.loads(figures(app)[key]["figure"])["layout"]


@pytest.mark.parametrize("model", ["llama", "gpt2"])
@pytest.mark.parametrize("scope", ["layer", "model"])
@pytest.mark.parametrize(
    ("bits", "kind", "group"),
    [("8", "absmax", "tensor"), ("4", "zero_point", "32"), ("4", "absmax", "channel")],
)
def test_any_scheme_draws(tiny: str, model: str, scope: str, bits: str, kind: str, group: str) -> None:
    app = part(str(Path(tiny).parent / model), bits=bits, kind=kind, group=group, scope=scope)
    assert [*figures(app)] == FIGURES["quant"]
    what = "all layers" if scope == "model" else "layer "
    assert f"The matrices of **{what}" in said(app)
    assert "KL divergence" in said(app)
    by = "layer" if scope == "model" else "matrix"
    assert f"Relative error by {by}" in figures(app)["quant-places"]["alt"]


@pytest.mark.parametrize("prompt", ["x", HOSTILE])
def test_any_prompt_draws(tiny: str, prompt: str) -> None:
    assert [*figures(part(tiny, prompt=prompt))] == FIGURES["quant"]


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss"])
def test_experts_are_packed_and_routers_are_not(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf_model, _ = tiny_model(family)
    hf_model.save_pretrained(tmp_path / family)
    byte_tokenizer().save_pretrained(tmp_path / family)
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(tmp_path))
    app = part(str(tmp_path / family), scope="model")
    assert [*figures(app)] == FIGURES["quant"]
    options = app.selectbox(key="gf.widget.matrix").options
    assert any("experts" in name for name in options)
    assert not any("router" in name or name.endswith("gate.weight") for name in options)


def test_two_runs_on_the_same_axes(tiny: str) -> None:
    app = part(tiny, pin=pinned(str(Path(tiny).parent / "gpt2")), scope="model")
    for key, axes in (
        ("quant-schemes", ("yaxis", "yaxis2")),
        ("quant-next", ("xaxis",)),
        ("quant-places", ("yaxis",)),
        ("quant-grid", ("yaxis", "yaxis2")),
    ):
        current, other = (layout(app, f"{key}-{side}") for side in ("current", "pinned"))
        for axis in axes:
            assert current[axis]["range"] == other[axis]["range"], (key, axis)


def test_the_chosen_matrix_and_one_that_is_not_there(tiny: str) -> None:
    app = part(tiny, matrix="mlp.up_proj.weight")
    assert "mlp.up_proj.weight" in figures(app)["quant-grid"]["alt"]
    app = part(tiny, matrix=HOSTILE, bits="3", kind="x", group="-1", scope="?")
    assert [*figures(app)] == FIGURES["quant"]
    assert any("does not exist here" in box.value for box in app.warning)


def test_clicks_choose_scheme_matrix_and_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, object] = {}
    monkeypatch.setattr(quantization.state, "set", lambda **values: changed.update(values))
    quantization.choose_scheme(Click(0, 0, 4.0, 0.1, [8, "zero_point", "64"]))
    assert changed == {"bits": "8", "kind": "zero_point", "group": "64"}
    changed.clear()
    for odd in (None, [1], "8", [8, 3, "64"]):
        quantization.choose_scheme(Click(0, 0, 4.0, 0.1, odd))
    assert changed == {}


def test_without_memory_the_rest_is_drawn_and_the_reason_said(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime._dear().clear()
    matrices = quantization_effects.matrices_of(load_model(tiny), 0).values()
    enough = 32 * max(matrix.numel() for matrix in matrices)  # for the measurements, not for packing
    monkeypatch.setattr(quantization_effects, "free_memory", lambda device: enough)
    app = part(tiny, prompt="never asked before", scope="model")
    assert [*figures(app)] == ["quant-schemes", "quant-grid"]
    assert "Packing this needs" in app.warning[0].value
    assert "of memory is free" in app.warning[0].value


def test_where_nothing_can_be_measured_a_pinned_run_is_drawn_all_the_same(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = str(Path(tiny).parent / "gpt2")
    runtime._dear().clear()
    part(other, prompt="hello hello")
    monkeypatch.setattr(quantization_effects, "free_memory", lambda device: 10)
    app = part(tiny, pin=pinned(other))
    assert "Measuring this needs" in app.warning[0].value
    assert len(app.warning) == 1
    assert [*figures(app)] == [f"{key}-pinned" for key in FIGURES["quant"]]
    app = part(tiny)
    assert not figures(app)
    assert not app.exception


def test_a_large_layer_says_which_rows_were_measured(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime._dear().clear()
    app = part(tiny)
    assert "every 3rd row" not in said(app) + captions(app)
    runtime._dear().clear()
    monkeypatch.setattr(quantization_effects, "step_for", lambda n_weights: 3)
    app = part(tiny)
    assert "errors are measured on every 3rd row of each matrix" in captions(app)
    assert "weights in every 3rd row of the matrix" in captions(app)
    for key in ("quant-schemes", "quant-places", "quant-grid"):
        assert "measured on every 3rd row" in figures(app)[key]["caption"], key
    assert "every 3rd row" not in figures(app)["quant-next"]["caption"]
    runtime._dear().clear()


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def test_errors_and_looks_wait_in_the_slow_line(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime._dear().clear()
    held: list[str] = []

    def watch(measure: Any) -> Any:
        @wraps(measure)
        def watched(*given: object, **more: object) -> object:
            free = runtime.slow_turns().places.acquire(blocking=False)
            held.append(f"{measure.__name__} {'alone' if not free else 'beside others'}")
            if free:
                runtime.slow_turns().places.release()
            return measure(*given, **more)

        return watched

    for name in ("layer_errors", "close_look"):
        monkeypatch.setattr(quantization_effects, name, watch(getattr(quantization_effects, name)))
    part(tiny)
    assert held == ["layer_errors alone", "close_look alone"]


def test_only_small_results_are_kept(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    cache = runtime._dear()
    get = cache.get
    monkeypatch.setattr(
        cache, "get", lambda key, make, look: get(key, lambda: kept.append(v := make()) or v, look)
    )
    part(tiny, prompt="another one", scope="model", bits="8", group="64")
    effects = [value for value in kept if isinstance(value, quantization_effects.QuantEffect)]
    assert len(effects) == 1
    assert effects[0].nbytes < 2_000


def test_the_default_model_s_file_is_spoken_of() -> None:
    app = part("smollm2-135m-instruct", layer="3")
    words = "\n".join(caption.value for caption in app.caption)
    assert "keeps them as Q4_1 in 2.21\u00a0MB" in words
    assert "Packed as Q4_1 again, layer 3 loses nothing" in words
    assert "exact" in figures(app)["quant-schemes"]["alt"]


def test_bytes_in_words() -> None:
    assert [megabytes(n) for n in (999, 14_155_776)] == ["999 bytes", "14.2\u00a0MB"]
