"""Cosines of every two words as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn

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
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Cosine of every two of {len(names)} words: {', '.join(names)}. {record.title}.",
        stem="word-similarity",
        table={"word": names, **{name: record.cosines[:, i].tolist() for i, name in enumerate(names)}},
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: WordSimilarity, narrow: bool) -> go.Figure:
    n = len(record.words)
    most = MOST_NUMBERS // 2 if narrow else MOST_NUMBERS
    numbers = [[f"{value:.2f}" if n <= most else "" for value in row] for row in record.cosines]
    labels = [style.label(word, 10 if narrow else 18) for word in record.words]
    figure = go.Figure(
        go.Heatmap(
            z=record.cosines.astype(np.float32),
            zmin=-1,
            zmax=1,
            colorscale=[list(stop) for stop in style.SIGNED_SCALE],
            text=numbers,
            texttemplate="%{text}",
            textfont={"size": 12},
            hovertemplate="%{z:.5f}<extra></extra>",
            showscale=not narrow,
            colorbar={"title": {"text": "cosine"}, "nticks": 5},
        )
    )
    axis = {"tickvals": list(range(n)), "ticktext": labels, "fixedrange": True, "showgrid": False}
    size = 30 if narrow else 44 if n <= 12 else 26
    title = style.inert(record.title)
    figure.update_layout(
        template=style.TEMPLATE,
        title={
            "text": title.replace(", cosine", ",<br>cosine"),
            "font": {"size": 13},
            "pad": {"t": 36, "b": 0},
        }
        if narrow
        else {"text": title},
        height=(190 if narrow else 200 if n > 8 else 150) + size * n,
        margin={"l": 8, "r": 8, "t": 124 if narrow else 110 if n > 8 else 64, "b": 8},
    )
    figure.update_xaxes(side="top", tickangle=-60 if narrow or n > 8 else 0, **axis)
    figure.update_yaxes(range=[n - 0.5, -0.5], **axis)
    return figure
