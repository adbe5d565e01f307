"""Training a byte-pair encoder: which neighbours stand together most often, and what every merge brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import SILENT, Json, bars, box, figure, hover, line, mono, note, on, panels, rows, scatter
from viz.tokens.merges import text_of

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
    return Drawn(_pairs(record), pairs_alt(record), "pair-counts", pairs_table(record))


def _pairs(record: PairCounts) -> go.Figure:
    counts, n = record.counts, len(record.counts)
    joined = bool(counts) and counts[0] > 1
    names = [f"{_isolated(left, 12)} + {_isolated(right, 12)}" for left, right in record.pairs]
    times = [f"{count:,} {'time' if count == 1 else 'times'}" for count in counts]
    colors = [style.LIGHT.cut] * n
    if joined:
        colors[0] = style.LIGHT.accent
    ticks = [f"<b>{name}</b>" if row == 0 else name for row, name in enumerate(names)]
    pairs = bars(
        "pairs",
        counts,
        [f"{count:,}{' · next' if row == 0 and joined else ''}" for row, count in enumerate(counts)],
        12,
        marker={"color": colors},
        constraintext="none",
        **hover([f"{name}: {count}" for name, count in zip(names, times, strict=True)]),
    )
    return figure(
        [pairs],
        yaxis=rows(ticks, tickfont=mono()),
        xaxis={
            "range": [0, record.end * 1.35],
            "title": {"text": "times that the two stand together"},
            "tickformat": ",d",
            "nticks": 5,
            **({"dtick": 1} if record.end < 6 else {}),
        },
        showlegend=False,
        uniformtext={"mode": False},
        height=TOP + ROW * n + AXIS,
        margin={"t": TOP},
        title={"text": pairs_title(record)},
    )


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
    return Drawn(
        _curves(record),
        curve_alt(record),
        "bpe-training",
        curve_table(record),
        narrow_layout={"height": 360},
    )


def _curves(record: TrainingCurve) -> go.Figure:
    n_merges, n_pieces, n_vocab = record.ends
    pad, least = 0.03 * n_merges, record.n_vocab[0]
    x: Json = {"range": [-pad, n_merges + pad], "tickformat": ",d", "nticks": 8}
    if n_merges <= 8:
        x["dtick"] = 1
    grown = max(n_vocab - least, 1)
    low: Json = {"matches": "x", "title": {"text": "merges"}}
    pieces: Json = {"range": [0, n_pieces * 1.2], "title": {"text": "pieces"}}
    entries: Json = {
        "range": [least - 0.1 * grown, least + 1.35 * grown],
        "nticks": 4,
        "title": {"text": "entries"},
    }
    return figure(
        [
            *_curve(record, "pieces of the text", record.n_pieces, style.category(0), 0),
            *_curve(record, "entries of the vocabulary", record.n_vocab, style.category(5), 1),
        ],
        **panels(
            [(0, 1)],
            [(0.47, 1), (0, 0.38)],
            x=[{**x, "showticklabels": False}, {**x, **low}],
            y=[{"tickformat": ",d", **pieces}, {"tickformat": ",d", **entries}],
        ),
        showlegend=False,
        height=CURVE_HEIGHT,
        margin={"r": 12, "t": 56},
        title={"text": curve_title(record)},
        shapes=_marks(record),
        annotations=_notes(record),
    )


def _curve(record: TrainingCurve, name: str, values: Sequence[int], color: str, panel: int) -> list[Json]:
    """The whole curve, and the step on screen as a diamond with its number."""
    whole = scatter(
        name,
        list(range(len(values))),
        values,
        "lines+markers" if len(values) <= 40 else "lines",
        marker={"size": 5},
        line={"color": color, "shape": "hv"},
        hovertemplate=f"after %{{x:,}} merges: %{{y:,}} {name}<extra></extra>",
        **on(panel),
    )
    now = scatter(
        f"{name} now",
        [record.step],
        [values[record.step]],
        "markers+text",
        marker={"color": color, "size": 13, "symbol": "diamond"},
        text=[f"<b>{values[record.step]:,}</b>"],
        textposition="top left" if record.step > record.ends[0] / 2 else "top right",
        textfont={"color": style.LIGHT.ink},
        cliponaxis=False,
        **SILENT,
        **on(panel),
    )
    return [whole, now]


def _marks(record: TrainingCurve) -> list[Json]:
    """The current step, the loaded tokenizer's count, and where nothing stands together twice."""
    step = {**line(x=record.step, dash="dot", color=style.LIGHT.muted), "yref": "paper"}
    marks = [step, line(y=record.other, dash="dash")]
    last = len(record.n_pieces) - 1
    if record.n_useful < last:
        grey: Json = {"fillcolor": style.LIGHT.masked, "line": {"width": 0}, "layer": "below"}
        marks.append({**box((record.n_useful, last), (0, 1), **grey), "yref": "paper"})
    return marks


def _notes(record: TrainingCurve) -> list[Json]:
    # Above the line the curve may pass; below it there must be room over the axis.
    side = "top" if record.other > 0.15 * record.ends[1] else "bottom"
    name = f"{style.inert(record.other_name)}: {record.other:,}"
    notes = [note(name, 0, record.other, f"left {side}", 0, "x", font={"color": style.LIGHT.ink})]
    if record.n_useful < len(record.n_pieces) - 1:
        notes.append(note("grey: pairs that stand together once", 1, 1, "right top", 0, "xy"))
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
