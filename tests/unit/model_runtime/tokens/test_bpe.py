"""Training byte-pair encoding: a first merge by hand, true counts, bounds."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_runtime.errors import PromptError, SettingError
from model_runtime.tokens.bpe import (
    MAX_CHARACTERS,
    MAX_MERGES,
    N_TOP,
    BpeTraining,
    TrainStep,
    count_pairs,
    merge_pair,
    merge_word,
    pieces_after,
    train_bpe,
)

CUTS = ("words", "text")
TEXTS = st.text(st.sampled_from("ab é\n1漢👩\u200d'"), max_size=60) | st.text(max_size=40)


def test_counting_and_joining_by_hand() -> None:
    words = [[b"t", b"h", b"e"], [b" ", b"t", b"h", b"e", b"n"], [b"a"]]
    assert count_pairs(words) == {
        (b"t", b"h"): 2,
        (b"h", b"e"): 2,
        (b" ", b"t"): 1,
        (b"e", b"n"): 1,
    }
    assert list(count_pairs(words))[:2] == [(b"t", b"h"), (b"h", b"e")]  # as first met
    assert merge_pair(words, (b"t", b"h")) == [[b"th", b"e"], [b" ", b"th", b"e", b"n"], [b"a"]]
    assert merge_word([b"a"] * 5, (b"a", b"a")) == [b"aa", b"aa", b"a"]
    assert merge_word([b"a", b"b", b"a"], (b"a", b"b")) == [b"ab", b"a"]
    assert merge_word([], (b"a", b"b")) == []


def test_a_training_by_hand() -> None:
    training = train_bpe("low lower lowest", 3)
    assert len(training.pieces) == 16
    first, second, third = training.steps
    assert first == TrainStep((b"l", b"o"), 3, b"lo", first.top, 13, 257)
    assert second == TrainStep((b"lo", b"w"), 3, b"low", second.top, 10, 258)
    # " low" twice: met before "we", which is as frequent
    assert (third.pair, third.count, third.n_pieces) == ((b" ", b"low"), 2, 8)
    assert first.top[0] == ((b"l", b"o"), 3)
    assert dict(first.top)[b" ", b"l"] == 2
    assert pieces_after(training, 3) == (b"low", b" low", b"e", b"r", b" low", b"e", b"s", b"t")
    assert training.top[0] == ((b" low", b"e"), 2)


def test_nothing_is_joined_across_words_unless_asked() -> None:
    text = "a b a b a b"
    across = train_bpe(text, 20, "text")
    assert pieces_after(across, 20) == (b"a b a b a b",)
    within = train_bpe(text, 20, "words")
    assert pieces_after(within, 20) == (b"a", b" b", b" a", b" b", b" a", b" b")
    assert len(within.steps) == 2  # it ends when nothing is left to join


def test_the_vocabulary_starts_with_all_bytes_and_grows_by_one() -> None:
    training = train_bpe("the cat sat on the mat", 6)
    assert [step.n_vocab for step in training.steps] == [257, 258, 259, 260, 261, 262]


def n_joined(before: tuple[bytes, ...], after: tuple[bytes, ...]) -> int:
    return len(before) - len(after)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.sampled_from(CUTS))
def test_every_step_of_any_training_is_true(text: str, cut: str) -> None:
    training = train_bpe(text, 30, cut)  # type: ignore[arg-type]
    states = [pieces_after(training, step) for step in range(len(training.steps) + 1)]
    assert states[0] == training.pieces
    assert all(b"".join(pieces) == text.encode() for pieces in states)
    for (before, after), step in zip(pairwise(states), training.steps, strict=True):
        assert step.n_pieces == len(after)
        assert step.merged == step.pair[0] + step.pair[1]
        assert step.top[0] == (step.pair, step.count)
        assert len(step.top) <= N_TOP
        assert [count for _, count in step.top] == sorted((count for _, count in step.top), reverse=True)
        # As many borders went as new pieces came, each between the pair's two halves.
        made = Counter(after)[step.merged] - Counter(before)[step.merged]
        assert n_joined(before, after) == made
        assert 1 <= made <= step.count
    if len(training.steps) < 30:
        assert training.top == ()


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_counts_of_a_text_taken_as_one_are_those_of_its_neighbours(text: str) -> None:
    training = train_bpe(text, 12, "text")
    for number, step in enumerate(training.steps):
        counted = Counter(pairwise(pieces_after(training, number)))
        assert step.count == counted[step.pair] == max(counted.values())
        assert dict(step.top) == {pair: counted[pair] for pair, _ in step.top}


def test_a_training_with_fewer_merges_is_the_start_of_a_longer_one() -> None:
    text = "the cat sat on the mat and the dog sat on the cat"
    short, long = train_bpe(text, 5), train_bpe(text, 25)
    assert long.steps[:5] == short.steps
    assert short.top == long.steps[5].top
    assert pieces_after(short, 5) == pieces_after(long, 5)


def test_steps_outside_a_training_give_its_ends() -> None:
    training = train_bpe("the the", 2)
    assert pieces_after(training, -3) == training.pieces
    assert pieces_after(training, 99) == pieces_after(training, 2)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(("text", "n_steps"), [("", 0), ("a", 0), (" ", 0), ("é", 1), ("\x00\x00", 1)])
def test_tiny_texts(text: str, n_steps: int, cut: str) -> None:
    training = train_bpe(text, 10, cut)  # type: ignore[arg-type]
    assert len(training.steps) == n_steps
    assert b"".join(pieces_after(training, n_steps)) == text.encode()
    assert isinstance(training, BpeTraining)


def test_the_longest_text_and_its_size() -> None:
    longest = ("the quick brown fox jumps over the lazy dog. " * 500)[:MAX_CHARACTERS]
    training = train_bpe(longest, MAX_MERGES)
    assert b"".join(pieces_after(training, 20)) == longest.encode()
    assert training.nbytes < 3e6
    run = train_bpe("a" * MAX_CHARACTERS, MAX_MERGES)
    assert len(pieces_after(run, len(run.steps))) == 1


def test_what_is_refused_and_in_which_words() -> None:
    with pytest.raises(PromptError, match=r"20,001 .*20,000"):
        train_bpe("a" * 20_001, 1)
    with pytest.raises(SettingError, match=r"501 .*0 to 500"):
        train_bpe("a", 501)
    with pytest.raises(SettingError, match="-1"):
        train_bpe("a", -1)
    with pytest.raises(SettingError, match="'lines'"):
        train_bpe("a", 1, "lines")  # type: ignore[arg-type]
    with pytest.raises(PromptError, match=r"U\+D83D"):
        train_bpe("\ud83d", 1)
