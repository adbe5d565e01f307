"""Shuffles: which text they give, and what a shuffle moves in every family under each of three rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime.capture.context import Run
from model_runtime.errors import PromptError, SettingError
from model_runtime.interventions import (
    CutEdge,
    Intervention,
    Patch,
    PositionsOff,
    ScaleExpert,
    ScaleHead,
    ScaleMLP,
)
from model_runtime.positions.order import (
    LONGEST,
    OrderExperiment,
    attend,
    order_experiment,
    shuffled_order,
)
from model_runtime.run import open_run
from tests.tiny_models import FAMILY_CASES, VARIANT_CASES, VOCABULARY, build_model, tiny_tokenizer

IDS = torch.randint(1, VOCABULARY, (12,), generator=torch.Generator().manual_seed(5)).tolist()
CASES = [*FAMILY_CASES, *VARIANT_CASES]


def experiment(case: str, interventions: Sequence[Intervention] = ()) -> OrderExperiment:
    model = Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")
    return order_experiment(open_run(model, IDS, interventions))


@pytest.mark.parametrize("case", CASES)
def test_without_mask_and_positions_outputs_only_shuffle(case: str) -> None:
    found = experiment(case)
    assert found.open.stream.shape == (4, 12)
    assert found.open.stream.max() < 1e-5
    assert found.open.attention.max() < 1e-4
    assert np.abs(found.open.logits_after - found.open.logits_before).max() < 1e-3
    # The same forwards do move where the mask or the positions are on.
    assert found.masked.stream[-1].max() > 0.02
    assert found.model.stream[-1].max() > 0.02


@pytest.mark.parametrize("case", CASES)
def test_under_the_mask_the_last_token_keeps_layer_0_and_no_more(case: str) -> None:
    found = experiment(case)
    windowed = ("mistral", "gemma", "gpt_oss", "window")
    if not any(name in case for name in windowed):
        assert found.masked.attention[0, -1] < 1e-5
        assert found.masked.stream[1, -1] < 1e-5
    assert found.masked.stream[-1, -1] > 0.02
    assert found.model.attention[0, -1] > 0.02


def test_a_change_is_a_distance_over_the_mean_length() -> None:
    from model_runtime.positions.order import _change

    before, after = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0], [-3.0, 0.0]])
    np.testing.assert_allclose(_change(before, after, torch.tensor([1, 0])), [2.0, 0.0])


def test_a_shuffle_is_another_text_and_keeps_its_ends() -> None:
    for seed in range(40):
        order = shuffled_order((9, 1, 1, 1, 2, 7), seed, n_fixed=1)
        assert sorted(order) == [0, 1, 2, 3, 4, 5]
        assert (order[0], order[-1]) == (0, 5)
        assert [(9, 1, 1, 1, 2, 7)[place] for place in order] != [9, 1, 1, 1, 2, 7]
    assert shuffled_order(range(50), 3) == shuffled_order(range(50), 3)
    assert shuffled_order(range(50), 3) != shuffled_order(range(50), 4)
    many = (*[1] * 500, 2, 7)  # chance alone would leave the one odd token in place in most draws
    order = shuffled_order(many, 0)
    assert [many[place] for place in order] != [*many]


@pytest.mark.parametrize("ids", [(1,), (1, 2), (1, 1, 1, 2)])
def test_a_text_without_another_order_is_refused(ids: tuple[int, ...]) -> None:
    with pytest.raises(PromptError, match="no other order"):
        shuffled_order(ids, 1)
    with pytest.raises(SettingError, match="seed"):
        shuffled_order((1, 2, 3), -1)


def test_edits_hold_and_positions_off_is_what_is_compared() -> None:
    plain, edited = experiment("gpt2"), experiment("gpt2", interventions=(PositionsOff(), ScaleHead(0, 0)))
    assert not np.array_equal(plain.model.logits_before, edited.model.logits_before)
    assert not np.array_equal(edited.model.logits_before, edited.masked.logits_before)


@pytest.mark.parametrize("case", CASES)
def test_readings_in_one_forward_are_those_of_a_forward_each(case: str) -> None:
    """Two readings unmasked, four masked; edits of single tokens and positions keep to their reading."""
    model = Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")
    edits = (ScaleHead(0, 1, factor=3.0, positions=(2, 5)), CutEdge(1, 0, 7, 3), ScaleMLP(1, 0.5, (4,)))
    edits += (
        Patch("attn_out" if model.spec.parallel_block else "resid_mid", 1, 6, (0.5,) * model.spec.d_model),
    )
    if model.spec.layers[1].sparse:
        edits += (ScaleExpert(1, 0, factor=0.2),)
    found = order_experiment(open_run(model, IDS, edits))
    for rule in (found.open, found.masked, found.model):
        for ids, logits in (
            (IDS, rule.logits_before),
            ([IDS[place] for place in found.order], rule.logits_after),
        ):
            off = () if rule.positions else (PositionsOff(),)
            run = Run(model.adapter, model.planner.plan((*edits, *off), len(ids)))
            alone, _ = model.forward(ids, run, (len(ids) - 1,), looks_ahead=not rule.masked)
            np.testing.assert_allclose(logits, alone[0].numpy(), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_model_as_it_is_is_its_trace(dtype: str) -> None:
    """To rounding; to the bit in short formats, whose rounding would be seen beside other pages."""
    tiny = build_model("llama").to(getattr(torch, dtype))
    model = Model(tiny, tiny_tokenizer(), model_id="x", name="x", revision="random")
    found, places = order_experiment(open_run(model, IDS)), ("resid_post", 1)
    atol = 1e-5 if dtype == "float32" else 0
    trace = model.trace(IDS)
    np.testing.assert_allclose(found.model.logits_before, trace.next_token_logits(), rtol=0, atol=atol)
    turned = [IDS[place] for place in found.order]
    off = model.trace(turned, interventions=PositionsOff())
    np.testing.assert_allclose(found.masked.logits_after, off.next_token_logits(), rtol=0, atol=atol)
    before, after = trace.get(*places), model.trace(turned).get(*places)[np.argsort(found.order)]
    length = (np.linalg.norm(before, axis=1) + np.linalg.norm(after, axis=1)) / 2
    change = np.linalg.norm(after - before, axis=1) / length
    np.testing.assert_allclose(found.model.stream[2], change, rtol=1e-4)


def test_long_prompts_are_cut() -> None:
    model = Model(build_model("gpt2"), tiny_tokenizer(), model_id="x", name="x", revision="random")
    assert len(order_experiment(open_run(model, IDS * 10)).ids) == 120 < LONGEST


def test_one_head_by_hand_is_the_models_own() -> None:
    model = Model(build_model("gpt2"), tiny_tokenizer(), model_id="x", name="x", revision="random")
    trace = model.trace(IDS, points=("q", "k", "v", "z"))
    q, k, v, z = (trace.get(point, 1, 2) for point in ("q", "k", "v", "z"))
    np.testing.assert_allclose(attend(q, k, v, causal=True), z, atol=1e-5)
