"""What experts of one layer added for one token, and how alike they point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.routing import floats, named
from viz.panels import SILENT, box, columns, figure, heat, rows, scatter, share_ticks

SHARED = "shared"
_ROW = 38  # pixels of height


@dataclass(frozen=True)
class ExpertShares:
    """The parts of one token's MLP output: one of each asked expert, and of a shared one."""

    layer: int
    position: int
    text: str
    names: tuple[str, ...]  # E3, ..., shared
    numbers: tuple[int | None, ...]  # of the experts; None: the shared one
    weights: tuple[float, ...]  # the router's; of the shared one its gate
    projections: tuple[float, ...]  # share of the sum; they add up to 1
    lengths: tuple[float, ...]  # share of the lengths together
    chosen: int  # the chosen expert
    low: float  # ends of the axis
    high: float


@dataclass(frozen=True)
class ExpertCosines:
    """How much alike experts' outputs point, for one token."""

    layer: int
    text: str
    experts: tuple[int, ...]
    n_asked: int  # so many of them, from the first on, were asked
    cosines: tuple[tuple[float, ...], ...]

    @property
    def pairs(self) -> list[float]:
        """Cosines of every two asked experts."""
        return [self.cosines[a][b] for a in range(self.n_asked) for b in range(a)]


def expert_shares_record(
    experts: Sequence[int],
    weights: Sequence[float],
    projections: np.ndarray,  # [part]
    lengths: np.ndarray,  # [part]
    *,
    text: str,
    position: int,
    layer: int,
    chosen: int,
    shared_gate: float | None,
    ends: tuple[float, float] | None = None,  # of a common axis
) -> ExpertShares:
    """Asked experts, then the shared one where there is one."""
    shared = shared_gate is not None
    low, high = share_ends(projections) if ends is None else ends
    return ExpertShares(
        layer,
        position,
        text,
        (*map(named, experts), *[SHARED] * shared),
        (*experts, *[None] * shared),
        (*map(float, weights), *([float(shared_gate or 0)] if shared else [])),
        tuple(map(float, projections)),
        tuple(map(float, lengths)),
        chosen,
        low,
        high,
    )


def share_ends(*projections: np.ndarray) -> tuple[float, float]:
    """Ends of an axis that holds these shares and 0 and 1."""
    every = np.concatenate([np.ravel(values) for values in projections])
    return min(0.0, float(every.min())), max(1.0, float(every.max()))


def expert_cosines_record(
    experts: Sequence[int], n_asked: int, cosines: np.ndarray, *, text: str, layer: int
) -> ExpertCosines:
    """Cosines [expert, expert] -> what will be drawn."""
    return ExpertCosines(layer, text, tuple(experts), n_asked, floats(cosines))


def shares_sentence(record: ExpertShares) -> str:
    """Who made how much of the MLP's output, in plain text."""
    parts = [
        f"{name} makes {style.share(part)} of it"
        for name, part in zip(record.names, record.projections, strict=True)
    ]
    token = f"“{style.shorten(style.visible(record.text))}”"
    return f"Of what layer {record.layer} adds for {token}: {'; '.join(parts)}."


def chosen_sentence(record: ExpertShares, idle_length: float | None) -> str:
    """The chosen expert's part; for one that was not asked, what it would have said.

    Args:
        idle_length: length of its output if it was not asked, in lengths of the MLP's output.
    """
    name = named(record.chosen)
    if record.chosen in record.numbers:
        at = record.numbers.index(record.chosen)
        return (
            f"{name} has weight {style.share(record.weights[at])}, {style.share(record.lengths[at])} of the "
            f"lengths added, and {style.share(record.projections[at])} of the sum."
        )
    said = f"{name} was not asked for this token, so it added nothing"
    if idle_length is None:
        return f"{said}."
    length = style.three_digits(idle_length)
    return f"{said}. (Asked all the same, it would answer with {length} times the length of the sum.)"


def cosines_sentence(record: ExpertCosines) -> str:
    """Whether the asked experts agree."""
    pairs = record.pairs
    if not pairs:
        return "One expert was asked, so there is nothing to compare."
    mean = float(np.mean(pairs))
    if len(pairs) == 1:
        return f"The two experts' outputs have the cosine {style.three_digits(mean)}: {_means(mean)}."
    return (
        f"The outputs of every two asked experts have the cosine {style.three_digits(mean)} on average: "
        f"{_means(mean)}."
    )


def _means(cosine: float) -> str:
    if cosine > 0.5:
        return "they say much the same"
    if cosine < -0.2:
        return "they pull against each other"
    return "each says something of its own"


def expert_shares_figure(record: ExpertShares) -> Drawn:
    """A bar a part: its share of the sum; a mark for its share of the lengths."""
    return Drawn(
        figure=_shares(record),
        alt=shares_sentence(record),
        stem="expert-shares",
        table={
            "part": list(record.names),
            "weight": list(record.weights),
            "share of the sum": list(record.projections),
            "share of the lengths": list(record.lengths),
        },
        # On a phone the legend takes two lines.
        narrow_layout={"margin.t": 92, "height": _ROW * len(record.names) + 168, "title.font.size": 13},
    )


