"""How byte-pair encoding builds the tokens of a word: bytes at the bottom, every merge one brick higher.

A brick is as wide as its bytes and stands from the level where it was made up to the merge that takes it in,
so a vertical look through the figure meets every piece that a byte was ever part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import INSIDE, Json, Look, drawn, figure, hover, mono

WIDE, NARROW = 640, 320  # pixels for all bytes together
ROW, BOTTOM = 46, 44  # pixels of a level and of the row of bytes
TOP_MARGIN = 44
WIDEST = 110  # pixels of one byte: two of them should not fill a screen
_MONO = 0.62  # width of a character in the monospaced face, in its size
_LINE = 10  # smallest type, pixels
_GAP = 0.06  # between levels


@dataclass(frozen=True)
class Brick:
    """A piece that stood in the word for a while. Levels count from 0, the row of single bytes."""

    piece: bytes
    start: int  # byte offset in the word
    level: int
    top: int  # level where the piece was taken in by a merge, or the height of the figure
    rank: int | None  # place in the tokenizer's list, 0 learned first; None where merging starts
    order: int  # number of the merge in this word, from 1; 0 where merging starts
    left: bytes  # the left one of the two that were joined; empty where merging starts
    token: int  # which token of the word it ends in


@dataclass(frozen=True)
class MergeTree:
    """A word, the pieces that stood in it, and the tokens it ends in."""

    bricks: tuple[Brick, ...]
    tokens: tuple[bytes, ...]  # what the word ends in
    chosen: int  # index in `tokens`
    n_merges: int  # in the tokenizer's list
    height: int  # levels above the bytes

    @property
    def n_bytes(self) -> int:
        return sum(map(len, self.tokens))

    def own(self) -> tuple[Brick, ...]:
        """The merges inside the chosen token, in the order in which they are done."""
        merged = (b for b in self.bricks if b.token == self.chosen and b.rank is not None)
        return tuple(sorted(merged, key=lambda brick: brick.order))

    def edges(self) -> tuple[int, ...]:
        """Byte offsets between the tokens of the word."""
        ends = [sum(map(len, self.tokens[: n + 1])) for n in range(len(self.tokens))]
        return tuple(ends[:-1])


def merge_tree_record(
    pieces: Sequence[bytes],  # where merging starts
    merges: Sequence[tuple[int, int]],  # (rank, index of the left piece), in the order in which they are done
    *,
    chosen: int,
    n_merges: int,
) -> MergeTree:
    """A word's merges -> what will be drawn.

    >>> tree = merge_tree_record([b"a", b"n", b"t"], [(7, 1)], chosen=1, n_merges=100)
    >>> tree.tokens, [(b.piece, b.start, b.level, b.top) for b in tree.bricks][-1]
    ((b'a', b'nt'), (b'nt', 1, 1, 1))
    """
    starts = [sum(map(len, pieces[:n])) for n in range(len(pieces))]
    made = [_Made(piece, start) for piece, start in zip(pieces, starts, strict=True)]
    taken: dict[int, int] = {}  # index in `made` -> level of the merge that took it in
    row = list(range(len(made)))
    for order, (rank, at) in enumerate(merges, 1):
        left, right = made[row[at]], made[row[at + 1]]
        level = 1 + max(left.level, right.level)
        taken[row[at]] = taken[row[at + 1]] = level
        made.append(_Made(left.piece + right.piece, left.start, level, rank, order, left.piece))
        row[at : at + 2] = [len(made) - 1]
    tokens = tuple(made[index].piece for index in row)
    ends = [made[index].start + len(made[index].piece) for index in row]
    bricks = tuple(
        Brick(**vars(one), top=taken.get(index, one.level), token=sum(end <= one.start for end in ends))
        for index, one in enumerate(made)
    )
    return MergeTree(bricks, tokens, chosen, n_merges, max(one.level for one in made))


@dataclass
class _Made:
    """A brick of which it is not yet known what takes it in."""

    piece: bytes
    start: int
    level: int = 0
    rank: int | None = None
    order: int = 0
    left: bytes = b""


def merge_tree_figure(record: MergeTree) -> Drawn:
    """Bricks from the bytes up; the chosen token in colour, the rest of its word in grey."""
    return drawn(_figure, record, alt=alt(record), stem="merges", table=table(record))


def _figure(record: MergeTree, look: Look) -> go.Figure:
    width = look.pick(WIDE, NARROW)
    cell = min(width / record.n_bytes, WIDEST)
    mine = [brick for brick in record.bricks if brick.token == record.chosen]
    rest = [brick for brick in record.bricks if brick.token != record.chosen]
    parts = (("chosen token", mine), ("rest of the word", rest))
    traces = [_bars(record, name, bricks, cell) for name, bricks in parts if bricks]
    characters = _characters(record)
    if characters:
        traces.append(_character_bars(characters, cell))
    low = -1 if characters else 0
    edge: Json = {"width": 2, "dash": "dash", "color": style.LIGHT.warning}
    return figure(
        traces,
        xaxis={"range": [0, max(record.n_bytes, width / cell)], "visible": False},
        yaxis={"range": [low, record.height + 1], "visible": False},
        barmode="overlay",
        bargap=0,
        showlegend=False,
        uniformtext={"mode": False},
        height=TOP_MARGIN + BOTTOM + ROW * (record.height - low) + 12,
        margin={"l": 4, "r": 4, "t": TOP_MARGIN},
        title={"text": title(record, width), "pad": {"b": 6}},
        shapes=[  # where the word stays cut
            {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": record.height + 1, "line": edge}
            for at in record.edges()
        ],
    )


def _bars(record: MergeTree, name: str, bricks: Sequence[Brick], cell: float) -> Json:
    mine = bricks[0].token == record.chosen
    return {
        "type": "bar",
        "name": name,
        "orientation": "h",
        "base": [brick.start + 0.04 for brick in bricks],
        "x": [len(brick.piece) - 0.08 for brick in bricks],
        "y": [(brick.level + max(brick.top, brick.level + 1)) / 2 for brick in bricks],
        "width": [max(brick.top, brick.level + 1) - brick.level - _GAP for brick in bricks],
        "marker": {
            "color": [_fill(brick, mine) for brick in bricks],
            "line": {"color": style.LIGHT.accent if mine else style.LIGHT.line, "width": 1},
        },
        "text": [_brick_text(brick, cell) for brick in bricks],
        **INSIDE,
        "textfont": {**mono(), "size": _size(cell)},
        "cliponaxis": False,
        "customdata": [[brick.token] for brick in bricks],
        **hover([_hover(record, brick) for brick in bricks]),
    }


def _fill(brick: Brick, mine: bool) -> str:
    if not mine:
        return style.LIGHT.masked
    return style.LIGHT.surface if brick.rank is None else style.faded(style.LIGHT.accent, 0.18)


def _size(cell: float) -> float:
    return max(_LINE, min(13.0, cell / 2.2))


def _fits(text: str, n_bytes: int, cell: float) -> bool:
    return len(text) * _MONO * _size(cell) <= n_bytes * cell - 3


def _brick_text(brick: Brick, cell: float) -> str:
    """The piece, and under it its byte in hexadecimal or the number of its merge, where there is room."""
    n_bytes = len(brick.piece)
    shown = style.shorten(text_of(brick.piece), max(2, int(n_bytes * cell / (_MONO * _size(cell)))))
    if brick.rank is None and n_bytes == 1:
        code = brick.piece.hex().upper()
        words = [code] if brick.piece[0] >= 0x80 else [style.visible(brick.piece.decode()), code]
        return "<br>".join(style.inert(word) for word in words if _fits(word, 1, cell))
    lines = [shown] if brick.rank is None else [shown, _rank_words(brick.rank, n_bytes, cell)]
    return "<br>".join(style.inert(line) for line in lines if line and _fits(line, n_bytes, cell))


def _rank_words(rank: int, n_bytes: int, cell: float) -> str:
    long, short = f"merge {rank + 1:,}", f"{rank + 1:,}"
    return long if _fits(long, n_bytes, cell) else short


def _hover(record: MergeTree, brick: Brick) -> str:
    piece, codes = style.inert(style.shorten(text_of(brick.piece))), style.inert(codes_of(brick.piece))
    if brick.rank is None:
        return f"<b>{piece}</b>: {codes}<br>where merging starts"
    return (
        f"<b>{piece}</b>: {codes}<br>merge {brick.rank + 1:,} of {record.n_merges:,}, "
        f"done as number {brick.order} in this word"
    )


def _characters(record: MergeTree) -> list[tuple[str, int, int]]:
    """(character, first byte, bytes) of a word with characters of several bytes; else nothing."""
    word = b"".join(record.tokens)
    text = word.decode("utf-8", errors="replace")
    if word.isascii() or text.encode() != word:
        return []
    found, at = [], 0
    for character in text:
        found.append((character, at, len(character.encode())))
        at += len(character.encode())
    return found


def _character_bars(characters: Sequence[tuple[str, int, int]], cell: float) -> Json:
    shown = [style.inert(style.visible(character)) for character, _, _ in characters]
    named = [*zip(shown, characters, strict=True)]
    return {
        "type": "bar",
        "name": "characters",
        "orientation": "h",
        "base": [start + 0.04 for _, start, _ in characters],
        "x": [n_bytes - 0.08 for _, _, n_bytes in characters],
        "y": [-0.5] * len(characters),
        "width": [0.8] * len(characters),
        "marker": {"color": style.LIGHT.background, "line": {"color": style.LIGHT.grid, "width": 1}},
        "text": [
            text if _fits(style.visible(character), n_bytes, cell) else ""
            for text, (character, _, n_bytes) in named
        ],
        **INSIDE,
        "textfont": {"size": _size(cell) + 2, "color": style.LIGHT.muted},
        **hover(
            [
                f"{text} (U+{ord(character):04X}) is {n_bytes} {'byte' if n_bytes == 1 else 'bytes'}"
                for text, (character, _, n_bytes) in named
            ]
        ),
    }


def text_of(piece: bytes) -> str:
    r"""A piece for people: its text with nothing hidden, or its bytes where they are no whole characters.

    >>> text_of(b" the"), text_of(b"\xe4\xbd")
    ('·the', '⟨E4-BD⟩')
    """
    try:
        return style.visible(piece.decode())
    except UnicodeDecodeError:
        return f"⟨{piece.hex('-').upper()}⟩"


def codes_of(piece: bytes) -> str:
    """The bytes in hexadecimal."""
    return piece.hex(" ").upper()


def title(record: MergeTree, width: int = WIDE) -> str:
    """The finding, as plotly draws it."""
    n_bytes, n_merges = len(record.tokens[record.chosen]), len(record.own())
    token = style.inert(style.shorten(text_of(record.tokens[record.chosen]), 20))
    said = f"<b>“{token}”</b>: {n_bytes} {_plural('byte', n_bytes)}, {n_merges} {_plural('merge', n_merges)}"
    if len(record.tokens) > 1 and width == WIDE:  # a phone has room for one line
        said += f"; its word stays cut into {len(record.tokens)}"
    return said


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def sentence(record: MergeTree) -> str:
    """How the chosen token was made, in plain text."""
    token = f"“{style.shorten(text_of(record.tokens[record.chosen]))}”"
    n_bytes, own = len(record.tokens[record.chosen]), record.own()
    if not own:
        return f"{token} is {n_bytes} {_plural('byte', n_bytes)}, and no merge takes it in."
    said = f"{token} is made of {n_bytes} bytes in {len(own)} {_plural('merge', len(own))}"
    if len(own) == 1:
        return f"{said}: merge {_rank(own[0]):,} of {record.n_merges:,}."
    ranked = sorted(own, key=lambda brick: brick.rank or 0)
    return (
        f"{said}. The earliest learned of them is {_piece_words(ranked[0], record)}, "
        f"the latest {_piece_words(ranked[-1], record)}."
    )


def _rank(brick: Brick) -> int:
    assert brick.rank is not None
    return brick.rank + 1


def _piece_words(brick: Brick, record: MergeTree) -> str:
    return f"“{style.shorten(text_of(brick.piece))}” (merge {_rank(brick):,} of {record.n_merges:,})"


def stop_sentence(record: MergeTree) -> str:
    """Why merging ended in several tokens; "" where the whole word is one."""
    if len(record.tokens) < 2:
        return ""
    word = f"“{style.shorten(text_of(b''.join(record.tokens)), 40)}”"
    pairs = list(zip(record.tokens, record.tokens[1:], strict=False))
    near = [pair for n, pair in enumerate(pairs) if n in (record.chosen - 1, record.chosen)]
    missing = " and none of ".join(
        f"“{style.shorten(text_of(left))}” + “{style.shorten(text_of(right))}”" for left, right in near
    )
    return (
        f"The word {word} stays cut into {len(record.tokens)} tokens. Merging stops at the dashed lines "
        f"because the list has no merge of {missing}."
    )


def steps_table(record: MergeTree) -> dict[str, list[str]]:
    """The merges of the chosen token in the order in which they are done, for the page."""
    own = record.own()
    rows = [
        (
            str(number),
            text_of(brick.left),
            text_of(brick.piece[len(brick.left) :]),
            text_of(brick.piece),
            f"{_rank(brick):,}",
        )
        for number, brick in enumerate(own, 1)
    ]
    names = ("Step", "Left", "Right", "Makes", "Learned as merge")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


def alt(record: MergeTree) -> str:
    """The figure in words."""
    return " ".join(part for part in (sentence(record), stop_sentence(record)) if part)


def table(record: MergeTree) -> dict[str, list[object]]:
    """One row a piece, in the order in which they come to be."""
    bricks = sorted(record.bricks, key=lambda brick: (brick.order, brick.start))
    return {
        "step": [brick.order for brick in bricks],
        "piece": [text_of(brick.piece) for brick in bricks],
        "bytes": [codes_of(brick.piece) for brick in bricks],
        "first byte": [brick.start for brick in bricks],
        "merge": [None if brick.rank is None else brick.rank + 1 for brick in bricks],
        "token of the word": [brick.token for brick in bricks],
    }
