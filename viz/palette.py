"""The colours of the app: one meaning each, a light and a dark value, safe for colour-blind eyes.

Figures are always built from the *light* values below. The browser swaps each for its dark partner (see
`light_to_dark`), so no two meanings may share a light value. `tests/unit/viz/test_palette.py` holds the
promises: text at 4.5:1, categories that stay apart under red-green and blue-yellow blindness, scales
whose lightness only ever rises or falls.

Sources: Okabe and Ito, "Color Universal Design" (2008), for the categories; WCAG 2.2, 1.4.3, for contrast.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

Color = str  # "#rrggbb", lower case
Scale = tuple[tuple[float, Color], ...]


@dataclass(frozen=True)
class Palette:
    """One theme's colours by meaning."""

    background: Color  # of the page and the figure
    surface: Color  # panels, hover labels
    ink: Color  # text
    muted: Color  # second-rank text; still 4.5:1
    line: Color  # axes, outlines
    grid: Color  # thin lines inside a figure
    accent: Color  # the selection, the main series, probability
    cut: Color  # fill of what a filter cut
    cut_line: Color  # hatching and outline over `cut`
    masked: Color  # cells that do not exist (the future, under the causal mask)
    warning: Color  # text and marks of something off


LIGHT = Palette(
    background="#ffffff",
    surface="#f5f6f9",
    ink="#1a1d26",
    muted="#5a6070",
    line="#9aa1b1",
    grid="#e6e8ee",
    accent="#2f54c9",
    cut="#d9dce3",
    cut_line="#7d8494",
    masked="#eceef2",
    warning="#a33a00",
)
DARK = Palette(
    background="#10131a",
    surface="#1a1f2a",
    ink="#eceef4",
    muted="#a3abbd",
    line="#646d82",
    grid="#262c39",
    accent="#8fabff",
    cut="#343b4a",
    cut_line="#858ea3",
    masked="#1c212c",
    warning="#ffae85",
)

# Okabe and Ito's eight, ordered so that neighbours differ most; the near-black one swaps with the theme.
CATEGORIES: tuple[Color, ...] = (
    "#0072b2",  # blue
    "#e69f00",  # orange
    "#009e73",  # bluish green
    "#cc79a7",  # reddish purple
    "#56b4e9",  # sky blue
    "#d55e00",  # vermillion
    "#f0e442",  # yellow
    "#000000",  # black
)
CATEGORIES_DARK: tuple[Color, ...] = (
    "#3a9bd9",
    "#f0b030",
    "#14b88a",
    "#dc93bb",
    "#8fd0f5",
    "#f0833a",
    "#f5ec70",
    "#dfe2ea",
)
# Text on a category: the dark theme's categories are all bright, so both become near-black there.
_ON_DEEP, _ON_BRIGHT, _ON_DARK_THEME = "#fffffe", "#0a0b0d", "#0a0c10"
# After eight, colours start again under a pattern (plotly's marker.pattern.shape).
PATTERNS: tuple[str, ...] = ("", "/", ".", "x", "-", "\\", "+", "|")

# Shares from 0: background to accent. Lightness falls steadily (light theme), rises (dark theme).
PROBABILITY_SCALE: Scale = (
    (0.0, LIGHT.background),
    (0.25, "#cdd8f6"),
    (0.5, "#94abe9"),
    (0.75, "#5f7fda"),
    (1.0, LIGHT.accent),
)
PROBABILITY_SCALE_DARK: Scale = (
    (0.0, DARK.background),
    (0.25, "#26324f"),
    (0.5, "#445a91"),
    (0.75, "#6882c8"),
    (1.0, DARK.accent),
)

# Signed values, symmetric about 0: purple below, orange above (as ColorBrewer's PuOr: red-green safe).
SIGNED_SCALE: Scale = (
    (0.0, "#532788"),
    (0.25, "#9a86be"),
    (0.5, "#fefefe"),
    (0.75, "#cf8a3c"),
    (1.0, "#7f3b02"),
)
SIGNED_SCALE_DARK: Scale = (
    (0.0, "#c3a9f5"),
    (0.25, "#6d5a99"),
    (0.5, "#11141b"),
    (0.75, "#96652a"),
    (1.0, "#ffb861"),
)
NEGATIVE, POSITIVE = SIGNED_SCALE[0][1], SIGNED_SCALE[-1][1]


def light_to_dark() -> dict[Color, Color]:
    """Every light colour and its dark partner: what the browser swaps when the theme changes."""
    pairs = [(getattr(LIGHT, field.name), getattr(DARK, field.name)) for field in fields(Palette)]
    pairs += zip(CATEGORIES, CATEGORIES_DARK, strict=True)
    pairs += [(_ON_DEEP, _ON_DARK_THEME), (_ON_BRIGHT, _ON_DARK_THEME)]
    for light, dark in ((PROBABILITY_SCALE, PROBABILITY_SCALE_DARK), (SIGNED_SCALE, SIGNED_SCALE_DARK)):
        pairs += [(a[1], b[1]) for a, b in zip(light, dark, strict=True)]
    swapped = dict(pairs)
    assert len(set(pairs)) == len(swapped), "a light colour has two meanings, so the dark theme is ambiguous"
    return swapped


def category(index: int) -> Color:
    """Colour number `index` of a list; from the ninth on colours repeat, under `pattern(index)`."""
    return CATEGORIES[index % len(CATEGORIES)]


def pattern(index: int) -> str:
    """The fill pattern that tells category `index` from the one eight before it.

    >>> pattern(0), pattern(8), pattern(17)
    ('', '/', '.')
    """
    return PATTERNS[index // len(CATEGORIES) % len(PATTERNS)]


def token_color(token_id: int) -> Color:
    """A token's colour: from its id alone, so the same token looks the same on every page.

    Neighbouring ids get colours far apart (a multiplicative hash: Knuth, TAOCP 3, 6.4). Black is left out:
    it is the colour of text.
    """
    return CATEGORIES[(token_id * 2654435761 % 2**32) * 7 >> 32]


def text_on(color: Color) -> Color:
    """The colour of text on a fill of ours (category, accent, cut, end of a scale): 4.5:1 in both themes.

    Between the ends of a scale leave it to plotly, which looks at the drawn colour.
    """
    dark, light = (_ON_BRIGHT, _ON_DEEP) if color in CATEGORIES else (LIGHT.ink, LIGHT.background)
    return dark if contrast(dark, color) >= contrast(light, color) else light


def faded(color: Color, opacity: float) -> Color:
    """`color` with an opacity of 0 to 1, as `#rrggbbaa`: the theme swap understands that form.

    >>> faded("#0072b2", 0.5)
    '#0072b280'
    """
    return f"{color}{round(255 * opacity):02x}"


def contrast(one: Color, other: Color) -> float:
    """WCAG contrast ratio of two colours, 1 to 21.

    >>> round(contrast("#ffffff", "#000000"), 1)
    21.0
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def rgb(color: Color) -> tuple[float, float, float]:
    """`#rrggbb` as three shares from 0 to 1."""
    red, green, blue = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def linear(channel: float) -> float:
    """An sRGB channel as light, undoing the display's gamma (IEC 61966-2-1)."""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _luminance(color: Color) -> float:
    red, green, blue = (linear(channel) for channel in rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
