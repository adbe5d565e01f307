"""The theme file is a second copy of the palette's colours; both must be one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from viz.palette import DARK, LIGHT, Palette, contrast
from viz.style import FONT, MONO

ROOT = Path(__file__).resolve().parents[3]
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
THEMES = [("light", LIGHT), ("dark", DARK)]


@pytest.mark.parametrize(("name", "palette"), THEMES)
def test_theme_colours_are_the_palette(name: str, palette: Palette) -> None:
    theme = CONFIG["theme"][name]
    assert theme["primaryColor"] == theme["linkColor"] == palette.accent
    assert theme["backgroundColor"] == palette.background
    assert theme["textColor"] == theme["codeTextColor"] == palette.ink
    assert theme["secondaryBackgroundColor"] == theme["sidebar"]["backgroundColor"] == palette.surface


@pytest.mark.parametrize(("name", "palette"), THEMES)
def test_text_reads_on_every_ground(name: str, palette: Palette) -> None:
    theme = CONFIG["theme"][name]
    grounds = [theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["codeBackgroundColor"]]
    grounds += [theme["sidebar"][key] for key in ("backgroundColor", "codeBackgroundColor")]
    assert min(contrast(palette.ink, ground) for ground in grounds) >= 7
    assert min(contrast(theme["linkColor"], ground) for ground in grounds[:2]) >= 4.5


def test_fonts_are_those_of_the_figures_and_nothing_is_downloaded() -> None:
    assert CONFIG["theme"]["font"] == FONT
    assert CONFIG["theme"]["codeFont"] == MONO
    text = (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    assert "http" not in text
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["browser"]["serverAddress"]  # else Streamlit asks the internet for this machine's address


def test_the_wordmark_reads_on_both_sidebars() -> None:
    """Large text: 3:1 (WCAG 2.2, 1.4.3)."""
    ink = "#6a82d8"
    assert ink in (ROOT / "assets" / "wordmark.svg").read_text(encoding="utf-8")
    assert min(contrast(ink, palette.surface) for _, palette in THEMES) >= 3
