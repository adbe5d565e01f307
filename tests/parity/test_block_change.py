"""What a block changes, every family: pieces sum to attn_out, and the lens ends at the model's own logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model_runtime import Model, OpenRun
from model_runtime.interventions import ScaleHead, Steer
from model_runtime.start.block_change import _pieces, attention_reading, early_guesses, lens_logits
from tests.tiny_models import ALL_CASES, VOCABULARY, build_model, tiny_tokenizer

IDS = tuple(torch.randint(1, VOCABULARY, (12,), generator=torch.Generator().manual_seed(3)).tolist())
POST_NORM = ("gemma2", "gemma3", "olmo2")


def run_of(case: str, *edits: ScaleHead | Steer) -> OpenRun:
    model = Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")
    return OpenRun(model, IDS, edits)


@pytest.mark.parametrize("case", ALL_CASES)
def test_the_pieces_of_all_tokens_sum_to_what_attention_adds(case: str) -> None:
    for run in (run_of(case), run_of(case, ScaleHead(1, 2, 0.5))):
        added = run.traced(points=("attn_out",)).get("attn_out")
        for layer, position in ((0, 11), (1, 6), (2, 0)):
            by_key, by_head, _ = _pieces(run, layer, position)
            bias = run.model.adapter.output_projection(layer)[1]
            for pieces in (by_key, by_head):
                total = pieces.sum(0) + (0 if bias is None else bias)
                if case not in POST_NORM:  # where a norm follows, what it reads is not kept
                    np.testing.assert_allclose(total.detach(), added[layer, position], atol=5e-6)


@pytest.mark.parametrize("case", ALL_CASES)
def test_the_lens_after_the_last_block_is_the_models_own_guess(case: str) -> None:
    run = run_of(case)
    rows = run.trace.get("resid_post", 2)
    with torch.no_grad():
        own = run.model.hf_model(input_ids=torch.tensor([IDS])).logits[0].float().numpy()
    np.testing.assert_allclose(lens_logits(run.model, rows), own, atol=1e-5)
    guesses = early_guesses(run, 2, 11, token=7)
    last = guesses.guesses[-1]
    shares = np.exp(own[11].astype(np.float64)) / np.exp(own[11].astype(np.float64)).sum()
    assert last.point == "resid_post"
    assert last.ids[0] == int(own[11].argmax())
    assert last.probability == pytest.approx(shares[7], rel=1e-4)
    assert last.rank == int((shares > shares[7]).sum()) + 1


@pytest.mark.parametrize("case", ALL_CASES)
def test_the_lens_reads_what_stands_at_each_point(case: str) -> None:
    """Against transformers' own norm and head, and hidden states where the runtime has points."""
    run = run_of(case)
    points = (
        ["resid_pre", "resid_post"]
        if run.model.adapter.parallel
        else ["resid_pre", "resid_mid", "resid_post"]
    )
    trace = run.traced(points=points)
    for layer in range(3):
        found = early_guesses(run, layer, 5, token=3)
        assert [guess.point for guess in found.guesses] == points
        for guess in found.guesses:
            row = lens_logits(run.model, trace.get(guess.point, layer)[[5]])[0].astype(np.float64)
            shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
            assert guess.probability == pytest.approx(shares[3], rel=1e-4)
        sparse = run.spec.layers[layer].sparse
        assert len(found.experts) == (run.spec.experts_per_token if sparse else 0)


def test_an_edit_of_the_stream_before_a_block_is_what_enters_it() -> None:
    edit = Steer("resid_pre", 1, tuple(np.linspace(-3, 3, 32)), 1.0)
    run, plain = run_of("llama", edit), run_of("llama")
    edited, own = (early_guesses(one, 1, 11, token=3).guesses[0] for one in (run, plain))
    entering = run.traced(points=("resid_pre",), layers=(1,)).get("resid_pre", 1)[[11]]
    row = lens_logits(run.model, entering)[0].astype(np.float64)
    assert edited.probability == pytest.approx(np.exp(row[3]) / np.exp(row).sum(), rel=1e-4)
    assert edited.probability != pytest.approx(own.probability, rel=1e-2)


@pytest.mark.parametrize("case", ["llama", "gpt2", "gpt_oss", "mixtral"])
def test_a_head_that_is_off_adds_nothing_and_the_strongest_reads_what_its_pattern_says(case: str) -> None:
    off = attention_reading(run_of(case, ScaleHead(1, 0, 0.0)), 1, 11)
    assert off.head_lengths[0] == 0
    run = run_of(case)
    reading = attention_reading(run, 1, 6)
    head = reading.strongest_head
    row = run.trace.get("pattern", 1, head)[6]
    assert (reading.head_reads[head], reading.head_shares[head]) == (row.argmax(), pytest.approx(row.max()))
    assert (reading.key_lengths[7:] == 0).all()
    largest = reading.largest(5)
    assert [length for _, length in largest] == sorted(reading.key_lengths, reverse=True)[:5]
    assert reading.nbytes > reading.key_lengths.nbytes
