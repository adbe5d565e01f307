"""Why scores are divided: one query's softmax, with its measured dot products, divided by more and by less.

Vaswani et al. 2017, 3.2.1: where the components of q and k have variance 1, their dot product has variance
d_head, so that without the division large heads give large scores, and softmax all but one of them away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records import HeadStages
from model_runtime.records.distributions import softmax
from viz import style
from viz.drawn import Drawn
from viz.panels import Json, figure, mono, share_ticks

MOST_BARS = 24
N_STEPS = 13


@dataclass(frozen=True)
class ScaleStep:
    """The row under one divisor."""

    divisor: float
    probabilities: tuple[float, ...]  # of the shown keys
    largest: float
    entropy: float  # nats, of all keys (and the sink)


@dataclass(frozen=True)
class ScaleEffect:
    """One query's row under divisors from the model's own to none (where it has none: to sqrt(d_head))."""

    tokens: tuple[str, ...]
    query: int
    keys: tuple[int, ...]  # shown: all visible ones, or those read most, by position
    n_visible: int
    d_head: int
    softcap: float | None
    steps: tuple[ScaleStep, ...]  # the first is as the model computes

    @property
    def undivided(self) -> ScaleStep:
        return min(self.steps, key=lambda step: step.divisor)


def scale_effect_record(
    stages: HeadStages, token_texts: Sequence[str], query: int, sink_logit: float | None = None
) -> ScaleEffect | None:
    """The measured dot products of one query under other divisors; None where it may read no key.

    Args:
        sink_logit: a learned sink's score, which no divisor changes.
    """
    visible = np.flatnonzero(stages.visible[query])
    if not len(visible):
        return None
    # OPT's q was divided before the product, so its undivided dot products are the larger ones.
    undone = math.sqrt(stages.q.shape[1]) if stages.q_handed_over_scaled else 1.0
    dots = stages.dots[query, visible].astype(np.float64) * undone
    own = undone / stages.scaling
    divisors = np.geomspace(own, 1.0 if own > 1.001 else math.sqrt(stages.q.shape[1]), N_STEPS)
    sink = [] if sink_logit is None else [sink_logit]
    rows = [softmax(np.append(_capped(dots / divisor, stages.softcap), sink)) for divisor in divisors]
    largest = np.sort(np.argsort(-rows[0][: len(visible)], kind="stable")[:MOST_BARS])
    steps = tuple(
        ScaleStep(
            float(divisor), tuple(row[largest].tolist()), float(row[: len(visible)].max()), _entropy(row)
        )
        for divisor, row in zip(divisors, rows, strict=True)
    )
    keys = tuple(int(key) for key in visible[largest])
    return ScaleEffect(
        tuple(token_texts), query, keys, len(visible), stages.q.shape[1], stages.softcap, steps
    )


def _capped(scores: np.ndarray, softcap: float | None) -> np.ndarray:
    return scores if softcap is None else np.tanh(scores / softcap) * softcap


def _entropy(row: np.ndarray) -> float:
    there = row[row > 0]
    return abs(float(-(there * np.log(there)).sum()))


def scale_effect_figure(record: ScaleEffect) -> Drawn:
    """Bars of the row as the model computes it; the figure's steps divide by less and less."""
    names = [style.inert(style.shorten(style.visible(record.tokens[key]), 10)) for key in record.keys]
    bars = {
        "type": "bar",
        "name": "probability",
        "x": list(range(len(names))),
        **_heights(record.steps[0]),
        "marker": {"color": style.LIGHT.accent},
        "textposition": "outside",
        "cliponaxis": False,
        "customdata": [f"{key} “{style.label(record.tokens[key])}”" for key in record.keys],
        "hovertemplate": "%{customdata}<br>%{y:.4%}<extra></extra>",
    }
    ticks = {"tickvals": list(range(len(names))), "ticktext": names, "tickangle": -60, "tickfont": mono()}
    made = figure(
        [bars],
        xaxis={**ticks, "showgrid": False, "fixedrange": False},
        yaxis={
            "range": [0, 1.08],
            **share_ticks(0, 1),
            "title": {"text": "probability"},
            "fixedrange": False,
        },
        height=300,
        title={"text": scale_title(record)},
        uniformtext={"mode": "hide"},
    )
    made.frames = [
        go.Frame(name=step_words(record, step), data=[{"type": "bar", **_heights(step)}], traces=[0])
        for step in record.steps
    ]
    words = _finding(record, style.quoted(record.tokens[record.query], 12))
    ends = " ".join(step_words(record, step) for step in (record.steps[0], record.steps[-1]))
    # plotly.js moves a title of two lines up by one
    narrow = {"font": {"size": 13}, "text": scale_title(record, "<br>"), "pad": {"t": 36, "b": 0}}
    table: dict[str, list[object]] = {
        "key": [*record.keys],
        "key text": [style.visible(record.tokens[key]) for key in record.keys],
        **{f"divided by {step.divisor:.4g}": list(step.probabilities) for step in record.steps},
    }
    return Drawn(made, f"{words}. {ends}", "attention-scale", table, {"title": narrow, "margin.t": 68})


def _heights(step: ScaleStep) -> Json:
    words = [style.share(p) if p >= 0.005 else "" for p in step.probabilities]
    return {"y": list(step.probabilities), "text": words}


def scale_title(record: ScaleEffect, line_break: str = " ") -> str:
    """The finding, as plotly draws it: what the division changes here."""
    query = f"“{style.label(record.tokens[record.query], 12)}”"
    return _finding(record, query, line_break, "<b>{}</b>")


def _finding(record: ScaleEffect, query: str, line_break: str = " ", bold: str = "{}") -> str:
    own, other = record.steps[0], record.steps[-1]
    if record.n_visible == 1:
        return f"{query} has one key to read:{line_break}it gets all, divided or not"
    how = "undivided" if own.divisor > other.divisor else f"divided by {style.three_digits(other.divisor)}"
    first, second = (bold.format(style.share(step.largest)) for step in (own, other))
    return f"Largest share of {query}: {first},{line_break}{how} {second}"


def step_words(record: ScaleEffect, step: ScaleStep) -> str:
    """One step in words: what is divided by, and what becomes of the row."""
    root = math.sqrt(record.d_head)
    is_root = math.isclose(step.divisor, root, rel_tol=1e-6)
    number = style.three_digits(step.divisor)
    by = f"Divided by {number}" + (f" (√{record.d_head})" if is_root else "")
    if math.isclose(step.divisor, 1, rel_tol=1e-6):
        by = "Not divided"
    own = ", as this model does" if step == record.steps[0] else ""
    return (
        f"{by}{own}: largest share {style.share(step.largest)}, entropy "
        f"{style.three_digits(step.entropy)} nats."
    )
