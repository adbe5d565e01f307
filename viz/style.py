"""What must look the same everywhere: templates, and one door to colours, scales, text and numbers.

Every figure names our template (`layout.template = TEMPLATE`): importing streamlit swaps plotly's default
for placeholder colours. Figures are built in the light theme; the browser swaps colours for a dark page
(`palette.light_to_dark`), and exports put on the print template.
"""

from __future__ import annotations

import plotly.graph_objects as go
import plotly.io as pio

from viz.palette import (
    CATEGORIES,
    DARK,
    LIGHT,
    NEGATIVE,
    POSITIVE,
    PROBABILITY_SCALE,
    SIGNED_SCALE,
    Scale,
    category,
    contrast,
    faded,
    pattern,
    text_on,
    token_color,
)
from viz.text import (
    as_printed,
    column,
    in_bytes,
    in_percent,
    in_words,
    inert,
    label,
    prose,
    quoted,
    round_number,
    share,
    shared_range,
    shares,
    shorten,
    signed,
    significant,
    three_digits,
    two_decimals,
    visible,
)

__all__ = [
    "CATEGORIES",
    "CUT",
    "DARK",
    "FONT",
    "LIGHT",
    "MASKED",
    "MONO",
    "NEGATIVE",
    "POSITIVE",
    "PRINT_TEMPLATE",
    "PRINT_WIDTH",
    "PROBABILITY_SCALE",
    "SIGNED_SCALE",
    "TEMPLATE",
    "WIDE_PRINT",
    "Scale",
    "as_printed",
    "category",
    "column",
    "contrast",
    "faded",
    "in_bytes",
    "in_percent",
    "in_words",
    "inert",
    "label",
    "pattern",
    "prose",
    "quoted",
    "round_number",
    "share",
    "shared_range",
    "shares",
    "shorten",
    "signed",
    "significant",
    "text_on",
    "three_digits",
    "token_color",
    "two_decimals",
    "visible",
]

TEMPLATE = "glassformer"
PRINT_TEMPLATE = "glassformer.print"

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Consolas, "Noto Sans Mono", "DejaVu Sans Mono", monospace'

PRINT_WIDTH = 624  # CSS pixels: a text column of 6.5 inches (165 mm) at 96 to the inch
WIDE_PRINT = 960  # `layout.width` of a figure that a column is too narrow for; on screen the frame decides
_POINT = 96 / 72  # CSS pixels in a printer's point

# What a filter cut stays on screen like this: `go.Bar(marker=CUT)`. Grey and hatched, never colour alone.
CUT = {
    "color": LIGHT.cut,
    "line": {"color": LIGHT.cut_line, "width": 1},
    "pattern": {"shape": "/", "size": 6, "solidity": 0.15, "fgcolor": LIGHT.cut_line, "bgcolor": LIGHT.cut},
}
# Cells of a heat map that do not exist lie bare on this: `layout.plot_bgcolor = MASKED`.
MASKED = LIGHT.masked


def _axis(font_size: float) -> dict[str, object]:
    return {
        "showgrid": True,
        "gridcolor": LIGHT.grid,
        "gridwidth": 1,
        "zeroline": False,
        "fixedrange": True,  # a drag scrolls the page; `False` where zooming in shows more
        "showline": False,
        "linecolor": LIGHT.line,
        "ticks": "",
        "automargin": True,
        "tickfont": {"color": LIGHT.muted, "size": font_size},
        "title": {"font": {"color": LIGHT.muted, "size": font_size}, "standoff": 8},
    }


def _template(font_size: float, small: float) -> go.layout.Template:
    """The look in two sizes of type, in pixels: `font_size` for words, `small` for ticks."""
    bar = {
        "thickness": 12,
        "outlinewidth": 0,
        "ticks": "",
        "tickfont": {"color": LIGHT.muted, "size": small},
        "title": {"font": {"color": LIGHT.muted, "size": small}, "side": "right"},
    }
    ink = {"size": small, "color": LIGHT.ink}
    layout = {
        "font": {"family": FONT, "size": font_size, "color": LIGHT.ink},
        "title": {
            "font": {"size": font_size + 2, "color": LIGHT.ink},
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 0, "t": 6, "b": 10},
            "automargin": True,
        },
        "paper_bgcolor": LIGHT.background,
        "plot_bgcolor": LIGHT.background,
        "colorway": list(CATEGORIES),
        "colorscale": {
            "sequential": [list(stop) for stop in PROBABILITY_SCALE],
            "sequentialminus": [[1 - at, color] for at, color in reversed(PROBABILITY_SCALE)],
            "diverging": [list(stop) for stop in SIGNED_SCALE],
        },
        "coloraxis": {"colorbar": bar},
        "xaxis": _axis(small),
        "yaxis": _axis(small),
        "margin": {"l": 8, "r": 8, "t": 16, "b": 8},
        "hoverlabel": {
            "bgcolor": LIGHT.surface,
            "bordercolor": LIGHT.line,
            "font": {"family": FONT, "size": font_size, "color": LIGHT.ink},
            "align": "left",
        },
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": ink},
        "annotationdefaults": {"font": {"color": LIGHT.muted, "size": small}, "showarrow": False},
        "shapedefaults": {"line": {"color": LIGHT.line, "width": 1}},
        "uniformtext": {"minsize": 10, "mode": "hide"},  # a number too small to read is left to the hover
        "bargap": 0.25,
    }
    heatmap = go.Heatmap(colorbar=bar, xgap=1, ygap=1)
    return go.layout.Template(
        layout=layout,
        data={
            "heatmap": [heatmap],
            "bar": [go.Bar(marker={"line": {"width": 0}})],
            "scatter": [go.Scatter(line={"width": 2}, marker={"size": 7})],
        },
    )


def _register() -> None:
    pio.templates[TEMPLATE] = _template(font_size=14, small=12)
    pio.templates[PRINT_TEMPLATE] = _template(font_size=10 * _POINT, small=8.5 * _POINT)


_register()
