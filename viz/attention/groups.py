"""Which query heads share keys and values, and how much alike every two heads read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from model_runtime.records import HeadOverlap
from viz import style
from viz.attention.head_grid import bar_ticks
from viz.drawn import Drawn
from viz.panels import (
    QUIET,
    SILENT,
    Json,
    Look,
    box,
    columns,
    drawn,
    figure,
    heat,
    ink,
    note,
    rows,
    scatter,
    thinned,
)

_PANEL = 116  # pixels: height of one scheme
_BLOCK = 3.0  # its height on the y axis


@dataclass(frozen=True)
class Scheme:
    """One way to share: `n_heads` query heads over `n_kv_heads` key and value heads, in equal groups."""

    name: str
    n_heads: int
    n_kv_heads: int
    own: bool  # the loaded model's

    @property
    def per_group(self) -> int:
        return self.n_heads // self.n_kv_heads

    def kv_of(self, head: int) -> int:
        """The key and value head that a query head reads."""
        return head // self.per_group


@dataclass(frozen=True)
class KeyGroups:
    """The schemes that are drawn below each other, and the chosen query head."""

    schemes: tuple[Scheme, ...]
    head: int

    @property
    def own(self) -> Scheme:
        return next(scheme for scheme in self.schemes if scheme.own)


@dataclass(frozen=True)
class GroupOverlap:
    """How much alike heads read beyond the first token, 0 to 1, within groups and between them.

    None where there is no such pair, or where two heads read nothing but the first token.
    """

    layer: int
    head: int
    scheme: Scheme
    overlap: tuple[tuple[float | None, ...], ...]  # [head][head]
    n_queries: int
    first_share: float  # of the layer's attention that the first token gets
    within: float | None
    between: float | None


def schemes_of(n_heads: int, n_kv_heads: int) -> tuple[Scheme, ...]:
    """Multi-head, the model's own, multi-query; the model's own is one of them where it is.

    >>> [(scheme.name, scheme.n_kv_heads, scheme.own) for scheme in schemes_of(9, 3)]
    [('Multi-head', 9, False), ('Grouped-query', 3, True), ('Multi-query', 1, False)]
    >>> [(scheme.name, scheme.own) for scheme in schemes_of(4, 4)]
    [('Multi-head', True), ('Multi-query', False)]
    """
    counts = sorted({n_heads, n_kv_heads, 1}, reverse=True)
    names = {1: "Multi-query", n_heads: "Multi-head"}
    return tuple(
        Scheme(names.get(count, "Grouped-query"), n_heads, count, count == n_kv_heads) for count in counts
    )


def key_groups_record(n_heads: int, n_kv_heads: int, head: int) -> KeyGroups:
    """Values -> what will be drawn."""
    return KeyGroups(schemes_of(n_heads, n_kv_heads), head)


def group_overlap_record(measured: HeadOverlap, n_kv_heads: int, *, layer: int, head: int) -> GroupOverlap:
    """Values -> what will be drawn. Pairs of different heads only are averaged."""
    overlap, n_heads = measured.overlap, len(measured.overlap)
    scheme = next(scheme for scheme in schemes_of(n_heads, n_kv_heads) if scheme.own)
    group = np.array([scheme.kv_of(one) for one in range(n_heads)])
    same = group[:, None] == group[None, :]
    pairs = ~np.eye(n_heads, dtype=bool)
    return GroupOverlap(
        layer,
        head,
        scheme,
        tuple(tuple(float(v) if np.isfinite(v) else None for v in line) for line in overlap),
        measured.n_queries,
        measured.first_share,
        within=_mean(overlap, same & pairs),
        between=_mean(overlap, ~same),
    )


def _mean(values: np.ndarray, where: np.ndarray) -> float | None:
    known = values[where & np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None


def overlap_sentence(record: GroupOverlap) -> str:
    """Whether heads of one group read alike, in plain text."""
    if record.within is None and record.between is None:
        return "There is nothing to compare: one head only, or a prompt of one token."
    if record.within is None:
        return f"No two heads share keys; two heads overlap by {style.share(record.between or 0)} on average."
    inside = f"Two heads that share keys overlap by {style.share(record.within)} on average"
    if record.between is None:
        return f"{inside}: all heads share one key and value head."
    apart = record.within - record.between
    verdict = "about equally" if abs(apart) < 0.03 else "more" if apart > 0 else "less"
    outside = f"two that do not by {style.share(record.between)}"
    return f"{inside}, {outside}: heads of one group read {verdict} alike."


def key_groups_figure(record: KeyGroups) -> Drawn:
    """Query heads above, the key and value heads that they read below, one panel a scheme."""
    own = record.own
    shared = f"In this model {own.n_heads} query heads share {own.n_kv_heads}, {own.per_group} to each."
    words = shared if own.per_group > 1 else f"In this model each of {own.n_heads} heads has its own."
    return drawn(
        _groups,
        record,
        alt=f"Query heads over key and value heads. {words} Chosen is query head {record.head}; it reads key "
        f"and value head {own.kv_of(record.head)}.",
        stem="key-groups",
        table={
            "query head": [f"H{head}" for head in range(own.n_heads)],
            **{
                f"{scheme.name}: key and value head": [scheme.kv_of(head) for head in range(scheme.n_heads)]
                for scheme in record.schemes
            },
        },
    )


def _groups(record: KeyGroups, look: Look) -> go.Figure:
    n_heads, n_schemes = record.own.n_heads, len(record.schemes)
    bases = [-_BLOCK * number for number in range(n_schemes)]
    placed = list(zip(record.schemes, bases, strict=True))
    return figure(
        [trace for scheme, base in placed for trace in _scheme(scheme, base, record.head, look)],
        xaxis={"range": [-0.6, n_heads - 0.4], **QUIET},
        yaxis={"range": [bases[-1] - 0.5, 2.0], **QUIET},
        height=16 + _PANEL * n_schemes,
        showlegend=False,
        annotations=[
            note(_scheme_name(scheme, look), -0.5, base + 1.55, "left bottom", font=ink(13))
            for scheme, base in placed
        ],
        margin={"l": 4, "r": 4, "t": 8, "b": 4},
    )


def _scheme_name(scheme: Scheme, look: Look) -> str:
    kv = f"{scheme.n_kv_heads} key/value head{'s' if scheme.n_kv_heads > 1 else ''}"
    counts = look.pick(f"{scheme.n_heads} query heads, {kv}", f"{scheme.n_heads} over {scheme.n_kv_heads}")
    words = f"{scheme.name}: {counts}"
    return f"<b>{words} · this model</b>" if scheme.own else words


def _scheme(scheme: Scheme, base: float, chosen: int, look: Look) -> list[Json]:
    """A thin line from each head to its keys, the chosen head's thick; then the heads and the keys."""
    heads, kvs = range(scheme.n_heads), range(scheme.n_kv_heads)
    middles = [kv * scheme.per_group + (scheme.per_group - 1) / 2 for kv in kvs]  # below each group
    traces = []
    for own in (False, True):
        ends = [(head, middles[scheme.kv_of(head)]) for head in heads if (head == chosen) == own]
        look_of_line = {"width": 3 if own else 1.2, "color": style.LIGHT.ink if own else style.LIGHT.line}
        x = [place for head, kv in ends for place in (head, kv, None)]
        y = [place for _ in ends for place in (base + 1.2, base, None)]
        traces.append(scatter("reads", x, y, "lines", line=look_of_line, **SILENT))
    reads = [f"query head {h} reads key/value head {scheme.kv_of(h)}" for h in heads]
    groups = [[head for head in heads if scheme.kv_of(head) == kv] for kv in kvs]
    read_by = [f"query heads {g[0]}–{g[-1]}" if len(g) > 1 else f"query head {g[0]}" for g in groups]
    of_heads = [scheme.kv_of(head) for head in heads]
    return [
        *traces,
        _marks(f"queries {len(kvs)}", list(heads), base + 1.2, of_heads, chosen, look)
        | {"customdata": list(heads), "hovertemplate": [f"{words}<extra></extra>" for words in reads]},
        _marks(f"keys {len(kvs)}", middles, base, list(kvs), scheme.kv_of(chosen), look, "square", len(heads))
        | {
            "hovertemplate": [
                f"key and value head {kv}, read by {words}<extra></extra>" for kv, words in enumerate(read_by)
            ]
        },
    ]


