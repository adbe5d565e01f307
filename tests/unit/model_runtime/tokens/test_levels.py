"""Words, characters and bytes: counts, tables, and what is unknown."""

from __future__ import annotations

import pytest

from model_runtime.errors import PromptError
from model_runtime.records import Level
from model_runtime.tokens.levels import MAX_CHARACTERS, levels, words

SENTENCE = "We are learning systems for LLMs."


def test_the_lecture_sentence_at_three_levels() -> None:
    by_word, by_character, by_byte = levels(SENTENCE, SENTENCE)
    assert by_word == Level("words", ("We", "are", "learning", "systems", "for", "LLMs", "."), (True,) * 7, 7)
    assert (len(by_character.pieces), by_character.n_vocab) == (33, len(set(SENTENCE)))
    assert by_byte.pieces[:3] == ("57", "65", "20")
    assert (len(by_byte.pieces), by_byte.n_vocab, by_byte.n_unknown) == (33, 256, 0)


def test_words_that_were_not_met_are_unknown() -> None:
    known = "It was a bright day and the clocks were striking."
    by_word, by_character, _ = levels("another day it had", known)
    assert by_word.known == (False, True, False, False)  # "It" is another entry than "it"
    assert by_word.n_unknown == 3
    assert by_word.n_vocab == 11
    assert by_character.n_unknown == 0
    assert levels("ø", known)[1].known == (False,)


def test_without_a_known_text_only_bytes_are_known() -> None:
    by_word, by_character, by_byte = levels("hi hi", "")
    assert (by_word.known, by_word.n_vocab) == ((False, False), 0)
    assert (by_character.n_unknown, by_character.n_vocab) == (5, 0)
    assert by_byte.n_unknown == 0


@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000"])
def test_a_blank_text_has_no_words(text: str) -> None:
    by_word, by_character, by_byte = levels(text, SENTENCE)
    assert by_word.pieces == ()
    assert len(by_character.pieces) == len(text)
    assert len(by_byte.pieces) == len(text.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We can't stop, 1,234.5 times...", ["We", "can't", "stop", ",", "1,234.5", "times", ".", ".", "."]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),  # vowel signs stay with their letters
        ("语言模型", ["语", "言", "模", "型"]),
        ("re\u0301sume\u0301", ["re\u0301sume\u0301"]),
        ("עברית، نص", ["עברית", "،", "نص"]),
        ("👩‍👩‍👧 hi🇺🇦", ["👩‍👩‍👧", "hi", "🇺🇦"]),
        ("</script>", ["<", "/", "script", ">"]),
        ("a_b foo-bar", ["a_b", "foo", "-", "bar"]),
    ],
)
def test_word_boundaries_of_many_scripts(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


def test_an_emoji_of_several_people_is_one_word_five_characters_and_eighteen_bytes() -> None:
    assert [len(level.pieces) for level in levels("👩‍👩‍👧", "")] == [1, 5, 18]


def test_long_texts_and_halves_of_characters_are_refused() -> None:
    longest = "a" * MAX_CHARACTERS
    assert len(levels(longest, longest)[1].pieces) == MAX_CHARACTERS
    for text, known in ((longest + "a", ""), ("", longest + "a")):
        with pytest.raises(PromptError, match=r"20,001 .*20,000"):
            levels(text, known)
    with pytest.raises(PromptError, match=r"U\+D800"):
        levels("\ud800", "")
