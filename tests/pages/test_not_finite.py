"""Runs whose numbers are not all finite, on every part of every page: told, and no finding is built."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from model_runtime import load_model
from model_runtime.errors import NotFinite
from model_runtime.finite import ATTENTION, finiteness
from model_runtime.interventions import ScaleHead, ScaleMLP
from model_runtime.model import Model
from model_runtime.moe.effects import expert_effects
from model_runtime.moe.routing import routing
from model_runtime.numbers.quantization import QuantScheme
from model_runtime.positions.change import pattern_change
from model_runtime.positions.length import loss_by_position
from model_runtime.run import open_run
from model_runtime.tokens.foreign import surprises_and_next
from model_runtime.vectors.projection import unit_length
from pages.moe.routed import routed_of
from pages.numbers.packing import quantized_of
from pages.positions.length import Reading, record_of
from pages.positions.order import shuffle_of
from pages.shared.frame import contents
from pages.shared.frame.sides import Side
from pages.shared.run.opened import opened
from pages.shared.run.runs import run_of
from pages.shared.settings import table as settings
from pages.shared.settings.edit_codes import format_edits
from pages.vectors.senses import seen_by
from tests.pages.test_pages import ROUTER
from tests.tiny_checkpoints import save, tiny_llama
from tests.tiny_models import build_model, tiny_model, tiny_tokenizer

FALSE = re.compile(
    r"moved by.{0,40}\b0\b|KL (divergence )?0\b|no digit moves|all ≤ 0|stays the likeliest"
    r"|grows to not a number|differs by 0|not a number nats|This page stopped"
)
# key -> (model, settings of the link)
CASES = {
    "overflow": ("sparse", {"dtype": "float16", "edits": "m0*1e6_m1*1e6"}),
    "head": ("head", {}),
    "last layer": ("last", {}),
    "squares": ("large", {}),
}
LARGEST = torch.finfo(torch.float32).max
LOST = (ScaleMLP(0, 1e30),) * 2  # beyond float32: all after layer 0 is no number


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture that an edit drives over the end of fp16, two models that leave float32, a weight of NaN."""
    folder = tmp_path_factory.mktemp("not-finite")
    build_model("mixtral").save_pretrained(folder / "sparse")
    tiny_tokenizer().save_pretrained(folder / "sparse")
    large = tiny_llama()
    with torch.no_grad():
        large.model.embed_tokens.weight.mul_(1e25)  # finite, but no square of it is
    save(folder / "large", large)
    for name in ("head", "last", "weight"):
        model = tiny_llama()
        weight = model.lm_head.weight if name == "head" else model.model.layers[-1].mlp.down_proj.weight
        with torch.no_grad():
            weight[3] = torch.where(weight[3] < 0, -LARGEST, LARGEST)
            model.model.layers[-1].mlp.up_proj.weight.mul_(1e4 if name == "last" else 1.0)
            if name == "weight":
                weight[3, 3] = float("nan")
        save(folder / name, model)
    return folder


def shown(app: AppTest) -> str:
    kinds = ("error", "warning", "info", "markdown", "caption")
    words = "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))
    return words.replace("\\", "") + "\n".join(str(one.proto) for one in app.get("bidi_component"))


