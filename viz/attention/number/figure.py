"""One dot product dimension by dimension: the two vectors, their products, and the sum as it grows."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.attention.number.record import ScoreTerms
from viz.drawn import Drawn

# Shares of the plot's height, from the top: q, k, products, running sum.
_ROWS = ((0.915, 0.975), (0.775, 0.835), (0.335, 0.695), (0.0, 0.24))


def score_terms_figure(record: ScoreTerms) -> Drawn:
    """Four rows over one axis of dimensions."""
    figure = go.Figure()
    _strip(figure, record, record.q, "q", 1)
    _strip(figure, record, record.k, "k", 2)
    _products(figure, record)
    _running(figure, record)
    figure.update_layout(
        template=style.TEMPLATE,
        height=440,
        margin={"l": 44, "r": 12, "t": 40, "b": 40},
        title={"text": title(record), "font": {"size": 14}},
        annotations=[*_headings(record), *_largest(record)],
        shapes=_halves(record),
        hovermode="closest",
        showlegend=False,
        bargap=0.1,
        **_axes(record),
    )
    return Drawn(
        figure=figure,
        alt=alt(record),
        stem="attention-dot-product",
        table=table(record),
        # plotly.js moves a title of two lines up by one
        narrow_layout={
            "title": {"font": {"size": 13}, "text": title(record, "<br>"), "pad": {"t": 36, "b": 0}},
            "margin.t": 68,
        },
    )


def title(record: ScoreTerms, line_break: str = " ") -> str:
    """The finding, as plotly draws it."""
    query, key = style.label(record.query_text, 14), style.label(record.key_text, 14)
    top = record.largest[0]
    return (
        f"q of “{query}” · k of “{key}” = <b>{style.three_digits(record.dot)}</b>;{line_break}"
        f"largest term: dimension <b>{top}</b>, {_signed(record.products[top])}"
    )


def alt(record: ScoreTerms) -> str:
    """The dot product in words."""
    named = ", ".join(f"dimension {i} {_signed(record.products[i])}" for i in record.largest)
    query, key = (style.shorten(style.visible(text)) for text in (record.query_text, record.key_text))
    return (
        f"Dot product of the query of token {record.query} “{query}” and the key of token {record.key} "
        f"“{key}” in layer {record.layer}, head {record.head}: {style.three_digits(record.dot)}, the sum of "
        f"{record.d_head} products. The largest: {named}."
    )


def table(record: ScoreTerms) -> dict[str, list[object]]:
    """One row a dimension."""
    return {
        "dimension": list(range(record.d_head)),
        "q": list(record.q),
        "k": list(record.k),
        "product": list(record.products),
        "sum so far": list(record.running),
    }


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{style.three_digits(value)}"


def _strip(figure: go.Figure, record: ScoreTerms, values: tuple[float, ...], name: str, row: int) -> None:
    figure.add_heatmap(
        name=name,
        z=np.array([values], dtype=np.float32),
        y=[0],
        xaxis="x",
        yaxis=f"y{'' if row == 1 else row}",
        colorscale=style.SIGNED_SCALE,
        zmin=-record.vector_limit,
        zmax=record.vector_limit,
        showscale=False,
        xgap=0.5,
        ygap=0,
        customdata=[list(range(record.d_head))],
        hovertemplate=f"{name}, dimension %{{x}}<br><b>%{{z:.4f}}</b><extra></extra>",
    )


def _products(figure: go.Figure, record: ScoreTerms) -> None:
    figure.add_bar(
        name="products",
        x=list(range(record.d_head)),
        y=np.array(record.products, dtype=np.float32),
        xaxis="x",
        yaxis="y3",
        marker={"color": [style.POSITIVE if p >= 0 else style.NEGATIVE for p in record.products]},
        customdata=[
            [i, f"{q:.4f} × {k:.4f}{_pair_words(record, i)}"]
            for i, (q, k) in enumerate(zip(record.q, record.k, strict=True))
        ],
        hovertemplate="dimension %{x}<br>%{customdata[1]}<br><b>= %{y:.4f}</b><extra></extra>",
    )


def _pair_words(record: ScoreTerms, dimension: int) -> str:
    pair = record.pair_of(dimension)
    return "" if pair is None else f" (turned together with dimension {pair})"


def _running(figure: go.Figure, record: ScoreTerms) -> None:
    figure.add_scatter(
        name="sum so far",
        x=list(range(record.d_head)),
        y=np.array(record.running, dtype=np.float32),
        xaxis="x",
        yaxis="y4",
        mode="lines",
        line={"shape": "hv", "color": style.LIGHT.ink, "width": 2},
        hovertemplate="up to dimension %{x}<br><b>%{y:.4f}</b><extra></extra>",
    )


def _headings(record: ScoreTerms) -> list[dict[str, object]]:
    query, key = style.label(record.query_text, 14), style.label(record.key_text, 14)
    limit = style.three_digits(record.vector_limit)
    words = (
        f"<b>q</b> of “{query}”, {record.d_head} numbers (scale −{limit} to {limit})",
        f"<b>k</b> of “{key}”",
        "<b>qᵢ × kᵢ</b>, term by term",
        f"<b>sum so far</b>, at the end {style.three_digits(record.dot)}",
    )
    return [
        {
            "xref": "paper",
            "yref": "paper",
            "x": 0,
            "y": top,
            "xanchor": "left",
            "yanchor": "bottom",
            "yshift": 2,
            "showarrow": False,
            "text": text,
            "font": {"size": 12, "color": style.LIGHT.ink},
        }
        for (_, top), text in zip(_ROWS, words, strict=True)
    ]


def _largest(record: ScoreTerms) -> list[dict[str, object]]:
    """The numbers of the dimensions with the largest terms, at the ends of their bars."""
    return [
        {
            "xref": "x",
            "yref": "y3",
            "x": i,
            "y": record.products[i],
            "yanchor": "bottom" if record.products[i] >= 0 else "top",
            "showarrow": False,
            "text": f"<b>{i}</b>",
            "font": {"size": 11, "color": style.LIGHT.ink, "family": style.MONO},
        }
        for i in _apart(record)
    ]


def _apart(record: ScoreTerms) -> list[int]:
    """The largest terms whose numbers do not run into one another: apart, or on two sides of 0."""
    shown: list[int] = []
    for i in record.largest:
        same_side = [other for other in shown if (record.products[other] < 0) == (record.products[i] < 0)]
        if all(abs(i - other) > record.d_head / 24 for other in same_side):
            shown.append(i)
    return shown


def _halves(record: ScoreTerms) -> list[dict[str, object]]:
    """Where the second half of the turned dimensions begins and ends: i and i + half are a pair."""
    places = [record.d_rotary // 2] if record.d_rotary else []
    if 0 < record.d_rotary < record.d_head:
        places.append(record.d_rotary)
    return [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": place - 0.5,
            "x1": place - 0.5,
            "y0": 0,
            "y1": 0.975,
            "line": {"color": style.LIGHT.line, "width": 1, "dash": "dot"},
            "layer": "below",
        }
        for place in places
    ]


def _axes(record: ScoreTerms) -> dict[str, object]:
    low, high = record.sum_range
    room = 0.12 * ((high - low) or 1.0)
    lowest = min(0.0, *record.products), max(0.0, *record.products)
    reach = (min(low, lowest[0]), max(high, lowest[1]))
    most = max(abs(p) for p in record.products) or 1.0
    bars = [min(0.0, *record.products) - 0.2 * most, max(0.0, *record.products) + 0.2 * most]
    quiet = {"showgrid": False, "showticklabels": False, "fixedrange": True, "range": [-0.5, 0.5]}
    zero = {"zeroline": True, "zerolinecolor": style.LIGHT.line, "fixedrange": True, "nticks": 4}
    return {
        "xaxis": {
            "range": [-0.5, record.d_head - 0.5],
            "anchor": "y4",
            "showgrid": False,
            "fixedrange": False,
            "title": {"text": "dimension of the head"},
            "nticks": 10,
        },
        "yaxis": {**quiet, "domain": list(_ROWS[0])},
        "yaxis2": {**quiet, "domain": list(_ROWS[1])},
        "yaxis3": {**zero, "domain": list(_ROWS[2]), "range": bars},
        "yaxis4": {**zero, "domain": list(_ROWS[3]), "range": [reach[0] - room, reach[1] + room]},
    }
