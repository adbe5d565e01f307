"""Four position schemes side by side: the table or bias itself, who resembles whom, and by distance."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.panels import PHONE, Json, Look, Span, drawn, figure, heading, heat, ink, note, on, scatter

MOST_CELLS = 64  # positions a side that are drawn; of more, every second, third ...
MOST_COLUMNS = 64  # columns of a table that are drawn
NAMES = {"sinusoidal": "Sinusoidal", "learned": "Learned", "rotary": "RoPE", "alibi": "ALiBi"}
_TABLES = {
    "sinusoidal": "added to the embedding",
    "learned": "added to the embedding",
    "rotary": "cos | sin, turn q and k",
    "alibi": "distance by head",
}
_PANELS = ("table", "similarity", "profile")  # of a scheme, numbered in this order
_HEAD = 0.085  # of the figure's height, for names
_GAP = 0.022  # of its width, between columns
_PROFILE = 0.2  # of its height

Rows = tuple[tuple[float | None, ...], ...]
Places = dict[str, tuple[Span, Span]]  # of a scheme's panels and its "name": across, up


@dataclass(frozen=True)
class Scheme:
    """One column of the picture. Everything is drawn for `positions`; profiles go over all distances."""

    key: str  # of NAMES
    source: str  # which table, in a few words
    positions: tuple[int, ...]
    table: Rows  # [position][column]; for ALiBi [distance][head]
    similarity: Rows  # [position i][position j]; None is masked
    mean: tuple[float, ...]  # [distance]
    low: tuple[float, ...]
    high: tuple[float, ...]
    explained: float  # share of the variance that the distance alone explains

    @property
    def name(self) -> str:
        return NAMES[self.key]

    @property
    def spread(self) -> float:
        """The largest difference at one distance."""
        return max(high - low for low, high in zip(self.low, self.high, strict=True))

    @property
    def table_reach(self) -> float:
        return reach_of(self.table)

    @property
    def similarity_reach(self) -> float:
        """Cosines have the scale -1 to 1; a bias has its own."""
        return reach_of(self.similarity) if self.key == "alibi" else 1.0


@dataclass(frozen=True)
class Missing:
    """A scheme that there is nothing of here, and why."""

    key: str
    reason: str

    @property
    def name(self) -> str:
        return NAMES[self.key]


def reach_of(rows: Rows) -> float:
    """The largest absolute value, above 0."""
    return max((abs(value) for row in rows for value in row if value is not None), default=0.0) or 1.0


def shown_positions(n: int, most: int = MOST_CELLS) -> tuple[int, ...]:
    """At most `most` of n positions, evenly apart, from 0.

    >>> shown_positions(5, 3), shown_positions(3, 3)
    ((0, 2, 4), (0, 1, 2))
    """
    return tuple(range(0, n, -(-n // most)))


def scheme_record(
    key: str,
    source: str,
    table: np.ndarray,  # [pos, column]
    similarity: np.ndarray,  # [pos, pos], -inf where masked
    profile: tuple[np.ndarray, np.ndarray, np.ndarray],  # mean, low, high [distance]
    explained: float,
) -> Scheme:
    """Values -> what will be drawn.

    Raises:
        ValueError: the similarity is not of these positions.
    """
    n = len(similarity)
    if similarity.shape != (n, n) or len(profile[0]) != n:
        raise ValueError(f"similarity {similarity.shape} and profile of {len(profile[0])} distances")
    at = np.array(shown_positions(n))
    mean, low, high = (tuple(float(value) for value in values) for values in profile)
    shown = _rows(table[at[at < len(table)]]), _rows(similarity[np.ix_(at, at)])
    return Scheme(key, source, tuple(int(i) for i in at), *shown, mean, low, high, float(explained))


def widest_columns(table: np.ndarray, most: int = MOST_COLUMNS) -> np.ndarray:
    """The columns of a table that vary most, in their own order, int [column]."""
    best = np.argsort(-table.var(axis=0, dtype=np.float64), kind="stable")[:most]
    return np.sort(best)


def _rows(values: np.ndarray) -> Rows:
    return tuple(tuple(float(v) if np.isfinite(v) else None for v in row) for row in values)


def explained_words(scheme: Scheme) -> str:
    """How far the distance alone decides, for the screen."""
    if scheme.spread <= 1e-4 * max(abs(scheme.mean[0] - min(scheme.mean)), 1e-12):
        return "alone decides"
    return f"explains {style.share(scheme.explained)}"


def scheme_sentence(scheme: Scheme | Missing) -> str:
    """One scheme in one sentence of plain text."""
    if isinstance(scheme, Missing):
        return f"{scheme.name}: {scheme.reason}"
    spread = style.three_digits(scheme.spread)
    return (
        f"{scheme.name} ({scheme.source}): the distance {explained_words(scheme)}; two pairs equally far "
        f"apart differ by {spread} at most."
    )


def schemes_figure(schemes: Sequence[Scheme | Missing]) -> Drawn:
    """Four columns; on a phone four blocks below one another."""
    shown = [scheme for scheme in schemes if isinstance(scheme, Scheme)]
    return drawn(
        _figure,
        schemes,
        alt="Four position schemes: the table or bias, the similarity of every two positions, and the "
        f"similarity by distance. {' '.join(scheme_sentence(scheme) for scheme in schemes)}",
        stem="position-schemes",
        table={
            "scheme": [scheme.name for scheme in shown for _ in scheme.mean],
            "distance": [d for scheme in shown for d in range(len(scheme.mean))],
            "mean": [v for scheme in shown for v in scheme.mean],
            "least": [v for scheme in shown for v in scheme.low],
            "largest": [v for scheme in shown for v in scheme.high],
        },
        tablet=PHONE,
    )


def _figure(schemes: Sequence[Scheme | Missing], look: Look) -> go.Figure:
    traces: list[Json] = []
    axes: Json = {}
    notes: list[Json] = []
    for number, scheme in enumerate(schemes):
        places = _places(number, len(schemes), look)
        source = style.inert(style.shorten(getattr(scheme, "source", "none here"), 30))
        words = f"<b>{scheme.name}</b>{look.pick('<br>', ', ')}{source}"
        notes.append(_corner(words, places["name"], font=ink(13)))
        if isinstance(scheme, Missing):
            reason = "<br>".join(textwrap.wrap(style.inert(scheme.reason), 31, break_on_hyphens=False))
            notes.append(_corner(reason, places["table"]))
            continue
        for panel, kind in enumerate(_PANELS, len(_PANELS) * number):
            traces += _profile(scheme, panel) if kind == "profile" else [_map(scheme, kind, panel)]
            axes |= _axes(scheme, kind, panel, places[kind])
            notes.append(_says(scheme, kind, panel, look))
    title = look.title(_title(schemes), ";", phone_lines=2)
    return figure(
        traces,
        **axes,
        title=title,
        height=look.pick(700, 4 * 400),
        width=look.pick(style.WIDE_PRINT, None),
        showlegend=False,
        annotations=notes,
        plot_bgcolor=style.LIGHT.background,
        margin={"l": 34, "t": look.pick(40, 64), "b": 30},
    )


def _title(schemes: Sequence[Scheme | Missing]) -> str:
    """Which schemes hold only distances."""
    known = [scheme for scheme in schemes if isinstance(scheme, Scheme)]
    pure = [scheme.name for scheme in known if explained_words(scheme) == "alone decides"]
    rest = [scheme.name for scheme in known if scheme.name not in pure]
    if not pure:
        return "Similarity of two positions under four schemes"
    said = ", ".join(pure[:-1]) + (" and " if len(pure) > 1 else "") + pure[-1]
    return f"{said}: only the distance counts" + (f"; {', '.join(rest)}: also the place" if rest else "")


def _places(number: int, count: int, look: Look) -> Places:
    """Where the panels of one scheme and its name stand."""
    if look is PHONE:  # in a block of its own
        low, tall = 1 - (number + 1) / count, 1 / count
        maps = (low + 0.36 * tall, low + 0.84 * tall)
        return {
            "name": ((0, 1), (low, low + 0.96 * tall)),
            "table": ((0, 0.46), maps),
            "similarity": ((0.54, 1), maps),
            "profile": ((0, 1), (low + 0.07 * tall, low + 0.26 * tall)),
        }
    across = (number / count + (_GAP if number else 0) / 2, (number + 1) / count - _GAP)
    middle = _PROFILE + (1 - _HEAD - _PROFILE) / 2
    return {
        "name": (across, (1 - _HEAD, 1)),
        "table": (across, (middle + 0.035, 1 - _HEAD - 0.02)),
        "similarity": (across, (_PROFILE + 0.045, middle - 0.01)),
        "profile": (across, (0, _PROFILE - 0.055)),
    }


def _corner(words: str, place: tuple[Span, Span], **more: Any) -> Json:
    """A text in the upper left corner of a place."""
    (left, _), (_, top) = place
    return note(words, left, top, "left top", xref="paper", yref="paper", align="left", **more)


def _says(scheme: Scheme, kind: str, panel: int, look: Look) -> Json:
    """A line above a panel: what it is, and the ends of its colours."""
    reach = style.three_digits(scheme.table_reach if kind == "table" else scheme.similarity_reach)
    similarity = "added to scores" if scheme.key == "alibi" else "similarity of i to j"
    space = look.pick(" ", "<br>")  # on a phone two maps stand side by side
    words = {
        "table": f"{_TABLES[scheme.key]},{space}±{reach}",
        "similarity": f"{similarity},{space}±{reach}",
        "profile": f"by distance: <b>{explained_words(scheme)}</b>",
    }[kind]
    color = style.LIGHT.ink if kind == "profile" else style.LIGHT.muted
    return heading(words, panel, align="left", font={"size": look.pick(12, 11), "color": color})


def _axes(scheme: Scheme, kind: str, panel: int, place: tuple[Span, Span]) -> Json:
    (x, y), (across, up) = on(panel).values(), place
    frame = {"showgrid": False, "showline": True, "mirror": True, "linecolor": style.LIGHT.line}
    shared = {"automargin": False, "tickfont": {"size": 10}, **({} if kind == "profile" else frame)}
    return {
        x.replace("x", "xaxis"): {"domain": across, "anchor": y, **_x_axis(scheme, kind), **shared},
        y.replace("y", "yaxis"): {"domain": up, "anchor": x, **_y_axis(scheme, kind), **shared},
    }


def _x_axis(scheme: Scheme, kind: str) -> Json:
    if kind == "table":
        return {"showticklabels": False}
    if kind == "profile":
        end = len(scheme.mean) - 1
        return {"tickvals": [0, end], "ticktext": ["0", f"{end:,}"], "range": [0, end or 1]}
    last = scheme.positions[-1]
    return {"tickvals": [0, last], "ticktext": ["j = 0", f"{last:,}"]}


def _y_axis(scheme: Scheme, kind: str) -> Json:
    if kind == "profile":
        low, high = min(scheme.low), max(scheme.high)
        room = 0.08 * ((high - low) or 1.0)
        return {"nticks": 3, "range": [low - room, high + room]}
    last = scheme.positions[-1]
    names = ["0", f"{last:,}"] if kind == "table" else ["i = 0", f"{last:,}"]
    step = scheme.positions[1] if len(scheme.positions) > 1 else 1
    return {"range": [last + step / 2, -step / 2], "tickvals": [0, last], "ticktext": names, "tickangle": -90}


def _map(scheme: Scheme, kind: str, panel: int) -> Json:
    is_table, at = kind == "table", np.array(scheme.positions, dtype=np.int32)
    rows = scheme.table if is_table else scheme.similarity
    reach = scheme.table_reach if is_table else scheme.similarity_reach
    named = ("distance", "head") if scheme.key == "alibi" else ("position", "column")
    hover = f"{named[0]} %{{y}}, {named[1]} %{{x}}" if is_table else "positions %{y} and %{x}"
    return heat(
        f"{scheme.name}, {kind}",
        np.array(rows, dtype=np.float32),
        -reach,
        reach,
        style.SIGNED_SCALE,
        y=at[: len(rows)],
        x=None if is_table else at,
        showscale=False,
        xgap=0,
        ygap=0,
        hovertemplate=f"{hover}<br>%{{z:.3g}}<extra>{scheme.name}</extra>",
        **on(panel),
    )


def _profile(scheme: Scheme, panel: int) -> list[Json]:
    """The mean by distance, in a band from the least to the largest value."""
    at = np.arange(len(scheme.mean), dtype=np.int32)
    band = scatter(
        f"{scheme.name}, least to largest",
        np.concatenate((at, at[::-1])),
        np.array([*scheme.high, *scheme.low[::-1]], dtype=np.float32),
        "lines",
        line={"width": 0, "color": style.category(1)},
        fill="toself",
        fillcolor=style.faded(style.category(1), 0.45),
        hoverinfo="skip",
        **on(panel),
    )
    mean = scatter(
        f"{scheme.name}, mean",
        at,
        np.array(scheme.mean, dtype=np.float32),
        "lines",
        line={"color": style.LIGHT.accent},
        hovertemplate=f"distance %{{x}}: %{{y:.3g}}<extra>{scheme.name}</extra>",
        **on(panel),
    )
    return [band, mean]
