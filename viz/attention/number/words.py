"""One number of a pattern as an equation with its numbers in it, and in words. Markdown with formulas.

The text of tokens never enters a formula: the page puts it in, escaped, beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from model_runtime.records import ScoreTerms
from viz import style
from viz.attention.number.record import OneNumber
from viz.equations import tex, tex_after_sign, worked


def _display(formula: str) -> str:
    """A formula on lines of its own."""
    return f"\n\n$$\n{formula}\n$$\n\n"


def dot_line(record: OneNumber) -> str:
    """The dot product, a line a term: the largest, the rest together, and under them their sum.

    Products and sum have the same decimals, as few as make the column add up; the factors as many digits as
    make each line come out.
    """
    terms = record.terms
    products = [terms.products[i] for i in record.largest]
    n_rest = record.d_head - len(products)
    column = [*products, *([terms.dot - sum(products)] if n_rest else [])]
    decimals, adds_up = _decimals(column, terms.dot)
    lines = []
    for i, product in zip(record.largest, products, strict=True):
        line = worked(product, _product, terms.q[i], terms.k[i], least=4, words=lambda v: _fixed(v, decimals))
        lines.append(
            rf"q_{{{i}}} k_{{{i}}} &= {line.tex(terms.q[i])} \cdot {tex_after_sign(terms.k[i], line.digits)} "
            rf"&&{line.tex_sign} {_fixed(product, decimals)}"
        )
    if n_rest:
        others = rf"\text{{{n_rest} other{'s' * (n_rest > 1)}}}"
        lines.append(rf"{others} & &&= {_fixed(column[-1], decimals)}")
    sign = "=" if adds_up else r"\approx"
    lines.append(rf"q \cdot k & &&{sign} {_fixed(terms.dot, decimals)}")
    return _display(rf"\begin{{aligned}} {(chr(92) * 2 + ' ').join(lines)} \end{{aligned}}")


def _product(q: float, k: float) -> float:
    return q * k


def _decimals(column: Sequence[float], total: float) -> tuple[int, bool]:
    """The fewest decimals, so many that the total has four digits, with which a column adds up; whether."""
    if not math.isfinite(total) or all(float(value).is_integer() for value in [*column, total]):
        return 0, True
    least = max(0, 3 - math.floor(math.log10(abs(total)))) if total else 3
    for decimals in range(least, least + 4):
        if _fixed(sum(round(value, decimals) for value in column), decimals) == _fixed(total, decimals):
            return decimals, True
    return least, False


def _fixed(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace(",", "{,}")


def scale_line(terms: ScoreTerms) -> str:
    """The scale, and the soft cap where there is one."""
    d_head = len(terms.q)
    divided = math.isclose(terms.scaling, d_head**-0.5, rel_tol=1e-6)
    factor = d_head**-0.5 if divided else terms.scaling
    line = worked(
        terms.scaled, lambda dot, by: dot * (factor if divided else by), terms.dot, factor, least=4, words=tex
    )
    if divided:
        formula = rf"\frac{{{line.tex(terms.dot)}}}{{\sqrt{{{d_head}}}}}"
    else:
        formula = rf"{line.tex(terms.dot)} \times {line.tex(factor)}"
    said = _display(rf"s = {formula} {line.tex_sign} {tex(terms.scaled)}")
    if terms.softcap is not None:
        said += _display(_cap_line(terms, terms.softcap))
    return said


def _cap_line(terms: ScoreTerms, cap: float) -> str:
    line = worked(terms.capped, lambda score: cap * math.tanh(score / cap), terms.scaled, least=4, words=tex)
    return (
        rf"s' = {tex(cap)} \cdot \tanh\!\left(\frac{{{line.tex(terms.scaled)}}}{{{tex(cap)}}}\right)"
        rf" {line.tex_sign} {tex(terms.capped)}"
    )


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
        line = worked(d_head**0.5, math.sqrt, d_head)
        return (
            f"divided by √{d_head} {line.sign} {style.three_digits(d_head**0.5)}, the root of a head's width"
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
    total = terms.denominator - terms.sink_term
    share = worked(
        terms.probability,
        lambda part, keys, sink: part / (keys + sink),
        terms.exp,
        total,
        terms.sink_term,
        least=4,
        words=tex,
    )
    below = share.tex(total)
    if terms.sink_term:
        below = rf"\underbrace{{{below}}}_{{{terms.n_visible} \text{{ keys}}}}"
        below += rf" + \underbrace{{{share.tex(terms.sink_term)}}}_{{\text{{sink}}}}"
    score, power = "-\\infty", worked(0.0, float, 0.0)
    if terms.visible:
        power = worked(
            terms.exp,
            lambda score, top: math.exp(score - top),
            terms.capped,
            terms.row_max,
            least=4,
            words=share.tex,
        )
        score = f"{power.tex(terms.capped)} - {tex_after_sign(terms.row_max, power.digits)}"
    top = tex_after_sign(terms.row_max, power.digits)
    return _display(
        rf"p = \frac{{e^{{{score}}}}}{{\sum_j e^{{s_j - {top}}}}}"
        rf" {power.tex_sign} \frac{{{share.tex(terms.exp)}}}{{{below}}} {share.tex_sign} "
        f"{tex(terms.probability)}"
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
