"""The forward pass in words and as a table: what the picture's text alternative and its CSV say."""

from __future__ import annotations

from viz import style
from viz.start.forward_pass import Block, Candidate, ForwardPass


def title(record: ForwardPass) -> str:
    """The finding, as plotly draws it: what the model expects after the selected token."""
    best = record.candidates[0]
    return (
        f"After <b>“{style.label(record.selected.text)}”</b> comes <b>“{style.label(best.text)}”</b> "
        f"with probability {style.share(best.probability)}"
    )


def short_title(record: ForwardPass) -> str:
    """The finding in as few letters as a phone has room for."""
    best = record.candidates[0]
    token, following = style.label(record.selected.text, 10), style.label(best.text, 10)
    return f"After <b>“{token}”</b> comes <b>“{following}”</b>: {style.share(best.probability)}"


def stage_sentences(record: ForwardPass) -> tuple[str, str, str, str, str]:
    """The numbers of the selection, one text a stage: plain text with visible tokens, not escaped."""
    return (_tokens(record), _embedding(record), _additions(record), _norm(record), _next(record))


def sentences(record: ForwardPass) -> str:
    """The whole picture in words, for those who cannot see it."""
    return " ".join(filter(None, stage_sentences(record)))


def _quoted(text: str) -> str:
    return f"“{style.shorten(style.visible(text))}”"


def _tokens(record: ForwardPass) -> str:
    pieces = "one token" if record.n_tokens == 1 else f"{record.n_tokens:,} tokens"
    drawn = "" if record.n_left_out == 0 else f", of which {record.n_tokens - record.n_left_out} are drawn"
    selected = f"token {record.selected.position}, {_quoted(record.selected.text)}"
    return f"The prompt is {pieces}{drawn}. Selected is {selected}."


def _embedding(record: ForwardPass) -> str:
    length = f" of length {style.three_digits(record.stream_lengths[0])}" if record.blocks else ""
    return f"Its id {record.selected.id:,} becomes {record.d_model:,} numbers, a vector{length}."


def _additions(record: ForwardPass) -> str:
    if not record.blocks:
        return ""
    attention = max(record.blocks, key=lambda block: block.attention_share)
    mlp = max(record.blocks, key=lambda block: block.mlp_share)
    return (
        f"Attention's largest share is {style.share(attention.attention_share)} in block {attention.layer}, "
        f"the {record.mlp_name}'s {style.share(mlp.mlp_share)} in block {mlp.layer}."
    )


def _norm(record: ForwardPass) -> str:
    if not record.blocks:
        return ""
    blocks = "one block" if len(record.blocks) == 1 else f"{len(record.blocks)} blocks"
    said = f"After {blocks} the stream has length {style.three_digits(record.stream_lengths[-1])}"
    if record.final_length is None:
        return f"{said}; this model has no final norm."
    return f"{said}; {record.norm} makes that {style.three_digits(record.final_length)}."


def _next(record: ForwardPass) -> str:
    best = record.candidates[0]
    others = record.d_vocab - len(record.candidates)
    said = (
        f"{_quoted(best.text)} is the likeliest with {style.share(best.probability)}; "
        f"the {others:,} tokens not drawn share {style.share(record.rest_probability)}."
    )
    return said if record.followed_by is None else f"{said} {_followed(record.followed_by)}"


def _followed(candidate: Candidate) -> str:
    return (
        f"In the prompt {_quoted(candidate.text)} follows: rank {candidate.rank:,} with "
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
