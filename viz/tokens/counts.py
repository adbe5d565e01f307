"""How many tokens each tokenizer needs for one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records import Tokenized
from model_runtime.records.counts import counted
from viz.drawn import Drawn
from viz.panels import Look, bars, drawn, figure, hover, ink, rows
from viz.style import LIGHT, inert, shorten, three_digits
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
    counts = [one.n_taking for one in tokenized]
    rows = tuple(
        TokenCount(name, one.n_vocab, count, len(text) / max(count, 1))
        for name, one, count in zip(names, tokenized, counts, strict=True)
    )
    table = tuple(
        (name, position, token.id, token.text, hexed(token.bytes, " "))
        for name, one in zip(names, tokenized, strict=True)
        for position, token in enumerate(one.read)
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
    return drawn(
        _figure, record, alt=_alt(record), stem="tokens-per-tokenizer", table=_table(record), tablet=True
    )


def _figure(record: TokenCounts, look: Look) -> go.Figure:
    n, top = len(record.rows), look.pick(TOP, TOP + 20)
    names = [look.pick(row.title, row.title.split(" (")[0]) for row in record.rows]
    words = [f" <b>{row.n_tokens:,}</b>" + look.pick(f"  {_each(row)}", "", "") for row in record.rows]
    counts = bars(
        "tokens",
        [row.n_tokens for row in record.rows],
        words,
        width=BAR,
        marker={"color": LIGHT.accent},
        constraintext="none",
        **hover([_hover(row) for row in record.rows]),
    )
    return figure(
        [{**counts, "textfont": None}],
        height=top + ROW * n + BELOW,
        margin={"r": 12, "t": top},
        title={**look.title(record.title, ":"), **look.pick({}, {"pad": {"t": 22, "b": 10}})},
        xaxis={
            "range": [0, max(record.end, 1) * look.pick(1.5, 1.25, 1.25)],
            "title": {"text": "tokens"},
            "nticks": 6,
        },
        yaxis=rows([f"{inert(shorten(name))} " for name in names], tickfont=ink(look.pick(13, 11))),
    )


def _each(row: TokenCount) -> str:
    return f"{three_digits(row.characters_each)} characters each" if row.n_tokens else ""


def _hover(row: TokenCount) -> str:
    return (
        f"<b>{inert(row.title)}</b><br>{counted(row.n_tokens, 'token')}<br>{row.characters_each:.4g} "
        f"characters per token<br>vocabulary of {row.n_vocab:,}"
    )


def _alt(record: TokenCounts) -> str:
    counts = "; ".join(
        f"{row.title} {counted(row.n_tokens, 'token')}, {three_digits(row.characters_each)} characters each"
        for row in record.rows
    )
    return f"{record.n_characters:,} characters, {record.n_bytes:,} bytes. {counts}."


def _table(record: TokenCounts) -> dict[str, list[object]]:
    names = ("tokenizer", "position", "token id", "text", "bytes (hexadecimal)")
    return {name: [row[at] for row in record.table] for at, name in enumerate(names)}
