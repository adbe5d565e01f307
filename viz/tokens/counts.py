"""How many tokens each tokenizer needs for one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records import Tokenized
from viz.drawn import Drawn
from viz.style import LIGHT, TEMPLATE, inert, shorten, three_digits
from viz.tokens.columns import hexed

ROW, TOP, BELOW = 40, 52, 44  # pixels
BAR = 0.62  # of a row


@dataclass(frozen=True)
class TokenCount:
    """One tokenizer's count on the text."""

    title: str
    n_vocab: int
    n_tokens: int  # that take some of the text, without what is added
    characters_each: float


@dataclass(frozen=True)
class TokenCounts:
    """What the figure shows; `table` is every token of every tokenizer."""

    rows: tuple[TokenCount, ...]
    n_characters: int
    n_bytes: int
    end: int  # of the axis
    title: str
    table: tuple[tuple[str, int, int, str, str], ...]  # tokenizer, position, id, text, bytes


def token_counts_record(
    tokenized: Sequence[Tokenized], titles: Sequence[str] = (), end: int | None = None
) -> TokenCounts:
    """Tokenizations of one text -> what will be drawn.

    Args:
        titles: names to show; none: the tokenizers' own.
        end: where the axis ends, for figures on one scale.
    """
    text = tokenized[0].text
    names = tuple(titles) or tuple(one.name for one in tokenized)
    counts = [sum(span[0] < span[1] for span in one.spans) for one in tokenized]
    rows = tuple(
        TokenCount(name, one.n_vocab, count, len(text) / max(count, 1))
        for name, one, count in zip(names, tokenized, counts, strict=True)
    )
    table = tuple(
        (name, position, token.id, token.text, hexed(token.bytes, " "))
        for name, one in zip(names, tokenized, strict=True)
        for position, token in enumerate(one.tokens)
    )
    return TokenCounts(
        rows, len(text), len(text.encode()), end or max(counts, default=0), _title(rows, len(text)), table
    )


def _title(rows: Sequence[TokenCount], n_characters: int) -> str:
    size = f"{n_characters:,} character{'' if n_characters == 1 else 's'}"
    least, most = min(row.n_tokens for row in rows), max(row.n_tokens for row in rows)
    if least == most:
        return f"{size}, {most:,} token{'' if most == 1 else 's'}" + (" in each" if len(rows) > 1 else "")
    fewest = [row.title for row in rows if row.n_tokens == least]
    who = fewest[0] if len(fewest) == 1 else f"{len(fewest)} of {len(rows)} tokenizers"
    verb = "needs" if len(fewest) == 1 else "need"
    return f"{inert(who)} {verb} fewest tokens: {least:,} for {size}; the most is {most:,}"


def token_counts_figure(record: TokenCounts) -> Drawn:
    """A bar a tokenizer, from 0; characters per token written behind it."""
    return Drawn(
        figure=_figure(record, narrow=False),
        alt=_alt(record),
        stem="tokens-per-tokenizer",
        table=_table(record),
        narrow_figure=_figure(record, narrow=True),
    )


def _figure(record: TokenCounts, narrow: bool) -> go.Figure:
    y = list(range(len(record.rows)))
    bars = go.Bar(
        name="tokens",
        orientation="h",
        x=[row.n_tokens for row in record.rows],
        y=y,
        width=BAR,
        marker={"color": LIGHT.accent},
        text=[f" <b>{row.n_tokens:,}</b>" + ("" if narrow else f"  {_each(row)}") for row in record.rows],
        textposition="outside",
        constraintext="none",
        cliponaxis=False,
        hovertext=[_hover(row) for row in record.rows],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    names = [row.title.split(" (")[0] if narrow else row.title for row in record.rows]
    layout = go.Layout(
        template=TEMPLATE,
        height=TOP + 20 * narrow + ROW * len(y) + BELOW,
        margin={"l": 8, "r": 12, "t": TOP + 20 * narrow, "b": 8},
        title={"text": record.title.replace(": ", ":<br>") if narrow else record.title,
               "font": {"size": 13 if narrow else 16}, "pad": {"t": 22 if narrow else 6, "b": 10}},
        xaxis={"range": [0, max(record.end, 1) * (1.25 if narrow else 1.5)], "title": {"text": "tokens"},
               "fixedrange": True, "nticks": 6},
        yaxis={"range": [len(y) - 0.5, -0.5], "tickvals": y, "showgrid": False, "fixedrange": True,
               "ticktext": [f"{inert(shorten(name))} " for name in names],
               "tickfont": {"color": LIGHT.ink, "size": 11 if narrow else 13}},
    )  # fmt: skip
    return go.Figure(bars, layout)


def _each(row: TokenCount) -> str:
    return f"{three_digits(row.characters_each)} characters each" if row.n_tokens else ""


def _hover(row: TokenCount) -> str:
    return (
        f"<b>{inert(row.title)}</b><br>{row.n_tokens:,} tokens<br>{row.characters_each:.4g} characters "
        f"per token<br>vocabulary of {row.n_vocab:,}"
    )


def _alt(record: TokenCounts) -> str:
    counts = "; ".join(
        f"{row.title} {row.n_tokens:,} tokens, {three_digits(row.characters_each)} characters each"
        for row in record.rows
    )
    return f"{record.n_characters:,} characters, {record.n_bytes:,} bytes. {counts}."


def _table(record: TokenCounts) -> dict[str, list[object]]:
    names = ("tokenizer", "position", "token id", "text", "bytes (hexadecimal)")
    return {name: [row[at] for row in record.table] for at, name in enumerate(names)}
