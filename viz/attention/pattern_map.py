"""Maps of tokens by tokens: one head's pattern, under any mask, and the difference of two.

Query on the left, key on top.
"""

from __future__ import annotations

import math
from typing import Any

from viz import style
from viz.attention.head_grid import bar_ticks
from viz.attention.pattern import AttentionPattern, reading, row_sentence, title
from viz.drawn import Drawn
from viz.panels import Json, box, figure, mono, note, thinned
from viz.token_map import token_map

MOST_TICKS = 32
MOST_TICKS_NARROW = 14
_GAPS_UP_TO = 48
_LONGEST_TICK = 12
_SLOPE = -60  # degrees that the names above the map lean
_AXES = "is read →<br>reads ↓"  # in the corner between both rows of names
_AXES_FONT = {"size": 11, "color": style.LIGHT.muted}
_AXES_ROOM = 68  # pixels to the left of the map, where all names are shorter
_LETTER = 7.5  # pixels: width of a letter of a tick


def attention_pattern_figure(record: AttentionPattern) -> Drawn:
    """The map, from 0 to 1 always: equal probabilities look equal on every head, prompt and model."""
    return _drawn(record, {"text": title(record)}, alt(record), "attention-pattern")


def masked_pattern_figure(record: AttentionPattern, name: str, as_measured: bool) -> Drawn:
    """The map under a mask, on the scale of every other map of a pattern.

    Args:
        name: of the mask, in the title.
        as_measured: the model's own; else a calculation, and the title says "would read".
    """
    query, read, share = reading(record, 10)
    verb = "reads" if as_measured else "would read"
    words = f"{name}: “{query}” {verb} <b>{read}</b> {style.share(share)}"
    kind = "Measured" if as_measured else "Computed"
    return _drawn(
        record,
        {"text": words, "font": {"size": 14}},
        f"{kind}, layer {record.layer}, head {record.head}, under the mask: {name}. {alt(record)}",
        "attention-pattern" if as_measured else "attention-pattern-masked",
    )


def cell_map_figure(record: AttentionPattern, key: int) -> Drawn:
    """The map of the pattern, smaller, with the column of `key` in a dotted frame as well."""
    column, dots = key // record.block, {"color": style.LIGHT.ink, "width": 1.5, "dash": "dot"}
    frame = box((column - 0.5, column + 0.5), (-0.5, record.n_cells - 0.5), line=dots)
    return _drawn(
        record,
        {"text": f"L{record.layer} H{record.head}: <b>choose a cell</b>"},
        f"{alt(record)} Chosen: query {record.selected}, key {key}.",
        "attention-cell",
        frames=[frame],
        narrow={"title.text": "<b>Choose a cell</b>", "height": 400, "margin.b": 8},
        height=400,
        showscale=False,
    )


def attention_difference_figure(record: AttentionPattern) -> Drawn:
    """Current less pinned, on a scale symmetric about 0; `record` is of `attention_difference_record`."""
    values = [v for line in record.cells for v in line if v is not None]
    low, high = style.shared_range(values, symmetric=True)
    ends = {"tickvals": [low, 0, high], "ticktext": [signed_points(low), "0", signed_points(high)]}
    largest = max(values, key=abs)
    words = "The two patterns are equal"
    if largest:
        words = f"Current less pinned: up to {signed_points(largest)}"
    return _drawn(
        record,
        {"text": words},
        f"Difference of two attention patterns, layer {record.layer}, head {record.head}. {words}.",
        "attention-difference",
        quantity="difference",
        scale=(low, high, style.SIGNED_SCALE),
        bar={"tickmode": "array", **ends},
    )


def alt(record: AttentionPattern) -> str:
    """The map in words."""
    off = ", which is switched off" if record.off else ""
    return f"Attention pattern of layer {record.layer}, head {record.head}{off}. {row_sentence(record)}"


def signed_points(difference: float) -> str:
    """A difference of two shares, in percentage points with its sign.

    >>> signed_points(-0.0512)
    '−5.12 points'
    """
    return f"{'+' if difference > 0 else ''}{style.three_digits(100 * difference)} points"


def attention_row_figure(record: AttentionPattern) -> Drawn:
    """The selected query's row, exact for every key: what a map of blocks cannot show."""
    keys = list(range(len(record.row)))
    row = {
        "type": "bar",
        "name": "probability",
        "x": keys,
        "y": list(record.row),
        "width": 1,
        "marker": {"color": style.LIGHT.accent},
        "text": [_named(record, key) for key in keys],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{y:.6f}<extra></extra>",
    }
    places = {"range": [-0.5, len(record.tokens) - 0.5], "title": {"text": "key position"}}
    made = figure(
        [row],
        xaxis={**places, "fixedrange": False},
        yaxis={"title": {"text": "probability"}, "rangemode": "tozero", "fixedrange": False},
        height=240,
        bargap=0,
        title={"text": f"What token {record.selected} reads, exactly"},
    )
    texts = [style.visible(record.tokens[key]) for key in keys]
    table: dict[str, list[object]] = {"key": [*keys], "key text": [*texts], "probability": [*record.row]}
    return Drawn(made, row_sentence(record), "attention-row", table)


