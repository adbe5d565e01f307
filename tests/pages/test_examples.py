"""Every example opens, and shows on the default model what it says it shows."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime import head_measures, load_model
from model_runtime.run import open_run
from pages.shared.frame import contents
from pages.shared.frame.examples import EXAMPLES, Example
from pages.shared.settings.kinds import Refused
from pages.shared.settings.table import DEFAULT_HEAD, DEFAULT_LAYER, DEFAULT_MODEL, DEFAULT_PROMPT, SETTINGS

MEASURES = {
    "previous": "previous_token",
    "first": "first_token",
    "induction": "induction",
    "duplicate": "duplicate_token",
}
# What the default model says next, and with what probability at least.
LIKELIEST = {
    "recalls a capital": (" Tokyo", 0.8),
    "works out who is given the drink": (" Mary", 0.9),
    "is almost sure, in code": (" a", 0.9),
    "wavers between large and small": (" large", 0.4),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.sees)
def test_settings_and_page_exist(example: Example) -> None:
    assert example.page in {entry.url for entry in contents.PAGES}
    for key, value in (*example.settings.items(), ("prompt", example.prompt)):
        try:
            assert SETTINGS[key].fit(value) == value
        except Refused:
            pytest.fail(f"{key} is refused")


def test_there_is_one_for_each_kind_of_head_and_each_page() -> None:
    assert {example.settings.get("measure") for example in EXAMPLES} >= {*MEASURES}
    assert {example.page for example in EXAMPLES} == {entry.url for entry in contents.PAGES}
    assert EXAMPLES[0].prompt == DEFAULT_PROMPT


@pytest.fixture(scope="module")
def model():  # type: ignore[no-untyped-def]
    return load_model(DEFAULT_MODEL)


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example.settings.get("measure") in MEASURES],
    ids=lambda example: example.sees,
)
def test_the_head_does_what_the_example_says(model, example: Example) -> None:  # type: ignore[no-untyped-def]
    measures = head_measures(open_run(model, example.prompt))
    values = getattr(measures, MEASURES[str(example.settings["measure"])])
    layer, head = int(str(example.settings["layer"])), int(str(example.settings["head"]))
    assert values[layer, head] > 0.8
    assert values[layer, head] >= np.nanmax(values) - 0.02


@pytest.mark.parametrize("measure", ["distance", "entropy"])
def test_the_head_is_the_nearest_and_the_broadest(model, measure: str) -> None:  # type: ignore[no-untyped-def]
    example = next(example for example in EXAMPLES if example.settings.get("measure") == measure)
    measures = head_measures(open_run(model, example.prompt))
    values = measures.mean_distance if measure == "distance" else -measures.entropy
    layer, head = int(str(example.settings["layer"])), int(str(example.settings["head"]))
    assert (layer, head) == np.unravel_index(values.argmin(), values.shape)


@pytest.mark.parametrize("sees", [*LIKELIEST])
def test_the_likeliest_token_is_the_one_the_example_promises(model, sees: str) -> None:  # type: ignore[no-untyped-def]
    example = next(example for example in EXAMPLES if example.sees == sees)
    logits = model.trace(example.prompt).next_token_logits().astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    text, least = LIKELIEST[sees]
    assert model.token(int(probabilities.argmax())).text == text
    assert probabilities.max() > least


def test_the_default_head_reads_what_followed_the_same_token_before(model) -> None:  # type: ignore[no-untyped-def]
    induction = head_measures(open_run(model, DEFAULT_PROMPT)).induction
    assert np.unravel_index(np.nanargmax(induction), induction.shape) == (DEFAULT_LAYER, DEFAULT_HEAD)


def test_scripture_and_sums_go_to_different_experts() -> None:
    """The bundled mixture of experts on the example: words before the comma, a sum after it."""
    example = next(example for example in EXAMPLES if example.page == "moe")
    trace = load_model(str(example.settings["model"])).trace(example.prompt)
    texts = [token.text for token in trace.tokens]
    comma = texts.index(",")
    first = np.stack([trace.get("router_indices", layer)[:, 0] for layer in range(trace.spec.n_layers)])
    words, numbers = first[:, :comma], first[:, comma + 1 :]
    shared = [len(set(words[layer]) & set(numbers[layer])) for layer in range(trace.spec.n_layers)]
    apart = [len(set(words[layer]) ^ set(numbers[layer])) for layer in range(trace.spec.n_layers)]
    assert sum(apart) > sum(shared)
