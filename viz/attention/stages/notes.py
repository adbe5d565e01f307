"""What is written around the matrices of one head: names, shapes, signs, and the ends of each."""

from __future__ import annotations

from viz import style
from viz.attention.stages.layout import LONGEST_NAME, Screen, Slot, axis_number, name_of, places, scale_words
from viz.attention.stages.record import HeadStagesRecord, Stage


def notes(record: HeadStagesRecord, screen: Screen, numbers: dict[str, int]) -> list[dict[str, object]]:
    """All words around the matrices, as annotations."""
    found: list[dict[str, object]] = []
    for place in places(screen):
        stage = record.stage(place.slot.key)
        number = axis_number(numbers[stage.key])
        found += _around(record, stage, number, screen, place.slot)
    return found


def _around(
    record: HeadStagesRecord, stage: Stage, number: str, screen: Screen, slot: Slot
) -> list[dict[str, object]]:
    size = {"size": screen.letters}
    domain = {"xref": f"x{number} domain", "yref": f"y{number} domain", "showarrow": False}
    left = {"x": 0, "xanchor": "left", "align": "left"}
    above = {**domain, **left, "y": 1, "yanchor": "bottom"}
    found: list[dict[str, object]] = [
        {
            **above,
            "yshift": screen.letters + 3,
            "font": {**size, "color": style.LIGHT.ink},
            "text": heading(record, stage),
        },
        {**above, "font": size, "text": shape_words(stage)},
        {**domain, **left, "y": 0, "yanchor": "top", "yshift": -16, "font": size, "text": ends(stage)},
    ]
    if slot.sign:
        small = f"<br><span style='font-size:{screen.letters}px'>{slot.says}</span>" if slot.says else ""
        middle = -slot.before / 2 if not slot.names else -slot.before + 36
        found.append(
            {
                **domain,
                "x": 0,
                "y": 0.5,
                "xanchor": "center",
                "xshift": middle,
                "text": f"{slot.sign}{small}",
                "font": {"size": 20, "color": style.LIGHT.ink},
            }
        )
    if slot.names:
        found += _names(record, stage, number, screen)
    if stage.columns == "key":
        found.append(_key_name(record, stage, number, screen))
    if stage.key in ("scores", "pattern") and not record.is_difference and _causal(stage):
        found.append(_hidden_value(stage, domain))
    return found


def _hidden_value(stage: Stage, domain: dict[str, object]) -> dict[str, object]:
    """What a hidden cell counts as, written into the hatched corner of a causal mask."""
    return {
        **domain,
        "x": 0.86,
        "y": 0.86,
        "text": "−∞" if stage.key == "scores" else "0",
        "bgcolor": style.MASKED,
        "borderpad": 1,
        "font": {"size": 13, "color": style.LIGHT.ink},
    }


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


def _names(record: HeadStagesRecord, stage: Stage, number: str, screen: Screen) -> list[dict[str, object]]:
    """Names left of a matrix, thinned to what fits, the selected one bold and always there."""
    n = len(stage.cells)
    chosen = record.query // stage.row_block
    step = -(-n * 13 // int(screen.matrix))
    shown = [row for row in range(n) if row == chosen or (row % step == 0 and abs(row - chosen) >= step)]
    return [
        {
            "xref": f"x{number} domain",
            "yref": f"y{number}",
            "x": 0,
            "y": row,
            "xanchor": "right",
            "xshift": -3,
            "showarrow": False,
            "text": _bold(style.inert(name_of(record, row, stage, screen.longest)), row == chosen),
            "font": {"family": style.MONO, "size": min(screen.letters, 11), "color": style.LIGHT.ink},
        }
        for row in shown
    ]


def _key_name(record: HeadStagesRecord, stage: Stage, number: str, screen: Screen) -> dict[str, object]:
    """The chosen key's name under its column, kept inside the matrix."""
    n = len(stage.cells[0])
    column = record.key // stage.column_block
    at = (column + 0.5) / n
    anchor = "left" if at < 0.34 else "right" if at > 0.66 else "center"
    shift = {"left": -0.5, "center": 0.0, "right": 0.5}[anchor]
    return {
        "xref": f"x{number}",
        "yref": f"y{number} domain",
        "x": column + shift,
        "y": 0,
        "xanchor": anchor,
        "yanchor": "top",
        "yshift": -2,
        "showarrow": False,
        "text": f"<b>{style.label(record.tokens[record.key], LONGEST_NAME)}</b>",
        "font": {"family": style.MONO, "size": min(screen.letters, 11), "color": style.LIGHT.ink},
    }


def _bold(words: str, chosen: bool) -> str:
    return f"<b>{words}</b>" if chosen else words
