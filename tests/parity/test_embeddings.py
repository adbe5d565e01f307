"""The embedding table: rows, neighbours and analogies against numpy written out, on every family's table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime.errors import PromptError
from model_runtime.vectors.embeddings import (
    analogy,
    cosine,
    embedding_row,
    embedding_scale,
    nearest,
    one_hot_difference,
    parse_analogy,
    parse_words,
    similarities,
    table_norms,
    token_row,
    word_vector,
)
from tests.tiny_models import FAMILY_CASES, build_model, tiny_tokenizer


def model_of(family: str, dtype: torch.dtype = torch.float32) -> Model:
    return Model(
        build_model(family).to(dtype), tiny_tokenizer(), model_id=family, name=family, revision="local"
    )


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_a_row_is_what_the_model_reads(family: str) -> None:
    model = model_of(family)
    table = model.hf_model.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(embedding_row(model, 7), table[7])
    assert one_hot_difference(model, 7) == 0
    scale = embedding_scale(model)
    assert (scale != 1) == (family in ("gemma2", "gemma3"))
    np.testing.assert_array_equal(model.trace([7]).get("embed")[0], table[7] * np.float32(scale))
    np.testing.assert_allclose(table_norms(model), np.linalg.norm(table, axis=1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_neighbours_are_those_of_brute_force(dtype: torch.dtype) -> None:
    model = model_of("llama", dtype)
    table = model.hf_model.get_input_embeddings().weight.detach().float().numpy().astype(np.float64)
    norms, row = table_norms(model), embedding_row(model, 11)
    by_cosine = table @ row / (np.linalg.norm(table, axis=1) * np.linalg.norm(row))
    by_distance = np.linalg.norm(table - row, axis=1)
    near = nearest(model, row, norms, "cosine", 10)
    assert near.ids == tuple(np.argsort(-by_cosine)[:10].tolist())
    assert near.ids[0] == 11
    np.testing.assert_allclose(near.values, np.sort(by_cosine)[::-1][:10], atol=1e-6)
    far = nearest(model, row, norms, "euclidean", 10, skip=[11])
    assert far.ids == tuple(np.argsort(by_distance)[1:11].tolist())
    np.testing.assert_allclose(far.values, np.sort(by_distance)[1:11], atol=1e-5)


def test_a_token_s_row_and_its_neighbours_are_looked_up_together() -> None:
    model = model_of("llama")
    norms, values = table_norms(model), embedding_row(model, 11)
    row = token_row(model, 11, k=5)
    np.testing.assert_array_equal(row.values, values)
    assert row.longer_than == np.mean(norms < norms[11])
    assert row.by_cosine == nearest(model, values, norms, "cosine", 5, [11])
    assert row.by_distance == nearest(model, values, norms, "euclidean", 5, [11])
    assert (row.one_hot_difference, row.tied) == (0, False)
    with pytest.raises(PromptError, match="There is no row"):
        token_row(model, -1)


def test_a_row_of_zeros_has_no_direction() -> None:
    model = model_of("llama")
    with torch.no_grad():
        model.hf_model.get_input_embeddings().weight[5] = 0.0
    norms = table_norms(model)
    assert 5 not in nearest(model, embedding_row(model, 3), norms, "cosine", model.spec.d_vocab).ids
    assert np.isnan(cosine(embedding_row(model, 5), embedding_row(model, 3)))


@pytest.mark.parametrize("token_id", [320, 20_000, -1])
def test_an_id_outside_the_table_is_the_real_error(token_id: int) -> None:
    with pytest.raises(PromptError, match="IndexError: index out of range in self") as caught:
        embedding_row(model_of("gpt2"), token_id)
    assert "rows 0 to 319" in str(caught.value)


def test_the_head_is_tied_or_not() -> None:
    tied = token_row(model_of("gpt2"), 9)
    assert tied.tied
    assert tied.head_cosine == pytest.approx(1.0)
    model = model_of("llama")
    apart = token_row(model, 9)
    assert not apart.tied
    assert abs(apart.head_cosine) < 0.9
    np.testing.assert_array_equal(
        apart.head, model.hf_model.get_output_embeddings().weight.detach().numpy()[9]
    )


def set_rows(model: Model, rows: dict[str, list[float]]) -> None:
    """Give single-token words known vectors."""
    with torch.no_grad():
        weight = model.hf_model.get_input_embeddings().weight
        weight[:] = 0.001 * torch.ones_like(weight)
        for word, values in rows.items():
            weight[word_vector(model, word, space=False).tokens[0].id, : len(values)] = torch.tensor(values)


def test_an_analogy_by_hand() -> None:
    model = model_of("llama")
    set_rows(model, {"k": [1, 1, 0], "m": [0, 1, 0], "w": [0, 1, 1], "q": [1, 1, 1.1], "x": [1, 1, -1]})
    found = analogy(model, "k", "m", "w", space=False)
    assert model.token(found.without.ids[0]).text == "q"
    own = {word_vector(model, word, space=False).tokens[0].id for word in "kmw"}
    assert not own & set(found.without.ids)
    assert own & set(found.with_own.ids)
    assert found.parallel == pytest.approx(0.995, abs=1e-3)  # (1, 0, 0) with (1, 0, 0.1)


def test_words_of_several_tokens_are_means() -> None:
    model = model_of("llama")
    vector = word_vector(model, "zebra", space=False)
    assert len(vector.tokens) > 1
    rows = [embedding_row(model, token.id) for token in vector.tokens]
    np.testing.assert_allclose(vector.vector, np.mean(rows, axis=0), rtol=1e-6)
    matrix = similarities([vector, word_vector(model, "cat")])
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert matrix[0, 1] == matrix[1, 0]


@pytest.mark.parametrize("text", ["", " , ", "one", "a,a", ",".join(map(str, range(25))), "x" * 61 + ",y"])
def test_lists_that_cannot_be_used(text: str) -> None:
    with pytest.raises(PromptError):
        parse_words(text)


@pytest.mark.parametrize(
    "text", ["", "king", "king - man", "king + man - woman", " - a + b", "a - b + " + "c" * 61]
)
def test_sums_that_cannot_be_used(text: str) -> None:
    with pytest.raises(PromptError):
        parse_analogy(text)
