"""The glossary: short, each spelling once, and served to the browser as it is."""

from __future__ import annotations

import json
import re
from collections import Counter

from pages.shared.figure import scripts
from pages.shared.figure.glossary import FILE, words

ROOT = FILE.parents[2]


def test_every_spelling_means_one_thing_and_is_explained_in_one_or_two_sentences() -> None:
    spellings = Counter(form.lower() for word in words() for form in (word.term, *word.forms))
    assert not [form for form, times in spellings.items() if times > 1]
    assert len(words()) >= 45
    for word in words():
        assert 1 <= len(re.findall(r"[.](?=\s|$)", word.means)) <= 2, word.term
        assert word.means.endswith("."), word.term
        assert len(word.means) <= 200, word.term
        assert not re.search(r"[*`$<>\[\]]", word.means), f"{word.term}: plain text, no markup"


def test_the_browser_gets_the_file_s_words() -> None:
    line = next(line for line in scripts.tables().splitlines() if line.startswith("export const GLOSSARY"))
    told = {row["term"]: row["means"] for row in json.loads(line.partition("=")[2])}
    assert told == {word.term: word.means for word in words()}
