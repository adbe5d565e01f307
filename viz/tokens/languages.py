"""What one sentence costs in several languages: tokens in several tokenizers, as small multiples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz.drawn import Drawn
from viz.panels import Json, Look, bars, drawn, figure, heading, hover, ink, on, panels, rows, spread
from viz.style import LIGHT, PROBABILITY_SCALE, column, inert, shorten, three_digits

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
    between = three_digits(times) if len(panels) == 1 else " to ".join(column(least, times))
    return f"{name} costs {between} times the tokens of {names[0]}"


def languages_figure(record: Languages) -> Drawn:
    """A panel a tokenizer, a bar a language, the same axis in all; below 600 px one under the other."""
    return drawn(_figure, record, alt=_alt(record), stem="cost-of-languages", table=_table(record))


def _figure(record: Languages, look: Look) -> go.Figure:
    n, height = len(record.panels), ROW * len(record.names)
    stacked = look.pick(False, True)
    inner = n * height + (n - 1) * HEADING if stacked else height
    room = 1.5 if stacked or n == 2 else 2.1 if n > 2 else 1.25  # for the words behind the longest bar
    x = {"range": [0, record.end * room], "nticks": 4, "showticklabels": False}
    names = rows([f"{name} " for name in record.names], automargin=False, tickfont=ink(13))
    named = [{**names, "showticklabels": stacked or not panel} for panel in range(n)]
    spans = spread(n, HEADING / inner if stacked else GUTTER)
    traces, headings = [], []
    for at, panel in enumerate(record.panels):
        traces.append(_bars(record, panel, at))
        name, below = two_lines(panel.title)
        words = f"<b>{inert(name)}</b><br>{inert(below)}"
        headings.append(heading(words, at, font={"color": LIGHT.ink}, align="left"))
    return figure(
        traces,
        **panels(look.pick(spans, [(0, 1)]), look.pick([(0, 1)], spans[::-1]), x, named),
        width=look.pick(WIDTH, None),
        height=TOP + inner + BELOW,
        margin={"l": LEFT, "t": TOP, "b": BELOW},
        title=look.title(record.title, phone_size=12),
        annotations=headings,
        showlegend=False,
    )


def _bars(record: Languages, panel: LanguagePanel, at: int) -> Json:
    numbers = [*zip(record.names, panel.counts, panel.times, strict=True)]
    lines = [
        f"{name}, {inert(panel.title)}: {n} tokens, {three_digits(times)} times as many as in "
        f"{record.names[0]}"
        for name, n, times in numbers
    ]
    words = [f" {n}  <b>{times}×</b>" for n, times in zip(panel.counts, column(*panel.times), strict=True)]
    words[0] = f" {panel.counts[0]}"
    colors = [LIGHT.accent, *[PROBABILITY_SCALE[2][1]] * (len(numbers) - 1)]
    more: Json = {"width": 0.68, "marker": {"color": colors}, "constraintext": "none"}
    level = bars(panel.title, panel.counts, words, **more, **hover(lines), **on(at))
    return {**level, "textfont": {"size": 12}}


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
