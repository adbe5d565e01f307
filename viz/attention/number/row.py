"""The softmax of one row: what every key puts into the denominator, the chosen one marked."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go

from viz import style
from viz.attention.number.record import RowBar, SoftmaxRow
from viz.drawn import Drawn

_NAMES_UP_TO = 24


def softmax_row_figure(record: SoftmaxRow) -> Drawn:
    """A bar for each key, as a share of the denominator."""
    at = list(range(len(record.bars)))
    figure = go.Figure()
    for name, kind, marker in _KINDS:
        bars = [(i, bar) for i, bar in zip(at, record.bars, strict=True) if kind(bar)]
        if name == "masked":
            _masked(figure, bars)
        else:
            _bars(figure, name, bars, marker)
    figure.update_xaxes(**_names(record), showgrid=False, fixedrange=False, range=[-0.6, len(at) - 0.4])
    figure.update_yaxes(
        title={"text": "share of the denominator"},
        range=[0, 1.1],
        tickvals=[0, 0.5, 1],
        tickformat=".0%",
        fixedrange=False,
    )
    figure.update_layout(
        template=style.TEMPLATE,
        height=300,
        barmode="overlay",
        showlegend=False,
        title={"text": title(record)},
    )
    return Drawn(
        figure=figure,
        alt=alt(record),
        stem="attention-softmax",
        table=table(record),
        narrow_layout={"title": {"font": {"size": 13}}},
    )


_KINDS: tuple[tuple[str, Callable[[RowBar], bool], dict[str, object]], ...] = (
    ("other keys", lambda bar: bar.visible and not bar.chosen, {"color": style.PROBABILITY_SCALE[2][1]}),
    ("this key", lambda bar: bar.visible and bar.chosen, {"color": style.LIGHT.accent}),
    ("masked", lambda bar: not bar.visible, {}),
)


def _bars(figure: go.Figure, name: str, bars: list[tuple[int, RowBar]], marker: dict[str, object]) -> None:
    figure.add_bar(
        name=name,
        x=[i for i, _ in bars],
        y=[bar.probability for _, bar in bars],
        marker=marker,
        text=[style.share(bar.probability) if bar.chosen else "" for _, bar in bars],
        textposition="outside",
        cliponaxis=False,
        customdata=[[bar.key, _hover(bar)] for _, bar in bars],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def _hover(bar: RowBar) -> str:
    return (
        f"{bar.key} “{style.label(bar.text)}”<br>score {bar.score:.4f}<br>"
        f"e^(score − max) = {bar.numerator:.4g}<br><b>{style.share(bar.probability)}</b>"
    )


def _masked(figure: go.Figure, bars: list[tuple[int, RowBar]]) -> None:
    """Keys that the mask hides: a hatched place, with nothing in it."""
    if not bars:
        return
    figure.add_bar(
        name="masked",
        x=[i for i, _ in bars],
        y=[0.06] * len(bars),
        marker=style.CUT,
        customdata=[
            [
                bar.key,
                f"{bar.key} “{style.label(bar.text)}”<br>score {bar.score:.4f}, masked: −∞<br><b>0 %</b>",
            ]
            for _, bar in bars
        ],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def _names(record: SoftmaxRow) -> dict[str, object]:
    """Names under the bars: all where there is room, else those of the chosen and of the largest."""
    bars = list(enumerate(record.bars))
    if len(bars) > _NAMES_UP_TO:
        top = sorted(bars, key=lambda pair: -pair[1].probability)[:5]
        bars = sorted({**dict(top), **{i: bar for i, bar in bars if bar.chosen}}.items())
    words = [(i, style.inert(style.shorten(style.visible(bar.text), 10)), bar.chosen) for i, bar in bars]
    return {
        "tickvals": [i for i, _, _ in words],
        "ticktext": [f"<b>{name}</b>" if chosen else name for _, name, chosen in words],
        "tickangle": -60,
        "tickfont": {"family": style.MONO, "color": style.LIGHT.ink},
    }


def title(record: SoftmaxRow) -> str:
    """The finding, as plotly draws it."""
    chosen = next(bar for bar in record.bars if bar.chosen)
    key, query = style.label(chosen.text, 12), style.label(record.query_text, 12)
    if not chosen.visible:
        return f"“{key}” is hidden from “{query}”: <b>0 %</b>"
    return f"“{key}” gets <b>{style.share(chosen.probability)}</b> of what “{query}” reads"


def alt(record: SoftmaxRow) -> str:
    """The row in words."""
    chosen = next(bar for bar in record.bars if bar.chosen)
    seen = sum(bar.visible for bar in record.bars)
    hidden = len(record.bars) - seen
    words = [
        f"Shares of the softmax of query {record.query} “{style.shorten(style.visible(record.query_text))}” "
        f"over {seen} keys; the chosen key, {chosen.key} “{style.shorten(style.visible(chosen.text))}”, has "
        f"{style.share(chosen.probability)}."
    ]
    if hidden:
        words.append("One key is masked." if hidden == 1 else f"{hidden:,} keys are masked.")
    if record.sink is not None:
        words.append(f"A learned sink takes {style.share(record.sink)}.")
    return " ".join(words)


def table(record: SoftmaxRow) -> dict[str, list[object]]:
    """One row a bar."""
    return {
        "key": [bar.key for bar in record.bars],
        "key text": [style.visible(bar.text) for bar in record.bars],
        "score": [bar.score if bar.visible else "masked" for bar in record.bars],
        "numerator": [bar.numerator for bar in record.bars],
        "probability": [bar.probability for bar in record.bars],
    }
