"""Draws over the theory: how often each token came up, against how often it should.

Each of n independent draws takes a token with its probability p, so its count follows the binomial
distribution: n p on average, and between two bounds in at least 95 of 100 repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.panels import SILENT, figure, hover, note, rows, scatter
from viz.style import LIGHT, MONO
from viz.text import inert, label, quoted, share, three_digits, visible

LONGEST = 15  # characters of a token in a row or a sentence
CENTRAL = 0.95  # of the repetitions lie inside the marked range
ROW_HEIGHT, TOP, BELOW, LEFT = 22, 62, 48, 150  # pixels
SIGNS = (  # the legend: what, its colour, pixels from the left end of the bars
    ("■ came up", LIGHT.accent, -70),
    ("┃ expected", LIGHT.ink, 8),
    ("■ 95\u00a0% range", LIGHT.muted, 96),
)


@dataclass(frozen=True)
class DrawnToken:
    """One token's count against its expectation."""

    token_id: int | None  # None: all tokens without a row
    text: str  # whole, as it is seen; how many others
    probability: float
    count: int
    low: int  # the count lies in [low, high] in at least 95 of 100 repetitions
    high: int

    @property
    def label(self) -> str:
        """The text as plotly draws it, short."""
        return self.text if self.token_id is None else label(self.text, LONGEST)

    @property
    def name(self) -> str:
        """The text inside a plain sentence."""
        return self.text if self.token_id is None else quoted(self.text, LONGEST)

    @property
    def inside(self) -> bool:
        return self.low <= self.count <= self.high


@dataclass(frozen=True)
class DrawsRecord:
    """What n draws with one seed gave."""

    tokens: tuple[DrawnToken, ...]
    n: int
    seed: int
    title: str
    words: str


def draws_record(
    probabilities: np.ndarray,
    counts: np.ndarray,
    seed: int,
    token_text: Callable[[int], str],
    n_shown: int = 12,
) -> DrawsRecord:
    """Compare draws with what they were drawn from.

    Args:
        probabilities: [d_vocab], what was drawn from.
        counts: [d_vocab], how often each token came up.
        n_shown: rows; the likeliest tokens get one each, all others one together.
    """
    assert probabilities.shape == counts.shape, (probabilities.shape, counts.shape)
    n = int(counts.sum())
    order = np.argsort(-probabilities, kind="stable")[:n_shown]
    ids = [int(token_id) for token_id in order if probabilities[token_id] > 0]
    tokens = [
        _token(
            token_id,
            visible(token_text(token_id)),
            float(probabilities[token_id]),
            int(counts[token_id]),
            n,
        )
        for token_id in ids
    ]
    n_others = int((probabilities > 0).sum()) - len(ids)
    if n_others:
        rest = max(1.0 - float(probabilities[ids].sum()), 0.0)
        tokens.append(_token(None, f"{n_others:,} others", rest, n - int(counts[ids].sum()), n))
    return DrawsRecord(tuple(tokens), n, seed, _title(tokens, n), _words(tokens))


def _token(token_id: int | None, words: str, probability: float, count: int, n: int) -> DrawnToken:
    low, high = binomial_range(n, probability)
    return DrawnToken(token_id, words, probability, count, low, high)


