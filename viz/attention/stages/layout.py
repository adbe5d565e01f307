"""Where the matrices of one head stand on a screen, a tablet and a phone, and what is written around them.

All in pixels of a nominal width, turned into shares of the plot: on a wider screen gaps and matrices grow
together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from viz import style
from viz.attention.stages.record import HeadStagesRecord, Stage

HEAD, FOOT, ROW_GAP = 36, 36, 8  # pixels above, below and between rows of matrices
_LETTER = 6.7  # pixels: width of a letter of a name
LONGEST_NAME, LONGEST_NAME_NARROW = 10, 7


@dataclass(frozen=True)
class Slot:
    """One matrix in a row: how wide, what room is left of it, and which sign stands in that room."""

    key: str
    width: float
    before: float = 0.0
    sign: str = ""  # "·", "=", "→"
    says: str = ""  # under the sign
    names: bool = False  # the names of the rows stand left of it, in `before`


@dataclass(frozen=True)
class Screen:
    """A whole arrangement: rows of slots, in pixels of `width`."""

    width: float
    matrix: float  # height of a matrix
    rows: tuple[tuple[Slot, ...], ...]
    top: float  # margin: room for the title
    letters: int  # size of type
    longest: int = LONGEST_NAME  # letters of a name

    @property
    def row_height(self) -> float:
        return HEAD + self.matrix + FOOT + ROW_GAP

    @property
    def height(self) -> float:
        return self.top + self.row_height * len(self.rows)


def wide_screen(record: HeadStagesRecord) -> Screen:
    """Two rows of a page: scores above, from probabilities to the stream below."""
    names = _names_width(record)
    square, tall, gap = (184.0, 104.0, 56.0) if record.softcap is None else (150.0, 88.0, 46.0)
    above = [
        Slot("q", tall, names, names=True),
        Slot("k", tall, 30, "·"),
        Slot("dots", square, 44, "="),
        Slot("scaled", square, gap, "→", _scale_sign(record)),
        *([Slot("capped", square, gap, "→", "cap")] if record.softcap is not None else []),
        Slot("scores", square, gap, "→", "mask"),
    ]
    square, tall = 184.0, 104.0
    below = [
        Slot("pattern", square, names, names=True),
        Slot("v", tall, 34, "·"),
        Slot("z", tall, 38, "="),
        Slot("result", 0, 70 + names, "→", _w_o_sign(record), names=True),
    ]
    width = 1040.0
    below[-1] = replace(below[-1], width=width - 10 - _sum(below))
    spare = width - 10 - _sum(above)
    grow = 1 + spare / sum(slot.width for slot in above)
    above = [replace(slot, width=slot.width * grow) for slot in above]
    return Screen(width, 178, (tuple(above), tuple(below)), 38, 12)


def middle_screen(record: HeadStagesRecord) -> Screen:
    """Three matrices a row, for a tablet or a projector with large type."""
    names, width = _names_width(record), 720.0
    side = (width - 10 - names - 2 * 52) / 3
    rows = _rows_of(record, 3, side, names, 52)
    return Screen(width, min(side, 186), rows, 44, 12)


def narrow_screen(record: HeadStagesRecord) -> Screen:
    """Two matrices a row, for a phone or half a page."""
    names, width = _names_width(record, LONGEST_NAME_NARROW), 356.0
    side = (width - 6 - names - 26) / 2
    rows = _rows_of(record, 2, side, names, 26, words=False)
    return Screen(width, side, rows, 68, 11, LONGEST_NAME_NARROW)


def domains(screen: Screen) -> dict[str, tuple[list[float], list[float]]]:
    """Every matrix's share of the plot's width and height, by its key."""
    inner = screen.height - screen.top
    found = {}
    for number, row in enumerate(screen.rows):
        left, top = 0.0, number * screen.row_height + HEAD
        for slot in row:
            left += slot.before
            up = [1 - (top + screen.matrix) / inner, 1 - top / inner]
            found[slot.key] = ([left / screen.width, (left + slot.width) / screen.width], up)
            left += slot.width
    return found


def scale_words(record: HeadStagesRecord) -> str:
    if record.scaling == 1:
        return "× 1"
    if abs(record.scaling - record.d_head**-0.5) < 1e-9:
        return f"÷ √{record.d_head}"
    return f"× {style.three_digits(record.scaling)}"


def _scale_sign(record: HeadStagesRecord) -> str:
    return scale_words(record).replace(" ", "\u00a0")


def _w_o_sign(record: HeadStagesRecord) -> str:
    rows, columns = record.w_o_shape
    return f"· W<sub>O</sub><br>[{rows}\u00a0×\u00a0{columns:,}]"


def _sum(slots: list[Slot]) -> float:
    return sum(slot.before + slot.width for slot in slots)


def _rows_of(
    record: HeadStagesRecord, most: int, side: float, names: float, gap: float, words: bool = True
) -> tuple[tuple[Slot, ...], ...]:
    """The stages in rows of `most`, each row with the names of its tokens; the result has a row's rest."""
    signs = {
        "k": ("·", ""),
        "dots": ("=", ""),
        "scaled": ("→", _scale_sign(record)),
        "capped": ("→", "cap"),
        "scores": ("→", "mask"),
        "pattern": ("→", "softmax"),
        "v": ("·", ""),
        "z": ("=", ""),
        "result": ("→", "· W<sub>O</sub>"),
    }
    keys = [stage.key for stage in record.stages]
    rows = []
    for start in range(0, len(keys), most):
        row = [
            Slot(key, side, gap, signs[key][0], signs[key][1] if words else "")
            if at
            else Slot(key, side, names, names=True)
            for at, key in enumerate(keys[start : start + most])
        ]
        if row[-1].key == "result":
            row[-1] = replace(row[-1], width=side + (side + gap) * (most - len(row)))
        rows.append(tuple(row))
    return tuple(rows)


def _names_width(record: HeadStagesRecord, most: int = LONGEST_NAME) -> float:
    longest = max(
        len(name_of(record, at, record.stages[0], most)) for at in range(len(record.stages[0].cells))
    )
    return max(30.0, 12 + _LETTER * longest)


def name_of(record: HeadStagesRecord, row: int, stage: Stage, longest: int) -> str:
    """A row's name: its token, or in blocks its first position (the selected token's own)."""
    first = row * stage.row_block
    if stage.row_block > 1:
        return str(record.query if row == record.query // stage.row_block else first)
    return style.shorten(style.visible(record.tokens[first]), longest)
