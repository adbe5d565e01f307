"""The four schemes against hand numbers, formulas, published slopes, real weights, and Hugging Face."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from model_runtime import Model
from model_runtime.errors import PointUnavailable, SettingError
from model_runtime.interventions import RopeBase, RopeOffset, RopeScaling
from model_runtime.positions.schemes import (
    alibi_bias,
    alibi_slopes,
    by_distance,
    frequencies,
    learned_table,
    model_frequencies,
    model_rotary_table,
    rotary_table,
    similarity,
    sinusoidal_table,
    table_pca,
    wavelengths,
)
from tests.tiny_models import ALL_CASES, build_model, tiny_tokenizer

LEARNED = ("gpt2", "opt", "gpt2-upcast", "gpt2-layer-scale")
ROTATING = [case for case in ALL_CASES if case not in LEARNED]


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def test_sinusoids_by_hand() -> None:
    table = sinusoidal_table(101, 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    # Pair 1 of d = 6 turns by 10000^(-1/3) = 0.0464159 a position.
    np.testing.assert_allclose(table[100, 2:4], [math.sin(4.64159), math.cos(4.64159)], atol=1e-5)
    np.testing.assert_allclose(table[1, :2], [0.841471, 0.540302], atol=1e-6)


def test_sinusoids_are_the_formula() -> None:
    n, d = 50, 32
    table = sinusoidal_table(n, d)
    for pos in (0, 1, 7, 49):
        for i in range(d // 2):
            angle = pos / 10_000 ** (2 * i / d)
            assert table[pos, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[pos, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_wavelengths_run_from_two_pi_to_nearly_base_times_two_pi() -> None:
    lengths = wavelengths(frequencies(512))
    assert lengths[0] == pytest.approx(2 * math.pi)
    assert lengths[-1] == pytest.approx(2 * math.pi * 10_000 ** (510 / 512))
    assert wavelengths(np.array([0.0])).tolist() == [math.inf]
    for wrong in (0, 3):
        with pytest.raises(SettingError):
            frequencies(wrong)


def test_dot_products_of_sinusoids_and_rotations_depend_on_the_distance_alone() -> None:
    for table in (sinusoidal_table(64, 32), rotary_table(64, 32)):
        matrix = similarity(table)
        expected = np.cos(np.arange(64)[:, None] * frequencies(32)).mean(axis=1)
        profile = by_distance(matrix)
        np.testing.assert_allclose(profile.mean, expected, atol=1e-6)
        assert profile.spread < 1e-5
        assert profile.explained == pytest.approx(1.0, abs=1e-9)


def test_a_random_table_does_not() -> None:
    table = np.random.default_rng(0).normal(size=(64, 16))
    assert by_distance(similarity(table)[1:, 1:]).explained < 0.9
    # Off the diagonal, where all is 1, the distance says next to nothing.
    values = similarity(table)
    np.fill_diagonal(values, 0.0)
    assert by_distance(values).explained < 0.25


def test_explained_share_by_hand() -> None:
    # Pairs i >= j: 1, 1, 1 at distance 0; 0 and 2 at 1; 5 at 2. Mean 10/6.
    values = np.array([[1.0, 0, 0], [0, 1, 0], [5, 2, 1]])
    total = 3 * (1 - 10 / 6) ** 2 + (0 - 10 / 6) ** 2 + (2 - 10 / 6) ** 2 + (5 - 10 / 6) ** 2
    profile = by_distance(values)
    assert profile.explained == pytest.approx(1 - 2 / total)
    assert (profile.mean.tolist(), profile.spread) == ([1, 1, 5], 2)
    assert by_distance(np.ones((3, 3))).explained == 1.0


def test_alibi_slopes_are_the_published_ones() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    np.testing.assert_allclose(alibi_slopes(16), [2 ** (-i / 2) for i in range(1, 17)])
    # 12 heads: those of 8, then the 1st, 3rd, 5th and 7th of 16.
    expected = [2.0**-i for i in range(1, 9)] + [2.0**-0.5, 2.0**-1.5, 2.0**-2.5, 2.0**-3.5]
    np.testing.assert_allclose(alibi_slopes(12), expected)
    assert alibi_slopes(1).tolist() == [2.0**-8]
    for n_heads in (3, 9, 71, 112, 1024):
        slopes = alibi_slopes(n_heads)
        assert len(slopes) == n_heads
        assert len({*slopes}) == n_heads
        assert ((slopes > 0) & (slopes < 1)).all()
    for wrong in (0, -1, 1025):
        with pytest.raises(SettingError, match="whole number"):
            alibi_slopes(wrong)


def test_alibi_slopes_equal_hugging_faces() -> None:
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    for n_heads in (8, 12, 14, 16):
        theirs = build_alibi_tensor(torch.ones(1, 2), n_heads, torch.float32)[:, 0, 1]
        np.testing.assert_allclose(alibi_slopes(n_heads), theirs.numpy(), rtol=1e-6)


def test_alibi_bias_is_the_distance_times_the_slope() -> None:
    bias = alibi_bias(4, 0.25)
    assert bias[3].tolist() == [-0.75, -0.5, -0.25, 0.0]
    assert bias[0].tolist() == [0.0, -math.inf, -math.inf, -math.inf]
    assert by_distance(bias).spread == 0


@pytest.mark.parametrize("case", LEARNED)
def test_the_learned_table_is_what_the_model_adds(case: str) -> None:
    model = model_of(case)
    table = learned_table(model)
    assert table.shape == (model.spec.n_ctx, model.spec.d_model)
    ids = list(range(1, 13))
    np.testing.assert_array_equal(table[:12], model.trace(ids, points=("pos_embed",)).get("pos_embed"))
    path = "model.decoder.embed_positions" if "opt" in case else "transformer.wpe"
    weight = model.hf_model.get_submodule(path).weight.detach().numpy()
    np.testing.assert_array_equal(table, weight[2:] if "opt" in case else weight)
    table[:] = 0  # a copy: the model's own stays
    assert np.abs(learned_table(model)).max() > 0
    with pytest.raises(PointUnavailable, match="does not rotate"):
        model_rotary_table(model, range(4))


@pytest.mark.parametrize("case", ROTATING)
def test_the_rotary_table_is_what_the_model_turns_by(case: str) -> None:
    model = model_of(case)
    ids = list(range(1, 13))
    for edits in (), (RopeBase(500.0), RopeOffset(3)), (RopeScaling("linear", 2.0),):
        trace = model.trace(ids, points=("rope_cos", "rope_sin"), interventions=edits)
        for layer in (layer for layer, spec in enumerate(model.spec.layers) if spec.rotates):
            cos, sin = np.split(model_rotary_table(model, range(12), layer, edits), 2, axis=1)
            half = cos.shape[1]
            np.testing.assert_array_equal(cos, trace.get("rope_cos", layer)[:, :half])
            np.testing.assert_array_equal(sin, trace.get("rope_sin", layer)[:, :half])
    for layer in (layer for layer, spec in enumerate(model.spec.layers) if not spec.rotates):
        with pytest.raises(PointUnavailable, match=f"layer {layer}"):
            model_rotary_table(model, range(12), layer)
    with pytest.raises(PointUnavailable, match="no table of positions"):
        learned_table(model)


def test_frequencies_are_read_off_the_model() -> None:
    model = model_of("llama")
    np.testing.assert_allclose(model_frequencies(model), frequencies(8), rtol=1e-5)
    edited = model_frequencies(model, 0, (RopeBase(500.0), RopeOffset(7)))
    np.testing.assert_allclose(edited, frequencies(8, 500.0), rtol=1e-4)
    np.testing.assert_allclose(
        model_frequencies(model, 0, RopeScaling("linear", 4.0)), frequencies(8) / 4, rtol=1e-4
    )
    assert len(model_frequencies(model_of("gpt_neox"))) == 2  # half of 8 dimensions rotate: 2 pairs


def test_pca_is_sklearns() -> None:
    table = np.random.default_rng(1).normal(size=(40, 12)).astype(np.float32)
    ours, theirs = table_pca(table), PCA(3).fit(table)
    np.testing.assert_allclose(ours.explained[:3], theirs.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(np.abs(ours.coordinates), np.abs(theirs.transform(table)), atol=1e-4)
    assert ours.explained.sum() == pytest.approx(1, abs=1e-5)
    assert not np.isnan(table_pca(np.ones((4, 3))).coordinates).any()