def binomial_range(n: int, probability: float, central: float = CENTRAL) -> tuple[int, int]:
    """The 2.5 % and 97.5 % points of the number of successes in n tries, exactly summed.

    >>> binomial_range(100, 0.5)
    (40, 60)
    >>> binomial_range(100, 0.0), binomial_range(100, 1.0)
    ((0, 0), (100, 100))
    """
    if probability <= 0.0:
        return 0, 0
    if probability >= 1.0:
        return n, n
    k = np.arange(n + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_choose = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    log_mass = log_choose + k * math.log(probability) + (n - k) * math.log1p(-probability)
    cumulative = np.cumsum(np.exp(log_mass))
    outside = (1 - central) / 2
    return int(np.searchsorted(cumulative, outside)), min(int(np.searchsorted(cumulative, 1 - outside)), n)


def _title(tokens: Sequence[DrawnToken], n: int) -> str:
    top = tokens[0]
    times = "once" if top.count == 1 else f"{top.count:,} times"
    return f"{top.name} came up {times} in {n:,} draws; {three_digits(n * top.probability)} expected"


def _words(tokens: Sequence[DrawnToken]) -> str:
    inside = sum(token.inside for token in tokens)
    return (
        f"{inside} of {len(tokens)} counts lie in their range. A range holds the count in at least 95 of 100 "
        "repetitions, so about one count in twenty may well fall outside."
    )


def draws_figure(record: DrawsRecord) -> Drawn:
    """Bars: what came up. Grey band: the range expected. Stroke: the expectation."""
    names = ["" if token.token_id is None else token.token_id for token in record.tokens]
    return Drawn(
        figure=_figure(record),
        alt=_alt(record),
        stem="draws",
        table={
            "token id": names,
            "token": [token.text for token in record.tokens],
            "probability": [token.probability for token in record.tokens],
            "count": [token.count for token in record.tokens],
            "expected": [record.n * token.probability for token in record.tokens],
            "range from": [token.low for token in record.tokens],
            "range to": [token.high for token in record.tokens],
        },
        narrow_layout={"margin.l": 120, "title.font.size": 12},
    )


def _figure(record: DrawsRecord) -> go.Figure:
    tokens, at = record.tokens, list(range(len(record.tokens)))
    end = max(max(token.count, token.high) for token in tokens) * 1.3 + 1
    level = {"type": "bar", "orientation": "h", "y": at}
    expected = {
        **level,
        "name": "expected range",
        "base": [token.low - 0.4 for token in tokens],
        "x": [token.high - token.low + 0.8 for token in tokens],
        "width": 0.86,
        "marker": {"color": LIGHT.cut},
        **SILENT,
    }
    came_up = {
        **level,
        "name": "came up",
        "x": [token.count for token in tokens],
        "width": 0.5,
        "marker": {"color": LIGHT.accent},
        **hover([_hover(token, record.n) for token in tokens]),
    }
    stroke = {"symbol": "line-ns", "size": 13, "line": {"color": LIGHT.ink, "width": 1.8}}
    expectation = [record.n * token.probability for token in tokens]
    return figure(
        [
            expected,
            came_up,
            scatter("expected", expectation, at, marker=stroke, **SILENT),
            scatter(
                "counts",
                [max(token.count, token.high + 0.4) for token in tokens],
                at,
                "text",
                text=[_row_words(token) for token in tokens],
                textposition="middle right",
                textfont={"family": MONO, "size": 12},
                **SILENT,
            ),
        ],
        height=TOP + ROW_HEIGHT * len(tokens) + BELOW,
        margin={"l": LEFT, "r": 12, "t": TOP},
        barmode="overlay",
        showlegend=False,
        title={"text": inert(record.title), "pad": {"t": 8, "l": 4}},
        xaxis={
            "range": [0, end],
            "tickvals": _ticks(min(end, record.n)),
            "title": {"text": f"times drawn, of {record.n:,}"},
        },
        yaxis=rows(
            [f"\u2068{token.label}\u2069 " for token in tokens],
            automargin=False,
            tickfont={"family": MONO, "color": LIGHT.ink},
        ),
        annotations=[
            note(text, 0, 1, "left bottom", 0, "xy", xshift=shift, font={"color": color})
            for text, color, shift in SIGNS
        ],
    )


def _row_words(token: DrawnToken) -> str:
    return f" {token.count:,}" if token.inside else f" <b>{token.count:,}</b> outside"


def _hover(token: DrawnToken, n: int) -> str:
    expected = f"expected {three_digits(n * token.probability)} (probability {share(token.probability)})"
    return (
        f"<b>{token.label}</b><br>came up {token.count:,} times<br>{expected}"
        f"<br>range {token.low:,} to {token.high:,}"
    )


def _ticks(end: float) -> list[int]:
    """Round counts from 0 to at most `end`, no more than seven."""
    step = next(base * 10**power for power in range(9) for base in (1, 2, 5) if end / (base * 10**power) <= 6)
    return list(range(0, int(end) + 1, step))


def _alt(record: DrawsRecord) -> str:
    counts = ", ".join(f"{t.name} {t.count:,} (range {t.low:,} to {t.high:,})" for t in record.tokens[:6])
    return f"{record.title}. Counts: {counts}. {record.words}"