@pytest.mark.parametrize("case", CASES)
def test_no_part_stops_or_finds_something_in_no_numbers(
    broken: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    name, link = CASES[case]
    wrong = []
    for entry in contents.PAGES:
        for part in entry.parts or (None,):
            app = AppTest.from_file(str(ROUTER), default_timeout=120)
            chosen = {} if part is None else {entry.setting: part.key}
            for key, value in {"model": str(broken / name), "prompt": "the fox", **link, **chosen}.items():
                app.query_params[key] = value
            app.run()
            if entry is not contents.PAGES[0]:
                app.switch_page(entry.file)
                app.run()
            words = shown(app)
            place = f"{entry.url} {part.key if part else ''}"
            if app.exception:
                wrong.append(f"{place}: {app.exception[0].message}")
            wrong += [f"{place}: {found.group()}" for found in FALSE.finditer(words)]
            if not (part is not None and part.needs == "nothing") and "(NaN)" not in words:
                wrong.append(f"{place}: not told")
    assert not wrong, "\n".join(wrong)


def test_the_first_place_is_found() -> None:
    model = Model(*tiny_model("llama"), model_id="tiny", name="Tiny", revision="local")
    assert finiteness(open_run(model, "the fox")).first is None
    huge = tuple(ScaleMLP(1, 1e30, (1,)) for _ in range(2))  # beyond float32 at token 1 of layer 1
    found = finiteness(open_run(model, "the fox jumps", huge))
    assert found.first is not None
    assert (found.first.layer, found.first.what, found.first.position) == (1, "what the MLP adds", 1)
    assert found.logits == found.d_vocab
    assert not found.spoils(1)
    assert found.spoils(2)
    assert found.first.what != ATTENTION


def test_a_file_with_weights_that_are_no_numbers_is_named_on_every_page(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    for entry in contents.PAGES:
        app = AppTest.from_file(str(ROUTER), default_timeout=120)
        app.query_params["model"] = str(broken / "weight")
        app.run()
        if entry is not contents.PAGES[0]:
            app.switch_page(entry.file)
            app.run()
        assert not app.exception, entry.url
        assert "1 of 512 in model.layers.1.mlp.down_proj.weight" in shown(app), entry.url


def test_the_box_names_the_run_that_it_is_about(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    whole, spoilt = str(broken / "weight-whole"), str(broken / "last")
    save(Path(whole), tiny_llama())
    for model, pin, name in ((spoilt, whole, "this run"), (whole, spoilt, "the pinned run")):
        app = AppTest.from_file(str(ROUTER), default_timeout=120)
        app.query_params["model"], app.query_params["prompt"] = model, "the fox"
        app.query_params["pin"] = json.dumps({"model": pin, "prompt": "the fox"})
        app.run()
        assert [str(one.value)[: len(name) + 3] for one in app.warning] == [f"In {name}"]


def test_a_run_that_is_compared_with_is_finite(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    run = opened(run_of({**settings.defaults(), "model": str(broken / "sparse"), "prompt": "the fox"}))
    assert run.comparable(()).finiteness.first is None
    with pytest.raises(NotFinite, match="times 10"):
        run.comparable(tuple(ScaleMLP(1, 1e30) for _ in range(2)))


def test_each_run_that_a_part_makes_itself_is_looked_at(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts' own readings, past the look at the run itself: they have other texts, edits and weights."""
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    start = {**settings.defaults(), "model": str(broken / "sparse"), "prompt": "the fox jumps over the dog"}
    whole = opened(run_of(start))
    run = whole.changed(edits=LOST)
    assert np.isnan(run.trace.next_token_logits()).all()
    one = Side(run, "", layer=1, head=0, query=1, chosen_key=None)
    with pytest.raises(NotFinite, match="the prompt and its shuffle, read without mask and positions"):
        shuffle_of(one, seed=1)
    with pytest.raises(NotFinite, match="these sentences' vectors"):
        seen_by(one, "fox", ("the fox jumps", "the dog and the fox"))
    reading = run.measure(loss_by_position, "", dear=True, ids=run.ids, interventions=run.interventions)
    with pytest.raises(NotFinite, match="of the loss along this text, as it is"):
        record_of(Reading(one, "", run.ids, (("as it is", reading),)))
    packed = quantized_of(one, QuantScheme(4))
    assert packed is not None
    assert packed.effect is None
    assert routed_of([one])[0].decided is None
    assert routed_of([Side(whole, "", layer=1, head=0, query=1, chosen_key=None)])[0].decided is not None


def test_only_the_logits_of_a_whole_run_have_a_distance(broken: Path) -> None:
    model = load_model(str(broken / "sparse"))
    asked = routing(open_run(model, "the fox")).tokens_per_expert() > 0
    found = expert_effects(open_run(model, "the fox", LOST)).divergence
    assert np.isposinf(found).any()
    assert not np.isfinite(found).any()
    assert np.isfinite(expert_effects(open_run(model, "the fox")).divergence[asked]).all()
    change = pattern_change(open_run(model, "the fox"), LOST)
    assert np.isfinite(change.scores[0]).all()
    assert np.isnan(change.scores[-1]).all()
    spoilt = load_model(str(broken / "head"))
    with pytest.raises(NotFinite, match=r"the logits that head has for this text"):
        surprises_and_next(spoilt, spoilt.prompt_ids("the fox"))


def test_what_is_no_number_is_not_said_to_stay() -> None:
    lost = np.array([[np.nan, 1.0], [3.0, 4.0]])
    assert np.isnan(unit_length(lost)[0]).all()
    np.testing.assert_allclose(unit_length(lost)[1], [0.6, 0.8])


def test_a_head_without_which_alone_numbers_are_left_is_told(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    model = tiny_llama()
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight[:, : model.config.head_dim] = LARGEST
        model.model.layers[0].self_attn.v_proj.weight[: model.config.head_dim].mul_(1e6)
    save(broken / "cut", model)
    app = AppTest.from_file(str(ROUTER), default_timeout=120)
    link = {"model": str(broken / "cut"), "prompt": "the fox", "part": "heads", "layer": "0", "head": "0"}
    for key, value in {**link, "edits": format_edits((ScaleHead(0, 0),))}.items():
        app.query_params[key] = value
    app.run()
    app.switch_page(contents.entry_of("attention").file).run()
    words = shown(app)
    assert not app.exception
    assert "With the model as it is, values become infinite or not a number" in words
    assert "Without L0 H0:" not in words
    assert app.get("bidi_component")  # all else of the part is drawn


def test_a_prompt_without_numbers_is_no_row_of_the_domains(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    app = AppTest.from_file(str(ROUTER), default_timeout=120)
    link = {"model": str(broken / "sparse"), "prompt": "the fox", "moe": "domains"}
    for key, value in {**link, **CASES["overflow"][1]}.items():
        app.query_params[key] = value
    app.run()
    app.switch_page(contents.entry_of("moe").file).run()
    words = shown(app)
    assert "This prompt is left out: scores of its routers" in words
    assert "This prompt is routed most like" not in words


def test_a_stream_whose_squares_are_infinite_is_found(broken: Path) -> None:
    """RMSNorm gives zeros then, as torch's own does, and the flat distribution is no finding."""
    model = load_model(str(broken / "large"))
    run = open_run(model, "the fox")
    stream = torch.from_numpy(run.trace.get("resid_post", run.spec.n_layers - 1))
    assert stream.isfinite().all()
    assert (torch.nn.functional.rms_norm(stream, stream.shape[-1:]) == 0).all()
    assert (run.trace.next_token_logits() == 0).all()
    found = finiteness(run)
    assert found.first is not None
    assert (found.first.layer, found.first.what, found.first.too_large) == (None, "the embedding", True)
    assert (found.first.position, found.first.n_positions) == (0, len(run.ids))
    assert found.logits == found.d_vocab
    assert found.spoils(0)


@pytest.mark.parametrize(("gain", "lost"), [(1e15, False), (1e25, True)])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_what_the_mlp_adds_may_be_too_large_and_finite(family: str, gain: float, lost: bool) -> None:
    model = Model(*tiny_model(family), model_id="tiny", name="Tiny", revision="local")
    first = finiteness(open_run(model, "the fox", (ScaleMLP(0, gain),))).first
    assert (first is not None) is lost
    if first is not None:
        assert (first.layer, first.what, first.too_large) == (0, "what the MLP adds", True)
    infinite = finiteness(open_run(model, "the fox", LOST)).first
    assert infinite is not None
    assert not infinite.too_large


def test_no_distribution_is_made_of_a_norm_that_overflowed(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(broken))
    run = opened(run_of({**settings.defaults(), "model": str(broken / "large"), "prompt": "the fox"}))
    with pytest.raises(NotFinite, match="too large for the last norm"):
        _ = run.logits
