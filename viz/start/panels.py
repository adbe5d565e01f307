"""Tokens, embedding and next tokens: the panels of the forward pass that stand upright on every screen.

Each function adds one panel to a figure. A panel's place is a `Box` in pixels of the plotting area, so
that panels and the curves between them are laid out together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from model_runtime.records.counts import counted
from viz import style
from viz.start.forward_pass import N_EMBEDDING_CELLS, Candidate, ForwardPass, TokenRow

# The candidates' axis reaches this much beyond the longest bar, for its number: about 42 pixels.
BAR_REACH, BAR_REACH_CLOSE = 2.0, 2.15
ROW = 27.0  # pixels: height of a token's or candidate's row
# Where things stand in the token panel, as fractions of its width.
TOKEN_END = 0.43
EMBEDDING_START = 0.69
_CELL = (1 - EMBEDDING_START) / N_EMBEDDING_CELLS


@dataclass(frozen=True)
class Box:
    """A panel's place: x as fractions of the width, y in pixels from the top of the plotting area."""

    left: float
    right: float
    top: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


@dataclass(frozen=True)
class Page:
    """The whole picture: its height in pixels, its direction, how much it says, what shares its scales."""

    height: float
    wide: bool
    roomy: bool = True  # wide enough for full sentences and long names
    together: tuple[ForwardPass, ...] = ()  # all records drawn on one scale, this one among them
    annotations: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)

    def annotate(self, **annotation: Any) -> None:
        """Add words. They are handed to plotly all at once: one by one takes it two seconds a picture."""
        self.annotations.append(annotation)

    def shape(self, **shape: Any) -> None:
        """Add a line or a box, likewise."""
        self.shapes.append(shape)

    def y(self, pixels: float) -> float:
        """Pixels from the top -> plotly's paper coordinate (0 at the foot, 1 at the top)."""
        return 1 - pixels / self.height

    def axes(
        self, figure: go.Figure, number: int, box: Box, x_range: list[float], y_range: list[float]
    ) -> None:
        """Make the pair of axes `number` fill `box`; nothing of an axis is drawn unless asked for later."""
        plain = {
            "showgrid": False,
            "zeroline": False,
            "showticklabels": False,
            "fixedrange": True,
            "ticks": "",
        }
        suffix = "" if number == 1 else str(number)
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            domain=[box.left, box.right], anchor=f"y{suffix}", range=x_range, **plain
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            domain=[self.y(box.bottom), self.y(box.top)], anchor=f"x{suffix}", range=y_range, **plain
        )


def heading(page: Page, at: tuple[float, float], title: str, line: str) -> None:
    """A stage's name with one quiet line below, standing on `at` (fraction, pixels from the top)."""
    place = {"x": at[0], "y": page.y(at[1]), "xref": "paper", "yref": "paper", "xanchor": "left"}
    page.annotate(
        text=f"<b>{title}</b>",
        yanchor="bottom",
        yshift=20,
        font={"size": 14, "color": style.LIGHT.ink},
        **place,
    )
    page.annotate(text=line, yanchor="bottom", yshift=4, font={"size": 11}, **place)


def short(text: str, most: int) -> str:
    """Token text as plotly may draw it, at most `most` characters."""
    return style.label(text, most)


def row_center(box: Box, index: int, n_rows: int) -> float:
    """Pixels from the top to the middle of row `index`, the rows standing in the middle of the box."""
    spare = box.height - n_rows * ROW
    return box.top + spare / 2 + (index + 0.5) * ROW


def row_range(box: Box, n_rows: int) -> list[float]:
    """y range in rows (0 is the first row's middle) so that the rows stand in the middle of the box."""
    spare = (box.height / ROW - n_rows) / 2
    return [n_rows - 0.5 + spare, -0.5 - spare]