def _shares(record: ExpertShares) -> go.Figure:
    chosen = [number == record.chosen for number in record.numbers]
    of_sum = {
        "type": "bar",
        "name": "of the sum",
        "orientation": "h",
        "y": list(range(len(record.names))),
        "x": list(record.projections),
        "width": 0.62,
        "marker": {
            "color": [style.LIGHT.muted if n is None else style.category(n) for n in record.numbers],
            "line": {"color": style.LIGHT.ink, "width": [3 * yes for yes in chosen]},
        },
        "customdata": [-1 if n is None else n for n in record.numbers],
        "hovertemplate": [
            f"{name}: {part:.4f} of the sum, {length:.4f} of the lengths, weight {weight:.4f}<extra></extra>"
            for name, part, length, weight in zip(
                record.names, record.projections, record.lengths, record.weights, strict=True
            )
        ],
    }
    white = {"color": style.LIGHT.background, "line": {"color": style.LIGHT.ink, "width": 1.5}}
    marker = {"symbol": "diamond", "size": 11, **white}
    of_lengths = scatter("of the lengths", record.lengths, range(len(chosen)), marker=marker, **SILENT)
    room = 0.03 * (record.high - record.low)
    return figure(
        [of_sum, of_lengths],
        xaxis={
            "range": [record.low - room, record.high + room],
            **share_ticks(record.low, record.high, 6),
            "zeroline": True,
            "zerolinecolor": style.LIGHT.line,
            "title": {"text": "share of what the layer's MLP adds"},
        },
        yaxis=rows([_tick(record, row) for row in range(len(record.names))], above=0.6, below=0.6),
        height=_ROW * len(record.names) + 140,
        title={"text": shares_title(record)},
        legend={"y": 1.0, "itemclick": False, "itemdoubleclick": False},
        margin={"t": 64},
    )


def _tick(record: ExpertShares, row: int) -> str:
    word = "gate" if record.numbers[row] is None else "weight"
    name = record.names[row]
    bold = f"<b>{name}</b>" if record.numbers[row] == record.chosen else name
    return f"{bold}, {word} {style.share(record.weights[row])}"


def shares_title(record: ExpertShares) -> str:
    """The finding: who made most of it."""
    best = max(range(len(record.names)), key=lambda row: record.projections[row])
    who = "the shared expert" if record.numbers[best] is None else record.names[best]
    return f"L{record.layer}: {who} makes {style.share(record.projections[best])} of the MLP output"


def expert_cosines_figure(record: ExpertCosines) -> Drawn:
    """Every two experts: +1 where they say the same, 0 where they have nothing in common."""
    n = len(record.experts)
    pairs = [(a, b) for a in range(n) for b in range(n)]
    return Drawn(
        figure=_cosines(record),
        alt=f"Cosines between the outputs of {n} experts of layer {record.layer} for "
        f"{style.quoted(record.text)}. {cosines_sentence(record)}",
        stem="expert-cosines",
        table={
            "expert": [record.experts[a] for a, _ in pairs],
            "other expert": [record.experts[b] for _, b in pairs],
            "cosine": [record.cosines[a][b] for a, b in pairs],
        },
    )


def _cosines(record: ExpertCosines) -> go.Figure:
    names = [
        f"<b>{named(expert)}</b>" if row < record.n_asked else named(expert)
        for row, expert in enumerate(record.experts)
    ]
    cosines = heat(
        "cosines",
        record.cosines,
        -1,
        1,
        style.SIGNED_SCALE,
        text=[[style.two_decimals(value) for value in row] for row in record.cosines],
        texttemplate="%{text}" if len(names) <= 9 else None,
        textfont={"size": 11},
        hovertext=[[f"{named(a)} and {named(b)}" for b in record.experts] for a in record.experts],
        hovertemplate="%{hovertext}: %{z:.4f}<extra></extra>",
        colorbar={"title": {"text": "cosine"}, "tickvals": [-1, 0, 1], "len": 0.8},
    )
    asked = (-0.5, record.n_asked - 0.5)
    return figure(
        [cosines],
        xaxis=columns(names, side="top", constrain="domain"),
        yaxis=rows(names, scaleanchor="x", constraintoward="top"),
        height=400,
        title={"text": cosines_title(record), "automargin": False},
        shapes=[box(asked, asked)],
        margin={"t": 62},
    )


def cosines_title(record: ExpertCosines) -> str:
    """The finding: how alike the asked experts are."""
    pairs = record.pairs
    if not pairs:
        return f"L{record.layer}: one expert asked"
    mean = style.three_digits(float(np.mean(pairs)))
    return f"Asked experts: cosine {mean}" if len(pairs) == 1 else f"Asked experts: mean cosine {mean}"
