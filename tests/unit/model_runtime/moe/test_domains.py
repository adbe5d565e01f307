"""Domains measured on a tiny random model, and typical tokens by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model_runtime.errors import NotFinite, PointUnavailable
from model_runtime.model import Model
from model_runtime.moe.domains import (
    DOMAINS,
    DomainRouting,
    TextMissing,
    domain_counts,
    domain_divergence,
    domain_routing,
    domain_shares,
    nearest_domain,
    read_heldout,
    typical_tokens,
)
from tests.tiny_models import tiny_model


def wrapped(family: str) -> Model:
    hf_model, tokenizer = tiny_model(family)
    return Model(hf_model, tokenizer, model_id="tiny", name="tiny", revision="local")


@pytest.fixture(scope="module")
def record() -> DomainRouting:
    return domain_routing(wrapped("mixtral"), excerpts=2)


def by_hand() -> DomainRouting:
    """Two domains of ten tokens, one layer (number 3), one expert a token: 7 goes to expert 0, 8 to 1."""
    ids = np.array([7] * 6 + [8] * 4 + [7] * 2 + [8] * 8)
    domain = np.array([0] * 10 + [1] * 10, dtype=np.int8)
    half = np.arange(20, dtype=np.int8) % 2
    return DomainRouting(("a", "b"), (3,), 2, ids, domain, half, (ids == 8).astype(np.int16)[None, :, None])


def test_the_same_number_of_tokens_of_each(record: DomainRouting) -> None:
    assert record.domains == DOMAINS
    assert record.n_tokens == (256,) * 4
    assert record.indices.shape == (3, 1024, 2)
    counts = domain_counts(record)
    assert counts.shape == (2, 4, 3, 4)
    assert (counts.sum(axis=-1) == 256).all()  # 128 tokens a half, 2 slots a token
    assert domain_shares(record).sum(axis=-1) == pytest.approx(np.ones((4, 3)))


def test_what_is_recorded_is_what_the_model_did(record: DomainRouting) -> None:
    model = wrapped("mixtral")
    first = model.trace(record.ids[:128].tolist())
    for number, layer in enumerate(record.layers):
        assert np.array_equal(record.indices[number, :128], first.get("router_indices", layer))
    assert model.tokens.encode(read_heldout()["plays"][:800])[:128] == tuple(record.ids[:128])


def test_shares_and_divergence_by_hand() -> None:
    shares = domain_shares(by_hand())
    assert shares[:, 0].tolist() == [[0.6, 0.4], [0.2, 0.8]]
    divergence = domain_divergence(by_hand())
    assert divergence.pairs == ((0, 1),)
    assert divergence.within == pytest.approx(np.zeros((1, 2)))  # the halves are alike
    # m = (0.4, 0.6): H = 0.970951; H(0.6, 0.4) = 0.970951; H(0.2, 0.8) = 0.721928
    assert divergence.between[0, 0] == pytest.approx(0.970951 - (0.970951 + 0.721928) / 2, abs=1e-6)


def test_a_prompt_is_near_the_domain_it_is_of() -> None:
    near = nearest_domain(by_hand(), np.array([[2, 8]]))
    assert near[1] == 0
    assert near[0] > 0


def test_typical_tokens_by_hand() -> None:
    (only,) = typical_tokens(by_hand(), 3, 1)
    assert (only.id, only.seen, only.taken) == (8, 12, 12)
    assert only.share_of_expert == 1
    assert only.share_of_text == 12 / 20
    assert only.times == pytest.approx(20 / 12)


def test_rare_tokens_are_left_out() -> None:
    rare = by_hand()
    rare.ids[:4] = 9  # four times only
    assert [token.id for token in typical_tokens(rare, 3, 0)] == []


def test_a_dense_layer_between_is_left_out() -> None:
    found = domain_routing(wrapped("qwen2_moe"), excerpts=1)
    assert found.layers == (0, 2)
    assert typical_tokens(found, 2, 0)
    assert domain_divergence(found).within.shape == (2, 4)


def test_a_dense_model_is_refused() -> None:
    with pytest.raises(PointUnavailable, match="dense"):
        domain_routing(wrapped("llama"))


def test_missing_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextMissing, match=r"plays\.txt"):
        read_heldout(tmp_path)


def test_short_text_gives_what_it_has() -> None:
    found = domain_routing(wrapped("mixtral"), {"a": "the dog\n", "b": "the cat sat on the mat\n" * 50}, 2)
    assert 0 < found.n_tokens[0] < 20
    assert found.n_tokens[1] == 256


def test_a_model_whose_numbers_end_has_no_domains() -> None:
    model = wrapped("mixtral")
    with torch.no_grad():
        model.hf_model.lm_head.weight[3, 0] = float("nan")
    with pytest.raises(NotFinite, match=r"the logits after an excerpt of b"):
        domain_routing(model, {"b": "the cat sat on the mat\n" * 50}, 1)
