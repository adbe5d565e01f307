"""The selected candidate in sentences and as a fraction with its real numbers."""

from __future__ import annotations

import math

from model_runtime.records import Fraction, SamplingReport
from model_runtime.records.counts import counted
from pages.output.choice import Choice
from pages.shared.escape import plain, quoted
from viz.equations import tex, tex_after_sign, tex_share, worked
from viz.output import sampling_words
from viz.style import share, three_digits


def verdict(choice: Choice) -> str:
    """One sentence: kept or cut, and why. Markdown."""
    report, token_id = choice.report, choice.selected
    name = quoted(choice.token.text, 24)
    reason = sampling_words.why_cut(report, token_id)
    if reason is not None:
        step = report.cut_by(token_id)
        assert step is not None
        return f"{name} is **cut by {plain(sampling_words.setting_words(step))}**. {plain(reason)}"
    before, after = report.base.probabilities[token_id], report.final.probabilities[token_id]
    last = float(report.final.probabilities[report.final.kept].min())
    n = report.final.n_kept
    if n == 1:
        alone = "and nothing else: it is chosen every time"
        return f"{name} is **kept**, {alone}. The model gives it {share(before)}."
    moved = f"goes from {share(before)} to {share(after)}" if before != after else f"has {share(after)}"
    return (
        f"{name} is **kept**: it {moved}. Of the {counted(n, 'token')} left it is number "
        f"{place(report, token_id):,}; the last of them has {share(last)}."
    )


def place(report: SamplingReport, token_id: int) -> int:
    """Place of a token among those left, the likeliest to be drawn is 1."""
    probabilities = report.final.probabilities
    return 1 + int((probabilities > probabilities[token_id]).sum())


def model_fraction(choice: Choice) -> str:
    """The softmax of the model's own logit, with symbols and with numbers. LaTeX."""
    symbols = r"p_{\text{model}} &= \frac{e^{\,z-z_{\max}}}{\sum_{j} e^{\,z_j-z_{\max}}}"
    return _aligned(symbols, *_numbers(choice.report.fraction(choice.selected)))


def final_fraction(choice: Choice) -> str | None:
    """The same after all steps, over the tokens that are left. LaTeX; None where no step is on."""
    report = choice.report
    if not any(step.active for step in report.steps):
        return None
    symbols = r"p_{\text{drawn}} &= \frac{e^{\,s-s_{\max}}}{\sum_{j\ \text{left}} e^{\,s_j-s_{\max}}}"
    fraction = report.fraction(choice.selected, report.final)
    if not report.final.kept[choice.selected]:
        cut = rf"&= \frac{{0}}{{{tex(fraction.denominator)}}} = \mathbf{{0}} \quad (s=-\infty)"
        return _aligned(symbols, cut)
    return _aligned(symbols, *_numbers(fraction))


def _numbers(fraction: Fraction) -> tuple[str, str]:
    """The fraction with the scores put in, and with their powers worked out."""
    part, whole = fraction.numerator, fraction.denominator
    share = worked(fraction.probability, lambda a, b: a / b, part, whole, words=tex_share)
    score, top = fraction.score, fraction.top_score
    power = worked(part, lambda z, best: math.exp(z - best), score, top, words=share.tex)
    exponent = f"{power.tex(score)}-{tex_after_sign(top, power.digits)}"
    below = share.tex(whole)
    return (
        rf"&= \frac{{e^{{\,{exponent}}}}}{{{below}}}",
        rf"&{power.tex_sign} \frac{{{share.tex(part)}}}{{{below}}} {share.tex_sign} "
        rf"\mathbf{{{tex_share(fraction.probability)}}}",
    )


def _aligned(*lines: str) -> str:
    body = r" \\[4pt] ".join(lines)
    return rf"\begin{{aligned}} {body} \end{{aligned}}"


def facts(choice: Choice) -> str:
    """The candidate's numbers in a line. Markdown."""
    report, token = choice.report, choice.token
    bytes_of = " ".join(f"{byte:02X}" for byte in token.bytes[:16]) + (" …" if len(token.bytes) > 16 else "")
    parts = [
        f"number **{report.rank(token.id):,}** of {report.d_vocab:,} in the model",
        f"logit **{three_digits(float(report.base.scores[token.id]))}**",
        f"id **{token.id:,}**",
        f"bytes `{bytes_of}`" if bytes_of else "a special token",
    ]
    return " · ".join(parts)