def _drawn(
    record: AttentionPattern,
    title: Json,
    alt: str,
    stem: str,
    *,
    quantity: str = "probability",
    scale: tuple[float, float, style.Scale] = (0, 1, style.PROBABILITY_SCALE),
    bar: Json | None = None,
    frames: list[Json] | None = None,
    narrow: Json | None = None,
    height: int = 560,
    **cells: Any,
) -> Drawn:
    """A square map of tokens with the selected row outlined; what may not be read lies bare, masked."""
    n, words = record.n_cells, _scale_words(record, quantity)
    names = [_cell_name(record, cell) for cell in range(n)]
    # Who reads whom from the names of row and column: a text for every cell would be half a megabyte.
    reads = "%{y} read %{x}: at most" if record.block > 1 else "%{y} reads %{x}"
    number = ".4%" if quantity == "probability" else "+.4f"
    ticks = _ticks(record, MOST_TICKS)
    axis = {"type": "category", "fixedrange": False, "tickmode": "array", "showgrid": False}
    axis |= {"constrain": "domain", "tickfont": mono(), **ticks}
    top = {"range": [-0.5, n - 0.5], "side": "top", "tickangle": _SLOPE, "automargin": False}
    down = {"range": [n - 0.5, -0.5], "scaleanchor": "x", "scaleratio": 1, "constraintoward": "top"}
    pattern = token_map(
        "pattern",
        record.cells,
        *scale,
        gaps_up_to=_GAPS_UP_TO,
        x=names,
        y=names,
        hovertemplate=reads + "<br>%{z:" + number + "}<extra></extra>",
        colorbar={
            "title": {"text": words},
            "len": 0.7,
            "y": 0,
            "yanchor": "bottom",
            **(bar or bar_ticks(1.0, "share")),
        },
        **cells,
    )
    made = figure(
        [pattern],
        xaxis={**top, **axis},
        yaxis={**down, **axis},
        height=height,
        shapes=[*_outlines(record), *(frames or [])],
        annotations=[note(_AXES, -0.5, -0.5, "right bottom", align="right", xshift=-3, font=_AXES_FONT)],
        plot_bgcolor=style.MASKED,
        title=title,
        margin={"t": _head_room(record, ticks), "l": _AXES_ROOM},
    )
    return Drawn(made, alt, stem, _table(record, words), {**_narrow(record), **(narrow or {})})


def _scale_words(record: AttentionPattern, quantity: str) -> str:
    return (
        quantity if record.block == 1 else f"largest {quantity} in blocks of {record.block} × {record.block}"
    )


def _cell_name(record: AttentionPattern, cell: int) -> str:
    """A row or column as the hover says it; unlike the ticks all differ, so that they can be categories."""
    first, last = record.positions(cell)
    if record.block == 1:
        return _named(record, first)
    return f"token {first}" if first == last else f"tokens {first}–{last}"


def _named(record: AttentionPattern, position: int) -> str:
    return f"{position} “{style.label(record.tokens[position])}”"


def _ticks(record: AttentionPattern, most: int) -> Json:
    """Names for all cells up to `most`, then for every so many, and always for the selected one, in bold."""
    chosen = record.selected // record.block
    shown = thinned(record.n_cells, most, chosen)
    names = [style.inert(_name(record, cell)) for cell in shown]
    texts = [f"<b>{name}</b>" if cell == chosen else name for cell, name in zip(shown, names, strict=True)]
    return {"tickvals": shown, "ticktext": texts}


def _name(record: AttentionPattern, cell: int) -> str:
    """The token's text, or in a map of blocks the block's first position (the selected token's own)."""
    first, _ = record.positions(cell)
    if record.block > 1:
        return str(record.selected if cell == record.selected // record.block else first)
    return style.shorten(style.visible(record.tokens[first]), _LONGEST_TICK)


def _head_room(record: AttentionPattern, ticks: Json) -> float:
    """Pixels above the map: a line of title, then the longest name as it leans, whole in print too."""
    longest = max(len(_name(record, cell)) for cell in ticks["tickvals"])
    return 50 + longest * _LETTER * math.sin(math.radians(-_SLOPE))


def _narrow(record: AttentionPattern) -> Json:
    """On a phone: fewer names, in smaller type, and room for the last, which leans out to the right."""
    ticks = _ticks(record, MOST_TICKS_NARROW)
    axis = {**ticks, "tickfont": {"size": 11}}
    room = {"margin.r": 36, "margin.t": _head_room(record, ticks), "margin.b": 60}
    return {"height": 470, **room, "title.font.size": 13, "xaxis": axis, "yaxis": axis}


def _outlines(record: AttentionPattern) -> list[Json]:
    """A frame round the selected query's row, as far as it may look; a thicker one round a chosen cell."""
    query = record.selected // record.block
    seen = [cell for cell, value in enumerate(record.cells[query]) if value is not None] or [0]
    spans = [(seen[0], seen[-1], 2)]
    if record.key is not None:
        spans.append((record.key // record.block, record.key // record.block, 4))
    return [
        box(
            (first - 0.5, last + 0.5),
            (query - 0.5, query + 0.5),
            line={"color": style.LIGHT.ink, "width": width},
        )
        for first, last, width in spans
    ]


def _table(record: AttentionPattern, words: str) -> dict[str, list[object]]:
    """One row a cell that exists."""
    names = [_names(record, cell) for cell in range(record.n_cells)]
    cells = [(q, k, v) for q, line in enumerate(record.cells) for k, v in enumerate(line) if v is not None]
    return {
        "query": [names[q][0] for q, _, _ in cells],
        "query text": [names[q][1] for q, _, _ in cells],
        "key": [names[k][0] for _, k, _ in cells],
        "key text": [names[k][1] for _, k, _ in cells],
        words: [value for *_, value in cells],
    }


def _names(record: AttentionPattern, cell: int) -> tuple[str, str]:
    first, last = record.positions(cell)
    span = str(first) if record.block == 1 else f"{first}-{last}"
    return span, style.visible("".join(record.tokens[first : last + 1]))
