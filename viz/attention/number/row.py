"""The softmax of one row: what every key puts into the denominator, the chosen one marked."""

from __future__ import annotations

from viz import style
from viz.attention.number.record import RowBar, SoftmaxRow
from viz.drawn import Drawn
from viz.panels import Json, figure, mono, share_ticks

_NAMES_UP_TO = 24


def softmax_row_figure(record: SoftmaxRow) -> Drawn:
    """A bar for each key, as a share of the denominator."""
    kinds: dict[str, list[tuple[int, RowBar]]] = {"other keys": [], "this key": [], "masked": []}
    for at, bar in enumerate(record.bars):
        kinds["masked" if not bar.visible else "this key" if bar.chosen else "other keys"].append((at, bar))
    made = figure(
        [_bars(name, bars) for name, bars in kinds.items() if bars or name != "masked"],
        xaxis={
            **_names(record),
            "showgrid": False,
            "fixedrange": False,
            "range": [-0.6, len(record.bars) - 0.4],
        },
        yaxis={
            "title": {"text": "share of the denominator"},
            "range": [0, 1.1],
            **share_ticks(0, 1, 3),
            "fixedrange": False,
        },
        height=300,
        barmode="overlay",
        showlegend=False,
        title={"text": title(record)},
    )
    return Drawn(
        made,
        alt(record),
        "attention-softmax",
        {
            "key": [bar.key for bar in record.bars],
            "key text": [style.visible(bar.text) for bar in record.bars],
            "score": [bar.score if bar.visible else "masked" for bar in record.bars],
            "numerator": [bar.numerator for bar in record.bars],
            "probability": [bar.probability for bar in record.bars],
        },
        {"title": {"font": {"size": 13}}},
    )


def _bars(name: str, bars: list[tuple[int, RowBar]]) -> Json:
    """Bars of one kind; a key that the mask hides is a hatched place, with nothing in it."""
    made: Json = {
        "type": "bar",
        "name": name,
        "x": [at for at, _ in bars],
        "customdata": [[bar.key, _hover(bar)] for _, bar in bars],
        "hovertemplate": "%{customdata[1]}<extra></extra>",
    }
    if name == "masked":
        return {**made, "y": [0.06] * len(bars), "marker": style.CUT}
    return {
        **made,
        "y": [bar.probability for _, bar in bars],
        "marker": {"color": style.LIGHT.accent if name == "this key" else style.PROBABILITY_SCALE[2][1]},
        "text": [style.share(bar.probability) if bar.chosen else "" for _, bar in bars],
        "textposition": "outside",
        "cliponaxis": False,
    }


def _hover(bar: RowBar) -> str:
    if not bar.visible:
        score = f"score {style.signed(bar.score)}, masked: −∞"
        return f"{bar.key} “{style.label(bar.text)}”<br>{score}<br><b>0\u00a0%</b>"
    return (
        f"{bar.key} “{style.label(bar.text)}”<br>score {style.signed(bar.score)}<br>"
        f"e^(score − max) = {style.significant(bar.numerator, 4)}<br><b>{style.share(bar.probability)}</b>"
    )


def _names(record: SoftmaxRow) -> Json:
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
        "tickfont": mono(),
    }


def title(record: SoftmaxRow) -> str:
    """The finding, as plotly draws it."""
    chosen = next(bar for bar in record.bars if bar.chosen)
    key, query = style.label(chosen.text, 12), style.label(record.query_text, 12)
    if not chosen.visible:
        return f"“{key}” is hidden from “{query}”: <b>0\u00a0%</b>"
    return f"“{key}” gets <b>{style.share(chosen.probability)}</b> of what “{query}” reads"


def alt(record: SoftmaxRow) -> str:
    """The row in words."""
    chosen = next(bar for bar in record.bars if bar.chosen)
    seen = sum(bar.visible for bar in record.bars)
    hidden = len(record.bars) - seen
    words = [
        f"Shares of the softmax of query {record.query} {style.quoted(record.query_text)} over {seen} keys; "
        f"the chosen key, {chosen.key} {style.quoted(chosen.text)}, has {style.share(chosen.probability)}."
    ]
    if hidden:
        words.append("One key is masked." if hidden == 1 else f"{hidden:,} keys are masked.")
    if record.sink is not None:
        words.append(f"A learned sink takes {style.share(record.sink)}.")
    return " ".join(words)
