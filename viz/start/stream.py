"""The residual stream of one token through all blocks: the heart of the forward-pass picture.

The stream is a band; attention's additions stand on one side of it, the MLP's on the other, on one scale.
On a wide screen it runs to the right, on a phone downwards: `Page.wide` turns the same drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from viz import style
from viz.start.forward_pass import Block, ForwardPass
from viz.start.panels import Box, Page

BAND = 26.0  # pixels: thickness of the stream
ATTENTION_COLOR = style.category(2)
MLP_COLOR = style.category(1)
_LEAST_SIDE = 0.15  # a side of the axis reaches at least this share, so that small bars look small


@dataclass(frozen=True)
class StreamScale:
    """The axis across the stream: bars start at the band's edges, one scale for both sides, in shares."""

    half_band: float
    low: float  # end of the MLP's side (negative)
    high: float  # end of attention's side

    @property
    def center(self) -> float:
        """Where the stream runs, as a fraction of the panel from its low end."""
        return -self.low / (self.high - self.low)


def stream_scale(records: Sequence[ForwardPass], pixels: float, room: float) -> StreamScale:
    """One scale for several records: a panel `pixels` across, with `room` pixels beyond the longest bars."""
    blocks = [block for record in records for block in record.blocks]
    attention = max([_LEAST_SIDE, *(block.attention_share for block in blocks)])
    mlp = max([_LEAST_SIDE, *(block.mlp_share for block in blocks)])
    pixel = (attention + mlp) / (pixels - BAND - 2 * room)  # in shares
    half_band = BAND * pixel / 2
    return StreamScale(half_band, -(mlp + half_band + room * pixel), attention + half_band + room * pixel)


def add_stream(figure: go.Figure, page: Page, box: Box, record: ForwardPass, scale: StreamScale) -> None:
    """The blocks as columns, the bars on both sides of the stream, and the stream itself over them."""
    along, across = [-0.6, len(record.blocks) - 0.4], [scale.low, scale.high]
    if page.wide:
        page.axes(figure, 2, box, along, across)
    else:  # downwards; attention's side is still the first one read, on the left
        page.axes(figure, 2, box, across[::-1], along[::-1])
    _blocks(figure, page, record, scale)
    attention = [b.attention_share for b in record.blocks]
    mlp = [b.mlp_share for b in record.blocks]
    for name, color, sign, shares in (
        ("attention adds", ATTENTION_COLOR, 1, attention),
        (f"{record.mlp_name} adds", MLP_COLOR, -1, mlp),
    ):
        _bars(
            figure,
            page,
            name=name,
            lengths=[sign * s for s in shares],
            base=sign * scale.half_band,
            width=0.62,
            marker={"color": color},
            hoverinfo="skip",
        )
        _number_of_largest(page, shares, sign, scale)
    _band(page, record, scale)


def _blocks(figure: go.Figure, page: Page, record: ForwardPass, scale: StreamScale) -> None:
    """One column a block over the whole height: what is hovered and clicked, the selected one tinted."""
    tint = style.faded(style.LIGHT.accent, 0.2)
    _bars(
        figure,
        page,
        name="blocks",
        lengths=[scale.high - scale.low] * len(record.blocks),
        base=scale.low,
        width=0.84,
        marker={
            "color": [
                tint if b.layer == record.selected_layer else style.LIGHT.surface for b in record.blocks
            ],
            "cornerradius": 4,
        },
        customdata=[["layer", b.layer] for b in record.blocks],
        hovertemplate=[_block_hover(b, record.mlp_name) for b in record.blocks],
    )


def _bars(figure: go.Figure, page: Page, *, lengths: list[float], **more: Any) -> None:
    layers = list(range(len(lengths)))
    places: dict[str, Any] = {"x": layers, "y": lengths} if page.wide else {"y": layers, "x": lengths}
    figure.add_bar(orientation="v" if page.wide else "h", xaxis="x2", yaxis="y2", **places, **more)


