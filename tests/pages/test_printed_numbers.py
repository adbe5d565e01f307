"""What is printed on the parts of all pages: equations that come out, numbers in one notation."""

from __future__ import annotations

import re

import pytest

from tests.pages.every_part import IDS, NAMES, axes_of, bare, figures_of, large, seen, written_in
from tests.pages.printed_equations import formula_mistakes, mistakes

PARTS = pytest.mark.parametrize(("page", "part"), NAMES, ids=IDS)
# Other selections, whose equations have other numbers.
OTHERS = (
    ("next-token", "", {"candidate": "436"}),
    ("next-token", "", {"candidate": "761", "temperature": "1.3", "top_p": "1"}),
    ("attention", "number", {"layer": "7", "head": "2", "token": "5", "key": "2"}),
    ("attention", "number", {"model": "gpt2-mini", "token": "6"}),
    ("attention", "heads", {"layer": "3", "head": "1", "token": "6"}),
    ("positions", "rope", {"token": "7", "pair": "11"}),
    ("moe", "routing", {"token": "5", "layer": "1"}),
    ("moe", "experts", {"token": "3", "layer": "0"}),
    ("moe", "load", {"layer": "0"}),
    ("number-formats", "quant", {"kind": "zero_point", "group": "32"}),
    ("number-formats", "blocks", {"weight": "17"}),
    ("home", "", {"token": "3", "layer": "11"}),
)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (r"$$p = \frac{1}{1.73} = \mathbf{57.9\,\%}$$", True),
        (r"$$p = \frac{1}{1.727} = \mathbf{57.9\,\%}$$", False),
        (r"$\frac{1}{1.207} = 0.8283$", True),
        (r"$e^{17.6-19.2} = 0.212$", True),
        (r"$\frac{e^{17.6-19.2}}{1.73} = \frac{0.212}{1.73}$", True),
        (r"$e^{17.6-19.2} \approx 0.212$", False),
        (r"\(1\.5 × 10⁻⁵\) × 3 \= 4\.51 × 10⁻⁵", True),
        ("8 × 0.237 rad = 1.90 rad", False),
        ("403.1 + 204.3 + 117.7 = 725.2, of which", True),
        ("| 576 × 64 = 36,864 | n = 9 |", False),
    ],
)
def test_the_reader_of_equations_has_a_calculator(text: str, wrong: bool) -> None:
    assert bool(list(mistakes(text))) is wrong


def check_equations(page: str, part: str, **link: str) -> None:
    shown = seen(page, part, **link)
    wrong = [mistake for text in shown.texts for mistake in mistakes(text)]
    wrong += [mistake for formula in shown.formulas for mistake in formula_mistakes(formula)]
    for message in shown.figures:
        for figure in figures_of(message):
            wrong += [mistake for text in written_in(figure) for mistake in mistakes(bare(text))]
    assert not wrong


@PARTS
def test_printed_equations_come_out(page: str, part: str) -> None:
    check_equations(page, part)


@pytest.mark.parametrize(("page", "part", "link"), OTHERS)
def test_printed_equations_come_out_with_other_numbers(page: str, part: str, link: dict[str, str]) -> None:
    check_equations(page, part, **link)


# Numbers in a notation that is not the house's: what it is called, and how it is found.
FOREIGN = {
    "a hyphen for minus": re.compile(r"(?<![\w.)\]}⟩…·”-])-(?=\d)"),
    "a percent sign without its space": re.compile(r"\d ?%(?![{\w])"),
    "a power of ten as e": re.compile(r"\d(?:\.\d+)?e[-+]\d(?<!\b1e-8)"),  # which a visitor types so
    "more than three digits of a share": re.compile(
        r"(?<![\d.,])(?:[1-9]\d*\.\d{3,}|[1-9]\d\d?\.\d{2,}|0\.0*[1-9]\d{3,})\u00a0%"
    ),
}


def foreign(text: str) -> list[str]:
    """What of a text is in another notation than the house's, links, code and formulas left out."""
    text = re.sub(
        r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`]*`|https?://\S+|#[0-9a-f]{6}|%\{[^}]*\}|“[^”]*”",
        "",
        text,
        flags=re.DOTALL,
    )
    return [
        f"{name}: …{text[max(0, at.start() - 30) : at.end() + 10]}…"
        for name, pattern in FOREIGN.items()
        for at in pattern.finditer(text)
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("-0.01", True),
        ("−0.01", False),
        ("GPT-2, 10-20, q4-0", False),
        ("largest entry -0.52", True),
        ("30% of", True),
        ("30 % of", True),
        ("30\u00a0% of", False),
        ("80.18\u00a0%", True),
        ("0.0146\u00a0%", False),
        ("100\u00a0%", False),
        ("1e-06 of", True),
        ("$1e-06$", False),
    ],
)
def test_the_eye_for_foreign_notation(text: str, wrong: bool) -> None:
    assert bool(foreign(text)) is wrong


@PARTS
def test_numbers_are_in_one_notation(page: str, part: str) -> None:
    shown = seen(page, part)
    wrong = [
        found
        for text in shown.texts
        if not text.lstrip().startswith(("<style", "{"))
        for found in foreign(bare(text))
    ]
    for message in shown.figures:
        wrong += foreign(message["alt"])
        for figure in figures_of(message):
            for text in written_in(figure):  # a hover may have all digits
                wrong += [found for found in foreign(bare(text)) if not found.startswith("more than")]
            for text in large(figure):
                wrong += foreign(bare(text))
            for name, axis in axes_of(figure).items():
                if "%" in axis.get("tickformat", ""):
                    wrong.append(f"{message['key']}, {name}: plotly writes its shares, {axis['tickformat']}")
                ticks = [tick for tick in axis.get("ticktext") or () if re.match(r"[−\d]", tick)]
                if len(ticks) != len(set(ticks)):
                    wrong.append(f"{message['key']}, {name}: ticks of one name, {ticks}")
            for trace in figure["data"]:
                if re.search(r"%\{[xyz]:", trace.get("texttemplate") or ""):
                    wrong.append(f"{message['key']}: plotly writes its numbers, {trace['texttemplate']}")
    assert not wrong


_PSEUDO_TEX = re.compile(r"√?\bd_[a-z]+|\bW_[A-Za-z]|\blog_|\b[a-zA-Z]_[a-zA-Z0-9]\b")
_NO_PROSE = re.compile(r"\$\$.+?\$\$|\$[^$]+\$|`[^`]+`", re.DOTALL)


@PARTS
def test_mathematics_is_set_as_such(page: str, part: str) -> None:
    """No W_O, d_head or log_k in prose, labels or titles: TeX between dollars, sub in figures, or words."""
    shown = seen(page, part)
    prose = [_NO_PROSE.sub("", text) for text in shown.texts if not text.startswith("{")]
    for message in shown.figures:
        prose += [message["alt"], *(bare(text) for figure in figures_of(message) for text in large(figure))]
    wrong = [
        text[max(0, found.start() - 40) : found.end() + 20]
        for text in prose
        for found in _PSEUDO_TEX.finditer(text.replace("\\_", "_"))
    ]
    assert not wrong
