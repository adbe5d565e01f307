"""Models are built one at a time, and a large one that is being read keeps nobody waiting."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedModel

from model_runtime.errors import ModelTooLarge, UnsupportedModel
from model_runtime.limits import MIB
from model_runtime.loading import building
from model_runtime.loading import load as loading
from model_runtime.loading.load import load_weights
from tests.tiny_checkpoints import save, tiny_gpt2, tiny_llama

WAIT = 60  # seconds until a test that would hang fails


@pytest.fixture
def large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A GPT-2 whose weights take until the second event to read; the first says that reading has begun."""
    begun, ready = threading.Event(), threading.Event()
    really = PreTrainedModel._load_pretrained_model

    def slowly(model: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(model, GPT2LMHeadModel):
            begun.set()
            assert ready.wait(WAIT)
        return really(model, *arguments, **options)

    monkeypatch.setattr(PreTrainedModel, "_load_pretrained_model", staticmethod(slowly))
    yield str(save(tmp_path / "large", tiny_gpt2())), begun, ready
    ready.set()


def test_a_small_model_does_not_wait_for_a_large_one(
    large: tuple[str, threading.Event, threading.Event], tmp_path: Path
) -> None:
    name, begun, ready = large
    small = str(save(tmp_path / "small", tiny_llama()))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load_weights, name, dtype="bfloat16")
        try:
            assert begun.wait(WAIT)
            second = pool.submit(load_weights, small).result(WAIT)
            assert not first.done()
        finally:
            ready.set()
        read = first.result(WAIT)
    assert torch.equal(second.hf_model.lm_head.weight, tiny_llama().lm_head.weight)
    assert torch.equal(read.hf_model.lm_head.weight, tiny_gpt2().lm_head.weight.bfloat16())
    assert (read.hf_model.dtype, second.hf_model.dtype) == (torch.bfloat16, torch.float32)
    assert torch.get_default_dtype() == torch.float32
    assert not building.TURN.locked()


def test_a_model_has_the_library_s_own_class(tmp_path: Path) -> None:
    assert type(load_weights(str(save(tmp_path / "small"))).hf_model) is LlamaForCausalLM


def test_a_turn_ends_with_a_load_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = str(save(tmp_path / "small"))

    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(PreTrainedModel, "_load_pretrained_model", staticmethod(fail))
        with pytest.raises(UnsupportedModel, match="small cannot be loaded"):
            load_weights(small)
    assert not building.TURN.locked()
    load_weights(small)


def test_two_loads_do_not_count_on_the_same_memory(
    large: tuple[str, threading.Event, threading.Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fits alone: 256 MiB are kept back, and both take some kilobytes."""
    name, begun, ready = large
    small = str(save(tmp_path / "small"))
    monkeypatch.setattr(loading, "free_memory", lambda device: 256 * MIB + 100_000)
    load_weights(small)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(load_weights, name)
        try:
            assert begun.wait(WAIT)
            with pytest.raises(ModelTooLarge):
                load_weights(small)
        finally:
            ready.set()
        first.result(WAIT)
    load_weights(small)
