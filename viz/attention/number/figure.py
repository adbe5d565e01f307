"""One dot product dimension by dimension: the two vectors, their products, and the sum as it grows."""

from __future__ import annotations

import numpy as np

from viz import style
from viz.attention.number.record import OneNumber
from viz.drawn import Drawn
from viz.panels import QUIET, Json, figure, heat, ink, mono, note, scatter

# Shares of the plot's height, from the top: q, k, products, running sum.
_ROWS = ((0.915, 0.975), (0.775, 0.835), (0.335, 0.695), (0.0, 0.24))


def one_number_figure(record: OneNumber) -> Drawn:
    """Four rows over one axis of dimensions."""
    terms = record.terms
    made = figure(
        [_strip(record, "q"), _strip(record, "k"), _products(record), _running(record)],
        **_axes(record),
        height=440,
        margin={"l": 44, "r": 12, "t": 40, "b": 40},
        title={"text": title(record), "font": {"size": 14}},
        annotations=[*_headings(record), *_largest(record)],
        shapes=_halves(record),
        hovermode="closest",
        showlegend=False,
        bargap=0.1,
    )
    # plotly.js moves a title of two lines up by one
    narrow = {"font": {"size": 13}, "text": title(record, "<br>"), "pad": {"t": 36, "b": 0}}
    return Drawn(
        made,
        alt(record),
        "attention-dot-product",
        {
            "dimension": list(range(record.d_head)),
            "q": terms.q.tolist(),
            "k": terms.k.tolist(),
            "product": terms.products.tolist(),
            "sum so far": list(record.running),
        },
        {"title": narrow, "margin.t": 68},
    )


def title(record: OneNumber, line_break: str = " ") -> str:
    """The finding, as plotly draws it."""
    query, key = style.label(record.query_text, 14), style.label(record.key_text, 14)
    top = record.largest[0]
    return (
        f"q of “{query}” · k of “{key}” = <b>{style.three_digits(record.terms.dot)}</b>;{line_break}"
        f"largest term: dimension <b>{top}</b>, {_signed(record, top)}"
    )


def alt(record: OneNumber) -> str:
    """The dot product in words."""
    terms = record.terms
    named = ", ".join(f"dimension {i} {_signed(record, i)}" for i in record.largest)
    return (
        f"Dot product of the query of token {terms.query_pos} {style.quoted(record.query_text)} and the key "
        f"of token {terms.key_pos} {style.quoted(record.key_text)} in layer {record.layer}, head "
        f"{record.head}: {style.three_digits(terms.dot)}, the sum of {record.d_head} products. The largest: "
        f"{named}."
    )


def _signed(record: OneNumber, dimension: int) -> str:
    value = float(record.terms.products[dimension])
    return f"{'+' if value > 0 else ''}{style.three_digits(value)}"


def _strip(record: OneNumber, name: str) -> Json:
    limit = record.vector_limit
    values = record.terms.q if name == "q" else record.terms.k
    words = f"{name}, dimension %{{x}}<br><b>%{{z:.4f}}</b><extra></extra>"
    place = {"y": [0], "yaxis": "y" if name == "q" else "y2", "showscale": False, "xgap": 0.5, "ygap": 0}
    return heat(name, [values], -limit, limit, style.SIGNED_SCALE, hovertemplate=words, **place)


def _products(record: OneNumber) -> Json:
    terms, said = record.terms, []
    for dimension, (q, k) in enumerate(zip(terms.q, terms.k, strict=True)):
        pair = record.pair_of(dimension)
        turned = "" if pair is None else f" (turned together with dimension {pair})"
        said.append([dimension, f"{style.signed(q)} × {style.signed(k)}{turned}"])
    return {
        "type": "bar",
        "name": "products",
        "x": list(range(record.d_head)),
        "y": terms.products.astype(np.float32),
        "yaxis": "y3",
        "marker": {"color": [style.POSITIVE if p >= 0 else style.NEGATIVE for p in terms.products]},
        "customdata": said,
        "hovertemplate": "dimension %{x}<br>%{customdata[1]}<br><b>= %{y:.4f}</b><extra></extra>",
    }


def _running(record: OneNumber) -> Json:
    return scatter(
        "sum so far",
        range(record.d_head),
        np.array(record.running, dtype=np.float32),
        "lines",
        yaxis="y4",
        line={"shape": "hv", "color": style.LIGHT.ink, "width": 2},
        hovertemplate="up to dimension %{x}<br><b>%{y:.4f}</b><extra></extra>",
    )


def _headings(record: OneNumber) -> list[Json]:
    query, key = style.label(record.query_text, 14), style.label(record.key_text, 14)
    limit = style.three_digits(record.vector_limit)
    words = (
        f"<b>q</b> of “{query}”, {record.d_head} numbers (scale −{limit} to {limit})",
        f"<b>k</b> of “{key}”",
        "<b>qᵢ × kᵢ</b>, term by term",
        f"<b>sum so far</b>, at the end {style.three_digits(record.terms.dot)}",
    )
    place: Json = {"anchor": "left bottom", "xref": "paper", "yref": "paper", "yshift": 2, "font": ink(12)}
    return [note(text, 0, top, **place) for (_, top), text in zip(_ROWS, words, strict=True)]


def _largest(record: OneNumber) -> list[Json]:
    """The numbers of the dimensions with the largest terms, at the ends of their bars."""
    ends = [(i, float(record.terms.products[i])) for i in _apart(record)]
    return [
        note(f"<b>{i}</b>", i, end, yref="y3", yanchor="bottom" if end >= 0 else "top", font=mono(11))
        for i, end in ends
    ]


def _apart(record: OneNumber) -> list[int]:
    """The largest terms whose numbers do not run into one another: apart, or on two sides of 0."""
    shown: list[int] = []
    below = record.terms.products < 0
    for i in record.largest:
        if all(abs(i - other) > record.d_head / 24 for other in shown if below[other] == below[i]):
            shown.append(i)
    return shown


def _halves(record: OneNumber) -> list[Json]:
    """Where the second half of the turned dimensions begins and ends: i and i + half are a pair."""
    places = [record.d_rotary // 2] if record.d_rotary else []
    if 0 < record.d_rotary < record.d_head:
        places.append(record.d_rotary)
    look = {"type": "line", "xref": "x", "yref": "paper", "y0": 0, "y1": 0.975, "layer": "below"}
    return [{**look, "x0": place - 0.5, "x1": place - 0.5, "line": {"dash": "dot"}} for place in places]


def _axes(record: OneNumber) -> Json:
    low, high = record.sum_range
    least, most = min(0.0, *record.terms.products), max(0.0, *record.terms.products)
    room, ends = 0.12 * ((high - low) or 1.0), 0.2 * (max(most, -least) or 1.0)
    dimensions = {
        "range": [-0.5, record.d_head - 0.5],
        "anchor": "y4",
        "showgrid": False,
        "fixedrange": False,
    }
    strip = {**QUIET, "range": [-0.5, 0.5]}
    zero = {"zeroline": True, "zerolinecolor": style.LIGHT.line, "nticks": 4}
    return {
        "xaxis": {**dimensions, "title": {"text": "dimension of the head"}, "nticks": 10},
        "yaxis": {**strip, "domain": list(_ROWS[0])},
        "yaxis2": {**strip, "domain": list(_ROWS[1])},
        "yaxis3": {**zero, "domain": list(_ROWS[2]), "range": [least - ends, most + ends]},
        "yaxis4": {
            **zero,
            "domain": list(_ROWS[3]),
            "range": [min(low, least) - room, max(high, most) + room],
        },
    }
