"""A model fed with another tokenizer's numbers: what they mean in its own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.drawn import Drawn
from viz.panels import INSIDE, Json, Look, drawn, figure, hover, mono, note

MOST_ROWS = 20  # of the alignment; the data table has all
ROW, HEAD = 30, 74  # pixels
_ENDS = ((0.0, 1.18), (1.26, 1.9), (1.98, 3.2))  # left and right of the three columns


@dataclass(frozen=True)
class Swap:
    """One number: the piece that the other tokenizer means by it, and what the model's table has there."""

    piece: str
    token_id: int
    read: str | None  # None: the table has no such row

    @property
    def same(self) -> bool:
        return self.piece == self.read


@dataclass(frozen=True)
class Swaps:
    """A text as another tokenizer's numbers, and as a model reads them."""

    rows: tuple[Swap, ...]
    tokenizer: str
    model: str
    last_id: int  # of the model's table

    @property
    def n_same(self) -> int:
        return sum(row.same for row in self.rows)

    @property
    def n_outside(self) -> int:
        return sum(row.read is None for row in self.rows)


def swaps_record(
    pieces: Sequence[str],
    ids: Sequence[int],
    read: Sequence[str | None],
    *,
    tokenizer: str,
    model: str,
    d_vocab: int,
) -> Swaps:
    """The other tokenizer's pieces and ids, and the model's texts for these ids -> what will be drawn."""
    rows = tuple(Swap(*one) for one in zip(pieces, ids, read, strict=True))
    return Swaps(rows, tokenizer, model, d_vocab - 1)


def swaps_figure(record: Swaps) -> Drawn:
    """Three columns: the piece, its number, and what that number is to the model."""
    return drawn(_figure, record, alt=swaps_alt(record), stem="foreign-numbers", table=swaps_table(record))


def _figure(record: Swaps, look: Look) -> go.Figure:
    rows = record.rows[:MOST_ROWS]
    names = look.pick(
        (f"{record.tokenizer} writes", "the number", f"{record.model} reads"),
        ("they write", "number", "model reads"),
    )
    known = [n for n, row in enumerate(rows) if row.read is not None]
    unknown = [n for n, row in enumerate(rows) if row.read is None]
    fills = [style.faded(style.token_color(row.token_id), 0.24) for row in rows]
    surface = [style.LIGHT.surface] * len(rows)
    everywhere = range(len(rows))
    traces = [
        _cells(rows, everywhere, 0, [_isolated(row.piece) for row in rows], surface),
        _cells(rows, everywhere, 1, [f"{row.token_id:,}" for row in rows], fills),
        _cells(rows, known, 2, [_read_words(row) for row in rows], fills),
    ]
    if unknown:
        gone = _cells(rows, unknown, 2, ["no such row"] * len(rows), fills)
        traces.append({**gone, "marker": {**gone["marker"], **style.CUT}})
    return figure(
        traces,
        xaxis={"range": [-0.02, _ENDS[-1][1] + 0.02], "visible": False},
        yaxis={"range": [len(rows) - 0.5, -1.4], "visible": False},
        barmode="overlay",
        bargap=0,
        showlegend=False,
        uniformtext={"mode": False},
        height=HEAD + ROW * (len(rows) + 1),
        margin={"l": 2, "r": 2, "t": HEAD - ROW, "b": 4},
        title={"text": swaps_title(record, short=look.pick(False, True))},
        annotations=[
            note(style.inert(style.shorten(name, 30)), (left + right) / 2, -0.9)
            for name, (left, right) in zip(names, _ENDS, strict=True)
        ],
    )


def _cells(
    rows: Sequence[Swap], at: Sequence[int], column: int, words: Sequence[str], fills: Sequence[str]
) -> Json:
    """Cells of one column, at some of the rows: an id's colour, and what stands in it."""
    left, right = _ENDS[column]
    return {
        "type": "bar",
        "name": ("piece", "number", "read")[column],
        "orientation": "h",
        "base": [left] * len(at),
        "x": [right - left] * len(at),
        "y": list(at),
        "width": 0.84,
        "marker": {"color": [fills[n] for n in at], "line": {"color": style.LIGHT.line, "width": 1}},
        "text": [words[n] for n in at],
        **INSIDE,
        "textfont": mono(),
        **hover([_swap_hover(rows[n]) for n in at]),
    }


def _read_words(row: Swap) -> str:
    if row.read is None:
        return "no such row"
    return f"{_isolated(row.read)} =" if row.same else _isolated(row.read)


def _isolated(text: str) -> str:
    """A token between Unicode's isolates (UAX 9), short enough for its cell on a phone."""
    return f"\u2068{style.label(text, 14)}\u2069"


def _swap_hover(row: Swap) -> str:
    there = "no such row" if row.read is None else f"“{style.label(row.read)}”"
    return f"“{style.label(row.piece)}” is {row.token_id:,}<br>row {row.token_id:,} of the model: {there}"


def swaps_title(record: Swaps, short: bool = False) -> str:
    """The finding; `short` for a phone."""
    n_rows = len(record.rows)
    if record.n_same == n_rows:
        return "<b>Every number</b> means the same piece"
    said = f"<b>{record.n_same:,} of {n_rows:,}</b> numbers mean the same"
    if short or not record.n_outside:
        return said
    return f"{said}; {record.n_outside:,} {'has' if record.n_outside == 1 else 'have'} no row"


def swaps_alt(record: Swaps) -> str:
    """The alignment in words."""
    named = "; ".join(
        f"“{style.shorten(style.visible(row.piece))}” is number {row.token_id:,}, which {record.model} "
        "reads as " + ("no row at all" if row.read is None else f"“{style.shorten(style.visible(row.read))}”")
        for row in record.rows[:6]
    )
    return (
        f"{counted(len(record.rows), 'token')} of {record.tokenizer}; {record.n_same:,} mean the same to "
        f"{record.model}, {record.n_outside:,} lie beyond its table, which ends "
        f"at {record.last_id:,}. {named}."
    )


def swaps_table(record: Swaps) -> dict[str, list[object]]:
    """One row a number."""
    return {
        "position": list(range(len(record.rows))),
        "piece": [style.visible(row.piece) for row in record.rows],
        "number": [row.token_id for row in record.rows],
        "the model reads": [None if row.read is None else style.visible(row.read) for row in record.rows],
    }
