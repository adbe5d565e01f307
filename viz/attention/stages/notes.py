"""What is written around the matrices of one head: names, shapes, signs, and the ends of each."""

from __future__ import annotations

from typing import Any

from viz import style
from viz.attention.stages.layout import LONGEST_NAME, Screen, Slot, name_of, scale_words
from viz.attention.stages.record import HeadStagesRecord, Stage
from viz.panels import Json, ink, mono, note


def notes(record: HeadStagesRecord, screen: Screen) -> list[Json]:
    """All words around the matrices, as annotations."""
    return [found for row in screen.rows for slot in row for found in _around(record, screen, slot)]


def _around(record: HeadStagesRecord, screen: Screen, slot: Slot) -> list[Json]:
    panel, size = record.panel(slot.key), screen.letters
    stage = record.stages[panel]

    def beside(text: str, y: float, anchor: str, **more: Any) -> Json:
        font = {"size": size}
        return note(text, 0, y, f"left {anchor}", panel, "xy", **{"align": "left", "font": font, **more})

    found = [
        beside(heading(record, stage), 1, "bottom", yshift=size + 3, font=ink(size)),
        beside(shape_words(stage), 1, "bottom"),
        beside(ends(stage), 0, "top", yshift=-16),
    ]
    if slot.sign:
        small = f"<br><span style='font-size:{size}px'>{slot.says}</span>" if slot.says else ""
        middle = -slot.before / 2 if not slot.names else -slot.before + 36
        found.append(note(f"{slot.sign}{small}", 0, 0.5, "center", panel, "xy", xshift=middle, font=ink(20)))
    if slot.names:
        found += _names(record, stage, panel, screen)
    if stage.columns == "key":
        found.append(_key_name(record, stage, panel, screen))
    if stage.key in ("scores", "pattern") and not record.is_difference and _causal(stage):
        # What a hidden cell counts as, written into the hatched corner of a causal mask.
        value = "−∞" if stage.key == "scores" else "0"
        patch: Json = {"bgcolor": style.MASKED, "borderpad": 1, "font": ink(13)}
        found.append(note(value, 0.86, 0.86, panel=panel, within="xy", **patch))
    return found


def heading(record: HeadStagesRecord, stage: Stage) -> str:
    """The line over a matrix: its formula and what it is."""
    formula = {
        "q": "q",
        "k": "k",
        "dots": "q kᵀ",
        "scaled": scale_words(record),
        "capped": "cap",
        "scores": "mask",
        "pattern": "softmax",
        "v": "v",
        "z": "z",
        "result": "z W<sub>O</sub>",
    }[stage.key]
    title = stage.title
    if stage.key == "scores":
        title = "no looking ahead" if _causal(stage) else "hidden cells"
    elif stage.key == "capped":
        title = f"to ±{record.softcap:g}"
    return f"<b>{formula}</b> {title}"


def shape_words(stage: Stage) -> str:
    """The shape of the whole matrix, and how many of its numbers a cell stands for."""
    rows, columns = stage.shape
    blocks = _blocks(stage)
    return f"[{rows:,} × {columns:,}]{', ' + blocks if blocks else ''}"


def ends(stage: Stage) -> str:
    """Least and largest value of the whole matrix."""
    if stage.key == "pattern" and stage.low >= 0 and stage.limit == 1:
        return f"{style.share(stage.low)} to {style.share(stage.high)}"
    return f"{style.three_digits(stage.low)} to {style.three_digits(stage.high)}"


def _blocks(stage: Stage) -> str:
    if stage.row_block > 1 and stage.column_block > 1:
        return f"{stage.row_block}×{stage.column_block} a cell"
    most = max(stage.row_block, stage.column_block)
    return f"{most} a cell" if most > 1 else ""


def _causal(stage: Stage) -> bool:
    """Whether exactly the cells right of the diagonal are hidden."""
    return all(
        (value is None) == (column > row)
        for row, line in enumerate(stage.cells)
        for column, value in enumerate(line)
    )


def _names(record: HeadStagesRecord, stage: Stage, panel: int, screen: Screen) -> list[Json]:
    """Names left of a matrix, thinned to what fits, the selected one bold and always there."""
    n, chosen = len(stage.cells), record.query // stage.row_block
    step = -(-n * 13 // int(screen.matrix))  # 13 pixels a name
    rows = [row for row in range(n) if row == chosen or (row % step == 0 and abs(row - chosen) >= step)]
    shown = [(row, style.inert(name_of(record, row, stage, screen.longest))) for row in rows]
    look: Json = {"xshift": -3, "font": mono(min(screen.letters, 11))}
    return [
        note(f"<b>{name}</b>" if row == chosen else name, 0, row, "right", panel, "x", **look)
        for row, name in shown
    ]


def _key_name(record: HeadStagesRecord, stage: Stage, panel: int, screen: Screen) -> Json:
    """The chosen key's name under its column, kept inside the matrix."""
    column = record.key // stage.column_block
    at = (column + 0.5) / len(stage.cells[0])
    anchor, shift = ("left", -0.5) if at < 0.34 else ("right", 0.5) if at > 0.66 else ("center", 0.0)
    words = f"<b>{style.label(record.tokens[record.key], LONGEST_NAME)}</b>"
    look: Json = {"yshift": -2, "font": mono(min(screen.letters, 11))}
    return note(words, column + shift, 0, f"{anchor} top", panel, "y", **look)
