"""What one sentence costs in several languages: tokens in several tokenizers, as small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.style import LIGHT, PROBABILITY_SCALE, TEMPLATE, inert, shorten, three_digits

ROW, TOP, BELOW, LEFT, HEADING = 24, 86, 16, 82, 40  # pixels
LONGEST_NAME = 15  # characters of a line over a panel
GUTTER = 0.02  # between panels, of the figure's width
WIDTH = 900  # of an export; the page gives its own


@dataclass(frozen=True)
class LanguagePanel:
    """One tokenizer: tokens of the sentence in each language."""

    title: str
    counts: tuple[int, ...]
    times: tuple[float, ...]  # as many as in the first language


@dataclass(frozen=True)
class Languages:
    """The same sentence in every language, cut by every tokenizer."""

    names: tuple[str, ...]
    sentences: tuple[str, ...]
    panels: tuple[LanguagePanel, ...]
    end: int  # of all axes
    title: str


def languages_record(
    sentences: Mapping[str, str], counts: Mapping[str, Sequence[int]], end: int | None = None
) -> Languages:
    """Counts of tokens -> what will be drawn.

    Args:
        sentences: language -> the sentence; the first language is what the others are compared with.
        counts: tokenizer -> tokens, in the order of the languages.
    """
    panels = tuple(
        LanguagePanel(title, tuple(n), tuple(one / max(n[0], 1) for one in n)) for title, n in counts.items()
    )
    most = max((max(panel.counts) for panel in panels), default=1)
    return Languages(
        tuple(sentences), tuple(sentences.values()), panels, end or most, _title(sentences, panels)
    )


def _title(sentences: Mapping[str, str], panels: Sequence[LanguagePanel]) -> str:
    names = list(sentences)
    times, name = max(
        (times, name) for panel in panels for times, name in zip(panel.times, names, strict=True)
    )
    least = min(panel.times[names.index(name)] for panel in panels)
    between = three_digits(times) if len(panels) == 1 else f"{three_digits(least)} to {three_digits(times)}"
    return f"{name} costs {between} times the tokens of {names[0]}"


def languages_figure(record: Languages) -> Drawn:
    """A panel a tokenizer, a bar a language, the same axis in all; below 600 px one under the other."""
    figure = go.Figure(layout=_layout(record))
    rows = list(range(len(record.names)))
    for number, panel in enumerate(record.panels):
        figure.add_trace(
            go.Bar(
                name=panel.title, x=panel.counts, y=rows, orientation="h", width=0.68, showlegend=False,
                xaxis=f"x{_suffix(number)}", yaxis=f"y{_suffix(number)}",
                marker={"color": [LIGHT.accent, *[PROBABILITY_SCALE[2][1]] * (len(rows) - 1)]},
                text=[f" {n}  <b>{three_digits(times)}×</b>" if at else f" {n}"
                      for at, (n, times) in enumerate(zip(panel.counts, panel.times, strict=True))],
                textposition="outside", constraintext="none", cliponaxis=False, textfont={"size": 12},
                hovertext=[f"{name}, {inert(panel.title)}: {n} tokens, {three_digits(times)} times as many "
                           f"as in {record.names[0]}"
                           for name, n, times in zip(record.names, panel.counts, panel.times, strict=True)],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )  # fmt: skip
    return Drawn(figure, _alt(record), "cost-of-languages", _table(record), narrow_layout=_narrow(record))


def _suffix(number: int) -> str:
    return "" if number == 0 else str(number + 1)


def _height(record: Languages) -> int:
    return ROW * len(record.names)


def _layout(record: Languages) -> go.Layout:
    n = len(record.panels)
    width = (1 - (n - 1) * GUTTER) / n
    rows = list(range(len(record.names)))
    axes: dict[str, object] = {}
    for number in range(n):
        start = number * (width + GUTTER)
        axes[f"xaxis{_suffix(number)}"] = {
            "domain": [start, min(start + width, 1)], "anchor": f"y{_suffix(number)}", "nticks": 4,
            "range": [0, record.end * (2.1 if n > 2 else 1.5 if n == 2 else 1.25)], "fixedrange": True,
            "showticklabels": False,
        }  # fmt: skip
        axes[f"yaxis{_suffix(number)}"] = {
            "domain": [0, 1], "anchor": f"x{_suffix(number)}", "range": [len(rows) - 0.5, -0.5],
            "tickvals": rows, "ticktext": [f"{name} " for name in record.names], "automargin": False,
            "showticklabels": number == 0, "showgrid": False, "fixedrange": True,
            "tickfont": {"color": LIGHT.ink, "size": 13},
        }  # fmt: skip
    headings = [_heading(number, panel) for number, panel in enumerate(record.panels)]
    return go.Layout(
        template=TEMPLATE, width=WIDTH, height=TOP + _height(record) + BELOW,
        margin={"l": LEFT, "r": 8, "t": TOP, "b": BELOW}, title={"text": record.title},
        annotations=headings, **axes,
    )  # fmt: skip


def _heading(number: int, panel: LanguagePanel) -> dict[str, object]:
    name, below = two_lines(panel.title)
    return {
        "text": f"<b>{inert(name)}</b><br>{inert(below)}", "font": {"color": LIGHT.ink}, "align": "left",
        "x": 0, "xref": f"x{_suffix(number)} domain", "xanchor": "left",
        "y": 1, "yref": f"y{_suffix(number)} domain", "yanchor": "bottom",
    }  # fmt: skip


def two_lines(title: str) -> tuple[str, str]:
    """A tokenizer's name over a narrow panel: what stands in brackets, or the end of a long name, below.

    >>> two_lines("cl100k_base (GPT-4)"), two_lines("SmolLM2-135M-Instruct"), two_lines("GPT-2")
    (('cl100k_base', 'GPT-4'), ('SmolLM2-135M-', 'Instruct'), ('GPT-2', ''))
    """
    name, _, model = title.partition(" (")
    if model or len(name) <= LONGEST_NAME:
        return shorten(name, LONGEST_NAME), shorten(model.rstrip(")"), LONGEST_NAME)
    cut = name.rfind("-", 0, LONGEST_NAME) + 1 or LONGEST_NAME
    return name[:cut], shorten(name[cut:], LONGEST_NAME)


def _narrow(record: Languages) -> dict[str, object]:
    """One panel under the other, each with its own names."""
    n, panel = len(record.panels), _height(record)
    inner = n * panel + (n - 1) * HEADING
    changes: dict[str, object] = {"title.font.size": 12, "height": TOP + inner + BELOW}
    for number in range(n):
        top = 1 - number * (panel + HEADING) / inner
        changes[f"xaxis{_suffix(number)}.domain"] = [0, 1]
        changes[f"xaxis{_suffix(number)}.range"] = [0, record.end * 1.5]
        changes[f"yaxis{_suffix(number)}.domain"] = [max(top - panel / inner, 0), top]
        changes[f"yaxis{_suffix(number)}.showticklabels"] = True
    return changes


def _alt(record: Languages) -> str:
    said = "; ".join(
        f"{panel.title}: "
        + ", ".join(f"{name} {n}" for name, n in zip(record.names, panel.counts, strict=True))
        for panel in record.panels
    )
    return f"{record.title}. Tokens of one sentence. {said}."


def _table(record: Languages) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {
        "language": [*record.names],
        "sentence": [*record.sentences],
        "characters": [len(sentence) for sentence in record.sentences],
        "bytes": [len(sentence.encode()) for sentence in record.sentences],
    }
    for panel in record.panels:
        table[f"tokens, {panel.title}"] = [*panel.counts]
    return table
