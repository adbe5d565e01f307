"""The bundled mini models do what their recipes say: loss, sums, routing and size, measured again."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from assets.train import data
from assets.train.evaluate import divergence, measure, routers, sums_right
from assets.train.recipe import unigram_losses
from model_runtime import load_model, self_proof
from model_runtime.loading.catalogue import BUNDLED, offline_ids, row_of

MINIS = ("mixtral-mini", "gpt2-mini")


class Measured:
    """One bundled model, measured as its recipe was."""

    def __init__(self, name: str) -> None:
        self.folder = BUNDLED / name
        self.recipe = (self.folder / "RECIPE.md").read_text(encoding="utf-8")
        self.tok: Any = AutoTokenizer.from_pretrained(self.folder)
        self.net = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        self.losses, self.shares = measure(self.net, self.tok, routers(self.net))

    def loss_in_recipe(self, domain: str) -> float:
        found = re.search(rf"^\| {re.escape(domain)} \| (\d+\.\d+) \|", self.recipe, re.M)
        assert found, f"the recipe has no held-out loss of {domain}"
        return float(found[1])


measured = functools.cache(Measured)


@pytest.fixture(params=MINIS)
def mini(request: pytest.FixtureRequest) -> Measured:
    return measured(request.param)


def test_held_out_loss_is_the_recipes(mini: Measured) -> None:
    for domain in data.DOMAINS:
        assert mini.losses[domain] == pytest.approx(mini.loss_in_recipe(domain), abs=0.002), domain
    mean = float(np.mean(list(mini.losses.values())))
    assert mean == pytest.approx(mini.loss_in_recipe("all (mean)"), abs=0.002)


def test_held_out_loss_is_far_below_what_ignoring_the_context_could_give(mini: Measured) -> None:
    bound = unigram_losses(mini.tok)
    assert all(mini.losses[domain] < 0.8 * bound[domain] for domain in data.DOMAINS)


def test_one_digit_sums_are_right_as_often_as_the_recipe_says(mini: Measured) -> None:
    right, wrong = sums_right(mini.net, mini.tok)
    assert right >= (90 if mini.folder.name == "mixtral-mini" else 85), wrong
    stated = re.search(r"\*\*(\d+) of 100\*\*", mini.recipe)
    assert stated
    assert right == pytest.approx(int(stated[1]), abs=2)  # others may round a close call otherwise


def test_experts_differ_between_domains_in_every_layer() -> None:
    mini = measured("mixtral-mini")
    pairs = [(a, b) for i, a in enumerate(data.DOMAINS) for b in data.DOMAINS[i + 1 :]]
    between = np.array([divergence(mini.shares[a], mini.shares[b]) for a, b in pairs])  # [pair, layer]
    assert between.mean(0).min() > 0.1
    words = re.search(r"^\| plays, python \|((?: \d\.\d+ \|)+)$", mini.recipe, re.M)
    assert words
    stated = [float(value) for value in re.findall(r"\d\.\d+", words[1])]
    assert divergence(mini.shares["plays"], mini.shares["python"]) == pytest.approx(stated, abs=0.002)


@pytest.mark.parametrize("name", MINIS)
def test_it_is_in_the_catalogue_and_needs_no_network(name: str) -> None:
    row = row_of(name)
    assert row is not None
    assert name in offline_ids()
    model = load_model(name)
    assert sum(p.numel() for p in model.hf_model.parameters()) == row.n_params
    assert model.spec.n_ctx == 512
    assert [token.text for token in model.trace("3 + 4 =").tokens] == ["3", " +", " 4", " ="]


@pytest.mark.parametrize("name", MINIS)
@pytest.mark.parametrize("prompt", ["ROMEO.\nBut soft, what light", "def area(r):\n    return r ** 2", "3"])
def test_the_runtime_proves_its_capture(name: str, prompt: str) -> None:
    proof = self_proof(load_model(name), prompt)
    assert proof.ok, proof


def test_weights_are_small_and_fp16() -> None:
    files = [path for name in MINIS for path in (BUNDLED / name).glob("*.safetensors")]
    assert sum(path.stat().st_size for path in files) <= 30e6
    configs = [json.loads((BUNDLED / name / "config.json").read_text()) for name in MINIS]
    assert [config["dtype"] for config in configs] == ["float16", "float16"]


def test_the_record_of_collapse_is_whole() -> None:
    record = json.loads((BUNDLED / "mixtral-mini" / "collapse.json").read_text())
    assert {"description", "steps", "domains_note", "with_loss", "without_loss"} <= set(record)
    n_steps = len(record["steps"])
    assert record["steps"] == sorted(record["steps"])
    for arm in (record["with_loss"], record["without_loss"]):
        share = np.array(arm["share"])
        assert share.shape == (n_steps, 2, 8)
        assert np.allclose(share.sum(-1), 1, atol=1e-3)
        assert len(arm["loss"]) == n_steps
    idle = [(np.array(record[arm]["share"])[-1] < 0.1 / 8).sum(-1) for arm in ("with_loss", "without_loss")]
    assert max(idle[0]) <= 2  # nearly all experts work with the loss
    assert min(idle[1]) >= 4  # and half of them or more are left idle in every layer without it


def test_licences_and_curves_lie_beside_the_weights() -> None:
    for name in MINIS:
        folder: Path = BUNDLED / name
        assert {"RECIPE.md", "loss.csv", "loss.svg"} <= {path.name for path in folder.iterdir()}
        recipe = (folder / "RECIPE.md").read_text()
        for words in ("licence", "public domain", "Python Software Foundation", "CC BY 2.5"):
            assert words in recipe
        last = (folder / "loss.csv").read_text().splitlines()[-1].split(",")
        assert f"{int(last[0]):,} steps" in recipe
