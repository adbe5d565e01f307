"""A text read from another tokenizer's numbers: tiny model, real forwards, ids beyond the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime.errors import PromptError
from model_runtime.records import Token, Tokenized
from model_runtime.tokens import foreign
from model_runtime.tokens.encodings import tokenize_with, tokenize_with_model
from model_runtime.tokens.foreign import MAX_TOKENS, N_NEXT, read_foreign
from tests.tiny_models import build_model, tiny_tokenizer

TEXT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(build_model("llama"), tiny_tokenizer(), model_id="tiny", name="Tiny", revision="local")


def given_ids(text: str, *ids: int) -> Tokenized:
    """A text with made-up ids of another tokenizer."""
    tokens = tuple(Token(one, "", b"") for one in ids)
    return Tokenized("Other", 10_000, text, tokens, ((0, 0),) * len(ids))


def surprises(model: Model, ids: tuple[int, ...]) -> np.ndarray:
    """By torch, on the Hugging Face module itself."""
    with torch.no_grad():
        logits = model.hf_model(torch.tensor([ids]), use_cache=False).logits[0]
    found = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    return np.concatenate(([np.nan], found.numpy()))


def test_the_models_own_ids_give_one_reading_twice(model: Model) -> None:
    reading = read_foreign(model, tokenize_with_model(model, TEXT))
    assert reading.ids == reading.own_ids == model.tokens.encode(TEXT)
    assert reading.read == model.tokenize(TEXT)
    np.testing.assert_array_equal(reading.foreign_surprise, reading.own_surprise)
    np.testing.assert_allclose(reading.own_surprise, surprises(model, reading.own_ids), rtol=1e-4)
    assert reading.next_foreign == reading.next_own
    assert (reading.n_outside, reading.error, reading.is_cut) == (0, "", False)


def test_the_same_numbers_are_other_words(model: Model) -> None:
    reading = read_foreign(model, given_ids(TEXT, 300, 17, 301))
    assert [token.id for token in reading.read if token] == [300, 17, 301]
    assert reading.read[0] == model.token(300)
    np.testing.assert_allclose(reading.foreign_surprise, surprises(model, (300, 17, 301)), rtol=1e-4)
    assert reading.own_ids == model.tokens.encode(TEXT)


def test_ids_beyond_the_table_are_refused_and_left_out(model: Model) -> None:
    d_vocab = model.spec.d_vocab
    reading = read_foreign(model, given_ids(TEXT, 300, d_vocab, 17, 9_999, 301))
    assert reading.read == (model.token(300), None, model.token(17), None, model.token(301))
    assert reading.n_outside == 2
    assert f"Token id {d_vocab} does not exist" in reading.error
    assert f"0 to {d_vocab - 1}" in reading.error
    expected = surprises(model, (300, 17, 301))
    assert np.isnan(reading.foreign_surprise[[0, 1, 3]]).all()
    np.testing.assert_allclose(reading.foreign_surprise[[2, 4]], expected[1:], rtol=1e-4)


def test_no_id_inside_leaves_nothing_to_read(model: Model) -> None:
    reading = read_foreign(model, given_ids(TEXT, 5_000, 6_000))
    assert (reading.read, reading.next_foreign) == ((None, None), ())
    assert np.isnan(reading.foreign_surprise).all()
    assert len(reading.next_own) == N_NEXT


def test_next_tokens_are_the_models(model: Model) -> None:
    reading = read_foreign(model, given_ids(TEXT, 300, 17))
    logits = torch.from_numpy(model.trace((300, 17)).next_token_logits())
    top = logits.softmax(-1).topk(N_NEXT)
    assert [token_id for token_id, _ in reading.next_foreign] == top.indices.tolist()
    assert [p for _, p in reading.next_foreign] == pytest.approx(top.values.tolist(), rel=1e-4)


def test_long_texts_are_cut_and_say_so(model: Model) -> None:
    long = "the cat sat on the mat " * 40
    reading = read_foreign(model, tokenize_with("gpt2", long))
    n_ctx = model.spec.n_ctx
    assert n_ctx < MAX_TOKENS
    assert (reading.n_max, len(reading.ids), len(reading.own_ids)) == (n_ctx, n_ctx, n_ctx)
    assert reading.is_cut
    assert reading.n_foreign > n_ctx
    assert reading.n_own == len(model.tokens.encode(long))


def test_reading_in_parts_changes_nothing(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_foreign(model, tokenize_with_model(model, TEXT))
    rows: list[Any] = []
    trace = model.trace

    def seen(ids: Any, **request: Any) -> Any:
        rows.append(tuple(request["logits_at"]))
        return trace(ids, **request)

    monkeypatch.setattr(model, "trace", seen)
    monkeypatch.setattr(foreign, "_LOGIT_BYTES", 3 * 4 * model.spec.d_vocab)
    parts = read_foreign(model, tokenize_with_model(model, TEXT))
    assert max(map(len, rows)) == 3
    np.testing.assert_allclose(parts.own_surprise, whole.own_surprise, rtol=1e-5)
    assert dict(parts.next_own) == pytest.approx(dict(whole.next_own))


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_blank_text_is_refused(model: Model, text: str) -> None:
    with pytest.raises(PromptError, match=r"empty|blank"):
        read_foreign(model, tokenize_with("gpt2", text))


def test_one_token_has_no_surprise_but_a_next(model: Model) -> None:
    reading = read_foreign(model, given_ids("a", 300))
    assert np.isnan(reading.own_surprise).all()
    assert len(reading.next_foreign) == N_NEXT
    assert reading.nbytes > 0