def _marks(
    name: str,
    x: list[float],
    y: float,
    groups: list[int],
    chosen: int,
    look: Look,
    symbol: str = "circle",
    n_heads: int = 0,
) -> Json:
    """Numbered marks in the colours of their groups, the chosen one outlined."""
    n_heads, most = n_heads or len(x), look.pick(24, 12)  # heads with their numbers
    size = look.pick(26, 20) if n_heads <= most else max(6, round(look.pick(26, 20) * most / n_heads))
    colors = [style.category(group) for group in groups]
    outline = {"color": style.LIGHT.ink, "width": [3.0 if at == chosen else 0.5 for at in range(len(x))]}
    return scatter(
        name,
        x,
        [y] * len(x),
        "markers+text",
        marker={"symbol": symbol, "size": size, "color": colors, "line": outline},
        text=[str(at) if n_heads <= most else "" for at in range(len(x))],
        textfont={"size": 11, "color": [style.text_on(color) for color in colors]},
    )


def group_overlap_figure(record: GroupOverlap) -> Drawn:
    """Every pair of heads; groups are framed, the chosen head's name is bold."""
    n, size = len(record.overlap), record.scheme.per_group
    shown = thinned(n, 16)
    names = [f"<b>H{head}</b>" if head == record.head else f"H{head}" for head in shown]
    ticks = {"tickvals": shown, "ticktext": names, "constrain": "domain"}
    groups = [(kv * size - 0.5, kv * size + size - 0.5) for kv in range(record.scheme.n_kv_heads)]
    bar = {"len": 0.8, **bar_ticks(1.0, "share")}
    overlaps = heat(
        "overlap",
        record.overlap,
        0,
        1,
        style.PROBABILITY_SCALE,
        hovertemplate="H%{y} and H%{x}: overlap %{z:.4f}<extra></extra>",
        colorbar={"title": {"text": "overlap"}, **bar},
    )
    made = figure(
        [overlaps],
        xaxis=columns([""] * n, side="top") | ticks,
        yaxis=rows([""] * n, scaleanchor="x", constraintoward="top") | ticks,
        height=420,
        shapes=[] if size == 1 else [box(group, group) for group in groups],
        plot_bgcolor=style.MASKED,
        title={"text": _overlap_title(record)},
        margin={"t": 64},
    )
    return Drawn(
        made,
        f"How much alike the heads of layer {record.layer} read. {overlap_sentence(record)}",
        "head-overlap",
        {
            "head": [one for one in range(n) for _ in range(n)],
            "other head": [other for _ in range(n) for other in range(n)],
            "overlap": [value for line in record.overlap for value in line],
        },
        narrow_layout={"height": 380, "title": {"font": {"size": 13}}, "margin.r": 24},
    )


def _overlap_title(record: GroupOverlap) -> str:
    within, between = record.within, record.between
    if within is not None and between is not None:
        return f"L{record.layer}: {style.share(within)} alike in groups, {style.share(between)} across"
    alike = between if within is None else within
    return (
        f"L{record.layer}: heads overlap by {style.share(alike)}" if alike else f"L{record.layer}: one head"
    )
