"""The sampling steps in words, on four tokens whose numbers are known. (The browser says the same: a test
there compares the two.)"""

from __future__ import annotations

import re

import numpy as np
import pytest

from model_runtime.records import SamplingReport
from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.steps import sampling_steps
from viz.output.sampling_words import LABELS, setting_words, why_cut

# softmax = 1/2, 1/4, 1/8, 1/8
HALVES = np.log(np.array([8, 4, 2, 2])).astype(np.float32)


def report(**fields: float) -> SamplingReport:
    return sampling_steps(HALVES, [], (), SamplingSettings(**fields))  # type: ignore[arg-type]


def test_settings_have_their_value_or_are_off() -> None:
    words = {step.name: setting_words(step) for step in report(temperature=2.0, top_p=0.9).steps}
    off = {name: f"{label} off" for name, label in LABELS.items()}
    assert words == off | {"temperature": "temperature 2", "top_p": "top-p 0.9"}
    assert setting_words(report().base) == "the model's own distribution"


@pytest.mark.parametrize(
    ("fields", "token_id", "sentence"),
    [
        (
            {"temperature": 0.0},
            1,
            "Temperature 0 always takes the likeliest token. It has 50.0 %, this one 25.0 % (number 2).",
        ),
        (
            {"top_k": 2},
            3,
            "Top-k keeps the 2 likeliest tokens. This one is number 3 with 12.5 %; the last kept has 25.0 %.",
        ),
        (
            {"top_p": 0.7},
            3,
            "Top-p keeps the likeliest tokens until they have 70.0 % together. The first 2 already have "
            "75.0 %; this one, with 12.5 %, is number 3.",
        ),
        (
            {"min_p": 0.3},
            2,
            "Min-p asks for 0.3 of the likeliest token's 50.0 %, which is 15.0 %; this one has 12.5 %.",
        ),
        (
            {"typical_p": 0.2},
            0,
            "Typical-p keeps the tokens whose surprise (−ln p) is closest to the average, 1.21 nats, "
            "until they have 20.0 % together. This one's surprise is 0.693 nats, 0.520 nats away; the "
            "farthest "
            "kept is 0.173 nats away.",
        ),
    ],
)
def test_why_cut_says_the_numbers(fields: dict[str, float], token_id: int, sentence: str) -> None:
    said = why_cut(report(**fields), token_id)
    assert said is not None
    assert said.replace("\u00a0", " ") == sentence
    assert not re.search(r" %| nats", said.replace("\u00a0%", "").replace("\u00a0nats", ""))
    kept = int(np.flatnonzero(report(**fields).final.kept)[0])
    assert why_cut(report(**fields), kept) is None
