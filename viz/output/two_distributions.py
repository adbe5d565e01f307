"""Two next-token distributions side by side: the likeliest tokens of both, with both probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.distributions import DistributionChange, distribution_change_record
from viz.drawn import Drawn
from viz.start.forward_pass import softmax

_ROW, _NARROW_ROW = 40, 36  # pixels


@dataclass(frozen=True)
class TwoDistributions:
    """Tokens in the order of their first probability; `rest` is what all others have together."""

    names: tuple[str, str]  # what the two are: ("as it is", "with 4 bits")
    token_ids: tuple[int, ...]
    texts: tuple[str, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    rest: tuple[float, float]
    change: DistributionChange
    top: float  # end of the axis


def two_distributions_record(
    first: np.ndarray,  # logits [d_vocab]
    second: np.ndarray,
    text_of: Callable[[int], str],
    names: tuple[str, str],
    most: int = 10,
    top: float | None = None,
) -> TwoDistributions:
    """Two rows of finite logits over one vocabulary -> the `most` likeliest tokens of each, together.

    Args:
        top: end of an axis shared with other pairs (None: the largest share here).
    """
    p, q = softmax(first), softmax(second)
    ids = {*np.argsort(-p, kind="stable")[:most].tolist(), *np.argsort(-q, kind="stable")[:most].tolist()}
    order = sorted(ids, key=lambda token_id: (-p[token_id], -q[token_id]))
    rest = max(0.0, float(1 - p[order].sum())), max(0.0, float(1 - q[order].sum()))
    return TwoDistributions(
        names,
        tuple(order),
        tuple(text_of(token_id) for token_id in order),
        tuple(float(p[token_id]) for token_id in order),
        tuple(float(q[token_id]) for token_id in order),
        rest,
        distribution_change_record(first, second, text_of),
        max(float(p.max()), float(q.max()), *rest) if top is None else top,
    )


def title_of(record: TwoDistributions) -> str:
    """The finding: does the likeliest token stay, and how much moves?"""
    change = record.change
    top = f"“{style.shorten(style.visible(change.top_text), 16)}”"
    moved = f"{style.share(change.moved)} of the probability moves"
    if change.top_text == change.new_top_text:
        return f"{top} stays the likeliest; {moved}"
    return f"{top} gives way to “{style.shorten(style.visible(change.new_top_text), 16)}”; {moved}"


def two_distributions_figure(record: TwoDistributions) -> Drawn:
    """Two bars a token, from 0; the first hatched, the second in the accent colour."""
    said = "; ".join(
        f"“{style.visible(text)}” {style.share(p)}, then {style.share(q)}"
        for text, p, q in list(zip(record.texts, record.first, record.second, strict=True))[:5]
    )
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Next-token probabilities, {record.names[0]} and {record.names[1]}. {title_of(record)}. {said}. "
        f"KL divergence {style.three_digits(record.change.divergence, 'nats')}.",
        stem="two-distributions",
        table={
            "token": [*record.texts, "all others"],
            "id": [*record.token_ids, ""],
            f"probability, {record.names[0]}": [*record.first, record.rest[0]],
            f"probability, {record.names[1]}": [*record.second, record.rest[1]],
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: TwoDistributions, narrow: bool) -> go.Figure:
    figure = go.Figure()
    rows = list(range(len(record.texts) + 1))
    for number, (name, shares, rest) in enumerate(
        zip(record.names, (record.first, record.second), record.rest, strict=True)
    ):
        values = [*shares, rest]
        figure.add_bar(
            name=style.inert(name),
            orientation="h",
            x=values,
            y=rows,
            marker=style.CUT if number == 0 else {"color": style.LIGHT.accent},
            text=[style.share(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            textfont={"size": 11, "color": style.LIGHT.ink},
            customdata=[*record.token_ids, -1],
            hovertext=[*(style.label(text) for text in record.texts), "all other tokens"],
            hovertemplate=f"%{{hovertext}}: %{{text}} {style.inert(name)}<extra></extra>",
        )
    title = style.inert(title_of(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace("; ", ";<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        height=(114 if narrow else 96) + (_NARROW_ROW if narrow else _ROW) * len(rows),
        barmode="group",
        bargap=0.28,
        bargroupgap=0.06,
        uniformtext={"minsize": 8, "mode": "show"},
        legend={"y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        margin={"l": 8, "r": 52, "t": 96 if narrow else 64, "b": 8},
    )
    figure.update_xaxes(range=[0, 1.08 * record.top], fixedrange=True, showticklabels=False, showgrid=False)
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        fixedrange=True,
        showgrid=False,
        tickvals=rows,
        ticktext=[*(style.label(text, 14 if narrow else 24) for text in record.texts), "all others"],
        tickfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
    )
    return figure
