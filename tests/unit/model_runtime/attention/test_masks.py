"""Masks drawn by hand, and patterns under them."""

from __future__ import annotations

import numpy as np
import pytest

from model_runtime import Model, as_used, encoder_decoder_masks, pattern_under, visible_under
from model_runtime.errors import PointUnavailable, SettingError
from model_runtime.interventions import CutEdge
from tests.open_runs import run_with
from tests.tiny_models import build_model, tiny_tokenizer

IDS = tuple(range(10, 19))  # 9 tokens, longer than the windows of 6


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name="Tiny", revision="random")


def drawn(mask: np.ndarray) -> list[str]:
    return ["".join("x" if cell else "." for cell in row) for row in mask]


def test_the_four_kinds() -> None:
    assert drawn(visible_under("causal", 4)) == ["x...", "xx..", "xxx.", "xxxx"]
    assert drawn(visible_under("bidirectional", 4)) == ["xxxx"] * 4
    assert drawn(visible_under("window", 4, window=1)) == ["x...", ".x..", "..x.", "...x"]
    assert drawn(visible_under("window", 4, window=3)) == ["x...", "xx..", "xxx.", ".xxx"]
    assert drawn(visible_under("window", 4, window=9)) == drawn(visible_under("causal", 4))
    assert drawn(visible_under("prefix", 4, prefix=3)) == ["xxx.", "xxx.", "xxx.", "xxxx"]
    assert drawn(visible_under("prefix", 4, prefix=0)) == drawn(visible_under("causal", 4))
    assert drawn(visible_under("prefix", 4, prefix=9)) == ["xxxx"] * 4


def test_an_encoder_decoder_has_three() -> None:
    masks = encoder_decoder_masks(4, 3)
    assert drawn(masks.encoder_self) == ["xxxx"] * 4
    assert drawn(masks.decoder_self) == ["x..", "xx.", "xxx"]
    assert drawn(masks.cross) == ["xxxx"] * 3


@pytest.mark.parametrize(
    ("kind", "options"), [("window", {}), ("window", {"window": 0}), ("prefix", {"prefix": -1}), ("no", {})]
)
def test_what_is_no_mask(kind: str, options: dict[str, int]) -> None:
    with pytest.raises(SettingError):
        visible_under(kind, 4, **options)  # type: ignore[arg-type]


def test_the_models_own_mask_gives_the_models_pattern() -> None:
    model = model_of("mistral")
    trace = model.trace(IDS)
    own = trace.get("pattern", 1, 2)
    assert drawn(as_used(run_with(trace), 1)) == drawn(visible_under("window", 9, window=6))
    np.testing.assert_array_equal(pattern_under(run_with(trace), 1, 2, "window", window=6), own)
    lifted = pattern_under(run_with(trace), 1, 2, "causal")
    assert own[8, 0] == 0
    assert lifted[8, 0] > 0
    np.testing.assert_array_equal(lifted[:6], own[:6])


def test_looking_ahead_shares_out_the_same_scores_again() -> None:
    """Among the keys that were visible before, the ratios stay."""
    trace = model_of("gpt2").trace(IDS)
    own, ahead = trace.get("pattern", 0, 1), pattern_under(run_with(trace), 0, 1, "bidirectional")
    assert (ahead > 0).all()
    np.testing.assert_allclose(ahead.sum(-1), 1, atol=1e-6)
    for row in range(9):
        seen = ahead[row, : row + 1]
        np.testing.assert_allclose(seen / seen.sum(), own[row, : row + 1], rtol=1e-4)


def test_cut_edges_stay_cut_and_a_row_without_keys_is_zero() -> None:
    trace = model_of("llama").trace(IDS, interventions=CutEdge(0, 1, 5, 5))
    assert pattern_under(run_with(trace), 0, 1, "bidirectional")[5, 5] == 0
    alone = pattern_under(run_with(trace), 0, 1, "window", window=1)
    assert (alone[5] == 0).all()
    np.testing.assert_array_equal(np.delete(alone, 5, axis=0), np.delete(np.eye(9), 5, axis=0))


def test_chosen_queries_and_refusals() -> None:
    trace = model_of("llama").trace(IDS, positions=(3, 8))
    assert pattern_under(run_with(trace), 0, 0, "causal").shape == (2, 9)
    assert pattern_under(run_with(trace), 0, 0, "bidirectional", queries=8).shape == (1, 9)
    assert as_used(run_with(trace), 0).sum(-1).tolist() == [4, 9]
    with pytest.raises(PointUnavailable, match="head 4"):
        pattern_under(run_with(trace), 0, 4, "causal")
    with pytest.raises(PointUnavailable, match="no layer 7"):
        as_used(run_with(trace), 7)
