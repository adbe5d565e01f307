"""Labels show everything and do nothing; numbers are written one way."""

from __future__ import annotations

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz.text import in_bytes, in_words, label, share, shared_range, shorten, three_digits, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  a", "··a"),
        ("\r\n\t", "␍↵⇥"),
        ("\x00\x1b[31m", "⟨U+0000⟩⟨U+001B⟩[31m"),
        ("a\u200bb\u200d\ufeff", "a⟨U+200B⟩b⟨U+200D⟩⟨U+FEFF⟩"),
        ("\u202eevil\u202c\u2067", "⟨U+202E⟩evil⟨U+202C⟩⟨U+2067⟩"),
        ("\u00a0\u3000\u2028", "⟨U+00A0⟩⟨U+3000⟩⟨U+2028⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\ufffd", "\ufffd"),
        ("\u3164\u2800", "⟨U+3164⟩⟨U+2800⟩"),
        ("🦊 naïve שלום", "🦊·naïve·שלום"),
        ("\u0301a", "◌\u0301a"),
        ("a" + "\u0301" * 4, "a\u0301\u0301⟨U+0301⟩⟨U+0301⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("", ""),
    ],
)
def test_visible_hides_nothing(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_visible_leaves_nothing_that_draws_nothing(text: str) -> None:
    forbidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
    assert not [character for character in visible(text) if unicodedata.category(character) in forbidden]


@given(st.text(st.characters()))
def test_labels_are_short_and_inert(text: str) -> None:
    made = label(text)
    assert "<" not in made
    assert ">" not in made
    assert "$" not in made
    assert "%{" not in made
    assert not re.search(r"&(?!amp;|lt;|gt;|#36;|#37;)", made)
    assert html.unescape(made) == shorten(visible(text))
    assert len(html.unescape(made)) <= 24


def test_long_tokens_keep_head_and_tail() -> None:
    assert shorten("x" * 10 + "y" * 30 + "z" * 10) == "xxxxxxxxxxyyyyyy…zzzzzzz"
    assert shorten(visible("a" * 14 + "\u200b" + "b" * 30)) == "aaaaaaaaaaaaaa…bbbbbbb"  # no half of a code


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"), (0.0, "0"), (-0.0, "0"), (7, "7"), (1e6, "1,000,000"), (48902, "48,902"), (-12, "−12"),
        (0.5, "0.500"), (3.14159, "3.14"), (12.345, "12.3"), (999.6, "1,000"), (123456.7, "123,000"),
        (0.00099996, "0.00100"), (0.0004, "4.00 × 10⁻⁴"), (2.5e12, "2.50 × 10¹²"), (-0.25, "−0.250"),
        (float("nan"), "not a number"), (float("inf"), "∞"), (float("-inf"), "−∞"),
    ],
)  # fmt: skip
def test_three_digits(value: float, written: str) -> None:
    assert three_digits(value) == written


def test_units_stay_with_their_number() -> None:
    assert three_digits(12.345, "ms") == "12.3\u00a0ms"


@pytest.mark.parametrize(
    ("count", "words", "n_bytes"),
    [
        (999, "999", "999 bytes"),
        (10_000, "10 k", "10 kB"),
        (999_499, "999 k", "999 kB"),
        (999_500, "1.00 M", "1.00 MB"),
        (999_999, "1.00 M", "1.00 MB"),
        (1_000_000, "1 M", "1 MB"),
        (134_515_008, "135 M", "135 MB"),
        (999_999_999, "1.00 B", "1.00 GB"),
        (7_250_000_000, "7.25 B", "7.25 GB"),
    ],
)
def test_counts_and_bytes_stand_in_a_unit_that_suits_their_rounded_number(
    count: int, words: str, n_bytes: str
) -> None:
    assert in_words(count) == words.replace(" ", "\u00a0")
    assert in_bytes(count) == n_bytes.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("probability", "written"),
    [
        (0.338, "33.8 %"), (0.05, "5.00 %"), (0.001, "0.100 %"), (0.00099, "9.90 × 10⁻⁴"),
        (1e-30, "1.00 × 10⁻³⁰"),
        (0.5, "50.0 %"), (0.9994, "99.9 %"), (0.9999, "> 99.9 %"), (1.0, "100 %"), (0.0, "0 %"),
        (float("nan"), "not a number"),
    ],
)  # fmt: skip
def test_share(probability: float, written: str) -> None:
    assert share(probability).replace("\u00a0", " ") == written


def test_shared_ranges() -> None:
    assert shared_range([0.2, 0.9], [[1.5]]) == (0.0, 1.5)
    assert shared_range([float("nan"), -2.0], symmetric=True) == (-2.0, 2.0)
    assert shared_range([]) == (0.0, 1.0)
    assert shared_range(symmetric=True) == (-1.0, 1.0)
    assert shared_range([0.0, 0.0]) == (0.0, 1.0)
