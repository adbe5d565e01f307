"""The forward pass in words and as a table: what the picture's text alternative and its CSV say."""

from __future__ import annotations

from viz import style
from viz.forward_pass import Block, Candidate, ForwardPass


def title(record: ForwardPass) -> str:
    """The finding, as plotly draws it: what the model expects after the selected token."""
    best = record.candidates[0]
    return (
        f"After <b>“{style.label(record.selected.text)}”</b> comes <b>“{style.label(best.text)}”</b> "
        f"with probability {style.share(best.probability)}"
    )


def sentences(record: ForwardPass) -> tuple[str, ...]:
    """The numbers of the selection, one sentence a stage: plain text with visible tokens, not escaped."""
    said = [_tokens(record), _embedding(record)]
    if record.blocks:
        said += [_additions(record), _lengths(record)]
    said.append(_next(record))
    if record.followed_by is not None:
        said.append(_followed(record.followed_by))
    return tuple(said)


def _quoted(text: str) -> str:
    return f"“{style.shorten(style.visible(text))}”"


def _tokens(record: ForwardPass) -> str:
    pieces = "one token" if record.n_tokens == 1 else f"{record.n_tokens:,} tokens"
    drawn = "" if record.n_left_out == 0 else f", of which {record.n_tokens - record.n_left_out} are drawn"
    selected = f"token {record.selected.position}, {_quoted(record.selected.text)}"
    return f"The prompt is {pieces}{drawn}; selected is {selected}."


def _embedding(record: ForwardPass) -> str:
    length = f" of length {style.three_digits(record.stream_lengths[0])}" if record.blocks else ""
    return f"Its id {record.selected.id:,} is looked up as {record.d_model:,} numbers, a vector{length}."


def _additions(record: ForwardPass) -> str:
    attention = max(record.blocks, key=lambda block: block.attention_share)
    mlp = max(record.blocks, key=lambda block: block.mlp_share)
    return (
        f"Attention adds its largest share in block {attention.layer} ({_part(attention.attention_share)}), "
        f"the {record.mlp_name} in block {mlp.layer} ({_part(mlp.mlp_share)})."
    )


def _part(share: float) -> str:
    return f"{style.share(share)} of the lengths that meet there"


def _lengths(record: ForwardPass) -> str:
    last = record.stream_lengths[-1]
    norm = ""
    if record.final_length is not None:
        norm = f"; the final norm ({record.norm}) makes that {style.three_digits(record.final_length)}"
    return f"After {_count(record.blocks)} the stream has length {style.three_digits(last)}{norm}."


def _count(blocks: tuple[Block, ...]) -> str:
    return "one block" if len(blocks) == 1 else f"{len(blocks)} blocks"


def _next(record: ForwardPass) -> str:
    best = record.candidates[0]
    others = record.d_vocab - len(record.candidates)
    return (
        f"Of {record.d_vocab:,} possible next tokens {_quoted(best.text)} is the likeliest with "
        f"{style.share(best.probability)}; {others:,} tokens that are not drawn share "
        f"{style.share(record.rest_probability)}."
    )


def _followed(candidate: Candidate) -> str:
    return (
        f"In the prompt {_quoted(candidate.text)} follows: rank {candidate.rank:,} with probability "
        f"{style.share(candidate.probability)}."
    )


def table(record: ForwardPass) -> dict[str, list[object]]:
    """All numbers of the picture, one a row."""
    rows: list[tuple[str, str, str, object]] = []
    for row in record.rows:
        if row is not None:
            rows.append(("token", f"{row.position} {style.visible(row.text)}", "id", row.id))
            rows += [
                ("embedding", f"{row.position} {style.visible(row.text)}", f"number {k}", value)
                for k, value in enumerate(row.embedding)
            ]
    for block in record.blocks:
        rows += _block_rows(block, record.mlp_name)
    if record.final_length is not None:
        rows.append(("final norm", record.norm, "length", record.final_length))
    rows += [
        ("next token", f"{c.id} {style.visible(c.text)}", "probability", c.probability)
        for c in record.candidates
    ]
    rows.append(("next token", "all others", "probability", record.rest_probability))
    columns = zip(*rows, strict=True)
    return dict(zip(("part", "of", "quantity", "value"), map(list, columns), strict=True))


def _block_rows(block: Block, mlp_name: str) -> list[tuple[str, str, str, object]]:
    part = f"block {block.layer}"
    return [
        (part, "stream before", "length", block.before),
        (part, "attention", "length", block.attention),
        (part, "attention", "share", block.attention_share),
        (part, mlp_name, "length", block.mlp),
        (part, mlp_name, "share", block.mlp_share),
        (part, "stream after", "length", block.after),
    ]
