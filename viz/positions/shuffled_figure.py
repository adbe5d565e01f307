"""What a shuffle moves: three maps of tokens by layers, one token's way as lines, next tokens as bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.positions.shuffled import NextTokens, Shuffled, change_words, finding, selected_words, title

_MOST_NAMES = 24  # tokens written beside a map
_FULL = 1.0  # a change of one length and more has the full colour
_LOWEST = 1e-9  # bottom of the logarithmic axis; a change of exactly 0 lies below it
_LINE_COLORS = (2, 0, 5)  # categories: green, blue, vermillion
_FLAT_BAR = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "len": 0.7, "x": 0.4}
_DASHES = ("dot", "dash", "solid")


def shuffled_figure(record: Shuffled) -> Drawn:
    """Three maps side by side, below one another on a phone. White: this token's vector did not move."""
    said = "; ".join(f"{rule.name}: {finding(record, i)}" for i, rule in enumerate(record.rules))
    narrow = _maps(record, narrow=True)
    return Drawn(
        figure=_maps(record, narrow=False),
        alt=f"{title(record)}. Change of each token's vector by layer after a shuffle. {said}.",
        stem="order-shuffled",
        table=_table(record),
        narrow_figure=narrow,
        middle_figure=narrow,
    )


def _maps(record: Shuffled, narrow: bool) -> go.Figure:
    figure = go.Figure()
    n = len(record.tokens)
    body = min(max(150, 22 * n), 340)
    head = 58
    annotations = []
    for number, rule in enumerate(record.rules):
        suffix = str(number + 1) if number else ""
        figure.add_heatmap(
            name=rule.name,
            z=np.array(rule.change, dtype=np.float32),
            coloraxis="coloraxis",
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
            xgap=0,
            ygap=1 if n <= _MOST_NAMES else 0,
            customdata=np.arange(n, dtype=np.int32)[:, None].repeat(record.depths, axis=1),
            hovertemplate="token %{customdata}, depth %{x}: change %{z:.3g}<extra>" + rule.short + "</extra>",
        )
        _place(figure, record, number, suffix, narrow, head / (body + head))
        annotations.append(_heading(record, number, suffix, narrow))
    height = 3 * (body + head) + 134 if narrow else body + head + 84
    figure.update_layout(
        template=style.TEMPLATE,
        height=height,
        width=None if narrow else style.WIDE_PRINT,
        title={
            "text": title(record).replace("; ", ";<br>") if narrow else title(record),
            "font": {"size": 13 if narrow else 16},
            "pad": {"t": 36 if narrow else 6, "b": 0},  # plotly.js moves a title of two lines up by one
        },
        annotations=annotations,
        margin={"l": 8, "r": 8, "t": 84 if narrow else 40, "b": 8},
        coloraxis={
            "colorscale": style.PROBABILITY_SCALE,
            "cmin": 0,
            "cmax": _FULL,
            "colorbar": {
                "title": {"text": "change"},
                "tickvals": [0, 0.5, 1],
                "ticktext": ["0", "0.5", "1 or more"],
                **(_FLAT_BAR if narrow else {}),
            },
        },
    )
    return figure


def _place(figure: go.Figure, record: Shuffled, number: int, suffix: str, narrow: bool, head: float) -> None:
    """The axes of one map in its third of the figure."""
    n = len(record.tokens)
    named = n <= _MOST_NAMES and (narrow or number == 0)
    if narrow:
        across = [0.0, 1.0]
        down = [1 - (number + 1) / 3 + 0.03, 1 - number / 3 - head / 3 - 0.01]
    else:
        across = [number / 3 + 0.012 * number, (number + 1) / 3 - 0.016 + 0.008 * number]
        down = [0.0, 1 - head]
    shared: dict[str, Any] = {"showgrid": False, "fixedrange": True, "zeroline": False}
    shared |= {"showline": True, "mirror": True, "linewidth": 1, "linecolor": style.LIGHT.line}
    last = record.depths - 1
    figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
        domain=across,
        anchor=f"y{suffix}",
        range=[-0.5, last + 0.5],
        title={"text": "layers read so far"},
        tickvals=_ticks(last),
        **shared,
    )
    figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
        domain=down,
        anchor=f"x{suffix}",
        range=[n - 0.5, -0.5],
        showticklabels=named or (n > _MOST_NAMES and number == 0),
        tickfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
        **(
            {
                "tickvals": list(range(n)),
                "ticktext": [style.label(token, 12) for token in record.tokens],
            }
            if named
            else {}
        ),
        **shared,
    )


def _ticks(last: int) -> list[int]:
    step = max(1, 5 * math.ceil(last / 25)) if last > 6 else 1
    return [*range(0, last + 1, step)]


def _heading(record: Shuffled, number: int, suffix: str, narrow: bool) -> dict[str, Any]:
    return {
        "text": f"<b>{record.rules[number].name}</b><br>{finding(record, number)}",
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "x": 0,
        "y": 1,
        "yshift": 4,
        "xanchor": "left",
        "yanchor": "bottom",
        "align": "left",
        "showarrow": False,
        "font": {"size": 12 if narrow else 13, "color": style.LIGHT.ink},
    }


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


