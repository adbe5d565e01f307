"""What one block changed for one token: whence attention took, and the guess before, within and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from model_runtime.records.start import AttentionReading, EarlyGuesses
from viz import style
from viz.drawn import Drawn
from viz.panels import (
    QUIET,
    Json,
    Look,
    bars,
    drawn,
    figure,
    heading,
    hover,
    ink,
    mono,
    on,
    panels,
    rows,
    spread,
)
from viz.start.forward_pass import Block
from viz.start.stream import ATTENTION_COLOR

N_READ = 5


@dataclass(frozen=True)
class Guess:
    """The likeliest next tokens at one point of the stream; `probability` and `rank` are the final guess's.

    `final_at`: its place among them; None where it is not one of them.
    """

    name: str
    texts: tuple[str, ...]
    shares: tuple[float, ...]
    final_at: int | None
    probability: float
    rank: int


@dataclass(frozen=True)
class BlockChange:
    """All that is said of one block and one token.

    read: (token position, text, length) of the longest pieces that attention took in, the longest first.
    head_reads: position and text of the token that `head`, the one that adds most, reads most.
    experts: (expert, weight) of those that the token asked; () in a dense layer.
    """

    block: Block
    mlp_name: str
    token: str
    position: int
    final: str  # the model's final guess after this token
    read: tuple[tuple[int, str, float], ...]
    head: int
    head_length: float
    head_reads: tuple[int, str]
    head_share: float
    guesses: tuple[Guess, ...]
    experts: tuple[tuple[int, float], ...]
    is_last: bool  # the last block's stream is what the model's own end reads


def block_change_record(
    reading: AttentionReading,
    guesses: EarlyGuesses,
    block: Block,
    *,
    mlp_name: str,
    is_last: bool,
    text_at: Callable[[int], str],  # token position -> its text
    text_of: Callable[[int], str],  # token id -> its text
) -> BlockChange:
    """Measurements of one block -> what is drawn and said of it."""
    head = reading.strongest_head
    key = int(reading.head_reads[head])
    in_turn = any(guess.point == "resid_mid" for guess in guesses.guesses)
    names = {
        "resid_pre": "Before the block",
        "resid_mid": "After attention",
        "resid_post": f"After the {mlp_name}" if in_turn else "After the block",
    }
    return BlockChange(
        block=block,
        mlp_name=mlp_name,
        token=text_at(reading.position),
        position=reading.position,
        final=text_of(guesses.token),
        read=tuple((at, text_at(at), length) for at, length in reading.largest(N_READ)),
        head=head,
        head_length=float(reading.head_lengths[head]),
        head_reads=(key, text_at(key)),
        head_share=float(reading.head_shares[head]),
        guesses=tuple(
            Guess(
                names[guess.point],
                tuple(map(text_of, guess.ids)),
                guess.probabilities,
                guess.ids.index(guesses.token) if guesses.token in guess.ids else None,
                guess.probability,
                guess.rank,
            )
            for guess in guesses.guesses
        ),
        experts=guesses.experts,
        is_last=is_last,
    )


def change_title(record: BlockChange) -> str:
    """The finding in plain text: what the block made of the final guess."""
    before, after = style.shares(record.guesses[0].probability, record.guesses[-1].probability)
    layer, final = record.block.layer, style.quoted(record.final, 12)
    return f"Block {layer}: {final}, read out early, {before} before and {after} after"


def attention_sentence(record: BlockChange) -> str:
    """What attention added, by which head, from where; plain text."""
    block = record.block
    key, text = record.head_reads
    where = "itself" if key == record.position else style.quoted(text)
    return (
        f"Attention added a vector of length {style.three_digits(block.attention)} "
        f"({style.share(block.attention_share)} of the lengths that meet here). Head {record.head} added "
        f"most ({style.three_digits(record.head_length)}); it reads {where} most, with "
        f"{style.share(record.head_share)} of its attention."
    )


def mlp_sentence(record: BlockChange) -> str:
    """What the MLP or the experts added; plain text."""
    block = record.block
    asked = [f"{expert} ({style.share(weight)})" for expert, weight in record.experts]
    experts = (
        f" This token asked {'expert' if len(asked) == 1 else 'experts'} {', '.join(asked)}." if asked else ""
    )
    return (
        f"The {record.mlp_name} added one of length {style.three_digits(block.mlp)} "
        f"({style.share(block.mlp_share)}), made of this token alone.{experts}"
    )


def guess_sentence(record: BlockChange) -> str:
    """The guess before and after; plain text."""
    first, last = record.guesses[0], record.guesses[-1]
    before, after = style.shares(first.probability, last.probability)
    end = (
        "This is the last block: what comes after it is the model's own guess."
        if record.is_last
        else "No block but the last is trained to be read out: an early guess may say little."
    )
    return (
        f"Read out before the block, {style.quoted(first.texts[0])} is the likeliest, after it "
        f"{style.quoted(last.texts[0])}; the final guess {style.quoted(record.final)} goes from {before} "
        f"(rank {first.rank:,}) to {after} (rank {last.rank:,}). {end}"
    )


def block_change_figure(record: BlockChange) -> Drawn:
    """The pieces that attention took in, beside the guesses at each point; on a phone one below the other."""
    return drawn(
        _figure,
        record,
        alt=" ".join((attention_sentence(record), mlp_sentence(record), guess_sentence(record))),
        stem="block-change",
        table=_table(record),
    )


def _figure(record: BlockChange, look: Look) -> go.Figure:
    n, row = 1 + len(record.guesses), 24
    gap = look.pick(0.118 if n > 3 else 0.14, 56 / (n * row * N_READ + (n - 1) * 56))
    spans = spread(n, gap)
    longest = look.pick(10, 18, 7)
    names = [[f"{at} {style.label(text, longest - 2)}" for at, text, _ in record.read]]
    names += [[style.label(text, longest) for text in guess.texts] for guess in record.guesses]
    top = max(share for guess in record.guesses for share in guess.shares)
    ends = [max((length for *_, length in record.read), default=1.0) or 1.0, *[top] * len(record.guesses)]
    room = look.pick(1.75, 1.3, 2.0)
    return figure(
        [_read_bars(record), *(_guess_bars(record, at) for at in range(len(record.guesses)))],
        **panels(
            look.pick(spans, [(0, 1)]),
            look.pick([(0, 1)], [(max(1 - b, 0), 1 - a) for a, b in spans]),
            x=[{"range": [0, room * end], **QUIET} for end in ends],
            y=[rows(each, tickfont=mono(), automargin=False) for each in names],
        ),
        title=look.title(style.inert(change_title(record)), ",", phone_lines=3),
        height=look.pick(row * N_READ + 102, n * row * N_READ + (n - 1) * 56 + 176),
        showlegend=False,
        bargap=0.28,
        annotations=[
            heading("<b>Attention took from token</b><br>length of the piece", 0, font=ink(12), align="left"),
            *(
                heading(
                    f"<b>{style.inert(guess.name)}</b><br>{_moment(at)}", at + 1, font=ink(12), align="left"
                )
                for at, guess in enumerate(record.guesses)
            ),
        ],
        margin={"l": look.pick(84, 140, 62), "r": 8, "t": look.pick(86, 156), "b": 12},
    )


def _moment(at: int) -> str:
    return "the guess, read out" if at == 0 else "read out again"


def _read_bars(record: BlockChange) -> Json:
    words = [style.three_digits(length) for *_, length in record.read]
    lines = [
        f"token {at}, “{style.label(text)}”: a piece of length {word}"
        for (at, text, _), word in zip(record.read, words, strict=True)
    ]
    lengths = [length for *_, length in record.read]
    return bars("attention took", lengths, words, marker={"color": ATTENTION_COLOR}, **hover(lines))


def _guess_bars(record: BlockChange, at: int) -> Json:
    """Bars of one read-out: the final guess full, the others pale."""
    guess = record.guesses[at]
    words = style.shares(*guess.shares)
    lines = [
        f"“{style.label(text)}”: {word}, {style.inert(guess.name)}"
        for text, word in zip(guess.texts, words, strict=True)
    ]
    pale = style.faded(style.LIGHT.accent, 0.4)
    colors = [style.LIGHT.accent if i == guess.final_at else pale for i in range(len(guess.texts))]
    return bars(
        style.inert(guess.name), guess.shares, words, marker={"color": colors}, **hover(lines), **on(at + 1)
    )


def _table(record: BlockChange) -> dict[str, list[object]]:
    """All numbers, one a row."""
    found: list[tuple[str, str, object]] = [
        ("attention took, length", f"{at} {style.visible(text)}", length) for at, text, length in record.read
    ]
    for guess in record.guesses:
        found += [
            (f"{guess.name}, probability", style.visible(text), share)
            for text, share in zip(guess.texts, guess.shares, strict=True)
        ]
        found.append((f"{guess.name}, final guess", style.visible(record.final), guess.probability))
    columns = zip(*found, strict=True)
    return dict(zip(("quantity", "token", "value"), map(list, columns), strict=True))
