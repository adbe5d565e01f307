"""The next-token distribution in several number formats: the likeliest tokens in small multiples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.distributions import DistributionChange, distribution_change_record
from viz.drawn import Drawn
from viz.start.forward_pass import softmax

_ROW = 26  # pixels


@dataclass(frozen=True)
class FormatDistribution:
    """One format's. `shares` is empty and `refusal` says why where its logits are no distribution."""

    name: str
    shares: tuple[float, ...]  # of the tokens of the record
    rest: float  # all others together
    refusal: str
    change: DistributionChange | None  # against the first format; None for that one, and where one is broken


@dataclass(frozen=True)
class ThreeDistributions:
    """Tokens in the order of the first format that has a distribution."""

    token_ids: tuple[int, ...]
    texts: tuple[str, ...]
    formats: tuple[FormatDistribution, ...]
    top: float  # end of the axis: the longest bar, or that of several runs


def three_distributions_record(
    logits: Mapping[str, np.ndarray],  # float32 [d_vocab] by format, the reference first
    refusals: Mapping[str, str],  # format -> why it has no distribution
    text_of: Callable[[int], str],
    most: int = 10,
) -> ThreeDistributions | None:
    """Logits by format -> what will be drawn; None where no format has a distribution.

    Args:
        most: tokens of the first one; the likeliest of each other format is added.
    """
    able = {name: softmax(row) for name, row in logits.items() if not refusals.get(name)}
    if not able:
        return None
    lead = next(iter(able.values()))
    ids = np.argsort(-lead, kind="stable")[:most].tolist()
    ids += [token_id for p in able.values() if (token_id := int(p.argmax())) not in ids]
    ids = list(dict.fromkeys(ids))
    reference = next(iter(logits))
    formats = []
    for name, row in logits.items():
        if name not in able:
            formats.append(FormatDistribution(name, (), 0.0, refusals[name], None))
            continue
        compared = name != reference and reference in able
        change = distribution_change_record(logits[reference], row, text_of) if compared else None
        shares = able[name][ids]
        formats.append(
            FormatDistribution(name, tuple(map(float, shares)), max(0.0, float(1 - shares.sum())), "", change)
        )
    largest = max(max(*one.shares, one.rest) for one in formats if one.shares)
    texts = tuple(text_of(token_id) for token_id in ids)
    return ThreeDistributions(tuple(ids), texts, tuple(formats), largest)


def three_title(record: ThreeDistributions) -> str:
    """The finding: which format still has a distribution, and does the likeliest token stay?"""
    broken = [one.name for one in record.formats if one.refusal]
    said = []
    for one in record.formats:
        if one.change is None:
            continue
        if one.change.top_text != one.change.new_top_text:
            said.append(
                f"{one.name} prefers {_quoted(one.change.new_top_text)} to {_quoted(one.change.top_text)}"
            )
        else:
            said.append(f"{one.name} moves {style.share(one.change.moved)} of the probability")
    if broken:
        lost = f"{' and '.join(broken)} {'have' if len(broken) > 1 else 'has'} no distribution left"
        return "; ".join([lost, *said])
    if all(one.change is None or one.change.top_text == one.change.new_top_text for one in record.formats):
        best = record.texts[int(np.argmax(record.formats[0].shares))]
        said.insert(0, f"{_quoted(best)} stays the likeliest")
    return "; ".join(said)


def _quoted(text: str) -> str:
    return f"“{style.shorten(style.visible(text), 16)}”"


