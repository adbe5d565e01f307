"""Copies of a model that a measurement makes are freed when it ends, not when Python looks for circles."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from model_runtime.model import Model
from model_runtime.numbers import gradients, quantization_effects
from model_runtime.run import open_run
from tests.tiny_models import build_model, tiny_tokenizer


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def backward(model: Model) -> None:
    gradients.backward(model, (1, 2, 3, 4), torch.float16)


def packed(model: Model) -> None:
    run = open_run(model, (1, 2, 3, 4))
    quantization_effects.effect_of(run, quantization_effects.SCHEMES[0])


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("measure", [backward, packed])
def test_a_copy_is_freed_at_once(measure: Callable[[Model], None], monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(build_model("llama"), tiny_tokenizer(), model_id="m", name="m", revision="random")
    made: list[weakref.ref[nn.Module]] = []
    modules = nn.Module.modules

    def seen(self: nn.Module) -> Iterator[nn.Module]:
        if self is not model.hf_model:
            made.append(weakref.ref(self))
        return modules(self)

    monkeypatch.setattr(nn.Module, "modules", seen)
    measure(model)
    assert made
    assert [one() for one in made] == [None] * len(made)
    assert "forward" in next(iter(model.adapter.blocks)).__dict__  # the model itself keeps its own
