"""sampling.js in a real Chromium against model_runtime.sampling.steps: same logits, same answers."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Error, Page

from model_runtime.records import SamplingReport, StepResult
from model_runtime.sampling.settings import DEFAULT_ORDER, SamplingSettings
from model_runtime.sampling.steps import draws, request_generator, sampling_steps
from viz.output.sampling_words import setting_words, why_cut

pytestmark = pytest.mark.browser

# Decode the logits, run the pipeline, and send back every step with its arrays as base64.
RUN = """
async ([logits64, settings, context, generated, asked]) => {
  const { samplingSteps, whyCut, topTokens, tail, tokensAt } = await import("/sampling.js");
  const bytes = Uint8Array.from(atob(logits64), (c) => c.charCodeAt(0));
  const logits = new Float32Array(bytes.buffer);
  const text = (array) => {
    const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let out = "";
    const piece = (at) => String.fromCharCode(...view.subarray(at, at + 8192));
    for (let at = 0; at < view.length; at += 8192) out += piece(at);
    return btoa(out);
  };
  const others = { temperature: 3, top_p: 0.5, typical_p: 0.7, repetition_penalty: 1.5 };
  samplingSteps(logits, others, context, generated); // leaves its traces in the buffers
  const report = samplingSteps(logits, settings, context, generated);
  const plain = (step) => ({
    ...step, scores: null, probabilities: text(step.probabilities), kept: text(step.kept),
  });
  return {
    base: plain(report.base), steps: report.steps.map(plain), why: asked.map((id) => whyCut(report, id)),
    top: topTokens(logits, 12), tail: tail(report, topTokens(logits, 12)),
    drawn: tokensAt(report.probabilities, UNIFORMS),
  };
}
"""


def in_browser(
    scripts: Page,
    logits: np.ndarray,
    sampling: SamplingSettings,
    context: list[int],
    generated: list[int],
    asked: list[int],
) -> dict[str, Any]:
    uniforms = request_generator(sampling.seed).random(50).tolist()
    encoded = base64.b64encode(logits.tobytes()).decode()
    script = RUN.replace("UNIFORMS", str(uniforms))
    result: dict[str, Any] = scripts.evaluate(
        script, [encoded, dataclasses.asdict(sampling), context, generated, asked]
    )
    for step in [result["base"], *result["steps"]]:
        step["probabilities"] = np.frombuffer(base64.b64decode(step["probabilities"]), dtype=np.float64)
        step["kept"] = np.frombuffer(base64.b64decode(step["kept"]), dtype=np.uint8).astype(bool)
    return result


def on_the_line(before: StepResult, step: StepResult, tokens: np.ndarray, sampling: SamplingSettings) -> bool:
    """Whether float32 rounding alone decides about `tokens`: their threshold is within 2e-6 of them."""
    p = before.probabilities
    if step.name == "min_p":
        return bool(np.all(np.abs(p[tokens] / (sampling.min_p * p.max()) - 1) < 2e-6))
    if step.name == "top_p":
        order = np.lexsort((np.arange(p.size), before.scores))
        running = np.cumsum(p[order])[np.isin(order, tokens)]
        return bool(np.all(np.abs(running - (1 - sampling.top_p)) < 2e-6))
    assert step.name == "typical_p", f"{step.name} decides without rounding"
    possible = p > 0
    surprise = np.where(possible, -np.log(np.where(possible, p, 1)), np.inf)
    distance = np.abs(surprise - p[possible] @ surprise[possible])
    order = np.argsort(distance, kind="stable")
    running = np.cumsum(p[order])[np.isin(order, tokens)]
    edge = distance[step.kept].max()
    on_sum = np.abs(running - sampling.typical_p) < 2e-6 + p[tokens].max()
    return bool(np.all(on_sum | (np.abs(distance[tokens] - edge) < 1e-5)))


def same(theirs: dict[str, Any], ours: SamplingReport, sampling: SamplingSettings) -> bool:
    """Every step equal. False where rounding decided about a token at a boundary (checked), else fails."""
    before = ours.base
    for found, step in zip([theirs["base"], *theirs["steps"]], [ours.base, *ours.steps], strict=True):
        assert (found["name"], found["active"], found["setting"]) == (
            step.name,
            step.active,
            setting_words(step),
        )
        differing = np.flatnonzero(found["kept"] != step.kept)
        if differing.size:
            assert on_the_line(before, step, differing, sampling), (setting_words(step), differing)
            return False
        np.testing.assert_allclose(found["probabilities"], step.probabilities, rtol=1e-6, atol=1e-300)
        assert found["n_kept"] == step.n_kept
        assert found["cut_mass"] == pytest.approx(step.cut_mass, rel=1e-6, abs=1e-12)
        assert found["entropy"] == pytest.approx(step.entropy, rel=1e-6, abs=1e-9)
        assert found["effective_choices"] == pytest.approx(step.effective_choices, rel=1e-6)
        before = step
    return True


def compare(
    scripts: Page, logits: np.ndarray, sampling: SamplingSettings, context: list[int], new: list[int]
) -> bool:
    ours = sampling_steps(logits, context, new, sampling)
    asked = [*ours.top(6).tolist(), *range(min(6, logits.size)), logits.size - 1]
    theirs = in_browser(scripts, logits, sampling, context, new, asked)
    if not same(theirs, ours, sampling):
        return False
    assert theirs["top"] == ours.top(12).tolist()
    assert theirs["why"] == [why_cut(ours, token_id) for token_id in asked]
    expected = dataclasses.asdict(ours.tail(12))
    assert theirs["tail"] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    counts = np.bincount(theirs["drawn"], minlength=logits.size)
    np.testing.assert_array_equal(counts, draws(ours, 50, sampling.seed))
    return True


def random_settings(rng: np.random.Generator) -> SamplingSettings:
    def pick(*values: float) -> float:
        return float(rng.choice(values))

    return SamplingSettings(
        temperature=pick(1.0, 0.0, 0.2, 0.73, 1.3, 10.0),
        top_k=int(rng.choice([0, 0, 1, 3, 40, 500])),
        top_p=pick(1.0, 1.0, 0.97, 0.9, 0.61, 0.5, 0.0),
        min_p=pick(0.0, 0.0, 0.01, 0.1, 0.5, 1.0),
        typical_p=pick(1.0, 1.0, 0.9, 0.31),
        repetition_penalty=pick(1.0, 1.2, 0.8),
        presence_penalty=pick(0.0, 0.7, -0.3),
        frequency_penalty=pick(0.0, 0.4),
        order=tuple(rng.permutation(DEFAULT_ORDER).tolist()),
        seed=int(rng.integers(1000)),
    )


def test_equal_to_python_over_small_vocabularies_with_ties(scripts: Page) -> None:
    rng = np.random.default_rng(11)
    equal = 0
    for _ in range(150):
        size = int(rng.integers(1, 60))
        values = rng.integers(-3, 4, size) if rng.random() < 0.5 else rng.standard_normal(size) * 4
        ids = rng.integers(0, size + 3, 8).tolist()
        equal += compare(scripts, values.astype(np.float32), random_settings(rng), ids, ids[:4])
    assert equal >= 147  # the rest were decided by float32 rounding, which `same` has checked


def test_equal_to_python_over_a_whole_vocabulary(scripts: Page) -> None:
    rng = np.random.default_rng(12)
    equal = 0
    for turn in range(24):
        logits = (rng.standard_normal(49_152) * 2 + rng.gumbel(size=49_152)).astype(np.float32)
        if turn % 3 == 0:  # few mantissa bits, as bfloat16 has: thousands of ties
            logits = np.round(logits * 8) / np.float32(8)
        ids = rng.integers(0, 49_152, 60).tolist()
        equal += compare(scripts, logits, random_settings(rng), ids, ids[:20])
    assert equal >= 22


@pytest.mark.slow
def test_equal_to_python_on_the_default_models_logits(scripts: Page) -> None:
    from model_runtime.loading.load import load_model

    model = load_model()
    for prompt in ("The capital of France is", "Once upon a time there was a little"):
        ids = list(model.prompt_ids(prompt))
        logits, _ = model.step(ids)
        for temperature in (0.0, 0.2, 0.8, 1.2, 10.0):
            for top_p in (1.0, 0.95, 0.6):
                sampling = SamplingSettings(temperature=temperature, top_p=top_p, min_p=0.001, top_k=2000)
                assert compare(scripts, logits, sampling, ids, [])


@pytest.mark.parametrize("top_p", [0.25, 0.5, 0.75])
def test_thresholds_that_are_met_exactly_decide_as_in_python(scripts: Page, top_p: float) -> None:
    assert compare(scripts, np.zeros(4, dtype=np.float32), SamplingSettings(top_p=top_p), [], [])


def test_scores_that_a_temperature_rounds_to_one_value_are_equals(scripts: Page) -> None:
    # Neighbouring floats just below 2, the lowest id highest; divided by 0.9 they pass 2, where floats are
    # half as dense, and meet in pairs. Each cut from one token to all but one splits some pair.
    logits = (1.99 - np.arange(24) * 2.0**-23).astype(np.float32)
    assert len(set((logits / np.float32(0.9)).tolist())) < 24 == len(set(logits.tolist()))
    for n_kept in range(1, 24):
        sampling = SamplingSettings(temperature=0.9, top_p=(n_kept - 0.5) / 24)
        assert compare(scripts, logits, sampling, [], [])


@pytest.mark.parametrize("temperature", [1e-5, 1e-38, 1e-300])
def test_a_tiny_temperature_stays_a_distribution(scripts: Page, temperature: float) -> None:
    logits = np.array([3e4, 2.0, -3e4, 0.0], dtype=np.float32)
    assert compare(scripts, logits, SamplingSettings(temperature=temperature, top_k=3), [], [])


def test_where_float32_ends_a_penalty_after_a_temperature_is_as_in_python(scripts: Page) -> None:
    rng = np.random.default_rng(13)
    values = [2.0, 1.9, 0.0, -1.0, 3.4e38, 3.3e38, -3.4e38]
    rest = [name for name in DEFAULT_ORDER if name != "temperature"]
    named = SamplingSettings(temperature=0.5, repetition_penalty=2.0, order=("temperature", *rest))
    assert compare(scripts, np.array([2, 1.9, -3.4e38], dtype=np.float32), named, [0], [])
    for _ in range(60):
        logits = rng.choice(values, int(rng.integers(1, 9))).astype(np.float32)
        sampling = SamplingSettings(
            temperature=float(rng.choice([0.5, 0.01, 1e-39, 1e-300])),
            repetition_penalty=float(rng.choice([2.0, 0.5, 100.0])),
            presence_penalty=float(rng.choice([0.0, 1.5])),
            frequency_penalty=float(rng.choice([0.0, 0.4])),
            typical_p=float(rng.choice([1.0, 0.9])),
            top_k=int(rng.choice([0, 3])),
            order=tuple(rng.permutation(DEFAULT_ORDER).tolist()),
        )
        ids = rng.integers(0, logits.size, 3).tolist()
        assert compare(scripts, logits, sampling, ids, ids[:2])


def test_logits_that_are_no_numbers_are_refused(scripts: Page) -> None:
    logits = np.array([0.0, np.nan], dtype=np.float32)
    with pytest.raises(Error, match="1 of the model's 2 logits are not finite"):
        in_browser(scripts, logits, SamplingSettings(), [], [], [])


def test_fast_enough_to_follow_a_drag(scripts: Page) -> None:
    """A frame of 50,000 tokens with every filter on: 10 ms here; 33 ms leaves room on a busy machine."""
    milliseconds = scripts.evaluate(
        """async () => {
          const { samplingSteps } = await import("/sampling.js");
          let seed = 1;
          const logits = Float32Array.from({ length: 50000 }, () => {
            seed = (seed * 16807) % 2147483647;
            return Math.log(seed / 2147483647) * -2;
          });
          const times = [];
          for (let frame = 0; frame < 30; frame++) {
            const start = performance.now();
            const filters = { top_k: 5000, top_p: 0.95, min_p: 0.001, typical_p: 0.95 };
            samplingSteps(logits, { temperature: 0.5 + frame / 20, ...filters });
            times.push(performance.now() - start);
          }
          return times.slice(1).sort((a, b) => a - b)[14];
        }"""
    )
    assert milliseconds < 33
    print(f"median frame: {milliseconds:.1f} ms")