def add_tokens(figure: go.Figure, page: Page, box: Box, record: ForwardPass) -> None:
    """Token boxes in their colours, ids, and the first numbers of each token's row of the embedding."""
    page.axes(figure, 1, box, [0, 1], row_range(box, len(record.rows)))
    rows = [(i, row) for i, row in enumerate(record.rows) if row is not None]
    figure.add_bar(
        name="tokens",
        orientation="h",
        x=[TOKEN_END] * len(rows),
        y=[i for i, _ in rows],
        width=0.8,
        marker={
            "color": [style.faded(style.token_color(row.id), 0.3) for _, row in rows],
            "cornerradius": 5,
            "line": {"color": style.LIGHT.accent, "width": [2.5 * _chosen(row, record) for _, row in rows]},
        },
        customdata=[["token", row.position] for _, row in rows],
        hovertemplate=[
            f"token {row.position}: “{short(row.text, 40)}”<br>id {row.id:,}<extra></extra>"
            for _, row in rows
        ],
    )
    for i, row in enumerate(record.rows):
        if row is None:
            _gap(page, i, record)
        else:
            _token_words(page, i, row, _chosen(row, record))
    nothing = (None,) * N_EMBEDDING_CELLS
    figure.add_heatmap(
        name="embedding",
        x0=EMBEDDING_START + 0.5 * _CELL,
        dx=_CELL,
        y=list(range(len(record.rows))),
        z=[nothing if row is None else row.embedding for row in record.rows],
        colorscale=style.SIGNED_SCALE,
        zmid=0,
        showscale=False,
        xgap=1,
        ygap=9,
        hoverongaps=False,
        hovertemplate="one of the embedding's numbers: %{z:.4f}<extra></extra>",
    )


def _chosen(row: TokenRow, record: ForwardPass) -> bool:
    return row.position == record.selected.position


def _token_words(page: Page, i: int, row: TokenRow, chosen: bool) -> None:
    text = short(row.text, 12 if page.roomy else 9)
    mono = {"family": style.MONO, "size": 13, "color": style.LIGHT.ink}
    page.annotate(
        text=f"<b>{text}</b>" if chosen else text, x=0.02, y=i, xref="x", yref="y", xanchor="left", font=mono
    )
    page.annotate(
        text=f"{row.id:,}",
        x=EMBEDDING_START - 0.03,
        y=i,
        xref="x",
        yref="y",
        xanchor="right",
        font={**mono, "size": 11, "color": style.LIGHT.muted},
    )


def _gap(page: Page, i: int, record: ForwardPass) -> None:
    before, after = record.rows[i - 1], record.rows[i + 1]
    assert before is not None
    assert after is not None
    text = f"⋮  {counted(after.position - before.position - 1, 'more token')}"
    page.annotate(text=text, x=0.02, y=i, xref="x", yref="y", xanchor="left", font={"size": 11})


def add_candidates(figure: go.Figure, page: Page, box: Box, record: ForwardPass) -> None:
    """The likeliest next tokens with their probabilities, and all others together as one hatched bar."""
    n = len(record.candidates)
    others = "all others" if page.roomy else "others"
    top = max(max(r.rest_probability, r.candidates[0].probability) for r in page.together)
    reach = BAR_REACH if page.roomy else BAR_REACH_CLOSE
    page.axes(figure, 4, box, [0, reach * top], row_range(box, n + 1))
    figure.layout.yaxis4.update(
        showticklabels=True,
        tickvals=list(range(n + 1)),
        ticktext=[*(short(c.text, 11 if page.roomy else 8) for c in record.candidates), others],
        tickfont={"family": style.MONO, "size": 13, "color": style.LIGHT.ink},
    )
    number = {
        "textposition": "outside",
        "cliponaxis": False,
        "textfont": {"size": 12, "color": style.LIGHT.ink},
    }
    place = {"orientation": "h", "xaxis": "x4", "yaxis": "y4", "width": 0.72}
    figure.add_bar(
        name="next token",
        x=[c.probability for c in record.candidates],
        y=list(range(n)),
        marker={"color": style.LIGHT.accent, "cornerradius": 3},
        text=[style.share(c.probability) for c in record.candidates],
        customdata=[["candidate", c.id] for c in record.candidates],
        hovertemplate=[_candidate_hover(c) for c in record.candidates],
        **place,
        **number,
    )
    together = f"{record.d_vocab - n:,} other tokens together: {style.share(record.rest_probability)}"
    figure.add_bar(
        name="all others",
        x=[record.rest_probability],
        y=[n],
        marker=style.CUT,
        text=[style.share(record.rest_probability)],
        hovertemplate=f"{together}<extra></extra>",
        **place,
        **number,
    )


def _candidate_hover(candidate: Candidate) -> str:
    return (
        f"“{short(candidate.text, 40)}” · id {candidate.id:,}<br>"
        f"probability {candidate.probability:.6g}, rank {candidate.rank}<extra></extra>"
    )
