"""The attention pattern of one head as a record, and what it says in words.

Above MOST_CELLS tokens the map shows blocks of tokens, each as the largest probability in it, because a
mean would wash out the few keys that a head looks for; the selected token's row stays exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style
from viz.text import LONGEST_LABEL
from viz.token_map import Grid, largest_in

MOST_CELLS = 128  # rows and columns of the map
N_NAMED_KEYS = 4  # keys that the row's sentence names


@dataclass(frozen=True)
class AttentionPattern:
    """What the map of one head shows. Positions count from 0."""

    tokens: tuple[str, ...]
    layer: int
    head: int
    selected: int  # query position
    block: int  # tokens to a cell: 1 when every cell is exact
    cells: Grid  # [query block][key block], None where nothing may be read
    strongest_query: tuple[tuple[int, ...], ...]  # the query position behind each cell's value
    row: tuple[float, ...]  # exact probabilities of the selected query: keys 0 to `selected`, or all
    sink: float | None  # share that the selected query pays to a learned sink; None where a model has none
    off: bool = False  # the head is switched off: it reads all the same, but adds nothing to the stream
    key: int | None = None  # position of the chosen key; None: no cell is chosen
    strongest_key: tuple[tuple[int, ...], ...] = ()  # the key position behind each cell's value

    @property
    def n_cells(self) -> int:
        """Rows (and columns) of the map."""
        return len(self.cells)

    def query_at(self, point: tuple[int, int]) -> int:
        """The query position that a click on cell (row, column) means."""
        row, column = point
        return self.strongest_query[row][column]

    def cell_at(self, point: tuple[int, int]) -> tuple[int, int]:
        """Query and key position that a click on cell (row, column) means: the block's largest."""
        row, column = point
        return self.strongest_query[row][column], self.strongest_key[row][column]

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
    off: bool = False,
    key: int | None = None,
    visible: np.ndarray | None = None,  # bool [query_pos, key_pos], of another mask than the causal one
) -> AttentionPattern:
    """Values -> what will be drawn. A chosen `key` after the selected query is no cell, and is left out.

    Raises:
        ValueError: pattern or mask is not square, or not as long as the prompt.
    """
    n_tokens = len(token_texts)
    seen = np.tri(n_tokens, dtype=bool) if visible is None else visible
    if pattern.shape != (n_tokens, n_tokens) or seen.shape != pattern.shape:
        raise ValueError(f"pattern {pattern.shape} and mask {seen.shape} for {n_tokens} tokens")
    block = -(-n_tokens // MOST_CELLS)
    values, where = largest_in(np.where(seen, pattern, np.nan), block, block)
    some = largest_in(np.where(seen, 1.0, np.nan), block, block)[0] == 1
    return AttentionPattern(
        tokens=tuple(token_texts),
        layer=layer,
        head=head,
        selected=selected,
        block=block,
        cells=tuple(
            tuple(value if there else None for value, there in zip(*lines, strict=True))
            for lines in zip(values.tolist(), some.tolist(), strict=True)
        ),
        strongest_query=tuple(map(tuple, where[:, :, 0].tolist())),
        row=tuple(float(p) for p in pattern[selected, : None if visible is not None else selected + 1]),
        sink=None if sink is None else float(sink[selected]),
        off=off,
        key=None if key is None or key > selected else key,
        strongest_key=tuple(map(tuple, where[:, :, 1].tolist())),
    )


def attention_difference_record(
    pattern: np.ndarray,  # [query_pos, key_pos] of the current run
    other: np.ndarray,  # of the pinned run
    token_texts: Sequence[str],
    *,
    layer: int,
    head: int,
    selected: int,
    key: int | None = None,
) -> AttentionPattern:
    """`pattern` less `other`, cell by cell: positive where the current run reads more.

    Raises:
        ValueError: the two are not of one shape.
    """
    if pattern.shape != other.shape:
        raise ValueError(f"patterns {pattern.shape} and {other.shape}")
    change = pattern - other
    return attention_pattern_record(change, token_texts, layer=layer, head=head, selected=selected, key=key)


def strongest_keys(record: AttentionPattern, most: int = N_NAMED_KEYS) -> tuple[tuple[int, float], ...]:
    """(key position, probability) of the selected row, largest first, at most `most`."""
    order = sorted(range(len(record.row)), key=lambda key: (-record.row[key], key))
    return tuple((key, record.row[key]) for key in order[:most])


def reading(record: AttentionPattern, longest: int = LONGEST_LABEL) -> tuple[str, str, float]:
    """The selected query, what it reads most, and the share, as plotly draws them."""
    key, share = strongest_keys(record, 1)[0]
    read = "itself" if key == record.selected else f"“{style.label(record.tokens[key], longest)}”"
    return style.label(record.tokens[record.selected], longest), read, share


def title(record: AttentionPattern) -> str:
    """The finding, as plotly draws it: what the selected token reads most in this head."""
    query, read, share = reading(record)
    if record.off:
        said = f"<b>“{query}”</b> would read <b>{read}</b> most, {style.share(share)}"
        return f"L{record.layer} H{record.head} is <b>off</b>: {said}"
    return f"L{record.layer} H{record.head}: <b>“{query}”</b> reads <b>{read}</b> most, {style.share(share)}"


def row_sentence(record: AttentionPattern) -> str:
    """The selected row in plain text: the keys it reads most, the rest together, the sink's share. A head
    that is off would read so."""
    named = strongest_keys(record)
    parts = [f"{key_words(record, key)} {style.share(share)}" for key, share in named]
    others = len(record.row) - len(named)
    if others:
        rest = max(0.0, sum(record.row) - sum(share for _, share in named))
        words = "one other token" if others == 1 else f"{others:,} other tokens together"
        parts.append(f"{words} {style.share(rest)}")
    if record.sink is not None:
        pays = "would pay" if record.off else "pays"
        parts.append(f"and {pays} {style.share(record.sink)} to the learned sink")
    reads = "would read" if record.off else "reads"
    said = f"{style.quoted(record.tokens[record.selected])} {reads} {', '.join(parts)}."
    if record.off:
        said += " The head is off: it adds nothing to the stream."
    if record.key is None or record.key in [key for key, _ in named]:
        return said
    gets, share = "would get" if record.off else "gets", style.share(record.row[record.key])
    return f"{said} The chosen key, {key_words(record, record.key)}, {gets} {share}."


def key_words(record: AttentionPattern, key: int) -> str:
    """A key in plain text: “·b” (1)."""
    return "itself" if key == record.selected else f"{style.quoted(record.tokens[key])} ({key})"
