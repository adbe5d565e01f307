"""Our rotation against the model's own rotated q and k, for every family and variant that rotates."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime import Model
from model_runtime.errors import PointUnavailable
from model_runtime.interventions import RopeBase, RopeOffset
from model_runtime.positions.change import pattern_change
from model_runtime.positions.rotation import (
    HeadRotation,
    head_rotation,
    interleaving,
    largest_length_change,
    largest_rotation_error,
    layout_difference,
    rotate_interleaved,
    rotate_split,
    score_by_distance,
)
from model_runtime.run import open_run
from tests.tiny_models import ALL_CASES, TEXT, build_model, tiny_tokenizer

ROTATING = sorted(set(ALL_CASES) - {"gpt2", "opt", "gpt2-upcast", "gpt2-layer-scale"})
SCALED = {"gpt_oss", "llama-yarn", "phi3-longrope"}  # their rotation changes lengths


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="local")


def turned_of(case: str, layer: int = 0, head: int = 1) -> HeadRotation:
    return head_rotation(open_run(model_of(case), TEXT), layer, head)


@pytest.mark.parametrize("layer", [0, 2])
@pytest.mark.parametrize("case", ROTATING)
def test_our_rotation_is_the_model_s_own(case: str, layer: int) -> None:
    turned = turned_of(case, layer, head=3)
    # cos and sin are the model's; products and a sum of two in float32 may be added otherwise or fused.
    assert largest_rotation_error(turned) < 1e-6
    assert not np.allclose(turned.q[1:], turned.rot_q[1:], atol=1e-3)
    assert largest_length_change(turned) < 1e-5
    assert (abs(turned.length - 1) > 1e-3) == (case in SCALED)


@pytest.mark.parametrize("case", ROTATING)
def test_cos_and_sin_are_those_of_the_frequencies(case: str) -> None:
    turned = turned_of(case)
    angles = np.arange(len(turned.q))[:, None] * turned.frequencies
    np.testing.assert_allclose(turned.cos, turned.length * np.cos(angles), atol=3e-5)
    np.testing.assert_allclose(turned.sin, turned.length * np.sin(angles), atol=3e-5)


@pytest.mark.parametrize("case", ROTATING)
def test_the_score_at_the_real_distance_is_the_captured_one(case: str) -> None:
    turned = turned_of(case)
    seen = np.argwhere(np.isfinite(turned.scores))
    for query, key in seen[:: max(1, len(seen) // 40)]:
        score = score_by_distance(turned, int(query), int(key), [int(query - key)])[0]
        assert score == pytest.approx(turned.scores[query, key], abs=2e-5, rel=2e-5)


@pytest.mark.parametrize("case", ["llama", "gpt_neox", "gemma3", "gpt_oss", "phi3"])
def test_a_score_depends_on_the_distance_alone(case: str) -> None:
    turned = turned_of(case, head=0)
    checks = turned.offsets
    assert [check.offset for check in checks] == [1, 10, 100][: len(checks)]
    assert checks
    assert (
        max(check.largest for check in checks)
        < 1e-4 * np.abs(turned.scores[np.isfinite(turned.scores)]).max()
    )


def test_moving_the_key_alone_changes_the_score() -> None:
    turned = turned_of("llama")
    scores = score_by_distance(turned, 10, 4, range(30))
    assert scores.std() > 1e-3


@pytest.mark.parametrize("d", [2, 6, 64])
def test_the_two_layouts_are_one_rotation(d: int) -> None:
    random = np.random.default_rng(d)
    x, angles = random.normal(size=(5, d)), random.normal(size=(5, d // 2))
    order = interleaving(d)
    np.testing.assert_allclose(
        rotate_split(x, angles)[:, order], rotate_interleaved(x[:, order], angles), atol=1e-12
    )
    back = np.argsort(order)
    np.testing.assert_array_equal(x[:, order][:, back], x)
    np.testing.assert_allclose(
        np.linalg.norm(rotate_split(x, angles), axis=1), np.linalg.norm(x, axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(rotate_split(rotate_split(x, angles), -angles), x, atol=1e-12)


def test_layouts_on_a_real_query() -> None:
    turned = turned_of("gpt_neox")
    assert turned.d_rotary == turned.q.shape[1] // 2  # a part only turns
    assert layout_difference(turned, 7) < 1e-12


def test_two_bases_of_gemma_3() -> None:
    local, whole = (turned_of("gemma3", layer, head=0) for layer in (0, 1))
    assert not np.allclose(local.frequencies, whole.frequencies)


def test_what_does_not_rotate_is_refused() -> None:
    with pytest.raises(PointUnavailable, match="does not rotate"):
        turned_of("gpt2")
    with pytest.raises(PointUnavailable, match="Layer 1"):
        turned_of("smollm3", layer=1)


def test_what_an_edit_changes_is_measured_in_every_head() -> None:
    run = open_run(model_of("llama"), TEXT)
    moved = pattern_change(run, (RopeBase(100.0),))
    assert moved.moved.shape == (run.spec.n_layers, run.spec.n_heads)
    assert moved.moved.min() > 1e-3
    one, other = (
        each.trace.get("pattern", 1, 2) for each in (run, open_run(run.model, TEXT, RopeBase(100.0)))
    )
    assert moved.moved[1, 2] == pytest.approx(np.abs(one - other).sum(1).mean() / 2, rel=1e-4)
    shifted = pattern_change(run, (RopeOffset(50),))
    assert shifted.moved.max() < 1e-4
    assert shifted.scores.max() < 1e-3
