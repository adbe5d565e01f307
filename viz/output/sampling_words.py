"""The sampling steps in plain words: what a setting is called, and why a token was cut, with the numbers.

`assets/js/sampling_words.js` says the same sentences in the browser; a test compares the two.
"""

from __future__ import annotations

import numpy as np

from model_runtime.records import SamplingReport, StepResult
from viz.text import share, three_digits

LABELS: dict[str, str] = {
    "repetition": "repetition penalty",
    "presence": "presence penalty",
    "frequency": "frequency penalty",
    "temperature": "temperature",
    "top_k": "top-k",
    "top_p": "top-p",
    "min_p": "min-p",
    "typical_p": "typical-p",
}


def setting_words(step: StepResult) -> str:
    """A step's setting for people: "temperature 0.8", "top-k off"."""
    if step.value is None:
        return "the model's own distribution"
    return f"{LABELS[step.name]} {step.value:g}" if step.active else f"{LABELS[step.name]} off"


def _nats(value: float) -> str:
    return three_digits(value, "nats")


def why_cut(report: SamplingReport, token_id: int) -> str | None:
    """One sentence, with the numbers, on why a token cannot be drawn; None where it can."""
    step = report.cut_by(token_id)
    if step is None:
        return None
    before = (report.base, *report.steps)[report.steps.index(step)]
    scores, probabilities, kept = before.scores, before.probabilities, step.kept
    name, value = step.name, step.value
    assert value is not None
    own = share(float(probabilities[token_id]))
    place = 1 + int((scores > scores[token_id]).sum())
    top = float(probabilities.max())
    last = float(probabilities[kept].min())
    if name == "temperature":
        return (
            f"Temperature 0 always takes the likeliest token. It has {share(top)}, this one {own} "
            f"(number {place:,})."
        )
    if name == "top_k":
        return (
            f"Top-k keeps the {value:,} likeliest tokens. This one is number {place:,} with {own}; "
            f"the last kept has {share(last)}."
        )
    if name == "top_p":
        kept_mass = share(float(probabilities[kept].sum()))
        return (
            f"Top-p keeps the likeliest tokens until they have {share(value)} together. The first "
            f"{step.n_kept:,} already have {kept_mass}; this one, with {own}, is number {place:,}."
        )
    if name == "min_p":
        return (
            f"Min-p asks for {value:g} of the likeliest token's {share(top)}, which is "
            f"{share(value * top)}; this one has {own}."
        )
    assert name == "typical_p", f"the step {name} cuts no token"
    return _why_not_typical(value, probabilities, kept, token_id)


def _why_not_typical(value: float, probabilities: np.ndarray, kept: np.ndarray, token_id: int) -> str:
    possible = probabilities > 0
    surprises = -np.log(probabilities, where=possible, out=np.full_like(probabilities, -np.inf))
    entropy = float((probabilities[possible] * surprises[possible]).sum())
    farthest = float(np.abs(surprises[kept & possible] - entropy).max())
    surprise = float(surprises[token_id]) if possible[token_id] else float("inf")
    return (
        f"Typical-p keeps the tokens whose surprise (−ln p) is closest to the average, {_nats(entropy)}, "
        f"until they have {share(value)} together. This one's surprise is {_nats(surprise)}, "
        f"{_nats(abs(surprise - entropy))} away; the farthest kept is {_nats(farthest)} away."
    )
