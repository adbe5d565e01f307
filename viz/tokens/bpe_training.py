"""Training a byte-pair encoder: which neighbours stand together most often, and what every merge brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.tokens.merge_chain import text_of

Pair = tuple[bytes, bytes]
ROW, TOP, AXIS = 26, 44, 44  # pixels
CURVE_HEIGHT = 380
N_ONCE = 5  # pairs shown where all stand together once


@dataclass(frozen=True)
class PairCounts:
    """The pairs that stand together most often after `step` merges, the most frequent first."""

    step: int
    pairs: tuple[tuple[str, str], ...]  # as people read them
    counts: tuple[int, ...]
    end: int  # of the count axis, which starts at 0

    @property
    def n_tied(self) -> int:
        """How many of the pairs shown share the largest count."""
        return self.counts.count(self.counts[0]) if self.counts else 0


@dataclass(frozen=True)
class TrainingCurve:
    """What merging does to the text and to the vocabulary; index 0 is before the first merge."""

    n_pieces: tuple[int, ...]
    n_vocab: tuple[int, ...]
    step: int
    n_useful: int  # merges of pairs that stood together at least twice
    other: int  # tokens that the loaded model's tokenizer makes of the text
    other_name: str
    ends: tuple[int, int, int]  # of the axes: merges, pieces, entries

    def on_axes_of(self, records: Sequence[TrainingCurve]) -> TrainingCurve:
        """The same with axes that hold all of `records`, for pictures side by side."""
        merges, pieces, entries = zip(*(record.ends for record in records), strict=True)
        return replace(self, ends=(max(merges), max(pieces), max(entries)))


def pair_counts_record(top: Sequence[tuple[Pair, int]], *, step: int, end: int | None = None) -> PairCounts:
    """The counts after `step` merges -> what will be drawn; `end` is for a scale shared with another."""
    if top and top[0][1] < 2:
        top = top[:N_ONCE]
    counts = tuple(count for _, count in top)
    pairs = tuple((text_of(left), text_of(right)) for (left, right), _ in top)
    return PairCounts(step, pairs, counts, max(end or 0, *counts, 1))


def training_curve_record(
    start: tuple[int, int],  # pieces and entries before the first merge
    steps: Sequence[tuple[int, int, int]],  # of every merge: count of its pair, pieces and entries after it
    *,
    step: int,
    other: int,
    other_name: str,
) -> TrainingCurve:
    """A training -> what will be drawn.

    >>> training_curve_record((5, 256), [(2, 3, 257), (1, 2, 258)], step=1, other=2, other_name="a").n_useful
    1
    """
    n_pieces = (start[0], *(after for _, after, _ in steps))
    n_vocab = (start[1], *(entries for _, _, entries in steps))
    n_useful = next((n for n, (count, _, _) in enumerate(steps) if count < 2), len(steps))
    ends = (max(len(steps), 1), max(n_pieces[0], other), n_vocab[-1])
    return TrainingCurve(n_pieces, n_vocab, step, n_useful, other, other_name, ends)


def pair_counts_figure(record: PairCounts) -> Drawn:
    """A bar a pair; the one that is joined next is in colour and named."""
    joined = bool(record.counts) and record.counts[0] > 1
    rows = list(range(len(record.counts)))
    names = [f"{_isolated(left, 12)} + {_isolated(right, 12)}" for left, right in record.pairs]
    figure = go.Figure()
    figure.add_bar(
        name="pairs",
        orientation="h",
        x=list(record.counts),
        y=rows,
        marker={"color": [style.LIGHT.accent if row == 0 and joined else style.LIGHT.cut for row in rows]},
        text=[
            f"{count:,}{' · next' if row == 0 and joined else ''}" for row, count in enumerate(record.counts)
        ],
        textposition="outside",
        constraintext="none",
        textfont={"color": style.LIGHT.ink, "size": 12},
        cliponaxis=False,
        hovertext=[
            f"{name}: {count:,} {'time' if count == 1 else 'times'}"
            for name, count in zip(names, record.counts, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        tickvals=rows,
        ticktext=[f"<b>{name}</b>" if row == 0 else name for row, name in enumerate(names)],
        tickfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
        showgrid=False,
        fixedrange=True,
    )
    figure.update_xaxes(
        range=[0, record.end * 1.35],
        title={"text": "times that the two stand together"},
        tickformat=",d",
        nticks=5,
        fixedrange=True,
        **({"dtick": 1} if record.end < 6 else {}),
    )
    figure.update_layout(
        template=style.TEMPLATE,
        showlegend=False,
        uniformtext={"mode": False},
        height=TOP + ROW * len(rows) + AXIS,
        margin={"l": 8, "r": 8, "t": TOP, "b": 8},
        title={"text": pairs_title(record)},
    )
    return Drawn(figure, pairs_alt(record), "pair-counts", pairs_table(record))


def _isolated(text: str, longest: int) -> str:
    """A piece between Unicode's isolates (UAX 9): one that reads from the right leaves the plus in place."""
    return f"\u2068{style.inert(style.shorten(text, longest))}\u2069"


