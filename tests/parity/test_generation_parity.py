"""Greedy generation against transformers' own `generate(do_sample=False)`."""

from __future__ import annotations

import pytest
import torch

from model_runtime.loading.load import load_model
from model_runtime.model import Model
from model_runtime.sampling.generation import generate, generate_many
from model_runtime.sampling.settings import SamplingSettings
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


@pytest.fixture(scope="module")
def default_model() -> Model:
    return load_model()


@pytest.mark.slow
@pytest.mark.parametrize(
    "prompt",
    ["The history of science is the study of", "def fibonacci(n):\n    ", "Ein Satz über Käse: 日本 👩‍👩‍👧"],
)
def test_greedy_on_the_default_model_equals_transformers(default_model: Model, prompt: str) -> None:
    ids = default_model.prompt_ids(prompt)
    tokens = list(generate(default_model, ids, SamplingSettings(temperature=0.0, max_new_tokens=40)))
    written = [token.token.id for token in tokens]
    # The hooks are idle in transformers' own loop, so the same weights serve as the reference.
    assert written == greedy_by_transformers(default_model.hf_model, ids, 40)
    text = default_model.tokenizer.decode(written, skip_special_tokens=True)
    assert "".join(token.text for token in tokens) == text


@pytest.mark.slow
def test_side_by_side_on_the_default_model_equals_single_texts(default_model: Model) -> None:
    settings = [SamplingSettings(temperature=t, seed=3, max_new_tokens=8) for t in (0.0, 0.8, 10.0)]
    prompt = "Once upon a time there was"
    together = generate_many(default_model, prompt, settings)
    for many, sampling in zip(together, settings, strict=True):
        alone = generate(default_model, prompt, sampling)
        assert [(t.token.id, t.probability) for t in many] == [(t.token.id, t.probability) for t in alone]
