"""The forward pass followed step by step: six stops, one sentence and one thing to look at each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model_runtime.records.start import AttentionReading, EarlyGuesses
from viz import style
from viz.drawn import Stop
from viz.start.forward_pass import Block, ForwardPass

N_STEPS = 6
MOST_READ = 3  # tokens that the third step names


@dataclass(frozen=True)
class Walk:
    """What the steps say beyond the picture's own record.

    first_read: (token position, text, length) of the longest pieces that attention of the first block takes
        in, the longest first.
    visited: the layer of the fourth step; before, after: the probability of the final guess as the stream
        enters and leaves it, read out early.
    """

    first_read: tuple[tuple[int, str, float], ...]
    visited: int
    before: float
    after: float


def block_to_visit(record: ForwardPass) -> int:
    """The block after the first that adds most, as the bars measure it; the first where there is no other.

    The first is left out because it starts from a short vector: nearly every model's adds most there.
    """
    later = record.blocks[1:] or record.blocks
    return max(later, key=lambda block: block.attention_share + block.mlp_share).layer


def walk_record(
    reading: AttentionReading,
    guesses: EarlyGuesses,  # of the block to visit, about the final guess
    text_at: Callable[[int], str],  # token position -> its text
) -> Walk:
    """Measurements of two blocks -> what the steps say of them."""
    read = tuple((key, text_at(key), length) for key, length in reading.largest(MOST_READ))
    first, last = guesses.guesses[0], guesses.guesses[-1]
    return Walk(read, guesses.layer, first.probability, last.probability)


def invitation(record: ForwardPass) -> str:
    """What stands beside the button that begins the walk."""
    return f"Follow {_token(record)} through the model to its guess, in {N_STEPS} steps."


def stops(record: ForwardPass, walk: Walk) -> tuple[Stop, ...]:
    """The six stops of a walk, in plain text."""
    return (
        _cut(record),
        _row(record),
        _read(record, walk),
        _added(record, walk),
        _scaled(record),
        _end(record),
    )


def _token(record: ForwardPass) -> str:
    return style.quoted(record.selected.text)


def _cut(record: ForwardPass) -> Stop:
    pieces = "one piece" if record.n_tokens == 1 else f"{record.n_tokens:,} pieces"
    return Stop(
        "Tokens",
        f"The text is cut into {pieces} of a fixed list, and the model knows {_token(record)}, which we "
        f"follow, only as number {record.selected.id:,}.",
        "the outlined piece, with its number on the right.",
    )


def _row(record: ForwardPass) -> Stop:
    shown = len(record.selected.embedding)
    return Stop(
        "Its row of the table",
        f"Number {record.selected.id:,} picks its row of a learned table: {record.d_model:,} numbers, and "
        f"the token's stream begins as a vector of length {style.three_digits(record.stream_lengths[0])}.",
        f"the row's first {shown} numbers, drawn as colours.",
    )


def _read(record: ForwardPass, walk: Walk) -> Stop:
    added = style.three_digits(record.blocks[0].attention)
    if record.selected.position == 0:
        said = f"The first token has nobody but itself to read: attention adds a vector of length {added}."
    else:
        pieces = [
            f"{style.quoted(text)}{' itself' if key == record.selected.position else ''} "
            f"({style.three_digits(length)})"
            for key, text, length in walk.first_read
        ]
        several = f"{', '.join(pieces[:-1])} and {pieces[-1]}"
        said = (
            f"From the tokens up to itself, {_token(record)} takes in a vector of length {added}; the "
            f"longest pieces come from {several}."
        )
    return Stop(
        "Attention in block 0", said, "attention's bar in block 0, and the tokens that it takes most from."
    )


def _added(record: ForwardPass, walk: Walk) -> Stop:
    block = record.blocks[walk.visited]
    before, after = style.shares(walk.before, walk.after)
    where = "The only block" if len(record.blocks) == 1 else f"After the first, block {block.layer}"
    most = "adds" if len(record.blocks) == 1 else "adds most"
    verb = "rises" if walk.after > walk.before else "falls"
    moved = f"stays at {after}" if before == after else f"{verb} from {before} to {after}"
    return Stop(
        f"Block {block.layer}",
        f"{where} {most} ({_shares(block, record.mlp_name)} of the lengths that meet there): read out before "
        f"and after it, the final guess {style.quoted(record.candidates[0].text)} {moved}.",
        "the bright column; a click on any block opens what it changed.",
    )


def _shares(block: Block, mlp_name: str) -> str:
    attention, mlp = style.shares(block.attention_share, block.mlp_share)
    return f"attention {attention}, the {mlp_name} {mlp}"


def _scaled(record: ForwardPass) -> Stop:
    blocks = "one block" if len(record.blocks) == 1 else f"{len(record.blocks)} blocks"
    long = f"After {blocks} the stream has length {style.three_digits(record.stream_lengths[-1])}"
    if record.final_length is None:
        return Stop(
            "The end of the stream", f"{long}; this model has no final norm.", "the box on the stream."
        )
    return Stop(
        "Final norm",
        f"{long}; {record.norm} brings it to {style.three_digits(record.final_length)}, so that from here on "
        "only its direction counts.",
        "the two lengths, before and after.",
    )


def _end(record: ForwardPass) -> Stop:
    best = record.candidates[0]
    first, rest = style.shares(best.probability, record.rest_probability)
    left = record.d_vocab - len(record.candidates)
    others = f", and the {left:,} tokens not drawn have {rest} together" if left else ""
    return Stop(
        "Softmax, and the guess",
        f"The stream is compared with all {record.d_vocab:,} tokens and softmax makes shares of the scores: "
        f"{style.quoted(best.text)} gets {first}{others}.",
        "the longest bar; a click on any of them opens how its share comes about.",
    )
