"""A prompt and a shuffle of it: what moves without mask and positions, with the mask, with both.

Three maps of tokens by layers, one token's way as lines, and the next tokens as bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records.distributions import softmax, total_variation
from viz import style
from viz.drawn import Drawn
from viz.panels import (
    PHONE,
    Json,
    Look,
    bars,
    box,
    drawn,
    figure,
    heading,
    ink,
    log_axis,
    mono,
    note,
    on,
    panels,
    rows,
    scatter,
    share_ticks,
)

NAMES = ("No mask, no positions", "Causal mask, no positions", "Mask and positions: the model")
_SHORT = ("no mask, no positions", "mask, no positions", "mask and positions")
N_CANDIDATES = 5  # likeliest next tokens of each reading that are drawn
_MOST_NAMES = 24  # tokens written beside a map
_FULL = 1.0  # a change of one length and more has the full colour
_LOWEST = 1e-9  # bottom of the logarithmic axis; a change of exactly 0 lies below it
_LINE_COLORS = (2, 0, 5)  # categories: green, blue, vermillion
_DASHES = ("dot", "dash", "solid")
_FLAT_BAR = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "len": 0.7, "x": 0.4}
_ABOVE = 58  # pixels above a map, for its heading
_BLOCK_GAP = 1.6  # rows of bars that a heading takes


@dataclass(frozen=True)
class Rule:
    """One of the three readings. Changes: distance over mean length, 0 unmoved to 2 turned round."""

    name: str
    short: str
    change: tuple[tuple[float, ...], ...]  # [token][depth]: what enters layer l, and last what leaves

    @property
    def largest(self) -> float:
        return max(max(row) for row in self.change)


@dataclass(frozen=True)
class Shuffled:
    """What will be drawn: the tokens in their first order, and how far each moved under three rules."""

    tokens: tuple[str, ...]
    order: tuple[int, ...]  # at each place of the shuffled text, where its token stood
    rules: tuple[Rule, Rule, Rule]
    selected: int  # the token whose way is drawn as lines
    tolerance: float  # a change below it is rounding

    @property
    def depths(self) -> int:
        return len(self.rules[0].change[0])


@dataclass(frozen=True)
class NextTokens:
    """What is likeliest after the text and after its shuffle, under one rule."""

    name: str
    texts: tuple[str, ...]
    before: tuple[float, ...]  # their probabilities
    after: tuple[float, ...]
    moved: float  # probability that changed places (total variation)

    @property
    def longest(self) -> float:
        return max(*self.before, *self.after)


def shuffled_record(
    tokens: Sequence[str],
    order: Sequence[int],
    changes: Sequence[np.ndarray],  # of the three rules, each [layer + 1, token]
    selected: int,
    tolerance: float,
) -> Shuffled:
    """Values -> what will be drawn.

    Raises:
        ValueError: the changes are not of these tokens.
    """
    if any(change.shape[1] != len(tokens) for change in changes) or sorted(order) != [*range(len(tokens))]:
        raise ValueError(f"changes {[c.shape for c in changes]} and order {order} for {len(tokens)} tokens")
    rules = tuple(
        Rule(name, short, tuple(tuple(float(v) for v in row) for row in change.T))
        for name, short, change in zip(NAMES, _SHORT, changes, strict=True)
    )
    assert len(rules) == 3
    return Shuffled(tuple(tokens), tuple(order), rules, min(selected, len(tokens) - 1), tolerance)


def next_tokens_record(
    name: str, before: np.ndarray, after: np.ndarray, text_of: Callable[[int], str]
) -> NextTokens:
    """Two rows of logits [d_vocab] -> the likeliest of both, in the order of the first."""
    p, q = softmax(before), softmax(after)
    best = {int(i) for row in (p, q) for i in np.argsort(-row, kind="stable")[:N_CANDIDATES]}
    ids = sorted(best, key=lambda i: (-max(p[i], q[i]), i))[: N_CANDIDATES + 1]
    ids.sort(key=lambda i: (-p[i], i))
    one, other = (tuple(float(row[i]) for i in ids) for row in (p, q))
    return NextTokens(name, tuple(map(text_of, ids)), one, other, total_variation(p, q))


def nothing_moves(record: Shuffled, rule: int) -> bool:
    """Whether all changes under this rule are rounding."""
    return record.rules[rule].largest <= record.tolerance


def title(record: Shuffled) -> str:
    """The finding, in plain words."""
    if nothing_moves(record, 0):
        if not nothing_moves(record, 1):
            return "Without mask and positions nothing moves; the mask alone already tells order"
        return "Without positions nothing moves"
    return "What a shuffle moves, by token and layer"


def change_words(value: float, tolerance: float) -> str:
    """One change for the screen.

    >>> change_words(3e-7, 3e-4), change_words(0.272, 3e-4)
    ('3.00 × 10⁻⁷ (rounding)', '27.2\\xa0%')
    """
    if value == 0:
        return "0"
    return f"{style.three_digits(value)} (rounding)" if value <= tolerance else style.share(value)


def finding(record: Shuffled, rule: int) -> str:
    """One line above a map."""
    if nothing_moves(record, rule):
        return f"all ≤ {style.three_digits(record.rules[rule].largest)}: rounding"
    moved = sum(value > record.tolerance for row in record.rules[rule].change for value in row)
    n_all = len(record.tokens) * record.depths
    last = record.rules[rule].change[-1][-1]
    return f"{style.share(moved / n_all)} of cells move; last token {change_words(last, record.tolerance)}"


def selected_words(record: Shuffled) -> str:
    """What the selected token's stream does under the three rules, in plain text."""
    token = f"“{style.shorten(style.visible(record.tokens[record.selected]))}” ({record.selected})"
    said = "; ".join(
        f"{rule.short} {change_words(rule.change[record.selected][-1], record.tolerance)}"
        for rule in record.rules
    )
    return f"Leaving the last layer, the vector of {token} has moved by: {said}."