def three_distributions_figure(record: ThreeDistributions) -> Drawn:
    """A column of bars a format, on one axis and with the same tokens in the same rows."""
    changes = "; ".join(
        f"{one.name}: KL divergence from the first {style.three_digits(one.change.divergence, 'nats')}"
        for one in record.formats
        if one.change is not None
    )
    lost = " ".join(f"{one.name}: {one.refusal}" for one in record.formats if one.refusal)
    first = next(one for one in record.formats if one.shares)
    likeliest = "; ".join(
        f"“{style.visible(text)}” {style.share(p)}"
        for text, p in list(zip(record.texts, first.shares, strict=True))[:5]
    )
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=f"Next-token probabilities in {', '.join(one.name for one in record.formats)}. "
        f"{three_title(record)}. In {first.name}: {likeliest}. {changes}. {lost}".strip(),
        stem="three-distributions",
        table={
            "token": [*record.texts, "all others"],
            "id": [*record.token_ids, ""],
            **{
                f"probability, {one.name}": [*one.shares, one.rest]
                if one.shares
                else ["no distribution"] * (len(record.texts) + 1)
                for one in record.formats
            },
        },
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: ThreeDistributions, narrow: bool) -> go.Figure:
    figure = go.Figure()
    rows = list(range(len(record.texts) + 1))
    n = len(record.formats)
    notes = []
    for number, one in enumerate(record.formats):
        axis = "" if number == 0 else str(number + 1)
        left, right = number / n + (0.02 if number else 0), (number + 1) / n
        figure.layout[f"xaxis{axis}"] = {
            "domain": [left, right], "range": [0, (1.9 if narrow else 1.4) * record.top], "fixedrange": True,
            "showticklabels": False, "showgrid": False, "zeroline": True, "zerolinecolor": style.LIGHT.grid,
        }  # fmt: skip
        change = one.change
        under = "broken" if one.refusal else "reference" if number == 0 else ""
        if change is not None:
            size = style.three_digits(change.divergence)
            under = f"KL, nats<br>{size}" if narrow else f"KL {size} nats"
        elif narrow:
            under += "<br> "  # as many lines as the others have
        notes.append({
            "xref": "paper", "x": left, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "bottom",
            "align": "left", "showarrow": False, "font": {"size": 12, "color": style.LIGHT.ink},
            "text": f"<b>{one.name}</b><br>{under}",
        })  # fmt: skip
        values = [*one.shares, one.rest] if one.shares else []
        figure.add_bar(
            name=one.name,
            orientation="h",
            x=values,
            y=rows if values else [],
            xaxis=f"x{axis}",
            marker={"color": style.LIGHT.accent if number else style.LIGHT.cut_line},
            text=[style.share(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            textfont={"size": 10 if narrow else 11, "color": style.LIGHT.ink},
            customdata=[*record.token_ids, -1] if values else [],
            hovertext=[*(style.label(text) for text in record.texts), "all other tokens"] if values else [],
            hovertemplate=f"%{{hovertext}}: %{{text}} in {one.name}<extra></extra>",
        )
        if not values:
            notes.append({
                "xref": "paper", "x": left, "xanchor": "left", "xshift": 6, "yref": "paper", "y": 0.5,
                "showarrow": False, "align": "left",
                "text": "no distribution:<br>the logits<br>are not finite" if narrow
                else "no distribution:<br>the logits are not finite",
                "font": {"size": 11 if narrow else 12, "color": style.LIGHT.warning},
            })  # fmt: skip
    title = style.inert(three_title(record))
    figure.update_layout(
        template=style.TEMPLATE,
        title={"text": title.replace("; ", ";<br>"), "font": {"size": 13}, "pad": {"t": 36, "b": 0}}
        if narrow
        else {"text": title.replace("; ", ";<br>", 1), "font": {"size": 14}},
        height=(166 if narrow else 120) + _ROW * len(rows),
        bargap=0.3,
        showlegend=False,
        annotations=notes,
        margin={"l": 8, "r": 8, "t": 144 if narrow else 100, "b": 8},
    )
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        fixedrange=True,
        showgrid=False,
        tickvals=rows,
        ticktext=[*(style.label(text, 10 if narrow else 18) for text in record.texts), "all others"],
        tickfont={"family": style.MONO, "size": 12, "color": style.LIGHT.ink},
    )
    return figure