def pairs_title(record: PairCounts) -> str:
    """The finding."""
    count = record.counts[0]
    if count < 2:
        return "No two neighbours stand together twice"
    if record.n_tied > 1:
        at_least = "at least " if record.n_tied == len(record.counts) else ""
        return f"Joined next: the first met of {at_least}{record.n_tied} pairs, {count:,} times each"
    left, right = (_isolated(part, 12) for part in record.pairs[0])
    return f"<b>{left} + {right}</b> stand together most often, {count:,} times"


def pairs_alt(record: PairCounts) -> str:
    """The bars in words."""
    named = ", ".join(
        f"“{style.shorten(left)}” + “{style.shorten(right)}” {count:,}"
        for (left, right), count in zip(record.pairs[:5], record.counts, strict=False)
    )
    return f"Neighbouring pieces after {record.step} merges and how often they stand together: {named}."


def pairs_table(record: PairCounts) -> dict[str, list[object]]:
    """One row a pair."""
    return {
        "left": [left for left, _ in record.pairs],
        "right": [right for _, right in record.pairs],
        "count": list(record.counts),
    }


def training_curve_figure(record: TrainingCurve) -> Drawn:
    """Pieces of the text above, entries of the vocabulary below, over the number of merges."""
    figure = go.Figure()
    for panel, (name, values, color) in enumerate(
        (
            ("pieces of the text", record.n_pieces, style.category(0)),
            ("entries of the vocabulary", record.n_vocab, style.category(5)),
        ),
        1,
    ):
        axes = {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
        figure.add_scatter(
            name=name,
            x=list(range(len(values))),
            y=list(values),
            mode="lines+markers" if len(values) <= 40 else "lines",
            marker={"size": 5},
            line={"color": color, "shape": "hv"},
            hovertemplate=f"after %{{x:,}} merges: %{{y:,}} {name}<extra></extra>",
            **axes,
        )
        figure.add_scatter(
            name=f"{name} now",
            x=[record.step],
            y=[values[record.step]],
            mode="markers+text",
            marker={"color": color, "size": 13, "symbol": "diamond"},
            text=[f"<b>{values[record.step]:,}</b>"],
            textposition="top left" if record.step > record.ends[0] / 2 else "top right",
            textfont={"color": style.LIGHT.ink},
            cliponaxis=False,
            hoverinfo="skip",
            **axes,
        )
    _curve_layout(figure, record)
    return Drawn(
        figure, curve_alt(record), "bpe-training", curve_table(record), narrow_layout={"height": 360}
    )


def _curve_layout(figure: go.Figure, record: TrainingCurve) -> None:
    n_merges, n_pieces, n_vocab = record.ends
    pad = 0.03 * n_merges
    x_axis = {"range": [-pad, n_merges + pad], "tickformat": ",d", "fixedrange": True, "nticks": 8}
    if n_merges <= 8:
        x_axis["dtick"] = 1
    least = record.n_vocab[0]
    figure.update_layout(
        template=style.TEMPLATE,
        showlegend=False,
        height=CURVE_HEIGHT,
        margin={"l": 8, "r": 12, "t": 56, "b": 8},
        title={"text": curve_title(record)},
        xaxis={**x_axis, "anchor": "y", "showticklabels": False},
        xaxis2={**x_axis, "anchor": "y2", "matches": "x", "title": {"text": "merges"}},
        yaxis={
            "domain": [0.47, 1],
            "range": [0, n_pieces * 1.2],
            "tickformat": ",d",
            "fixedrange": True,
            "title": {"text": "pieces"},
        },
        yaxis2={
            "domain": [0, 0.38],
            "range": [least - 0.1 * max(n_vocab - least, 1), least + 1.35 * max(n_vocab - least, 1)],
            "tickformat": ",d",
            "nticks": 4,
            "fixedrange": True,
            "title": {"text": "entries"},
        },
        shapes=_marks(record),
        annotations=_notes(record),
    )


def _marks(record: TrainingCurve) -> list[dict[str, object]]:
    """The current step, the loaded tokenizer's count, and where nothing stands together twice."""
    line = {"color": style.LIGHT.muted, "width": 1, "dash": "dot"}
    marks: list[dict[str, object]] = [
        {
            "type": "line",
            "x0": record.step,
            "x1": record.step,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": line,
        },
        {
            "type": "line",
            "x0": 0,
            "x1": 1,
            "xref": "paper",
            "y0": record.other,
            "y1": record.other,
            "line": {"color": style.LIGHT.ink, "width": 1, "dash": "dash"},
        },
    ]
    if record.n_useful < len(record.n_pieces) - 1:
        marks.append(
            {
                "type": "rect",
                "x0": record.n_useful,
                "x1": len(record.n_pieces) - 1,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "fillcolor": style.LIGHT.masked,
                "line": {"width": 0},
                "layer": "below",
            }
        )
    return marks


def _notes(record: TrainingCurve) -> list[dict[str, object]]:
    notes: list[dict[str, object]] = [
        {
            "text": f"{style.inert(record.other_name)}: {record.other:,}",
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": record.other,
            # Above the line the curve may pass; below it there must be room over the axis.
            "yanchor": "top" if record.other > 0.15 * record.ends[1] else "bottom",
            "font": {"color": style.LIGHT.ink},
        }
    ]
    if record.n_useful < len(record.n_pieces) - 1:
        notes.append(
            {
                "text": "grey: pairs that stand together once",
                "x": 1,
                "xref": "paper",
                "xanchor": "right",
                "y": 1,
                "yref": "paper",
                "yanchor": "top",
            }
        )
    return notes


def curve_title(record: TrainingCurve) -> str:
    """The finding."""
    shorter = 1 - record.n_pieces[record.step] / record.n_pieces[0]
    grown = record.n_vocab[record.step] - record.n_vocab[0]
    entries = "entry" if grown == 1 else "entries"
    return f"<b>{grown:,} {entries} more</b>, the text {style.share(shorter)} shorter"


def curve_alt(record: TrainingCurve) -> str:
    """The curves in words."""
    return (
        f"From 0 to {len(record.n_pieces) - 1:,} merges the text goes from {record.n_pieces[0]:,} to "
        f"{record.n_pieces[-1]:,} pieces and the vocabulary from {record.n_vocab[0]:,} to "
        f"{record.n_vocab[-1]:,} entries. After {record.step:,} merges: {record.n_pieces[record.step]:,} "
        f"pieces, {record.n_vocab[record.step]:,} entries. After merge {record.n_useful:,} no two "
        f"neighbours stand together twice. The tokenizer of {record.other_name} makes {record.other:,} "
        "tokens of this text."
    )


def curve_table(record: TrainingCurve) -> dict[str, list[object]]:
    """One row a number of merges."""
    return {
        "merges": list(range(len(record.n_pieces))),
        "pieces": list(record.n_pieces),
        "entries": list(record.n_vocab),
    }