def shuffled_figure(record: Shuffled) -> Drawn:
    """Three maps side by side, below one another on a phone. White: this token's vector did not move."""
    said = "; ".join(f"{rule.name}: {finding(record, i)}" for i, rule in enumerate(record.rules))
    return drawn(
        _maps,
        record,
        alt=f"{title(record)}. Change of each token's vector by layer after a shuffle. {said}.",
        stem="order-shuffled",
        table=_table(record),
        tablet=PHONE,
    )


def _table(record: Shuffled) -> dict[str, list[object]]:
    """One row a token and depth."""
    depths = range(record.depths)
    table: dict[str, list[object]] = {
        "token": [i for i in range(len(record.tokens)) for _ in depths],
        "text": [style.visible(token) for token in record.tokens for _ in depths],
        "layers read": [depth for _ in record.tokens for depth in depths],
    }
    for rule in record.rules:
        table[f"change, {rule.short}"] = [value for row in rule.change for value in row]
    return table


def _maps(record: Shuffled, look: Look) -> go.Figure:
    n, last = len(record.tokens), record.depths - 1
    body = min(max(150, 22 * n), 340)
    above = _ABOVE / (body + _ABOVE)
    beside = [(k / 3 + 0.012 * k, (k + 1) / 3 - 0.016 + 0.008 * k) for k in range(3)]
    stacked = [(1 - (k + 1) / 3 + 0.03, 1 - k / 3 - above / 3 - 0.01) for k in range(3)]
    frame: Json = {"showgrid": False, "showline": True, "mirror": True, "linewidth": 1}
    frame |= {"linecolor": style.LIGHT.line}
    x: Json = {"range": [-0.5, last + 0.5], "title": {"text": "layers read so far"}, "tickvals": _ticks(last)}
    ticks: Json = {"title": {"text": "change"}, "tickvals": [0, 0.5, 1]}
    bar = {**ticks, "ticktext": ["0", "0.5", "1 or more"], **look.pick({}, _FLAT_BAR)}
    return figure(
        [_map(record, number) for number in range(3)],
        **panels(
            look.pick(beside, [(0, 1)]),
            look.pick([(0, 1 - above)], stacked),
            {**x, **frame},
            [{**_names(record, number, look), **frame} for number in range(3)],
        ),
        title=look.title(title(record), ";", phone_lines=2),
        height=look.pick(body + _ABOVE + 84, 3 * (body + _ABOVE) + 134),
        width=look.pick(style.WIDE_PRINT, None),
        annotations=[_heading(record, number) for number in range(3)],
        coloraxis={"colorscale": style.PROBABILITY_SCALE, "cmin": 0, "cmax": _FULL, "colorbar": bar},
        margin={"t": look.pick(40, 84)},
    )


def _map(record: Shuffled, number: int) -> Json:
    rule, n = record.rules[number], len(record.tokens)
    return {
        "type": "heatmap",
        "name": rule.name,
        "z": np.array(rule.change, dtype=np.float32),
        "coloraxis": "coloraxis",
        "xgap": 0,
        "ygap": 1 if n <= _MOST_NAMES else 0,
        "customdata": np.arange(n, dtype=np.int32)[:, None].repeat(record.depths, axis=1),
        "hovertemplate": "token %{customdata}, depth %{x}: change %{z:.3g}<extra>" + rule.short + "</extra>",
        **on(number),
    }


def _names(record: Shuffled, number: int, look: Look) -> Json:
    """The y axis of a map: tokens where they can be read, beside the first map of several."""
    n = len(record.tokens)
    if n > _MOST_NAMES:
        return {"range": [n - 0.5, -0.5], "showticklabels": number == 0, "tickfont": mono()}
    names = [style.label(token, 12) for token in record.tokens]
    return rows(names, showticklabels=look.pick(number == 0, True), tickfont=mono())


def _ticks(last: int) -> list[int]:
    step = max(1, 5 * math.ceil(last / 25)) if last > 6 else 1
    return [*range(0, last + 1, step)]


def _heading(record: Shuffled, number: int) -> Json:
    words = f"<b>{record.rules[number].name}</b><br>{finding(record, number)}"
    return heading(words, number, yshift=4, align="left", font=ink(12))