def point(page: Page, along: float, across: float) -> dict[str, float]:
    """A place in the stream panel: `along` in layers, `across` in shares."""
    return {"x": along, "y": across} if page.wide else {"x": across, "y": along}


def _number_of_largest(page: Page, shares: list[float], sign: int, scale: StreamScale) -> None:
    """Write the longest bar's share at its end: it doubles as the scale of that side."""
    if not shares:
        return
    top = max(range(len(shares)), key=shares.__getitem__)
    side = (
        {"yanchor": "bottom" if sign > 0 else "top"}
        if page.wide
        else {"xanchor": "right" if sign > 0 else "left"}
    )
    page.annotate(
        text=f"<b>{style.share(shares[top])}</b>",
        xref="x2",
        yref="y2",
        borderpad=1,
        **side,
        **point(page, top, sign * (scale.half_band + shares[top])),
        font={"size": 12, "color": style.LIGHT.ink},
    )


def _band(page: Page, record: ForwardPass, scale: StreamScale) -> None:
    """The stream, with the layers' numbers in it, thinned where they would touch."""
    n_layers = len(record.blocks)
    start, end = point(page, -0.6, -scale.half_band), point(page, n_layers - 0.4, scale.half_band)
    page.shape(
        type="rect",
        x0=start["x"],
        y0=start["y"],
        x1=end["x"],
        y1=end["y"],
        xref="x2",
        yref="y2",
        fillcolor=style.LIGHT.accent,
        line={"width": 0},
    )
    step = -(-n_layers // (32 if not page.wide else 16 if page.roomy else 9))
    for block in record.blocks:
        chosen = block.layer == record.selected_layer
        near = record.selected_layer is not None and 0 < abs(block.layer - record.selected_layer) < step
        if chosen or (block.layer % step == 0 and not near):
            page.annotate(
                text=f"<b>{block.layer}</b>" if chosen else f"{block.layer}",
                xref="x2",
                yref="y2",
                **point(page, block.layer, 0.0),
                font={"size": 11, "color": style.LIGHT.background},
            )


def _block_hover(block: Block, mlp_name: str) -> str:
    return (
        f"<b>block {block.layer}</b><br>the stream enters with length {style.three_digits(block.before)}<br>"
        f"attention adds {style.three_digits(block.attention)} ({style.share(block.attention_share)})<br>"
        f"{mlp_name} adds {style.three_digits(block.mlp)} ({style.share(block.mlp_share)})<br>"
        f"the stream leaves with length {style.three_digits(block.after)}<extra></extra>"
    )


def add_lengths(figure: go.Figure, page: Page, box: Box, record: ForwardPass) -> None:
    """How long the stream is before the first block and after each one, on a logarithmic axis."""
    lengths = list(record.stream_lengths)
    along = [layer - 0.5 for layer in range(len(lengths))]
    whole = [-0.6, len(record.blocks) - 0.4]
    places: dict[str, Any] = {"x": along, "y": lengths} if page.wide else {"x": lengths, "y": along}
    page.axes(figure, 3, box, *((whole, [0, 1]) if page.wide else ([0, 1], whole[::-1])))
    sized = figure.layout.yaxis3 if page.wide else figure.layout.xaxis3
    logs = [math.log10(length) for r in page.together for length in r.stream_lengths if length > 0]
    sized.update(type="log", range=[min(logs, default=0) - 0.2, max(logs, default=1) + 0.2])
    figure.add_scatter(
        name="length of the stream",
        mode="lines+markers",
        xaxis="x3",
        yaxis="y3",
        **places,
        line={"color": style.LIGHT.accent, "width": 1.5},
        marker={"size": 4, "color": style.LIGHT.accent},
        hovertemplate=[
            f"{_moment(layer)}: length {style.three_digits(length)}<extra></extra>"
            for layer, length in enumerate(lengths)
        ],
    )


def _moment(layer: int) -> str:
    return "as embedded" if layer == 0 else f"after block {layer - 1}"
