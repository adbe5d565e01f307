"""Loss by position: equal to one plain forward within the context, and beyond it where positions allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime.errors import PromptError, SettingError
from model_runtime.interventions import RopeBase, RopeScaling, ScaleHead
from model_runtime.positions.length import (
    TEXTS,
    furthest,
    long_text,
    loss_by_position,
    why_it_ends,
)
from tests.tiny_models import FAMILY_CASES, VOCABULARY, build_model, tiny_tokenizer

IDS = torch.randint(1, VOCABULARY, (400,), generator=torch.Generator().manual_seed(5)).tolist()


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def plain(case: str, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Loss and entropy of an untouched Hugging Face model in one forward."""
    with torch.no_grad():
        log_p = build_model(case)(torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    loss = -log_p[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return loss.numpy(), -(log_p.exp() * log_p).sum(-1)[:-1].numpy()


@pytest.mark.parametrize("case", [*FAMILY_CASES])
def test_within_the_context_it_is_one_plain_forward(case: str) -> None:
    reading = loss_by_position(model_of(case), IDS[:100], chunk=32)
    loss, entropy = plain(case, IDS[:100])
    assert np.isnan([reading.loss[0], reading.entropy[0]]).all()
    np.testing.assert_allclose(reading.loss[1:], loss, atol=2e-3, rtol=1e-4)
    np.testing.assert_allclose(reading.entropy[1:], entropy, atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("case", ["llama", "gpt_neox", "gemma3", "mistral"])
def test_beyond_the_context_it_is_what_the_model_would_give(case: str) -> None:
    model = model_of(case)
    assert furthest(model) == 4 * model.spec.n_ctx == 512
    reading = loss_by_position(model, IDS[:200], chunk=64)
    np.testing.assert_allclose(reading.loss[1:], plain(case, IDS[:200])[0], atol=2e-3, rtol=1e-4)
    with pytest.raises(PromptError, match=r"513 tokens.*Give at most 512"):
        loss_by_position(model, [1] * 513)


@pytest.mark.parametrize("case", ["gpt2", "opt"])
def test_a_learned_table_ends_with_the_real_error(case: str) -> None:
    model = model_of(case)
    assert furthest(model) == 128
    loss_by_position(model, IDS[:128])
    with pytest.raises(PromptError, match="IndexError: index out of range"):
        loss_by_position(model, IDS[:129])
    assert "128 rows" in why_it_ends(model)
    with pytest.raises(IndexError), torch.no_grad():  # what is told is what happens
        build_model(case)(torch.tensor([IDS[:129]]))


def test_a_rotation_that_follows_the_length_is_not_read_beyond() -> None:
    model = model_of("llama-dynamic")
    assert furthest(model) == model.spec.n_ctx
    assert "by the length of the text" in why_it_ends(model)
    assert why_it_ends(model_of("llama")) == ""


def test_edits_hold_in_every_chunk() -> None:
    model = model_of("llama")
    for edit in (RopeBase(500.0), RopeScaling("linear", 2.0), ScaleHead(0, 1)):
        logits = model.trace(IDS[:100], logits_at="all", interventions=edit).get("logits")
        log_p = torch.tensor(logits).log_softmax(-1)
        expected = -log_p[torch.arange(99), torch.tensor(IDS[1:100])].numpy()
        found = loss_by_position(model, IDS[:100], 30, edit)
        np.testing.assert_allclose(found.loss[1:], expected, atol=2e-3, rtol=1e-4)
        assert found.interventions == (edit,)


def test_chunks_do_not_matter_and_progress_and_turns_are_told() -> None:
    model = model_of("llama")
    told: list[tuple[int, int]] = []
    turns = 0

    @contextmanager
    def turn() -> Iterator[None]:
        nonlocal turns
        turns += 1
        yield

    whole = loss_by_position(model, IDS[:70], chunk=500)
    parts = loss_by_position(
        model, IDS[:70], chunk=32, progress=lambda done, n, seconds: told.append((done, n)), turn=turn
    )
    np.testing.assert_allclose(parts.loss, whole.loss, atol=1e-4)
    assert told == [(32, 70), (64, 70), (70, 70)]
    assert turns == 3


def test_what_progress_raises_ends_the_reading() -> None:
    def stop(done: int, n: int, seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loss_by_position(model_of("llama"), IDS[:70], chunk=32, progress=stop)


@pytest.mark.parametrize("ids", [[], [1], [1, VOCABULARY], "ab", [1.5, 2]])
def test_what_is_no_text_is_refused(ids: Any) -> None:
    with pytest.raises(PromptError):
        loss_by_position(model_of("llama"), ids)
    with pytest.raises(SettingError):
        loss_by_position(model_of("llama"), [1, 2], chunk=0)


def test_bundled_texts_are_there_and_long() -> None:
    for name in TEXTS:
        assert len(long_text(name)) > 40_000
    with pytest.raises(SettingError, match="no text"):
        long_text("../secrets")
