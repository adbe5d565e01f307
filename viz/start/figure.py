"""The layout of the forward-pass picture: left to right on wide screens, top to bottom on phones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.start import panels
from viz.start.forward_pass import ForwardPass
from viz.start.panels import ROW, Box, Page, heading, row_center
from viz.start.places import narrow_way, wide_way
from viz.start.stream import BAND, StreamScale, add_lengths, add_stream, stream_scale
from viz.start.walk import Walk, stops
from viz.start.words import sentences, short_title, table, title

WIDE_HEIGHT = 452.0
PHONE_WIDTH = 350.0  # pixels of the figure on a phone 390 wide
_NORM_HALF = 36.0  # pixels: half the height of the final norm's box


@dataclass(frozen=True)
class Columns:
    """Where the five stages stand on a wide screen, as fractions of its width, and how much is said there."""

    roomy: bool  # full sentences; else few words
    tokens: float  # right end
    embedding: float  # its heading
    stream: tuple[float, float]
    norm: tuple[float, float]
    following: float  # its heading, and where the fan ends
    bars: float  # left end of the next tokens' bars; their names stand before it


ROOMY = Columns(True, 0.25, 0.152, (0.285, 0.715), (0.738, 0.792), 0.822, 0.9)  # from 900 px
CLOSE = Columns(False, 0.33, 0.152, (0.355, 0.625), (0.65, 0.715), 0.755, 0.87)  # from 600 px


def forward_pass_figure(
    record: ForwardPass, beside: Sequence[ForwardPass] = (), walk: Walk | None = None
) -> Drawn:
    """The finished picture; clicks report ["token", position], ["layer", layer] or ["candidate", id].

    Args:
        beside: other records on the same page, which are drawn on the same scales.
        walk: what the steps through the picture say; None: it is not walked through.
    """
    together = (record, *beside)
    return Drawn(
        figure=wide_figure(record, together, walk=walk),
        alt=sentences(record),
        stem="forward-pass",
        table=table(record),
        narrow_figure=narrow_figure(record, together, walk),
        middle_figure=wide_figure(record, together, CLOSE, walk),
        walk=() if walk is None else stops(record, walk),
    )


def wide_figure(
    record: ForwardPass,
    together: tuple[ForwardPass, ...],
    columns: Columns = ROOMY,
    walk: Walk | None = None,
) -> go.Figure:
    """Left to right, for screens from 600 px: tokens, embedding, blocks, final norm, next token."""
    page = Page(height=WIDE_HEIGHT, wide=True, roomy=columns.roomy, together=together)
    tokens, stream = Box(0.0, columns.tokens, 0, WIDE_HEIGHT), Box(*columns.stream, 0, 346)
    norm, following = Box(*columns.norm, 0, 346), Box(columns.bars, 1.0, 0, WIDE_HEIGHT)
    figure = _empty(page, top=84)
    scale = stream_scale(together, stream.height, room=38)
    middle = stream.height * (1 - scale.center)
    _lanes_wide(page, tokens, stream, middle, record)
    panels.add_tokens(figure, page, tokens, record)
    add_stream(figure, page, stream, record, scale)
    add_lengths(figure, page, Box(stream.left, stream.right, 384, WIDE_HEIGHT - 8), record)
    panels.add_candidates(figure, page, following, record)
    _final_norm(page, norm, middle, record)
    _fan(page, (norm.right, middle), columns.following, following, record)
    _names_wide(page, stream, scale, record)
    heading(page, (0.0, 0), "① Tokens", _pieces(record, columns.roomy))
    heading(page, (columns.embedding, 0), "② Embedding", f"{record.d_model:,} numbers each")
    heading(page, (stream.left, 0), f"③ {_blocks(record)}", _stream_line(record, columns.roomy))
    heading(page, (norm.left - 0.012, 0), "④ Norm", "one scale")
    heading(page, (columns.following, 0), "⑤ Next token", f"{record.d_vocab:,} compared")
    figure.update_layout(
        title={"text": title(record) if columns.roomy else short_title(record)},
        width=style.WIDE_PRINT,
        annotations=page.annotations,
        shapes=page.shapes,
    )
    if walk is not None:
        figure.layout.meta = wide_way(
            page,
            record,
            walk,
            tokens=tokens,
            stream=stream,
            middle=middle,
            norm=(norm, _NORM_HALF),
            following=(columns.following, row_center(following, 0, len(record.candidates) + 1)),
            embedding=columns.embedding,
        )
    return figure


def _selected(record: ForwardPass) -> str:
    return f"“{style.label(record.selected.text, 12)}”"


def _blocks(record: ForwardPass) -> str:
    return "1 block" if len(record.blocks) == 1 else f"{len(record.blocks)} blocks"


def _stream_line(record: ForwardPass, roomy: bool = True) -> str:
    return f"each adds to {'the stream of ' if roomy else ''}{_selected(record)}"


def _pieces(record: ForwardPass, roomy: bool = True) -> str:
    pieces = "1 piece" if record.n_tokens == 1 else f"{record.n_tokens:,} pieces"
    return f"{pieces} of text" if roomy else pieces


def _empty(page: Page, top: float) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template=style.TEMPLATE,
        height=page.height + top + 8,
        margin={"l": 4, "r": 4, "t": top, "b": 8},
        barmode="overlay",
        showlegend=False,
        hovermode="closest",
        dragmode=False,
    )
    return figure


def _line(page: Page, path: str, color: str, width: float) -> None:
    page.shape(
        type="path",
        path=path,
        xref="paper",
        yref="paper",
        layer="below",
        line={"color": color, "width": width},
    )


def _sideways(page: Page, start: tuple[float, float], end: tuple[float, float]) -> str:
    """A soft S to the right; points are (fraction of the width, pixels from the top)."""
    (x0, y0), (x1, y1) = start, end
    half = (x0 + x1) / 2
    return f"M {x0},{page.y(y0)} C {half},{page.y(y0)} {half},{page.y(y1)} {x1},{page.y(y1)}"


def _lanes_wide(page: Page, tokens: Box, stream: Box, middle: float, record: ForwardPass) -> None:
    """The selected token becomes the stream; the tokens before it are what attention can read."""
    for i, row in enumerate(record.rows):
        if row is None or row.position > record.selected.position:
            continue
        start = (tokens.right + 0.004, row_center(tokens, i, len(record.rows)))
        if row.position == record.selected.position:
            _line(page, _sideways(page, start, (stream.left, middle)), style.LIGHT.accent, 4)
        else:
            end = (stream.left, middle - BAND)
            _line(page, _sideways(page, start, end), style.LIGHT.line, 1)


def _final_norm(page: Page, box: Box, middle: float, record: ForwardPass) -> None:
    """The last length, and what the final norm makes of it, in a box on the stream."""
    path = f"M {box.left - (0.03 if page.roomy else 0.025)},{page.y(middle)} L {box.left},{page.y(middle)}"
    _line(page, path, style.LIGHT.accent, 4)
    page.shape(
        type="rect",
        xref="paper",
        yref="paper",
        x0=box.left,
        x1=box.right,
        y0=page.y(middle + _NORM_HALF),
        y1=page.y(middle - _NORM_HALF),
        line={"color": style.LIGHT.accent, "width": 1.5},
    )
    page.annotate(
        text=norm_words(record),
        x=(box.left + box.right) / 2,
        y=page.y(middle),
        xref="paper",
        yref="paper",
        xanchor="center",
        yanchor="middle",
        font={"size": 12, "color": style.LIGHT.ink},
    )


def norm_words(record: ForwardPass) -> str:
    """Length before and after the final norm, one below the other."""
    before = style.three_digits(record.stream_lengths[-1]) if record.blocks else ""
    return (
        before
        if record.final_length is None
        else f"{before}<br>↓<br>{style.three_digits(record.final_length)}"
    )


def _fan(page: Page, start: tuple[float, float], end: float, box: Box, record: ForwardPass) -> None:
    """From the final norm to each candidate, the thicker the likelier."""
    for i, candidate in enumerate(record.candidates):
        path = _sideways(page, start, (end, row_center(box, i, len(record.candidates) + 1)))
        _line(page, path, style.LIGHT.accent, 0.5 + 7 * candidate.probability)


def _names_wide(page: Page, stream: Box, scale: StreamScale, record: ForwardPass) -> None:
    """Direct labels: which side is attention's, which the MLP's, and what the line below is."""
    n_layers = len(record.blocks)
    ink = {"size": 12, "color": style.LIGHT.ink}
    page.annotate(
        text="▲ <b>Attention</b> adds what it reads in earlier tokens"
        if page.roomy
        else "▲ <b>Attention</b>: earlier tokens",
        x=n_layers - 0.4,
        y=scale.high,
        xref="x2",
        yref="y2",
        xanchor="right",
        yanchor="top",
        font=ink,
    )
    page.annotate(
        text=f"▼ <b>The {record.mlp_name}</b> adds what it makes of this one token"
        if page.roomy
        else f"▼ <b>{record.mlp_name}</b>: this token",
        x=n_layers - 0.4,
        y=scale.low,
        xref="x2",
        yref="y2",
        xanchor="right",
        yanchor="bottom",
        font=ink,
    )
    first, last = (style.three_digits(record.stream_lengths[end]) for end in (0, -1))
    page.annotate(
        text=f"Length of the stream: {first} as embedded, {last} at the end (log scale)"
        if page.roomy
        else f"Length (log scale): {first} → {last}",
        x=stream.left,
        y=page.y(366),
        xref="paper",
        yref="paper",
        xanchor="left",
        font=ink,
    )


def narrow_figure(
    record: ForwardPass, together: tuple[ForwardPass, ...], walk: Walk | None = None
) -> go.Figure:
    """Top to bottom, for phones: the same panels one below the other, the stream running downwards."""
    gap = 58.0  # between panels: the next one's heading
    deep = max(150.0, min(14.0 * len(record.blocks), 480.0))
    tokens = Box(0.0, 1.0, 0, len(record.rows) * ROW)
    stream = Box(0.0, 0.84, tokens.bottom + gap + 24, tokens.bottom + gap + 24 + deep)
    norm = stream.bottom + gap
    following = Box(0.34, 1.0, norm + gap, norm + gap + (len(record.candidates) + 1) * ROW)
    page = Page(height=following.bottom, wide=False, together=together)
    figure = _empty(page, top=84)
    scale = stream_scale(together, 0.84 * PHONE_WIDTH, room=48)
    panels.add_tokens(figure, page, tokens, record)
    add_stream(figure, page, stream, record, scale)
    add_lengths(figure, page, Box(0.87, 1.0, stream.top, stream.bottom), record)
    panels.add_candidates(figure, page, following, record)
    _names_narrow(page, stream, scale, record)
    heading(page, (0, 0), "① Tokens", _pieces(record))
    heading(page, (0.6, 0), "② Embedding", f"{record.d_model:,} numbers each")
    heading(page, (0, stream.top - 20), f"③ {_blocks(record)}", _stream_line(record))
    heading(page, (0, norm), "④ Final norm", _norm_line(record))
    heading(page, (0, following.top), "⑤ Next token", f"{record.d_vocab:,} compared, the likeliest shown")
    figure.update_layout(
        title={"text": short_title(record), "font": {"size": 14}},
        annotations=page.annotations,
        shapes=page.shapes,
    )
    if walk is not None:
        figure.layout.meta = narrow_way(
            page,
            record,
            walk,
            tokens=tokens,
            stream=stream,
            middle=stream.right * (1 - scale.center),
            norm=norm,
            following=following,
        )
    return figure


def _names_narrow(page: Page, stream: Box, scale: StreamScale, record: ForwardPass) -> None:
    middle = stream.right * (1 - scale.center)
    place = {"y": page.y(stream.top), "xref": "paper", "yref": "paper", "yanchor": "bottom", "yshift": 1}
    ink = {"size": 12, "color": style.LIGHT.ink}
    page.annotate(text="◀ <b>Attention</b>", x=middle - 0.05, xanchor="right", font=ink, **place)
    page.annotate(text=f"<b>{record.mlp_name}</b> ▶", x=middle + 0.05, xanchor="left", font=ink, **place)
    page.annotate(text="length<br>(log)", x=1.0, xanchor="right", font={"size": 10}, **place)


def _norm_line(record: ForwardPass) -> str:
    if not record.blocks or record.final_length is None:
        return "one scale for every token"
    before, after = record.stream_lengths[-1], record.final_length
    return f"length {style.three_digits(before)} becomes {style.three_digits(after)}"
