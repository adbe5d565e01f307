"""One number of a pattern as an equation with its numbers in it, and in words. Markdown with formulas.

The text of tokens never enters a formula: the page puts it in, escaped, beside it.
"""

from __future__ import annotations

import math

from viz import style
from viz.attention.number.record import ScoreTerms


def latex(value: float, digits: int = 4) -> str:
    r"""A number for a formula.

    >>> latex(0.5), latex(-1234567.0), latex(1.5e-7), latex(float("-inf"))
    ('0.5', '-1.235 \\times 10^{6}', '1.5 \\times 10^{-7}', '-\\infty')
    """
    if math.isinf(value):
        return r"\infty" if value > 0 else r"-\infty"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return rf"{float(mantissa):g} \times 10^{{{int(exponent)}}}"


def in_brackets(value: float) -> str:
    """A number after an operator: negative ones in brackets."""
    return f"({latex(value)})" if value < 0 else latex(value)


def _display(formula: str) -> str:
    """A formula on lines of its own."""
    return f"\n\n$$\n{formula}\n$$\n\n"


def dot_line(record: ScoreTerms) -> str:
    """The dot product, a line a term: the largest, the rest together, and under them their sum.

    Factors have four digits: the sum of the products is then the last line's, to its third digit.
    """
    lines = [
        rf"q_{{{i}}} k_{{{i}}} &= {latex(record.q[i])} \cdot {in_brackets(record.k[i])} "
        rf"&&= {latex(record.products[i])}"
        for i in record.largest
    ]
    rest = record.dot - sum(record.products[i] for i in record.largest)
    n_rest = record.d_head - len(record.largest)
    if n_rest:
        lines.append(rf"\text{{{n_rest} other{'s' * (n_rest > 1)}}} & &&= {latex(rest)}")
    lines.append(rf"q \cdot k & &&= {latex(record.dot)}")
    return _display(rf"\begin{{aligned}} {(chr(92) * 2 + ' ').join(lines)} \end{{aligned}}")


def scale_line(record: ScoreTerms) -> str:
    """The scale, and the soft cap where there is one."""
    root = math.isclose(record.scaling, record.d_head**-0.5, rel_tol=1e-6)
    if root:
        formula = rf"\frac{{{latex(record.dot)}}}{{\sqrt{{{record.d_head}}}}}"
    else:
        formula = rf"{latex(record.dot)} \times {latex(record.scaling)}"
    line = _display(rf"s = {formula} = {latex(record.scaled)}")
    if record.softcap is not None:
        cap = latex(record.softcap)
        line += _display(
            rf"s' = {cap} \cdot \tanh\!\left(\frac{{{latex(record.scaled)}}}{{{cap}}}\right)"
            rf" = {latex(record.capped)}"
        )
    return line


def scale_words(record: ScoreTerms, q_handed_over_scaled: bool) -> str:
    """What the scale is for, in words."""
    said = f"**2. Scale.** Long vectors give large sums, so the sum is {_by(record)}."
    if q_handed_over_scaled:
        said = (
            f"**2. Scale.** This model divides q by √{record.d_head} before q and k meet, so nothing is left "
            "to divide here."
        )
    elif record.scaling == 1:
        said = "**2. Scale.** This model does not divide: the sum is the score."
    if record.softcap is not None:
        said += f" Then a soft cap bends it, so that no score exceeds ±{style.three_digits(record.softcap)}."
    return said


def _by(record: ScoreTerms) -> str:
    if math.isclose(record.scaling, record.d_head**-0.5, rel_tol=1e-6):
        return f"divided by √d_head = √{record.d_head} = {style.three_digits(record.d_head**0.5)}".replace(
            "d_head", r"d\_head"
        )
    return f"multiplied by this model's own scale, {style.three_digits(record.scaling)}"


def mask_words(record: ScoreTerms) -> str:
    """Whether the query may read the key."""
    if record.visible:
        return "**3. Mask.** The query may read this key, so the score stays as it is."
    later = record.key > record.query
    why = "it stands after the query, in its future" if later else "the mask of this layer hides it"
    return (
        f"**3. Mask.** The query may not read this key: {why}. Whatever its score, it becomes −∞, and "
        r"$e^{-\infty} = 0$."
    )


def softmax_line(record: ScoreTerms) -> str:
    """The fraction, with the largest score of the row taken off."""
    sink = rf" + \underbrace{{{latex(record.sink_term)}}}_{{\text{{sink}}}}" if record.sink_term else ""
    total = record.denominator - record.sink_term
    below = (
        rf"\underbrace{{{latex(total)}}}_{{{record.n_visible} \text{{ keys}}}}{sink}"
        if sink
        else latex(total)
    )
    score = "-\\infty" if not record.visible else latex(record.capped)
    less = f"- {in_brackets(record.row_max)}" if record.visible else ""
    return _display(
        rf"p = \frac{{e^{{{score} {less}}}}}{{\sum_j e^{{s_j - {in_brackets(record.row_max)}}}}}"
        rf" = \frac{{{latex(record.exp)}}}{{{below}}} = {latex(record.probability)}"
    )


def softmax_words(record: ScoreTerms) -> str:
    """What the fraction is, in words."""
    counts = {1: "the one key", 2: "both keys"}
    keys = counts.get(record.n_visible, f"all {record.n_visible:,} keys")
    sink = (
        " A learned sink stands in the denominator too: what it takes is read from nowhere."
        if record.sink_term
        else ""
    )
    return (
        f"**4. Softmax.** Its power of e, over the sum of the same for {keys} that this query may read. The "
        f"row's largest score, {style.three_digits(record.row_max)}, is taken off first: it cancels, and no "
        f"power overflows.{sink}"
    )


def agreement(record: ScoreTerms, dtype: str) -> str:
    """How far the number computed here is from the model's own."""
    ours, theirs = style.share(record.probability), style.share(record.measured)
    if record.difference == 0:
        return f"The pattern that this layer used has {theirs} here: the same number."
    return (
        f"Computed here in float64: {ours}. The pattern that this layer used, in {dtype}, has {theirs}: the "
        f"difference is {style.three_digits(record.difference)}."
    )


def rotation_words(record: ScoreTerms) -> str:
    """What the pairs of the rotation are, or nothing."""
    if not record.d_rotary:
        return ""
    half = record.d_rotary // 2
    rest = (
        "" if record.d_rotary == record.d_head else f" Dimensions from {record.d_rotary} on are not turned."
    )
    return (
        f"q and k are shown after the rotation (RoPE), which turned dimensions i and i + {half} together, as "
        f"one pair: the dotted line parts the first of each pair from the second.{rest}"
    )
