"""One prompt at several temperatures, side by side on one scale: from one choice to all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.output.next_token.record import Report, shown_in_order
from viz.style import LIGHT, MONO, PROBABILITY_SCALE, TEMPLATE
from viz.text import label, share, three_digits

ROW_HEIGHT, TOP, BELOW, LEFT = 20, 86, 16, 150  # pixels
WIDTH = 900  # of an export; the page gives its own
AXIS_END = 1.9  # room for the words behind a bar of 1
GUTTER = 0.012  # between panels, of the figure's width


@dataclass(frozen=True)
class TemperaturePanel:
    """The distribution at one temperature."""

    temperature: float
    shares: tuple[float, ...]  # of the tokens that have a row, in their order
    rest: float  # of all others together
    effective_choices: float


@dataclass(frozen=True)
class TemperaturesRecord:
    """The same tokens at every temperature."""

    labels: tuple[str, ...]
    token_ids: tuple[int, ...]
    panels: tuple[TemperaturePanel, ...]
    n_others: int
    title: str


def temperatures_record(
    reports: Sequence[tuple[float, Report]], shown: Sequence[int], token_text: Callable[[int], str]
) -> TemperaturesRecord:
    """Put the distributions of several temperatures side by side.

    Args:
        reports: (temperature, its steps), all of the same logits.
        shown: ids of the tokens with a row of their own.
    """
    first = reports[0][1]
    ids = shown_in_order(first, shown)
    panels = tuple(_panel(temperature, report, ids) for temperature, report in reports)
    least, most = (three_digits(panel.effective_choices) for panel in (panels[0], panels[-1]))
    return TemperaturesRecord(
        labels=tuple(label(token_text(token_id), 15) for token_id in ids),
        token_ids=tuple(ids),
        panels=panels,
        n_others=first.d_vocab - len(ids),
        title=f"Temperature alone: from {least} to {most} choices",
    )


def _panel(temperature: float, report: Report, ids: Sequence[int]) -> TemperaturePanel:
    final = report.steps[-1]
    shares = tuple(float(final.probabilities[token_id]) for token_id in ids)
    left = final.n_kept - sum(bool(final.kept[token_id]) for token_id in ids)
    # Summed, not 1 less the others: of a tail of 10⁻¹⁸ rounding would leave nothing true.
    rest = float(np.delete(final.probabilities, list(ids)).sum()) if left else 0.0
    return TemperaturePanel(temperature, shares, rest, final.effective_choices)


def temperatures_figure(record: TemperaturesRecord) -> Drawn:
    """A panel a temperature, the same rows and the same axis in each; below 600 px one under the other."""
    figure = go.Figure(layout=_layout(record))
    rows = list(range(len(record.labels)))
    for number, panel in enumerate(record.panels):
        place = {"xaxis": f"x{_suffix(number)}", "yaxis": f"y{_suffix(number)}", "orientation": "h"}
        words = f"temperature {panel.temperature:g}"
        look = {"width": 0.72, "showlegend": False, "textposition": "outside", "constraintext": "none",
                "textfont": {"family": MONO, "size": 12}, "cliponaxis": False,
                "hovertemplate": "%{hovertext}<extra></extra>"}  # fmt: skip
        figure.add_trace(
            go.Bar(x=panel.shares, y=rows, name=words, marker={"color": LIGHT.accent}, **place, **look,
                   text=[share_words(value) for value in panel.shares],
                   hovertext=[f"{name}, {words}: {share(value)}"
                              for name, value in zip(record.labels, panel.shares, strict=True)])
        )  # fmt: skip
        figure.add_trace(
            go.Bar(x=[panel.rest], y=[len(rows)], name=f"{words}, others", **place, **look,
                   marker={"color": PROBABILITY_SCALE[1][1]}, text=[share_words(panel.rest)],
                   hovertext=[f"all other tokens, {words}: {share(panel.rest)}"])
        )  # fmt: skip
    return Drawn(
        figure=figure,
        alt=_alt(record),
        stem="temperatures",
        table=_table(record),
        narrow_layout=_narrow(record),
    )


def share_words(value: float) -> str:
    """A share behind its bar; a plain 0 where the step leaves nothing.

    >>> share_words(0.447).replace(chr(160), " "), share_words(0.0), share_words(0.00002)
    ('44.7 %', '0', '2.00 × 10⁻⁵')
    """
    return share(value) if value else "0"


def _suffix(number: int) -> str:
    return "" if number == 0 else str(number + 1)


def _height(record: TemperaturesRecord) -> int:
    return ROW_HEIGHT * (len(record.labels) + 1)


def _layout(record: TemperaturesRecord) -> go.Layout:
    n = len(record.panels)
    width = (1 - (n - 1) * GUTTER) / n
    ticks = [*(f"\u2068{name}\u2069 " for name in record.labels), f"{record.n_others:,} more "]
    axes: dict[str, object] = {}
    for number in range(n):
        start = number * (width + GUTTER)
        axes[f"xaxis{_suffix(number)}"] = {
            "domain": [start, start + width], "range": [0, AXIS_END], "anchor": f"y{_suffix(number)}",
            "tickvals": [0, 0.5, 1], "tickformat": "~%", "fixedrange": True, "showticklabels": False,
        }  # fmt: skip
        axes[f"yaxis{_suffix(number)}"] = {
            "domain": [0, 1], "range": [len(record.labels) + 0.5, -0.5], "anchor": f"x{_suffix(number)}",
            "tickvals": list(range(len(ticks))), "ticktext": ticks, "showticklabels": number == 0,
            "showgrid": False, "automargin": False, "fixedrange": True,
            "tickfont": {"family": MONO, "color": LIGHT.ink},
        }  # fmt: skip
    return go.Layout(
        template=TEMPLATE,
        height=TOP + _height(record) + BELOW,
        width=WIDTH,
        margin={"l": LEFT, "r": 12, "t": TOP, "b": BELOW},
        title={"text": record.title, "x": 0, "xref": "container", "y": 1, "yref": "container",
               "yanchor": "top", "pad": {"t": 8, "l": 4}},
        annotations=[_heading(number, panel) for number, panel in enumerate(record.panels)],
        **axes,
    )  # fmt: skip


def _heading(number: int, panel: TemperaturePanel) -> dict[str, object]:
    choices = three_digits(panel.effective_choices)
    word = "choice" if choices == "1" else "choices"
    return {
        "text": f"<b>T = {panel.temperature:g}</b><br>{choices} {word}",
        "font": {"color": LIGHT.ink}, "align": "left",
        "x": 0, "xref": f"x{_suffix(number)} domain", "xanchor": "left",
        "y": 1, "yref": f"y{_suffix(number)} domain", "yanchor": "bottom",
    }  # fmt: skip


def _narrow(record: TemperaturesRecord) -> dict[str, object]:
    """One panel under the other, each with its own labels."""
    n, heading = len(record.panels), 40
    panel = _height(record)
    inner = n * panel + (n - 1) * heading
    changes: dict[str, object] = {"margin.l": 120, "title.font.size": 12, "height": TOP + inner + BELOW}
    for number in range(n):
        top = 1 - number * (panel + heading) / inner
        changes[f"xaxis{_suffix(number)}.domain"] = [0, 1]
        changes[f"yaxis{_suffix(number)}.domain"] = [max(top - panel / inner, 0), top]
        changes[f"yaxis{_suffix(number)}.showticklabels"] = True
    return changes


def _alt(record: TemperaturesRecord) -> str:
    tops = "; ".join(
        f"at {panel.temperature:g} {record.labels[0]} has {share(panel.shares[0])}, "
        f"all {record.n_others:,} others {share(panel.rest)}"
        for panel in record.panels
    )
    return f"{record.title}. {tops}."


def _table(record: TemperaturesRecord) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {
        "token id": [*record.token_ids, ""],
        "token": [*record.labels, "all others"],
    }
    for panel in record.panels:
        table[f"temperature {panel.temperature:g}"] = [*panel.shares, panel.rest]
    return table
