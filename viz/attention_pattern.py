"""The attention pattern of one head: who reads whom, query on the left, key on top.

Above MOST_CELLS tokens the map shows blocks of tokens, each as the largest probability in it, because a
mean would wash out the few keys that a head looks for; the selected token's row stays exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

MOST_CELLS = 128  # rows and columns of the map
MOST_TICKS = 32
N_NAMED_KEYS = 4  # keys that the row's sentence names
_GAPS_UP_TO = 48  # cells a side; with more, the white lines between cells would eat them
_LONGEST_TICK = 12

Grid = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class AttentionPattern:
    """What the map of one head shows. Positions count from 0."""

    tokens: tuple[str, ...]
    layer: int
    head: int
    selected: int  # query position
    block: int  # tokens to a cell: 1 when every cell is exact
    cells: Grid  # [query block][key block], None in the future
    strongest_query: tuple[tuple[int, ...], ...]  # the query position behind each cell's value
    row: tuple[float, ...]  # exact probabilities of the selected query, keys 0 to `selected`
    sink: float | None  # share that the selected query pays to a learned sink; None where a model has none

    @property
    def n_cells(self) -> int:
        """Rows (and columns) of the map."""
        return len(self.cells)

    def query_at(self, point: tuple[int, int]) -> int:
        """The query position that a click on cell (row, column) means."""
        row, column = point
        return self.strongest_query[row][column]

    def positions(self, cell: int) -> tuple[int, int]:
        """First and last token position of a row or column of the map."""
        return cell * self.block, min((cell + 1) * self.block, len(self.tokens)) - 1


def attention_pattern_record(
    pattern: np.ndarray,  # [query_pos, key_pos], rows sum to 1 (less the sink's share)
    token_texts: Sequence[str],
    *,
    layer: int,
    head: int,
    selected: int,
    sink: np.ndarray | None = None,  # [query_pos]
) -> AttentionPattern:
    """Values -> what will be drawn.

    Raises:
        ValueError: the pattern is not square, or not as long as the prompt.
    """
    n_tokens = len(token_texts)
    if pattern.shape != (n_tokens, n_tokens):
        raise ValueError(f"pattern {pattern.shape} for {n_tokens} tokens")
    block = -(-n_tokens // MOST_CELLS)
    cells, queries = largest_in_blocks(pattern, block)
    return AttentionPattern(
        tokens=tuple(token_texts),
        layer=layer,
        head=head,
        selected=selected,
        block=block,
        cells=_causal(cells),
        strongest_query=tuple(tuple(int(q) for q in line) for line in queries),
        row=tuple(float(p) for p in pattern[selected, : selected + 1]),
        sink=None if sink is None else float(sink[selected]),
    )


def largest_in_blocks(pattern: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Each block's largest probability, and the query position that pays it: both [n_blocks, n_blocks].

    >>> values, queries = largest_in_blocks(np.array([[1, 0, 0], [0.2, 0.8, 0], [0.5, 0.1, 0.4]]), 2)
    >>> values.tolist(), queries.tolist()
    ([[1.0, 0.0], [0.5, 0.4]], [[0, 0], [2, 2]])
    """
    n_blocks = -(-len(pattern) // block)
    spare = n_blocks * block - len(pattern)
    padded = np.pad(pattern, ((0, spare), (0, spare)), constant_values=-1.0)
    # [query block, key block, query within, key within], the keys' largest first
    by_query = padded.reshape(n_blocks, block, n_blocks, block).swapaxes(1, 2).max(axis=3)
    queries = by_query.argmax(axis=2) + block * np.arange(n_blocks)[:, None]
    return by_query.max(axis=2), queries


def _causal(values: np.ndarray) -> Grid:
    """Rows of plain numbers, None right of the diagonal."""
    return tuple(
        tuple(float(v) if key <= query else None for key, v in enumerate(line))
        for query, line in enumerate(values)
    )


def attention_pattern_figure(record: AttentionPattern) -> Drawn:
    """The map, from 0 to 1 always: equal probabilities look equal on every head, prompt and model."""
    figure = _map(
        record,
        record.cells,
        {"colorscale": style.PROBABILITY_SCALE, "zmin": 0, "zmax": 1},
        _scale_words(record, "probability"),
        [[_hover(record, q, k) for k in range(record.n_cells)] for q in range(record.n_cells)],
    )
    return Drawn(
        figure=figure,
        alt=f"Attention pattern of layer {record.layer}, head {record.head}. {row_sentence(record)}",
        stem="attention-pattern",
        table=_table(record, record.cells, "probability"),
        narrow_layout=_narrow(figure),
    )


def _scale_words(record: AttentionPattern, quantity: str) -> str:
    return (
        quantity if record.block == 1 else f"largest {quantity} in blocks of {record.block} × {record.block}"
    )


def _hover(record: AttentionPattern, query: int, key: int) -> str:
    value = record.cells[query][key]
    if value is None:
        return ""
    if record.block > 1:
        return f"{_span(record, query)} read {_span(record, key)}<br>at most {style.share(value)}"
    return f"{_named(record, query)} reads {_named(record, key)}<br>{style.share(value)} ({value:.6f})"


def _span(record: AttentionPattern, cell: int) -> str:
    first, last = record.positions(cell)
    return f"tokens {first}–{last}"


def _named(record: AttentionPattern, position: int) -> str:
    return f"{position} “{style.label(record.tokens[position])}”"


def _map(
    record: AttentionPattern, cells: Grid, colors: dict[str, Any], bar_title: str, hover: list[list[str]]
) -> go.Figure:
    """A square map of tokens with the selected row outlined; the future lies bare on the masked colour."""
    n = record.n_cells
    gap = 1 if n <= _GAPS_UP_TO else 0
    values = np.array([[np.nan if v is None else v for v in line] for line in cells], dtype=np.float32)
    figure = go.Figure()
    figure.add_heatmap(
        name="pattern",
        z=values.reshape(n, n),
        text=hover,
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
        xgap=gap,
        ygap=gap,
        colorbar={"title": {"text": bar_title}, "len": 0.7, "y": 0, "yanchor": "bottom"},
        **colors,
    )
    shown = _ticks(record)
    axis = {
        "tickmode": "array",
        "tickvals": shown,
        "showgrid": False,
        "constrain": "domain",
        "tickfont": {"family": style.MONO, "color": style.LIGHT.ink},
        "title": {"text": ""},
    }
    labels = [_tick(record, cell) for cell in shown]
    figure.update_xaxes(range=[-0.5, n - 0.5], side="top", tickangle=-60, ticktext=labels, **axis)
    figure.update_yaxes(
        range=[n - 0.5, -0.5], ticktext=labels, scaleanchor="x", scaleratio=1, constraintoward="top", **axis
    )
    _outline(figure, record)
    figure.update_layout(
        template=style.TEMPLATE,
        plot_bgcolor=style.MASKED,
        height=560,
        margin={"l": 8, "r": 8, "t": 44, "b": 8},
        title={"text": title(record), "pad": {"b": 8}},
    )
    return figure


def _ticks(record: AttentionPattern) -> list[int]:
    """Cells with a name: all up to MOST_TICKS, then every so many, and the selected one always."""
    n = record.n_cells
    chosen = record.selected // record.block
    step = -(-n // MOST_TICKS)
    return [cell for cell in range(n) if cell == chosen or (cell % step == 0 and abs(cell - chosen) >= step)]


def _tick(record: AttentionPattern, cell: int) -> str:
    """The token's text, or in a map of blocks the block's first position."""
    chosen = cell == record.selected // record.block
    first, _ = record.positions(cell)
    words = style.label(record.tokens[first], _LONGEST_TICK) if record.block == 1 else f"{first}"
    return f"<b>{words}</b>" if chosen else words


def _outline(figure: go.Figure, record: AttentionPattern) -> None:
    """A frame round the selected query's row, as far as it may look."""
    chosen = record.selected // record.block
    figure.add_shape(
        type="rect",
        x0=-0.5,
        x1=chosen + 0.5,
        y0=chosen - 0.5,
        y1=chosen + 0.5,
        line={"color": style.LIGHT.ink, "width": 2},
    )


def _narrow(figure: go.Figure) -> dict[str, Any]:
    return {"height": 470, "margin": {"l": 2, "r": 2, "t": 40, "b": 60}, "title": {"font": {"size": 13}}}


def strongest_keys(record: AttentionPattern, most: int = N_NAMED_KEYS) -> tuple[tuple[int, float], ...]:
    """(key position, probability) of the selected row, largest first, at most `most`."""
    order = sorted(range(len(record.row)), key=lambda key: (-record.row[key], key))
    return tuple((key, record.row[key]) for key in order[:most])


def title(record: AttentionPattern) -> str:
    """The finding, as plotly draws it: what the selected token reads most in this head."""
    key, share = strongest_keys(record, 1)[0]
    read = "itself" if key == record.selected else f"“{style.label(record.tokens[key])}”"
    query = style.label(record.tokens[record.selected])
    return f"L{record.layer} H{record.head}: <b>“{query}”</b> reads <b>{read}</b> most, {style.share(share)}"


def row_sentence(record: AttentionPattern) -> str:
    """The selected row in plain text: the keys it reads most, the rest together, the sink's share."""
    named = strongest_keys(record)
    parts = [f"{_key_words(record, key)} {style.share(share)}" for key, share in named]
    others = len(record.row) - len(named)
    if others:
        rest = max(0.0, sum(record.row) - sum(share for _, share in named))
        parts.append(f"{_others(others)} {style.share(rest)}")
    if record.sink is not None:
        parts.append(f"and pays {style.share(record.sink)} to the learned sink")
    return f"{_quoted(record.tokens[record.selected])} reads {', '.join(parts)}."


def _others(count: int) -> str:
    return "one other token" if count == 1 else f"{count:,} other tokens together"


def _key_words(record: AttentionPattern, key: int) -> str:
    return "itself" if key == record.selected else f"{_quoted(record.tokens[key])} ({key})"


def _quoted(text: str) -> str:
    return f"“{style.shorten(style.visible(text))}”"


def _table(record: AttentionPattern, cells: Grid, quantity: str) -> dict[str, list[object]]:
    """One row a cell that exists, then the selected row exactly where the map shows blocks."""
    rows: list[tuple[object, ...]] = []
    for q, line in enumerate(cells):
        rows += [(*_names(record, q), *_names(record, k), v) for k, v in enumerate(line) if v is not None]
    names = ("query", "query text", "key", "key text", _scale_words(record, quantity))
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _names(record: AttentionPattern, cell: int) -> tuple[str, str]:
    first, last = record.positions(cell)
    if record.block == 1:
        return str(first), style.visible(record.tokens[first])
    return f"{first}-{last}", style.visible("".join(record.tokens[first : last + 1]))
