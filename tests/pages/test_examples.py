"""Every example opens, and shows on the default model what it says it shows."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime import head_measures, head_worth, load_model
from model_runtime.interventions import ScaleHead
from model_runtime.records import HeadWorth
from model_runtime.records.distributions import softmax
from model_runtime.run import open_run
from pages.shared.escape import model_name
from pages.shared.frame import contents
from pages.shared.frame.examples import EXAMPLES, Example, looks_at
from pages.shared.settings.kinds import Refused
from pages.shared.settings.table import (
    DEFAULT_HEAD,
    DEFAULT_LAYER,
    DEFAULT_MODEL,
    DEFAULT_PROMPT,
    SETTINGS,
    defaults,
)
from viz.attention.heads import head_to_open
from viz.attention.worth import effect_record, effect_words
from viz.style import share as share_words

MEASURES = {
    "previous": "previous_token",
    "first": "first_token",
    "induction": "induction",
    "duplicate": "duplicate_token",
}
# What the default model says next, and with what probability at least.
LIKELIEST = {
    "turns a sentence into a guess": (" Potter", 0.5),
    "recalls a capital": (" Tokyo", 0.8),
    "works out who is given the drink": (" Mary", 0.9),
    "is almost sure, in code": (" a", 0.9),
    "wavers between large and small": (" large", 0.4),
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.sees)
def test_settings_and_page_exist(example: Example) -> None:
    assert example.page in {entry.url for entry in contents.PAGES}
    for key, value in example.opens.items():
        try:
            assert SETTINGS[key].fit(value) == value
        except Refused:
            pytest.fail(f"{key} is refused")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.sees)
def test_it_says_what_to_look_at_until_the_prompt_changes(example: Example) -> None:
    values = {**defaults(), **example.opens}
    assert looks_at(example.page, values) == example.look
    assert example.look.endswith(".")
    assert 40 < len(example.look) < 240
    assert model_name(example.model) in example.hint
    entry = contents.entry_of(example.page)
    assert not entry.parts or entry.setting in example.settings, "it goes to its part"
    assert looks_at(example.page, {**values, "prompt": example.prompt + " x"}) == ""
    assert looks_at(example.page, {**values, "model": "other"}) == ""


def test_another_part_of_its_page_is_not_the_example() -> None:
    values = {**defaults(), **EXAMPLES[0].opens}
    assert looks_at("attention", values)
    assert looks_at("attention", {**values, "part": "cost"}) == ""


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


def example_that(sees: str) -> Example:
    return next(example for example in EXAMPLES if example.sees == sees)


def read_at_the_end(model, prompt: str, layer: int, head: int, text: str) -> float:  # type: ignore[no-untyped-def]
    """The share of the last token's attention on the tokens of this text."""
    trace = model.trace(prompt)
    row = trace.get("pattern", layer, head)[-1]
    return float(sum(share for share, token in zip(row, trace.tokens, strict=True) if token.text == text))


def falls(worth: HeadWorth, layer: int, head: int) -> tuple[float, float]:
    return float(np.exp(worth.before)), float(np.exp(worth.after[layer, head]))


def test_the_opening_reads_a_name_while_another_head_decides(model) -> None:  # type: ignore[no-untyped-def]
    """All that the sentence of the first screen claims, of the head that it opens on and of the other."""
    example = example_that("reads a name, while another head decides")
    assert (example.prompt, example.settings["layer"], example.settings["head"]) == (
        *(DEFAULT_PROMPT, DEFAULT_LAYER, DEFAULT_HEAD),
    )
    assert looks_at("attention", defaults()) == example.look, "it is what a first visitor sees"
    worth = head_worth(open_run(model, example.prompt))
    assert model.token(worth.token).text == " Potter"
    assert read_at_the_end(model, example.prompt, 24, 4, " Potter") > 0.6
    before, after = falls(worth, 24, 4)
    assert after > before + 0.2
    assert read_at_the_end(model, example.prompt, 29, 1, " Potter") < 0.05
    assert np.unravel_index(worth.change.argmax(), worth.change.shape) == (29, 1)
    assert falls(worth, 29, 1)[1] < before / 5