def token_way_figure(record: Shuffled) -> Drawn:
    """The selected token's change by layer on a logarithmic axis, with the bound of rounding."""
    return drawn(
        _way,
        record,
        alt=f"Change of one token's vector by layer, on a logarithmic axis. {selected_words(record)} Changes "
        f"below {style.three_digits(record.tolerance)} are rounding.",
        stem="order-one-token",
        table={
            "layers read": list(range(record.depths)),
            **{f"change, {rule.short}": list(rule.change[record.selected]) for rule in record.rules},
        },
    )


def _way(record: Shuffled, look: Look) -> go.Figure:
    low = 10 ** math.floor(math.log10(max(min(record.tolerance * 1e-4, 1e-3), _LOWEST)))
    rounding: Json = {"fillcolor": style.LIGHT.surface, "line": {"width": 0}, "layer": "below"}
    token = style.label(record.tokens[record.selected], 14)
    return figure(
        [_way_line(record, number) for number in range(3)],
        xaxis={"title": {"text": "layers read so far"}, "tickvals": _ticks(record.depths - 1)},
        yaxis={"title": {"text": "change, in lengths"}, **log_axis(low, 4, _power)},
        title=look.title(f"“{token}” ({record.selected}), layer by layer"),
        height=380,
        shapes=[box((0, 1), (low, record.tolerance), within="x", **rounding)],
        annotations=[note("below: rounding", 0.99, math.log10(record.tolerance), "right top", within="x")],
        margin={"t": look.pick(76, 96)},
    )


def _power(ten: float) -> str:
    return style.round_number(ten)


def _way_line(record: Shuffled, number: int) -> Json:
    rule = record.rules[number]
    values = np.array(rule.change[record.selected], dtype=np.float64)
    return scatter(
        rule.short,
        np.arange(record.depths),
        np.where(values > _LOWEST, values, np.nan),
        "lines+markers",
        line={"color": style.category(_LINE_COLORS[number]), "dash": _DASHES[number], "width": 2.5},
        marker={"size": 5},
        text=[change_words(value, record.tolerance) for value in values],
        hovertemplate="%{x} layers read<br>%{text}<extra>" + rule.short + "</extra>",
    )


def next_tokens_figure(records: Sequence[NextTokens], reach: float) -> Drawn:
    """Bars before and after the shuffle, one block a rule, on one scale up to `reach`."""
    said = "; ".join(f"{record.name}: {style.share(record.moved)} moves" for record in records)
    return drawn(
        _next_tokens,
        (records, reach),
        alt=f"Probability of the likeliest next tokens before and after the shuffle. {said}.",
        stem="order-next-token",
        table={
            "rule": [record.name for record in records for _ in record.texts],
            "next token": [style.visible(text) for record in records for text in record.texts],
            "as written": [p for record in records for p in record.before],
            "shuffled": [p for record in records for p in record.after],
        },
    )


def _next_tokens(made: tuple[Sequence[NextTokens], float], look: Look) -> go.Figure:
    records, reach = made
    headings: list[Json] = []
    places: list[float] = []  # of the tokens, in rows; a block stands below its heading
    top = 0.0
    for record in records:
        words = f"<b>{record.name}</b>: {style.share(record.moved)} moves"
        headings.append(note(words, 0, top, "left middle", xref="paper", font=ink(13)))
        places += [top + 1.1 + row for row in range(len(record.texts))]
        top = places[-1] + _BLOCK_GAP
    said = [
        f"{style.share(record.moved)} of the next token moves with {record.name.lower()}"
        for record in records
    ]
    before = [p for record in records for p in record.before]
    after = [p for record in records for p in record.after]
    shares = style.shares(*before, *after)
    first, second = shares[: len(before)], shares[len(before) :]
    blue: Json = {"color": style.LIGHT.accent}
    return figure(
        [
            _pair_bars("as written", before, first, [at - 0.2 for at in places], style.CUT),
            _pair_bars("shuffled", after, second, [at + 0.2 for at in places], blue),
        ],
        xaxis={"range": [0, 1.18 * reach], **share_ticks(0, 1.18 * reach), "title": {"text": "probability"}},
        yaxis={
            "range": [places[-1] + 0.6, -0.6],
            "tickvals": places,
            "ticktext": [style.label(text, 14) for record in records for text in record.texts],
            "tickfont": mono(),
            "showgrid": False,
        },
        title=look.title(look.pick("; ", "<br>").join(said), phone_lines=2),
        height=120 + round(30 * top),
        barmode="overlay",
        bargap=0,
        uniformtext={"mode": False},
        annotations=headings,
        margin={"t": look.pick(76, 96)},
    )


def _pair_bars(
    name: str, values: Sequence[float], words: Sequence[str], places: Sequence[float], marker: Json
) -> Json:
    more: Json = {"width": 0.38, "marker": marker, "hovertemplate": "%{text}<extra>" + name + "</extra>"}
    return bars(name, values, words, y=list(places), constraintext="none", **more)
