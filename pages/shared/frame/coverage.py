"""Whether any text can be unknown to the loaded model's table, and what of this text is: in words."""

from __future__ import annotations

from model_runtime.model import Model
from model_runtime.records import Coverage, Tokenized
from model_runtime.tokenizer import names_of
from pages.shared.escape import counted, plain, quoted

N_BYTES = 243  # that UTF-8 uses of the 256


def table_words(model: Model) -> str:
    """What the model's table can write, as one sentence of markdown."""
    return coverage_words(plain(model.spec.name), model.tokens.coverage)


def coverage_words(name: str, coverage: Coverage) -> str:
    """The same of a table that is called `name`, which is escaped already."""
    if coverage.complete:
        return (
            f"The table of {name} has every byte of which texts are made, so no text is ever unknown to it."
        )
    then = (
        "is left out" if coverage.unknown is None else f"becomes {quoted(coverage.unknown)}, whatever it was"
    )
    missing = coverage.missing_bytes
    if missing is None:
        return f"The table of {name} has no bytes to fall back on: what it lacks {then}."
    which = "" if len(missing) > 16 else f" ({' '.join(f'{byte:02X}' for byte in missing)})"
    return (
        f"The table of {name} lacks {len(missing)} of the {N_BYTES} bytes of which texts are made{which}: "
        f"what needs one {then}."
    )


def loss_words(tokenized: Tokenized) -> str:
    """What of a text the model never reads, or reads only as unknown, in a sentence or two; "" if nothing."""
    said = []
    if tokenized.lost:
        lost = b"".join(token.bytes for token in tokenized.lost)
        spaces = not lost.strip()
        what = (
            f"{counted(len(lost), 'byte')} of spaces"
            if spaces
            else f"{counted(len(lost), 'byte')} of {names_of(_characters(tokenized))}"
        )
        why = "its tokenizer leaves them out" if spaces else "its table has no token for that"
        said.append(f"**{plain(tokenized.name)} never reads {what}:** {why}.")
    if unknown := sum(token.unknown for token in tokenized.tokens):
        said.append(f"It reads {counted(unknown, 'piece')} of the text as its token for what is unknown.")
    return " ".join(said)


def _characters(tokenized: Tokenized) -> str:
    """The characters that are lost, or of which a byte is."""
    data, found = tokenized.text.encode(), ""
    for token, (start, end) in zip(tokenized.tokens, tokenized.spans, strict=True):
        if not token.lost:
            continue
        while start > 0 and data[start] & 0xC0 == 0x80:
            start -= 1
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        found += data[start:end].decode()
    return found