@pytest.mark.parametrize("mini", ["gpt2-mini", "mixtral-mini"])
def test_on_the_bundled_models_the_opening_heads_words_are_so(mini: str) -> None:
    """What the page says of the head it opens on and of the one the overview names, by runs without them."""
    model = load_model(mini)
    run = open_run(model, DEFAULT_PROMPT)
    worth = head_worth(run)
    best = np.unravel_index(worth.change.argmax(), worth.change.shape)
    row_of, texts = run.trace.get, [token.text for token in run.tokens]
    for layer, head in (head_to_open(head_measures(run)), (int(best[0]), int(best[1]))):
        edited = model.trace(DEFAULT_PROMPT, interventions=ScaleHead(layer, head))
        shares = [float(softmax(t.next_token_logits())[worth.token]) for t in (run.trace, edited)]
        said = effect_words(
            effect_record(
                row_of("pattern", layer, head)[-1],
                run.ids,
                texts,
                layer=layer,
                head=head,
                token=worth.token,
                text=model.token(worth.token).text,
                before=float(np.exp(worth.before)),
                after=float(np.exp(worth.after[layer, head])),
            )
        )
        verb = {-1: "falls from", 0: "stays about where it is:", 1: "rises from"}
        gained = shares[1] - shares[0]
        assert verb[0 if abs(gained) < 0.01 else int(np.sign(gained))] in said
        assert share_words(shares[0]) in said
        assert share_words(shares[1]) in said
    assert looks_at("attention", {**defaults(), "model": mini}) == "", "its sentence is of the default model"


def test_one_reads_what_it_then_says(model) -> None:  # type: ignore[no-untyped-def]
    example = example_that("reads what it then says")
    worth = head_worth(open_run(model, example.prompt))
    assert model.token(worth.token).text == " D"
    row = model.trace(example.prompt).get("pattern", 28, 2)[-1]
    assert model.tokenize(example.prompt)[int(row.argmax())].text == " D"
    assert np.unravel_index(worth.change.argmax(), worth.change.shape) == (28, 2)
    before, after = falls(worth, 28, 2)
    assert after < before / 3


def test_words_are_cut_and_shared_as_the_sentences_say(model) -> None:  # type: ignore[no-untyped-def]
    def count(text: str) -> int:
        return len(model.tokenize(text))

    words = example_that("cuts a rare word into pieces").prompt.split()
    assert [count(f" {word}") for word in words] == [1, 1, 1, 1, 1, 1, 3, 1]
    assert count("cat") == 1 < count(" spiderman")
    english, *others = [
        f"{greeting.strip()}!"
        for greeting in example_that("pays more for other languages").prompt.replace("！", "!").split("!")
        if greeting.strip()
    ]
    assert len(others) == 4
    assert all(count(english) < count(other) for other in others)
    assert "Tokyo" not in example_that("recalls a capital").prompt
    moles = model.trace(example_that("meets one word with three meanings").prompt, logits_at="all")
    at = [i for i, token in enumerate(moles.tokens) if token.text == " mole"]
    assert len(at) == 3
    assert len(set(moles.get("logits")[at].argmax(-1))) > 1


def test_scripture_and_sums_go_to_different_experts() -> None:
    """The bundled mixture of experts on the example: words before the comma, a sum after it."""
    example = next(example for example in EXAMPLES if example.page == "moe")
    trace = load_model(example.model).trace(example.prompt)
    texts = [token.text for token in trace.tokens]
    comma = texts.index(",")
    first = np.stack([trace.get("router_indices", layer)[:, 0] for layer in range(trace.spec.n_layers)])
    words, numbers = first[:, :comma], first[:, comma + 1 :]
    shared = [len(set(words[layer]) & set(numbers[layer])) for layer in range(trace.spec.n_layers)]
    apart = [len(set(words[layer]) ^ set(numbers[layer])) for layer in range(trace.spec.n_layers)]
    assert sum(apart) > sum(shared)
