"""The palette's promises, computed: contrast, colour blindness, lightness of scales, one meaning a colour."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from viz import palette
from viz.palette import DARK, LIGHT, Palette

# Machado, Oliveira and Fernandes (2009), "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", severity 1.0; they act on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# sRGB to XYZ under D65 (IEC 61966-2-1), rows scaled to the white point.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color: str, blindness: str = "none") -> np.ndarray:
    """CIE L*a*b* of a colour as a person with that colour vision sees it."""
    light = np.array([palette.linear(channel) for channel in palette.rgb(color)])
    seen = np.clip(BLINDNESS[blindness] @ light, 0, 1)
    x, y, z = np.cbrt(np.maximum(_TO_XYZ @ seen / _TO_XYZ.sum(axis=1), (6 / 29) ** 3 / 8))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one: str, other: str, blindness: str) -> float:
    """CIE 1976 colour difference; about 2.3 is just noticeable side by side."""
    return float(np.linalg.norm(lab(one, blindness) - lab(other, blindness)))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_reads_on_every_ground(theme: Palette) -> None:
    for text in (theme.ink, theme.muted, theme.accent, theme.warning):
        for ground in (theme.background, theme.surface):
            assert palette.contrast(text, ground) >= 4.5, (text, ground)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_ink_reads_on_what_was_cut(theme: Palette) -> None:
    assert palette.contrast(theme.ink, theme.cut) >= 4.5
    assert palette.contrast(theme.cut_line, theme.background) >= 3  # WCAG 1.4.11, graphical objects


def test_text_on_our_fills_reads_in_both_themes() -> None:
    swap = palette.light_to_dark()
    ends = [scale[at][1] for scale in (palette.PROBABILITY_SCALE, palette.SIGNED_SCALE) for at in (0, -1)]
    for fill in [*palette.CATEGORIES, *ends, LIGHT.cut, LIGHT.masked, LIGHT.surface]:
        text = palette.text_on(fill)
        assert palette.contrast(text, fill) >= 4.5, fill
        assert palette.contrast(swap[text], swap[fill]) >= 4.5, fill


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("colors", [palette.CATEGORIES, palette.CATEGORIES_DARK], ids=["light", "dark"])
def test_categories_stay_apart(colors: tuple[str, ...], blindness: str) -> None:
    nearest = min(difference(one, other, blindness) for one, other in combinations(colors, 2))
    assert nearest >= 13  # Okabe and Ito's own eight reach 16.1; side by side one sees about 2.3


def test_the_check_can_fail() -> None:
    """Two colours that most eyes tell apart and red-green blind ones hardly."""
    assert difference("#d62728", "#2ca02c", "none") > 100
    assert difference("#b8860b", "#7a9a01", "deuteranopia") < 13


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_probability_scale_only_ever_goes_one_way(blindness: str) -> None:
    light = [lab(color, blindness)[0] for _, color in palette.PROBABILITY_SCALE]
    dark = [lab(color, blindness)[0] for _, color in palette.PROBABILITY_SCALE_DARK]
    assert all(a - b > 5 for a, b in pairwise(light)), light
    assert all(b - a > 5 for a, b in pairwise(dark)), dark


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("scale", [palette.SIGNED_SCALE, palette.SIGNED_SCALE_DARK], ids=["light", "dark"])
def test_signed_scale_is_even_and_its_sides_differ(scale: palette.Scale, blindness: str) -> None:
    at, colors = zip(*scale, strict=True)
    assert at == (0.0, 0.25, 0.5, 0.75, 1.0)
    lightness = [lab(color, blindness)[0] for color in colors]
    assert abs(lightness[0] - lightness[-1]) < 12  # minus 3 and plus 3 weigh the same
    assert abs(lightness[1] - lightness[-2]) < 12
    away = 1 if lightness[2] > 50 else -1
    assert all(away * (lightness[2] - other) > 15 for other in (*lightness[:2], *lightness[3:]))
    assert difference(colors[0], colors[-1], blindness) > 30
    assert difference(colors[1], colors[-2], blindness) > 20


def test_scales_begin_at_the_background() -> None:
    assert palette.PROBABILITY_SCALE[0] == (0.0, LIGHT.background)
    assert palette.PROBABILITY_SCALE[-1] == (1.0, LIGHT.accent)
    assert palette.PROBABILITY_SCALE_DARK[0] == (0.0, DARK.background)
    assert palette.PROBABILITY_SCALE_DARK[-1] == (1.0, DARK.accent)


def test_every_light_color_has_one_dark_partner() -> None:
    swap = palette.light_to_dark()
    assert swap[LIGHT.background] == DARK.background
    assert swap[LIGHT.cut] == DARK.cut
    assert all(color == color.lower() and len(color) == 7 for color in [*swap, *swap.values()])


def test_a_token_keeps_its_color() -> None:
    colors = [palette.token_color(token_id) for token_id in range(500)]
    assert colors == [palette.token_color(token_id) for token_id in range(500)]
    assert "#000000" not in colors
    counts = {color: colors.count(color) for color in set(colors)}
    assert len(counts) == 7
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_categories_go_on_with_patterns() -> None:
    looks = [(palette.category(index), palette.pattern(index)) for index in range(32)]
    assert len(set(looks)) == 32
    assert all(shape == "" for _, shape in looks[:8])
