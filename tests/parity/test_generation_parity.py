"""Greedy generation against transformers' own `generate(do_sample=False)`."""

from __future__ import annotations

import pytest
import torch

from model_runtime.generation import generate
from model_runtime.model import Model
from model_runtime.sampling_settings import SamplingSettings
from tests.tiny_models import FAMILY_CASES, TEXT, build_model, tiny_tokenizer


def greedy_by_transformers(hf_model: object, ids: tuple[int, ...], n_new: int, **changes: float) -> list[int]:
    with torch.no_grad():
        output = hf_model.generate(  # type: ignore[attr-defined]
            torch.tensor([ids]),
            attention_mask=torch.ones((1, len(ids)), dtype=torch.long),
            do_sample=False,
            max_new_tokens=n_new,
            pad_token_id=0,
            **changes,
        )
    return output[0, len(ids) :].tolist()


@pytest.mark.parametrize("case", FAMILY_CASES)
def test_greedy_equals_transformers_on_every_family(case: str) -> None:
    model = Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="local")
    for prompt in ("the quick", TEXT):
        ids = model.prompt_ids(prompt)
        ours = [
            t.token.id for t in generate(model, ids, SamplingSettings(temperature=0.0, max_new_tokens=30))
        ]
        assert ours == greedy_by_transformers(build_model(case), ids, 30)


def test_greedy_with_a_repetition_penalty_equals_transformers() -> None:
    model = Model(build_model("llama"), tiny_tokenizer(), model_id="t", name="t", revision="local")
    ids = model.prompt_ids(TEXT)
    sampling = SamplingSettings(temperature=0.0, repetition_penalty=1.7, max_new_tokens=40)
    ours = [t.token.id for t in generate(model, ids, sampling)]
    assert ours == greedy_by_transformers(build_model("llama"), ids, 40, repetition_penalty=1.7)
