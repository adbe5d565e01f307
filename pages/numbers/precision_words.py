"""What the whole-model part says in words and small tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model_runtime.numbers.precision_texts import FormatText, PrecisionTexts
from model_runtime.numbers.precisions import (
    FIRST,
    INFINITE,
    NAN,
    REST,
    STREAM,
    FormatReading,
    PrecisionReport,
)
from model_runtime.records.formats import FORMATS
from model_runtime.tokenizer import Tokens
from pages.shared.escape import counted, plain, quoted, token_text
from viz.style import prose, share, three_digits

POWERS = range(17)  # of two, for the gain
NAMES = {
    "attn_out": "what attention adds",
    "mlp_post": "inside the MLP",
    "mlp_out": "what the MLP adds",
    STREAM: "the stream",
}


def gain_words(calm: PrecisionReport, layer: int, power: int) -> str:
    """How far the amplified MLP is from fp16's end, and what the gain did."""
    limit = float(FORMATS["fp16"].largest)
    size = float("nan") if calm.added is None else float(calm.added[layer])
    if np.isnan(size):
        return f"What the MLP of layer {layer} adds is multiplied by {2**power:,}." if power else ""
    needed = next((k for k in POWERS if size * 2**k > limit), None)
    said = f"The largest number that the MLP of layer {layer} adds is {three_digits(size)}; "
    said += "fp16 ends at 65,504. "
    if power:
        return said + f"Here it is multiplied by {2**power:,}."
    if needed is None:
        return said + f"Not even a gain of {2 ** POWERS[-1]:,} brings it there."
    return said + (f"A gain of {2**needed:,} should be too much." if needed else "That is too much already.")


def broken_words(reading: FormatReading, n_tokens: int) -> str:
    """Where a format broke and how it spread; "" where all is finite."""
    if reading.first_broken is None:
        return ""
    layer, point = reading.first_broken
    row = layer + (point == STREAM)
    infinite, nan = (int(n) for n in reading.counts[point][row][: NAN + 1])
    what = counted(infinite or nan, "number")
    where = "before the first layer" if layer < 0 else f"in layer {layer}, in {NAMES[point]}"
    said = (
        f"**{reading.key} breaks {where}:** {what} of {int(reading.sizes[point][row]):,} "
        f"{'becomes' if what == '1 number' else 'become'} {'infinite' if infinite else 'NaN'}. "
    )
    lost = n_tokens - reading.finite_tokens
    said += f"That is {lost[layer + 1]} of {counted(n_tokens, 'token')}"
    if layer + 2 < len(lost):
        said += f"; one layer later it is {lost[layer + 2]}"
    if infinite:
        said += ". A norm divides ∞ by ∞, which is no number"
        if layer + 2 < len(lost):
            said += ", and attention hands it on to every token that reads it"
    return said + "."


def text_table(found: PrecisionTexts, tokens: Tokens | None = None) -> str:
    """A row a format: its text, bold from where it parts from fp32's.

    Args:
        tokens: the model's, for a table whose pieces are joined by its own decoder.
    """
    rows = ["| format | text (↵: a new line; │: here it parts) |", "|---|---|"]
    reference = found.texts[0].tokens
    for number, text in enumerate(found.texts):
        cut = text.parting.index if text.parting else len(reference)
        if number and text.tokens == reference and not text.refusal:
            rows.append(f"| {text.key} | the same |")
            continue
        shared, own = (
            "".join(token.text for token in part)
            if tokens is None or tokens.joins_bytes
            else tokens.text([token.id for token in part])
            for part in (text.tokens[:cut], text.tokens[cut:])
        )
        # A bar where it parts: without something between them the bold half would not be read as such.
        said = plain(prose(shared)) + (f" │ **{plain(prose(own))}**" if own else "")
        rows.append(f"| {text.key} | {said or 'nothing'} |")
    return "\n".join(rows)


def parting_words(text: FormatText, reference: FormatText) -> str:
    """Where a format parts from fp32, with both probabilities."""
    parting = text.parting
    if parting is not None:
        mine, other = quoted(token_text(parting.other)), quoted(token_text(parting.reference))
        before, now = parting.in_reference, parting.in_format
        tie = now[0] == now[1]
        return (
            f"**{text.key} parts from fp32 at new token {parting.index + 1}:** {mine} instead of {other}. In "
            f"fp32 the two had {share(before[1])} and {share(before[0])}; in {text.key} "
            + (
                f"both have {share(now[0])}, a tie, and the token with the lower number is taken."
                if tie
                else f"{share(now[1])} and {share(now[0])}."
            )
        )
    if text.refusal:
        after = counted(len(text.tokens), "new token")
        return f"**{text.key} {f'stops after {after}' if text.tokens else 'writes nothing'}:** {text.refusal}"
    if reference.refusal:
        return f"**{text.key}** goes on where fp32 stops."
    return f"**{text.key}**: no difference in {counted(len(text.tokens), 'token')}."


def absent_words(counts: Sequence[np.ndarray]) -> str:
    """Which of infinity and NaN occurs nowhere, as a sentence; "" where both occur."""
    absent = [
        what
        for number, what in ((INFINITE, "infinity"), (NAN, "NaN"))
        if not any(table[:, number].any() for table in counts)
    ]
    return f"No {' and no '.join(absent)} in any format. " if absent else ""


def mathematics(report: PrecisionReport, layer: int) -> str:
    which = REST if report.n_tokens > 1 else FIRST
    said = [f"{key}: {share(float(error[layer + 1]))}" for key, error in report.errors(which).items()]
    who = "all tokens but the first" if which == REST else "the only token"
    return (
        r"$$\text{error}_l = \frac{\lVert x_l - x_l^{\text{fp32}} \rVert}"
        r"{\lVert x_l^{\text{fp32}} \rVert}$$"
        f"\n\nAfter layer {layer}, {who}: {'; '.join(said) or 'no other format'}. One rounding of a normal "
        f"number is at most $2^{{-11}}$ = {share(2.0**-11)} in fp16, $2^{{-8}}$ = {share(2.0**-8)} in bf16; "
        "a layer rounds many times, and later layers read what earlier ones rounded.\n\n"
        r"$$65{,}504 = (2 - 2^{-10}) \cdot 2^{15} \quad \text{is the largest number of fp16; from } 65{,}520 "
        r"\text{ on, rounding gives } \infty$$"
        "\n\n"
        r"$$\text{norm}(x)_i = \frac{x_i}{\sqrt{\frac{1}{d}\sum_j x_j^2}}: \qquad \frac{\infty}{\infty} = "
        r"\text{NaN}, \qquad \frac{x_i}{\infty} = 0, \qquad \text{NaN} \cdot w + \ldots = \text{NaN}$$"
    )


def layer_table(readings: Sequence[FormatReading], layer: int) -> str:
    """The largest numbers of a layer, as a small table."""
    rows = [
        f"**Largest numbers in layer {layer}**\n",
        f"| | {' | '.join(reading.key for reading in readings)} |",
        f"|---|{'---|' * len(readings)}",
    ]
    for point, name in NAMES.items():
        if point not in readings[0].largest:
            continue
        values = [float(reading.largest[point][layer + (point == STREAM)]) for reading in readings]
        if np.isnan(values[0]) and not readings[0].counts[point][layer + (point == STREAM)].any():
            continue
        said = " | ".join("∞" if np.isinf(v) else "NaN" if np.isnan(v) else three_digits(v) for v in values)
        rows.append(f"| {name} | {said} |")
    return "\n".join(rows)
