"""One word in several sentences: where it stands, its cosines, and the baseline, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.errors import PromptError
from model_runtime.model import Model
from model_runtime.records import Senses
from model_runtime.vectors.senses import POINTS, find_word, sense_paths, senses
from tests.tiny_checkpoints import byte_tokenizer, tiny_gpt2, tiny_llama

SENTENCES = ("a mole dug", "one Mole of it", "the mole")


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest) -> Model:
    hf_model = tiny_llama() if request.param == "llama" else tiny_gpt2()
    return Model(hf_model, byte_tokenizer(), model_id="tiny", name="tiny", revision="local")


def found_in(model: Model, *sentences: str, word: str = "mole") -> Senses:
    return senses(
        model, tuple(find_word(model, sentence, word) for sentence in sentences), ((),) * len(sentences)
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_last_whole_occurrence_and_its_last_token_count(model: Model) -> None:
    found = find_word(model, "mole, molecule, MOLE!", " mole ")
    assert (found.text, found.n_times) == ("MOLE", 2)
    assert found.positions == (16, 17, 18, 19)  # one token a byte
    assert found.position == 19


@pytest.mark.parametrize("word", ["mol", "ole", "c", "("])
def test_a_word_that_does_not_stand_there_names_the_sentence(model: Model, word: str) -> None:
    with pytest.raises(PromptError, match="sentence “molecule”"):
        find_word(model, "molecule", word)


def test_a_blank_word_is_refused(model: Model) -> None:
    with pytest.raises(PromptError, match="No word"):
        find_word(model, "molecule", " ")


def test_equal_tokens_have_equal_embeddings_and_part_later(model: Model) -> None:
    found = found_in(model, *SENTENCES)
    assert found.pairs == ((0, 1), (0, 2), (1, 2))
    assert found.cosines[:, 0].tolist() == [1, 1, 1]  # the last byte, "e", in all three
    assert (found.cosines[:, 1:] < 1).all()
    first, third = (model.trace(SENTENCES[i], points=POINTS).get("resid_post", layer=1) for i in (0, 2))
    assert found.cosines[1, 2] == pytest.approx(cosine(first[5], third[7]), abs=1e-6)
    assert found.lengths[0, 2] == pytest.approx(np.linalg.norm(first[5]))


def test_the_baseline_is_the_mean_over_unequal_tokens_of_two_sentences(model: Model) -> None:
    found = found_in(model, "ox mole", "a mole tax")
    streams = [model.trace(text, points=POINTS).get("embed") for text in ("ox mole", "a mole tax")]
    # Neither the first token nor the word's: "x " of one sentence, "  tax" of the other; "x"-"x" and " "-" "
    # are equal tokens.
    pairs = [(1, 1), (1, 6), (1, 7), (1, 8), (2, 7), (2, 8), (2, 9)]
    expected = [cosine(streams[0][one], streams[1][other]) for one, other in pairs]
    assert found.n_unrelated == len(pairs)
    assert found.baseline is not None
    assert found.low is not None
    assert found.baseline[0] == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.low[0] == pytest.approx(np.quantile(expected, 0.05), abs=1e-6)


def test_words_alone_have_no_baseline(model: Model) -> None:
    found = found_in(model, "mole", "mole")
    assert found.baseline is None
    assert found.n_unrelated == 0
    assert found.cosines.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("n", [1, 6])
def test_two_to_five_sentences(model: Model, n: int) -> None:
    with pytest.raises(PromptError, match=f"{n} sentences? cannot be compared"):
        found_in(model, *["a mole"] * n)


def test_paths_hold_the_shape_and_all_variance_of_a_plane(model: Model) -> None:
    found = found_in(model, *SENTENCES)
    paths = sense_paths(found)
    assert paths.coordinates.shape == (3, 3, 2)
    assert paths.coordinates[0, 0] == pytest.approx(paths.coordinates[2, 0], abs=1e-6)
    assert 0 < paths.explained[1] <= paths.explained[0] <= 1
    # Of two vectors of length 1 nothing is left out, so distances are those of the full space.
    two = found_in(model, "a mole", "the mole")
    units = two.vectors / np.linalg.norm(two.vectors, axis=-1, keepdims=True)
    flat = sense_paths(two).coordinates
    assert np.linalg.norm(flat[0, 2] - flat[1, 2]) <= np.linalg.norm(units[0, 2] - units[1, 2]) + 1e-6


def test_lengths_matter_only_when_asked(model: Model) -> None:
    found = found_in(model, *SENTENCES)
    assert not np.allclose(sense_paths(found, unit=False).explained, sense_paths(found).explained)
