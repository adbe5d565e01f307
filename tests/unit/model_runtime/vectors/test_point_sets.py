"""Points of words, prompts and vocabularies: where each comes from, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime.errors import PromptError
from model_runtime.interventions import ScaleHead
from model_runtime.model import Model
from model_runtime.records import ProjectionSettings, Token
from model_runtime.vectors.point_sets import (
    KINDS,
    PointRequest,
    ends_of,
    first_and_rest,
    kind_of,
    parse_groups,
    points_of,
    prompt_points,
    tokenizer_kind,
    vocabulary_points,
    word_points,
)
from model_runtime.vectors.projection import nearest, neighbours_of, project, projection_of
from tests.tiny_checkpoints import byte_tokenizer, tiny_llama


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(tiny_llama(), byte_tokenizer(), model_id="tiny", name="tiny", revision="local")


def table(model: Model) -> np.ndarray:
    weight = model.hf_model.get_input_embeddings().weight
    return np.asarray(weight.detach().numpy())


def test_groups_are_read_from_lines() -> None:
    assert parse_groups("a: x y\n\n: p,q r") == (("a", ("x", "y")), ("Group 2", ("p", "q r")))
    assert parse_groups("no name") == (("Group 1", ("no", "name")),)
    assert parse_groups("12:30: x") == (("12:30", ("x",)),)


@pytest.mark.parametrize("text", ["", " \n:", "name:", "\n".join("abcdefghi"), "a " * 301])
def test_no_words_and_too_many_are_refused(text: str) -> None:
    with pytest.raises(PromptError):
        parse_groups(text)


def test_a_word_of_several_tokens_is_the_mean_of_its_rows(model: Model) -> None:
    points = word_points(model, (("one", ("ab", "c")), ("two", ("ab", "d"))), space=False)
    assert points.labels == ("ab", "c", "d")
    assert points.groups == (0, 0, 1)
    assert points.repeated == ("ab",)
    assert points.split == ("ab",)
    a, b, c = (model.tokenize(letter)[0].id for letter in "abc")
    assert points.vectors[0] == pytest.approx(table(model)[[a, b]].mean(axis=0), abs=1e-7)
    assert np.array_equal(points.vectors[1], table(model)[c])


def test_a_space_before_a_word_is_another_token(model: Model) -> None:
    points = word_points(model, (("one", ("c",)),), space=True)
    assert [token.text for token in points.tokens[0]] == [" ", "c"]


def test_a_prompt_s_points_are_its_stream(model: Model) -> None:
    trace = model.trace("hello")
    assert np.array_equal(prompt_points(trace, 0).vectors, trace.get("embed"))
    later = prompt_points(trace, 2, first=False)
    assert np.array_equal(later.vectors, trace.get("resid_post", layer=1)[1:])
    assert later.labels == ("e", "l", "l", "o")


def test_a_request_says_all_that_decides_the_points(model: Model) -> None:
    edits = (ScaleHead(0, 0, 0.0),)
    for edit in ((), edits):
        request = PointRequest("prompt", prompt="hello", edits=edit, depth=2, first=False)
        trace = model.trace("hello", interventions=edit)
        expected = trace.get("resid_post", layer=1)[1:]
        assert np.array_equal(points_of(model, request).vectors, expected)
        assert np.array_equal(points_of(model, request, trace).vectors, expected)
    assert points_of(model, PointRequest("words", groups="a: x y")).labels == ("x", "y")
    assert len(points_of(model, PointRequest("vocabulary", top=7))) == 7
    first, rest = first_and_rest(model.trace("hello"), 0)
    lengths = np.linalg.norm(model.trace("hello").get("embed"), axis=1)
    assert (first, rest) == pytest.approx((lengths[0], lengths[1:].mean()))


def test_a_kept_measurement_is_what_it_is_made_of(model: Model) -> None:
    request = PointRequest("vocabulary", top=30)
    points = points_of(model, request)
    near = neighbours_of(model, request, "cosine")
    assert np.array_equal(near.indices, nearest(points.vectors, "cosine").indices)
    ends = ends_of(model, request, points, ("a", "b"))
    for method, words, vectors in (("pca", None, None), ("axis", ("a", "b"), ends)):
        settings = ProjectionSettings(method)
        bare = project(points.vectors, settings, ends=vectors)
        for at_hand in ({}, {"points": points, "near": near}):
            found = projection_of(model, request, settings, words, **at_hand)
            assert np.array_equal(found.coordinates, bare.coordinates)
            assert np.array_equal(found.kept, bare.kept)


def test_ends_of_a_prompt_are_its_own_tokens(model: Model) -> None:
    request = PointRequest("prompt", prompt="hello", depth=1)
    points = points_of(model, request)
    left, right = ends_of(model, request, points, ("H", "o"))
    assert np.array_equal(left, points.vectors[0])
    assert np.array_equal(right, points.vectors[4])
    with pytest.raises(PromptError, match="right end of the axis has no word"):
        ends_of(model, request, points, ("h", ""))
    with pytest.raises(PromptError, match="no token of the points drawn"):
        ends_of(model, request, points, ("z", "o"))


def test_the_vocabulary_comes_in_the_order_of_its_numbers(model: Model) -> None:
    points = vocabulary_points(model, 20)
    assert [tokens[0].id for tokens in points.tokens] == list(range(20))
    assert np.array_equal(points.vectors, table(model)[:20])
    assert len(vocabulary_points(model, 5_000)) == 256
    assert tokenizer_kind(model.tokenizer) == "BPE"
    assert tokenizer_kind(object()) is None


def test_kinds_of_tokens() -> None:
    cases = {" the": 0, "ing": 1, " 12": 2, "³": 2, "...": 3, "\n": 3, "\ufffd": 4, " é": 0}
    assert {text: KINDS.index(kind_of(Token(0, text, b""))) for text in cases} == cases
