"""Several distributions over the next token: the same tokens in the same rows, on one axis.

Two stand together, a pair of bars a token; more stand apart, a column of bars each, and on a phone more than
three of them one below the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.distributions import softmax
from viz import style
from viz.distributions import DistributionChange, distribution_change_record
from viz.drawn import Drawn
from viz.panels import (
    QUIET,
    Json,
    Look,
    bars,
    drawn,
    figure,
    heading,
    hover,
    ink,
    mono,
    note,
    on,
    panels,
    rows,
)

OTHERS = "all others"
_PAIR = 2  # distributions that stand together
_BESIDE = 3  # and apart, side by side on a phone


@dataclass(frozen=True)
class Distribution:
    """One of them. Where there is none (the logits are not finite) `shares` is empty; `refusal` says why."""

    name: str
    shares: tuple[float, ...]  # of the record's tokens
    rest: float  # of all others together
    under: str = ""  # a second line of its heading
    refusal: str = ""
    change: DistributionChange | None = None  # from the first one

    @property
    def bars(self) -> tuple[float, ...]:
        return (*self.shares, self.rest) if self.shares else ()


@dataclass(frozen=True)
class DistributionBars:
    """Tokens in the order of the first distribution."""

    token_ids: tuple[int, ...]
    texts: tuple[str, ...]
    distributions: tuple[Distribution, ...]
    title: str
    top: float  # end of the axis: the longest bar, or that of several runs
    reference: bool = True  # the first is what the others are compared with
    others: str = OTHERS  # name of the row of all tokens without one

    @property
    def changes(self) -> tuple[DistributionChange, ...]:
        return tuple(one.change for one in self.distributions if one.change is not None)

    @property
    def change(self) -> DistributionChange:
        """From the first to the second."""
        return self.changes[0]


def compared_record(
    logits: Mapping[str, np.ndarray],  # [d_vocab] by name, over one vocabulary, the reference first
    text_of: Callable[[int], str],
    *,
    refusals: Mapping[str, str] | None = None,  # name -> why it has no distribution
    most: int = 10,
    each: int = 10,
) -> DistributionBars | None:
    """Rows of logits -> the `most` likeliest tokens of the first and the `each` likeliest of every other.

    None where nothing has a distribution.
    """
    refused = refusals or {}
    able = {name: softmax(row) for name, row in logits.items() if not refused.get(name)}
    if not able:
        return None
    reference, lead = next(iter(logits)), next(iter(able.values()))
    found: list[Distribution] = []
    ids = _likeliest([*able.values()], most, each)
    for name, row in logits.items():
        if name not in able:
            found.append(Distribution(name, (), 0.0, "broken", refused[name]))
            continue
        compared = name != reference and reference in able
        change = distribution_change_record(logits[reference], row, text_of) if compared else None
        under = "reference" if name == reference else ""
        if change is not None:
            under = f"KL {style.three_digits(change.divergence)} nats"
        found.append(distribution(name, able[name], ids, under, change))
    texts = tuple(map(text_of, ids))
    best = texts[int(np.argmax(lead[ids]))]
    return DistributionBars(tuple(ids), texts, tuple(found), _finding(found, best), longest(found))


def pair_record(
    before: np.ndarray,  # finite logits [d_vocab]
    after: np.ndarray,
    text_of: Callable[[int], str],
    names: tuple[str, str],
    most: int = 10,
) -> DistributionBars:
    """Two rows of logits over one vocabulary -> the `most` likeliest tokens of each, together."""
    record = compared_record(dict(zip(names, (before, after), strict=True)), text_of, most=most, each=most)
    assert record is not None
    return record


def _likeliest(shares: Sequence[np.ndarray], most: int, each: int) -> list[int]:
    """Ids of tokens, by the first distribution's shares and then the second's."""
    counts = [most, *(each for _ in shares[1:])]
    ids = {int(i) for p, n in zip(shares, counts, strict=True) for i in np.argsort(-p, kind="stable")[:n]}
    return sorted(ids, key=lambda i: (*(-float(p[i]) for p in shares), i))


def distribution(
    name: str, shares: np.ndarray, ids: Sequence[int], under: str, change: DistributionChange | None = None
) -> Distribution:
    """Shares of a whole vocabulary [d_vocab] -> those of some tokens, and what all others have together.

    The rest is summed: one less the others would leave nothing true of a tail of 10⁻¹⁸.
    """
    rest = float(np.delete(shares, list(ids)).sum())
    return Distribution(name, tuple(float(shares[i]) for i in ids), rest, under, change=change)


def longest(distributions: Sequence[Distribution]) -> float:
    """The longest bar: the end of an axis from 0."""
    return max(max(one.bars) for one in distributions if one.shares)


def _finding(found: Sequence[Distribution], best: str) -> str:
    """Which have a distribution, does the likeliest token stay, and how much moves?"""
    broken = [one.name for one in found if one.refusal]
    changed = [(one.name, one.change) for one in found if one.change is not None]
    if len(found) == _PAIR and len(changed) == 1:
        change = changed[0][1]
        moved = f"{style.share(change.moved)} of the probability moves"
        if change.keeps_top:
            return f"{_quoted(change.top_text)} stays the likeliest; {moved}"
        return f"{_quoted(change.top_text)} gives way to {_quoted(change.new_top_text)}; {moved}"
    said = [
        f"{name} moves {style.share(change.moved)} of the probability"
        if change.keeps_top
        else f"{name} prefers {_quoted(change.new_top_text)} to {_quoted(change.top_text)}"
        for name, change in changed
    ]
    if broken:
        said.insert(0, f"{' and '.join(broken)} {'have' if len(broken) > 1 else 'has'} no distribution left")
    elif all(change.keeps_top for _, change in changed):
        said.insert(0, f"{_quoted(best)} stays the likeliest")
    return "; ".join(said)


def _quoted(text: str) -> str:
    return f"“{style.shorten(style.visible(text), 16)}”"


def distribution_bars_figure(record: DistributionBars, stem: str = "next-tokens") -> Drawn:
    """Bars from 0. In a pair the first is hatched; apart, a reference is grey."""
    first = next(one for one in record.distributions if one.shares)
    likeliest = "; ".join(
        f"“{style.visible(text)}” {style.share(p)}"
        for text, p in [*zip(record.texts, first.shares, strict=True)][:5]
    )
    under = "; ".join(f"{one.name}: {one.refusal or one.under}" for one in record.distributions if one.under)
    names = ", ".join(one.name for one in record.distributions)
    return drawn(
        _together if len(record.distributions) == _PAIR else _apart,
        record,
        alt=f"Next-token probabilities, {names}. {record.title}. {first.name}: {likeliest}. {under}".strip(),
        stem=stem,
        table={
            "token": [*record.texts, OTHERS],
            "id": [*record.token_ids, ""],
            **{
                f"probability, {one.name}": [*one.bars] or ["no distribution"] * (len(record.texts) + 1)
                for one in record.distributions
            },
        },
    )


def _bars(record: DistributionBars, one: Distribution, size: int, **more: Any) -> Json:
    names = [*(style.label(text) for text in record.texts), "all other tokens"]
    # What a sampling step leaves nothing of is a plain 0.
    written = style.shares(*one.bars)
    words = [w if value or record.reference else "0" for w, value in zip(written, one.bars, strict=True)]
    lines = [f"{text}: {share}, {style.inert(one.name)}" for text, share in zip(names, words, strict=False)]
    ids = [*record.token_ids, -1][: len(words)]
    return bars(style.inert(one.name), one.bars, words, size, customdata=ids, **hover(lines), **more)


def _rows(record: DistributionBars, longest_name: int, **more: Any) -> Json:
    names = [*(style.label(text, longest_name) for text in record.texts), record.others]
    return rows(names, tickfont=mono(), **more)


def _together(record: DistributionBars, look: Look) -> go.Figure:
    looks: tuple[Json, Json] = ({"marker": style.CUT}, {"marker": {"color": style.LIGHT.accent}})
    pairs = zip(record.distributions, looks, strict=True)
    return figure(
        [_bars(record, one, 11, **marker) for one, marker in pairs],
        xaxis={"range": [0, 1.08 * record.top], **QUIET},
        yaxis=_rows(record, look.pick(24, 14)),
        title=look.title(style.inert(record.title), ";", phone_lines=2),
        height=look.pick(96, 114) + look.pick(40, 36) * (len(record.texts) + 1),
        barmode="group",
        bargap=0.28,
        bargroupgap=0.06,
        uniformtext={"minsize": 8, "mode": "show"},
        legend={"traceorder": "normal"},
        margin={"r": 52, "t": look.pick(64, 96)},
    )


def _apart(record: DistributionBars, look: Look) -> go.Figure:
    n, n_rows = len(record.distributions), len(record.texts) + 1
    stacked = look.pick(False, n > _BESIDE)
    row, above, below = (26, look.pick(100, 144), look.pick(20, 22)) if n <= _BESIDE else (20, 86, 16)
    gap = 40 / (n * row * n_rows + (n - 1) * 40)  # room for a heading between two that are stacked
    tall = (1 - (n - 1) * gap) / n
    across = [(0, 1)] if stacked else [(at / n + (0.02 if at else 0), (at + 1) / n) for at in range(n)]
    tops = [1 - at * (tall + gap) for at in range(n)]
    up = [(max(top - tall, 0), top) for top in tops] if stacked else [(0, 1)]
    room = look.pick(1.4, 1.9) if n <= _BESIDE else 1.9  # for the words behind the longest bar
    x = {"range": [0, room * record.top], "zeroline": True, "zerolinecolor": style.LIGHT.grid, **QUIET}
    named = [_rows(record, look.pick(18, 10), showticklabels=stacked or not at) for at in range(n)]
    grey = style.LIGHT.cut_line
    traces, notes = [], []
    for at, one in enumerate(record.distributions):
        color = grey if record.reference and not at else style.LIGHT.accent
        rest = color if record.reference else style.PROBABILITY_SCALE[1][1]
        colors = [*[color] * len(one.shares), rest]
        traces.append(_bars(record, one, look.pick(11, 10), marker={"color": colors}, **on(at)))
        under = look.pick(one.under, one.under.replace("KL ", "KL, nats<br>").removesuffix(" nats"))
        lines = look.pick(1, 2) if record.changes and not stacked else 1  # as many as the others have
        under += "<br> " * (lines - 1 - under.count("<br>"))
        notes.append(heading(f"<b>{style.inert(one.name)}</b><br>{under}", at, font=ink(12), align="left"))
        if one.refusal:
            words = f"no distribution:<br>the logits{look.pick(' ', '<br>')}are not finite"
            font = {"size": look.pick(12, 11), "color": style.LIGHT.warning}
            notes.append(note(words, 0, 0.5, "left", at, "xy", xshift=6, align="left", font=font))
    title = style.inert(record.title)
    return figure(
        traces,
        **panels(across, up, x, named),
        title=look.pick(
            {"text": title.replace("; ", ";<br>", 1), "font": {"size": 14 if record.reference else 16}},
            look.title(title, ";", phone_lines=2 * record.reference),
        ),
        height=below + above + row * n_rows * (n if stacked else 1) + 40 * (n - 1) * stacked,
        bargap=0.3,
        showlegend=False,
        annotations=notes,
        margin={"t": above},
    )
