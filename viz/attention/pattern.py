"""The attention pattern of one head as a record, and what it says in words.

Above MOST_CELLS tokens the map shows blocks of tokens, each as the largest probability in it, because a
mean would wash out the few keys that a head looks for; the selected token's row stays exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz import style

MOST_CELLS = 128  # rows and columns of the map
N_NAMED_KEYS = 4  # keys that the row's sentence names

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
) -> AttentionPattern:
    """Values -> what will be drawn. A chosen `key` after the selected query is no cell, and is left out.

    Raises:
        ValueError: the pattern is not square, or not as long as the prompt.
    """
    n_tokens = len(token_texts)
    if pattern.shape != (n_tokens, n_tokens):
        raise ValueError(f"pattern {pattern.shape} for {n_tokens} tokens")
    block = -(-n_tokens // MOST_CELLS)
    cells, queries, keys = strongest_in_blocks(pattern, block)
    return AttentionPattern(
        tokens=tuple(token_texts),
        layer=layer,
        head=head,
        selected=selected,
        block=block,
        cells=_causal(cells),
        strongest_query=tuple(map(tuple, queries.tolist())),
        row=tuple(float(p) for p in pattern[selected, : selected + 1]),
        sink=None if sink is None else float(sink[selected]),
        off=off,
        key=None if key is None or key > selected else key,
        strongest_key=tuple(map(tuple, keys.tolist())),
    )


def largest_in_blocks(pattern: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Each block's largest value by size, sign kept, and the query position it belongs to.

    Both are [n_blocks, n_blocks]; the last row and column may be of smaller blocks.

    >>> values, queries = largest_in_blocks(np.array([[1, 0, 0], [0.2, 0.8, 0], [0.5, 0.1, 0.4]]), 2)
    >>> values.tolist(), queries.tolist()
    ([[1.0, 0.0], [0.5, 0.4]], [[0, 0], [2, 2]])
    """
    values, queries, _ = strongest_in_blocks(pattern, block)
    return values, queries


def strongest_in_blocks(pattern: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `largest_in_blocks`, and the key position as well: each [n_blocks, n_blocks]."""
    n_tokens = len(pattern)
    n_blocks = -(-n_tokens // block)
    spare = n_blocks * block - n_tokens
    padded = np.pad(pattern, ((0, spare), (0, spare)))
    # [query block, key block, cell within the block], row by row
    blocks = padded.reshape(n_blocks, block, n_blocks, block).swapaxes(1, 2).reshape(n_blocks, n_blocks, -1)
    where = np.abs(blocks).argmax(axis=2)
    values = np.take_along_axis(blocks, where[:, :, None], axis=2)[:, :, 0]
    starts = block * np.arange(n_blocks)
    queries = np.minimum(where // block + starts[:, None], n_tokens - 1)
    return values, queries, np.minimum(where % block + starts[None, :], n_tokens - 1)


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


def _causal(values: np.ndarray) -> Grid:
    """Rows of plain numbers, None right of the diagonal."""
    n = len(values)
    return tuple((*line[: q + 1], *([None] * (n - q - 1))) for q, line in enumerate(values.tolist()))


def strongest_keys(record: AttentionPattern, most: int = N_NAMED_KEYS) -> tuple[tuple[int, float], ...]:
    """(key position, probability) of the selected row, largest first, at most `most`."""
    order = sorted(range(len(record.row)), key=lambda key: (-record.row[key], key))
    return tuple((key, record.row[key]) for key in order[:most])


def title(record: AttentionPattern) -> str:
    """The finding, as plotly draws it: what the selected token reads most in this head."""
    key, share = strongest_keys(record, 1)[0]
    read = "itself" if key == record.selected else f"“{style.label(record.tokens[key])}”"
    query = style.label(record.tokens[record.selected])
    if record.off:
        said = f"<b>“{query}”</b> would read <b>{read}</b> most, {style.share(share)}"
        return f"L{record.layer} H{record.head} is <b>off</b>: {said}"
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
    said = f"{_quoted(record.tokens[record.selected])} reads {', '.join(parts)}."
    if record.key is None or record.key in [key for key, _ in named]:
        return said
    share = style.share(record.row[record.key])
    return f"{said} The chosen key, {_key_words(record, record.key)}, gets {share}."


def _others(count: int) -> str:
    return "one other token" if count == 1 else f"{count:,} other tokens together"


def _key_words(record: AttentionPattern, key: int) -> str:
    return "itself" if key == record.selected else f"{_quoted(record.tokens[key])} ({key})"


def _quoted(text: str) -> str:
    return f"“{style.shorten(style.visible(text))}”"
