"""Cosines of every two words as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import Look, columns, drawn, figure, heat, rows

MOST_NUMBERS = 12  # words; in a larger matrix the cells are too small for their numbers


@dataclass(frozen=True, eq=False)
class WordSimilarity:
    """Cosines [word][word], -1 to 1."""

    words: tuple[str, ...]
    cosines: np.ndarray  # float64
    nearest: tuple[int, int] | None  # the two different words that are most alike

    @property
    def title(self) -> str:
        if self.nearest is None:
            return "Cosine of every two words"
        one, other = self.nearest
        names = [style.shorten(style.visible(self.words[i]), 14) for i in (one, other)]
        value = style.three_digits(float(self.cosines[one, other]))
        return f"Most alike: “{names[0]}” and “{names[1]}”, cosine {value}"


def word_similarity_record(words: Sequence[str], cosines: np.ndarray) -> WordSimilarity:
    """Words and their cosines -> what will be drawn."""
    others = np.where(np.eye(len(words), dtype=bool), -np.inf, np.nan_to_num(cosines, nan=-np.inf))
    best = None
    if len(words) > 1 and np.isfinite(others).any():
        row, column = np.unravel_index(int(others.argmax()), others.shape)
        best = (int(min(row, column)), int(max(row, column)))
    return WordSimilarity(tuple(words), cosines, best)


def word_similarity_figure(record: WordSimilarity) -> Drawn:
    """Square cells on the signed scale, with their numbers where there is room."""
    names = [style.visible(word) for word in record.words]
    return drawn(
        _figure,
        record,
        alt=f"Cosine of every two of {len(names)} words: {', '.join(names)}. {record.title}.",
        stem="word-similarity",
        table={"word": names, **{name: record.cosines[:, i].tolist() for i, name in enumerate(names)}},
    )


def _figure(record: WordSimilarity, look: Look) -> go.Figure:
    n = len(record.words)
    long, numbered = n > 8, n <= look.pick(MOST_NUMBERS, MOST_NUMBERS // 2)
    labels = [style.label(word, look.pick(18, 10)) for word in record.words]
    size = look.pick(44 if n <= 12 else 26, 30)
    return figure(
        [
            heat(
                "cosine",
                record.cosines,
                -1,
                1,
                style.SIGNED_SCALE,
                text=[
                    [style.two_decimals(value) if numbered else "" for value in row] for row in record.cosines
                ],
                texttemplate="%{text}",
                textfont={"size": 12},
                hovertemplate="%{z:.5f}<extra></extra>",
                showscale=look.pick(True, False),
                colorbar={"title": {"text": "cosine"}, "nticks": 5},
            )
        ],
        title=look.title(style.inert(record.title), ",", phone_lines=2),
        height=look.pick(200 if long else 150, 190) + size * n,
        margin={"t": look.pick(110 if long else 64, 124)},
        xaxis=columns(labels, side="top", tickangle=look.pick(-60 if long else 0, -60)),
        yaxis=rows(labels),
    )