def token_way_figure(record: Shuffled) -> Drawn:
    """The selected token's change by layer on a logarithmic axis, with the bound of rounding."""
    token = style.label(record.tokens[record.selected], 14)
    words = f"“{token}” ({record.selected}), layer by layer"
    return Drawn(
        figure=_way(record, words, narrow=False),
        alt=f"Change of one token's vector by layer, on a logarithmic axis. {selected_words(record)} Changes "
        f"below {style.three_digits(record.tolerance)} are rounding.",
        stem="order-one-token",
        table={
            "layers read": list(range(record.depths)),
            **{f"change, {rule.short}": list(rule.change[record.selected]) for rule in record.rules},
        },
        narrow_figure=_way(record, words, narrow=True),
    )


def _way(record: Shuffled, words: str, narrow: bool) -> go.Figure:
    figure = go.Figure()
    depths = np.arange(record.depths)
    for number, rule in enumerate(record.rules):
        values = np.array(rule.change[record.selected], dtype=np.float64)
        figure.add_scatter(
            name=rule.short,
            x=depths,
            y=np.where(values > _LOWEST, values, np.nan),
            mode="lines+markers",
            line={"color": style.category(_LINE_COLORS[number]), "dash": _DASHES[number], "width": 2.5},
            marker={"size": 5},
            text=[change_words(value, record.tolerance) for value in values],
            hovertemplate="%{x} layers read<br>%{text}<extra>" + rule.short + "</extra>",
        )
    low = 10 ** math.floor(math.log10(max(min(record.tolerance * 1e-4, 1e-3), _LOWEST)))
    figure.add_hrect(y0=low, y1=record.tolerance, fillcolor=style.LIGHT.surface, line_width=0, layer="below")
    figure.add_annotation(
        x=0.99,
        xref="x domain",
        xanchor="right",
        y=math.log10(record.tolerance),
        yanchor="top",
        text="below: rounding",
        font={"color": style.LIGHT.muted, "size": 12},
    )
    tens = [10.0**i for i in range(-10, 2)]
    figure.update_yaxes(
        type="log",
        range=[math.log10(low), math.log10(4)],
        tickvals=tens,
        ticktext=[f"10<sup>{round(math.log10(ten))}</sup>" if ten < 0.1 else f"{ten:g}" for ten in tens],
        title={"text": "change, in lengths"},
        fixedrange=True,
    )
    figure.update_xaxes(
        title={"text": "layers read so far"}, tickvals=_ticks(record.depths - 1), fixedrange=True
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=380,
        title={"text": words, "font": {"size": 13 if narrow else 16}},
        margin={"l": 8, "r": 8, "t": 96 if narrow else 76, "b": 8},
        legend={"y": 1.0},
    )
    return figure


def next_tokens_figure(records: Sequence[NextTokens], reach: float) -> Drawn:
    """Bars before and after the shuffle, one block a rule, on one scale up to `reach`."""
    said = "; ".join(f"{record.name}: {style.share(record.moved)} moves" for record in records)
    rows = [(record, candidate) for record in records for candidate in record.candidates]
    return Drawn(
        figure=_bars(records, reach, narrow=False),
        alt=f"Probability of the likeliest next tokens before and after the shuffle. {said}.",
        stem="order-next-token",
        table={
            "rule": [record.name for record, _ in rows],
            "next token": [style.visible(candidate.text) for _, candidate in rows],
            "as written": [candidate.before for _, candidate in rows],
            "shuffled": [candidate.after for _, candidate in rows],
        },
        narrow_figure=_bars(records, reach, narrow=True),
    )


def _bars(records: Sequence[NextTokens], reach: float, narrow: bool) -> go.Figure:
    figure = go.Figure()
    gap = 1.6  # rows that a heading takes
    ticks: list[tuple[float, str]] = []
    places: list[list[float]] = []
    annotations = []
    y = 0.0
    for record in records:
        annotations.append(
            {
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "y": y,
                "yanchor": "middle",
                "text": f"<b>{record.name}</b>: {style.share(record.moved)} moves",
                "font": {"size": 13, "color": style.LIGHT.ink},
            }
        )
        y += 1.1
        places.append([y + row for row in range(len(record.candidates))])
        ticks += [
            (y + row, style.label(candidate.text, 14)) for row, candidate in enumerate(record.candidates)
        ]
        y += len(record.candidates) - 1 + gap
    for name, side, shift in (("as written", "before", -0.2), ("shuffled", "after", 0.2)):
        values = [getattr(candidate, side) for record in records for candidate in record.candidates]
        figure.add_bar(
            name=name,
            orientation="h",
            y=[place + shift for several in places for place in several],
            x=values,
            width=0.38,
            marker=style.CUT if side == "before" else {"color": style.LIGHT.accent},
            text=[style.share(value) for value in values],
            textposition="outside",
            constraintext="none",
            textfont={"size": 11},
            cliponaxis=False,
            hovertemplate="%{text}<extra>" + name + "</extra>",
        )
    figure.update_yaxes(
        range=[y - gap + 0.6, -0.6],
        tickvals=[at for at, _ in ticks],
        ticktext=[text for _, text in ticks],
        tickfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
        showgrid=False,
        fixedrange=True,
    )
    figure.update_xaxes(
        range=[0, 1.18 * reach], tickformat=".0%", title={"text": "probability"}, fixedrange=True
    )
    title = "; ".join(
        f"{style.share(record.moved)} of the next token moves with {record.name.lower()}"
        for record in records
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=120 + round(30 * y),
        barmode="overlay",
        bargap=0,
        uniformtext={"mode": False},
        title={"text": "<br>".join(title.split("; ")), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title},
        annotations=annotations,
        margin={"l": 8, "r": 8, "t": 96 if narrow else 76, "b": 8},
        legend={"y": 1.0},
    )
    return figure
