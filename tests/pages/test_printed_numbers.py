"""What is printed on the parts of all pages: equations that come out, numbers in one notation."""

from __future__ import annotations

import pytest

from tests.pages.every_part import IDS, NAMES, bare, figures_of, seen, written_in
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
