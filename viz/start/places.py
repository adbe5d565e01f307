"""Where the stops of the walk are in the picture: what stays lit, and the path along which the token goes.

The path runs under the token's box and its row of the table, into the stream, along it, round the box of the
final norm and out to the guess. Everything is in fractions of the plotting area, from its left and top.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from viz.start.forward_pass import ForwardPass
from viz.start.panels import EMBEDDING_START, ROW, TOKEN_END, Box, Page, row_center
from viz.start.stream import BAND
from viz.start.walk import Walk

HEAD = -40.0  # pixels: the top of a stage's heading above its panel
TITLE = 0.0, 1.0, -84.0, -56.0  # the picture's own
_WORDS = 18.0  # pixels: what is written along the stream's upper and lower edge
_MOST_RIGHT = 0.97  # on a phone, so that the ring stays within the picture
_UNDER = 0.4 * ROW + 2  # from the middle of a row to just below its box

Lit = tuple[float, float, float, float]  # left, right (fractions); top, bottom (pixels)


@dataclass(frozen=True)
class Way:
    """A path in the making, and its stops."""

    page: Page
    path: list[list[Any]] = field(default_factory=list)
    stops: list[dict[str, Any]] = field(default_factory=list)

    def to(self, *points: tuple[float, float]) -> None:
        """Go on to a point (fraction, pixels): straight, or by a curve through two control points."""
        command = "M" if not self.path else "L" if len(points) == 1 else "C"
        flat = [value for x, y in points for value in (round(x, 4), self._down(y))]
        self.path.append([command, *flat])

    def stop(self, *lit: Lit) -> None:
        """Here is a stop; this is what stays lit."""
        boxes = [
            [round(left, 4), self._down(top), round(right, 4), self._down(bottom)]
            for left, right, top, bottom in lit
        ]
        self.stops.append({"drawn": len(self.path), "lit": boxes})

    def _down(self, pixels: float) -> float:
        return round(pixels / self.page.height, 4)

    def meta(self) -> dict[str, Any]:
        """As `Stop` says."""
        return {"walk": {"path": self.path, "stops": self.stops}}


def _row_of(record: ForwardPass, position: int) -> int | None:
    """The row in which a token is drawn; None where it is left out."""
    rows = enumerate(record.rows)
    return next((i for i, row in rows if row is not None and row.position == position), None)


def _lit_row(box: Box, index: int, n_rows: int, right: float) -> Lit:
    middle = row_center(box, index, n_rows)
    return box.left, right, middle - ROW / 2, middle + ROW / 2


def _across(box: Box, share: float) -> float:
    return box.left + share * (box.right - box.left)


def _read_rows(tokens: Box, record: ForwardPass, walk: Walk) -> list[Lit]:
    """The boxes of the token itself and of those that the first block takes most from."""
    found = {
        _row_of(record, key): None for key in (record.selected.position, *(at for at, *_ in walk.first_read))
    }
    right = _across(tokens, TOKEN_END)
    return [_lit_row(tokens, i, len(record.rows), right) for i in found if i is not None]


def _begin(way: Way, tokens: Box, record: ForwardPass, heading: Lit) -> float:
    """The first two stops, which are alike on all screens. Returns where the path is, in pixels."""
    index, n_rows = _row_of(record, record.selected.position) or 0, len(record.rows)
    under = row_center(tokens, index, n_rows) + _UNDER
    rows = row_center(tokens, 0, n_rows) - ROW, row_center(tokens, n_rows - 1, n_rows) + ROW
    way.to((tokens.left, under))
    way.to((_across(tokens, TOKEN_END), under))
    numbers = tokens.left, _across(tokens, EMBEDDING_START - 0.01), rows[0], rows[1]
    way.stop((tokens.left, heading[0], HEAD, 0), numbers)
    way.to((min(tokens.right, _MOST_RIGHT), under))
    way.stop(heading, _lit_row(tokens, index, n_rows, tokens.right + 0.002))
    return under


def wide_way(
    page: Page,
    record: ForwardPass,
    walk: Walk,
    *,
    tokens: Box,
    stream: Box,
    middle: float,  # of the stream, in pixels
    norm: tuple[Box, float],  # the box of the final norm, and half its height
    following: tuple[float, float],  # where the fan ends: at the likeliest next token
    embedding: float,  # left end of that heading
) -> dict[str, Any]:
    """The walk to the right."""
    way, n_layers = Way(page), len(record.blocks)
    under = _begin(way, tokens, record, (embedding - 0.005, stream.left - 0.006, HEAD, 0))
    wide = (stream.right - stream.left) / (n_layers + 0.2)  # of a block

    def block(layer: int) -> float:
        return stream.left + (layer + 0.6) * wide

    def column(layer: int) -> tuple[float, float]:
        return block(layer) - 0.5 * wide - 0.001, block(layer) + 0.5 * wide + 0.001

    half = (tokens.right + stream.left) / 2
    heading = stream.left - 0.005, stream.right, HEAD, 0.0
    way.to((half, under), (half, middle), (stream.left, middle))
    way.to((block(0), middle))
    # Below the stream the lanes end before the number at the foot of block 0's bar begins.
    lanes = (
        (tokens.right + 0.002, stream.left, 0.0, middle + BAND),
        (tokens.right + 0.002, 0.65 * tokens.right + 0.35 * stream.left, middle + BAND, stream.height + ROW),
    )
    rows = _read_rows(tokens, record, walk)
    way.stop(heading, *lanes, (*column(0), stream.top + _WORDS, middle + BAND / 2), *rows)
    way.to((block(walk.visited), middle))
    way.stop(heading, (*column(walk.visited), stream.top + _WORDS, stream.bottom - _WORDS))
    box, high = norm
    way.to((box.left, middle))
    way.stop(
        (box.left - 0.015, box.right + 0.005, HEAD, 0), (box.left, box.right, middle - high, middle + high)
    )
    fan, first = following
    way.to((box.left, middle - high))
    way.to((box.right, middle - high))
    way.to((box.right, middle))
    half = (box.right + fan) / 2
    way.to((half, middle), (half, first), (fan, first))
    way.stop(TITLE, (box.right + 0.002, 1.0, HEAD, page.height))
    return way.meta()


def narrow_way(
    page: Page,
    record: ForwardPass,
    walk: Walk,
    *,
    tokens: Box,
    stream: Box,
    middle: float,  # of the stream, as a fraction
    norm: float,  # the foot of its heading, in pixels
    following: Box,
) -> dict[str, Any]:
    """The walk downwards."""
    way, n_layers = Way(page), len(record.blocks)
    under = _begin(way, tokens, record, (0.6, 1.0, HEAD, 0))
    deep = stream.height / (n_layers + 0.2)

    def block(layer: int) -> float:
        return stream.top + (layer + 0.6) * deep

    def column(layer: int) -> tuple[float, float]:
        return block(layer) - 0.5 * deep - 1, block(layer) + 0.5 * deep + 1

    half = (under + stream.top) / 2
    heading = 0.0, stream.right, stream.top - 64, stream.top
    way.to((_MOST_RIGHT, half), (middle, half), (middle, stream.top))
    way.to((middle, block(0)))
    way.stop(heading, (0.0, middle + 0.04, *column(0)), *_read_rows(tokens, record, walk))
    way.to((middle, block(walk.visited)))
    way.stop(heading, (0.0, stream.right, *column(walk.visited)))
    aside, high = 0.76, norm - 20.0
    way.to((middle, stream.bottom))
    way.to((middle, high), (aside, stream.bottom), (aside, high))
    way.stop((0.0, 0.7, norm + HEAD, norm))
    way.to((aside, following.top - 8))
    way.stop((0.0, 1.0, following.top + HEAD, following.bottom))
    return way.meta()
