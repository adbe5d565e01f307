"""One number of a pattern as an equation with its numbers in it, and in words. Markdown with formulas.

The text of tokens never enters a formula: the page puts it in, escaped, beside it.
"""

from __future__ import annotations

import math

from model_runtime.records import ScoreTerms
from viz import style
from viz.attention.number.record import OneNumber


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


def dot_line(record: OneNumber) -> str:
    """The dot product, a line a term: the largest, the rest together, and under them their sum.

    Factors have four digits: the sum of the products is then the last line's, to its third digit.
    """
    lines = [
        rf"q_{{{i}}} k_{{{i}}} &= {latex(record.terms.q[i])} \cdot {in_brackets(record.terms.k[i])} "
        rf"&&= {latex(record.terms.products[i])}"
        for i in record.largest
    ]
    rest = record.terms.dot - sum(record.terms.products[i] for i in record.largest)
    n_rest = record.d_head - len(record.largest)
    if n_rest:
        lines.append(rf"\text{{{n_rest} other{'s' * (n_rest > 1)}}} & &&= {latex(rest)}")
    lines.append(rf"q \cdot k & &&= {latex(record.terms.dot)}")
    return _display(rf"\begin{{aligned}} {(chr(92) * 2 + ' ').join(lines)} \end{{aligned}}")


def scale_line(terms: ScoreTerms) -> str:
    """The scale, and the soft cap where there is one."""
    d_head = len(terms.q)
    root = math.isclose(terms.scaling, d_head**-0.5, rel_tol=1e-6)
    if root:
        formula = rf"\frac{{{latex(terms.dot)}}}{{\sqrt{{{d_head}}}}}"
    else:
        formula = rf"{latex(terms.dot)} \times {latex(terms.scaling)}"
    line = _display(rf"s = {formula} = {latex(terms.scaled)}")
    if terms.softcap is not None:
        cap = latex(terms.softcap)
        line += _display(
            rf"s' = {cap} \cdot \tanh\!\left(\frac{{{latex(terms.scaled)}}}{{{cap}}}\right)"
            rf" = {latex(terms.capped)}"
        )
    return line


def scale_words(terms: ScoreTerms, q_handed_over_scaled: bool) -> str:
    """What the scale is for, in words."""
    d_head = len(terms.q)
    said = f"**2. Scale.** Long vectors give large sums, so the sum is {_by(terms)}."
    if q_handed_over_scaled:
        said = (
            f"**2. Scale.** This model divides q by √{d_head} before q and k meet, so nothing is left "
            "to divide here."
        )
    elif terms.scaling == 1:
        said = "**2. Scale.** This model does not divide: the sum is the score."
    if terms.softcap is not None:
        cap = style.three_digits(terms.softcap)
        said += f" Then a soft cap bends it, so that no score exceeds ±{cap}."
    return said


def _by(terms: ScoreTerms) -> str:
    d_head = len(terms.q)
    if math.isclose(terms.scaling, d_head**-0.5, rel_tol=1e-6):
        return f"divided by √d_head = √{d_head} = {style.three_digits(d_head**0.5)}".replace(
            "d_head", r"d\_head"
        )
    return f"multiplied by this model's own scale, {style.three_digits(terms.scaling)}"


def mask_words(terms: ScoreTerms) -> str:
    """Whether the query may read the key."""
    if terms.visible:
        return "**3. Mask.** The query may read this key, so the score stays as it is."
    later = terms.key_pos > terms.query_pos
    why = "it stands after the query, in its future" if later else "the mask of this layer hides it"
    return (
        f"**3. Mask.** The query may not read this key: {why}. Whatever its score, it becomes −∞, and "
        r"$e^{-\infty} = 0$."
    )


def softmax_line(terms: ScoreTerms) -> str:
    """The fraction, with the largest score of the row taken off."""
    sink = rf" + \underbrace{{{latex(terms.sink_term)}}}_{{\text{{sink}}}}" if terms.sink_term else ""
    total = terms.denominator - terms.sink_term
    below = (
        rf"\underbrace{{{latex(total)}}}_{{{terms.n_visible} \text{{ keys}}}}{sink}" if sink else latex(total)
    )
    score = "-\\infty" if not terms.visible else latex(terms.capped)
    less = f"- {in_brackets(terms.row_max)}" if terms.visible else ""
    return _display(
        rf"p = \frac{{e^{{{score} {less}}}}}{{\sum_j e^{{s_j - {in_brackets(terms.row_max)}}}}}"
        rf" = \frac{{{latex(terms.exp)}}}{{{below}}} = {latex(terms.probability)}"
    )


def softmax_words(terms: ScoreTerms) -> str:
    """What the fraction is, in words."""
    counts = {1: "the one key", 2: "both keys"}
    keys = counts.get(terms.n_visible, f"all {terms.n_visible:,} keys")
    sink = (
        " A learned sink stands in the denominator too: what it takes is read from nowhere."
        if terms.sink_term
        else ""
    )
    return (
        f"**4. Softmax.** Its power of e, over the sum of the same for {keys} that this query may read. The "
        f"row's largest score, {style.three_digits(terms.row_max)}, is taken off first: it cancels, "
        f"and no power overflows.{sink}"
    )


def agreement(record: OneNumber, dtype: str) -> str:
    """How far the number computed here is from the model's own."""
    ours, theirs = style.share(record.terms.probability), style.share(record.measured)
    if record.difference == 0:
        return f"The pattern that this layer used has {theirs} here: the same number."
    return (
        f"Computed here in float64: {ours}. The pattern that this layer used, in {dtype}, has {theirs}: the "
        f"difference is {style.three_digits(record.difference)}."
    )


def rotation_words(record: OneNumber) -> str:
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
