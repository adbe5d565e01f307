"""Each intervention against a model edited by hand: other weights, another config, or a replaced module."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime import interventions as edit
from model_runtime.capture.planner import _MAKERS
from model_runtime.errors import InterventionError
from tests.tiny_models import VOCABULARY, build_model, tiny_tokenizer

LAYER, HEAD = 1, 2
IDS = torch.randint(1, VOCABULARY, (12,), generator=torch.Generator().manual_seed(5)).tolist()
ROTATING = ("llama", "gpt_neox", "phi3", "gemma3", "smollm3", "gpt_oss", "llama-yarn", "llama-llama3")
SPARSE = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def hf_logits(hf_model: Any, **options: Any) -> np.ndarray:
    with torch.no_grad():
        return hf_model(torch.tensor([IDS]), use_cache=False, **options).logits[0].numpy()


def traced(case: str, *edits: Any) -> np.ndarray:
    """Logits under the edits; the same model without them afterwards is as it was."""
    model = model_of(case)
    before = model.trace(IDS, logits_at="all").get("logits")
    logits = model.trace(IDS, logits_at="all", interventions=edits).get("logits")
    np.testing.assert_array_equal(model.trace(IDS, logits_at="all").get("logits"), before)
    assert not np.array_equal(logits, before), "the edit changed nothing"
    return logits


def by_hand(case: str, change: Callable[[Any], None]) -> np.ndarray:
    hf_model = build_model(case)
    with torch.no_grad():
        change(hf_model)
    return hf_logits(hf_model)


def at(hf_model: Any, path: str) -> Any:
    for name in path.split("."):
        hf_model = hf_model[int(name)] if name.isdigit() else getattr(hf_model, name)
    return hf_model


# Scaling by a power of two commutes with rounding, so these are equal to the bit.
@pytest.mark.parametrize("factor", [0.0, 0.5, -2.0])
@pytest.mark.parametrize(
    ("case", "path", "columns"),
    [
        ("llama", "model.layers.1.self_attn.o_proj", True),
        ("gemma2", "model.layers.1.self_attn.o_proj", True),
        ("gpt_oss", "model.layers.1.self_attn.o_proj", True),
        ("gpt_neox", "gpt_neox.layers.1.attention.dense", True),
        ("gpt2", "transformer.h.1.attn.c_proj", False),  # Conv1D: inputs are rows
    ],
)
def test_scale_head_is_scaled_columns_of_w_o(case: str, path: str, columns: bool, factor: float) -> None:
    def change(hf_model: Any) -> None:
        weight = at(hf_model, path).weight
        part = slice(HEAD * 8, HEAD * 8 + 8)
        weight[(slice(None), part) if columns else part] *= factor

    np.testing.assert_array_equal(traced(case, edit.ScaleHead(LAYER, HEAD, factor)), by_hand(case, change))


@pytest.mark.parametrize(
    ("case", "paths"),
    [
        ("llama", ["model.layers.1.mlp.down_proj.weight"]),
        ("gpt2", ["transformer.h.1.mlp.c_proj.weight", "transformer.h.1.mlp.c_proj.bias"]),
        ("opt", ["model.decoder.layers.1.fc2.weight", "model.decoder.layers.1.fc2.bias"]),
        ("gpt_neox", [f"gpt_neox.layers.1.mlp.dense_4h_to_h.{name}" for name in ("weight", "bias")]),
        ("olmo2", ["model.layers.1.post_feedforward_layernorm.weight"]),
        ("mixtral", ["model.layers.1.mlp.experts.down_proj"]),
        ("gpt_oss", [f"model.layers.1.mlp.experts.{name}" for name in ("down_proj", "down_proj_bias")]),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.5])
def test_scale_mlp_is_a_scaled_last_layer(case: str, paths: list[str], factor: float) -> None:
    def change(hf_model: Any) -> None:
        for path in paths:
            at(hf_model, path).mul_(factor)

    np.testing.assert_array_equal(traced(case, edit.ScaleMLP(LAYER, factor)), by_hand(case, change))


@pytest.mark.parametrize(
    ("case", "path", "columns"),
    [
        ("llama", "model.layers.1.mlp.down_proj", True),
        ("phi3", "model.layers.1.mlp.down_proj", True),
        ("opt", "model.decoder.layers.1.fc2", True),
        ("gpt2", "transformer.h.1.mlp.c_proj", False),
        ("qwen2_moe", "model.layers.1.mlp.down_proj", True),  # its dense layer
    ],
)
def test_scale_neuron_is_a_scaled_column_of_the_down_projection(case: str, path: str, columns: bool) -> None:
    def change(hf_model: Any) -> None:
        at(hf_model, path).weight[(slice(None), 7) if columns else 7] *= 0.0

    np.testing.assert_array_equal(traced(case, edit.ScaleNeuron(LAYER, 7)), by_hand(case, change))


def test_edits_at_positions_leave_the_tokens_before_alone() -> None:
    plain = hf_logits(build_model("llama"))
    for one in (
        edit.ScaleHead(LAYER, HEAD, positions=(6,)),
        edit.ScaleMLP(LAYER, positions=(6,)),
        edit.ScaleNeuron(LAYER, 7, positions=(6,)),
        edit.Steer("resid_pre", LAYER, (0.5,) * 32, positions=(6,)),
        edit.Patch("resid_mid", LAYER, 6, (0.5,) * 32),
    ):
        logits = traced("llama", one)
        np.testing.assert_allclose(logits[:6], plain[:6], atol=1e-5)
        assert (np.abs(logits[6:] - plain[6:]).max(axis=1) > 1e-4).all()


@pytest.mark.parametrize("case", ["mixtral", "olmoe", "qwen2_moe", "qwen3_moe"])
def test_scale_expert_is_an_expert_with_a_scaled_last_layer(case: str) -> None:
    layer = 0 if case == "qwen2_moe" else 1

    def change(hf_model: Any) -> None:
        hf_model.model.layers[layer].mlp.experts.down_proj[3] *= 0.5

    np.testing.assert_array_equal(traced(case, edit.ScaleExpert(layer, 3, 0.5)), by_hand(case, change))


def _replace_router(hf_model: Any, layer: int, route: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Hand the router of one layer changed logits; it does the rest itself."""
    mlp = hf_model.model.layers[layer].mlp
    router = mlp.router if hasattr(mlp, "router") else mlp.gate
    original = torch.nn.functional.linear

    def forward(hidden: torch.Tensor) -> Any:
        torch.nn.functional.linear = lambda *args: route(original(*args))
        try:
            return type(router).forward(router, hidden)
        finally:
            torch.nn.functional.linear = original

    router.forward = forward


def test_an_expert_cut_with_renormalisation_leaves_everything_to_the_other_choice() -> None:
    model = model_of("mixtral")
    trace = model.trace(
        IDS, interventions=[edit.ScaleExpert(LAYER, 3, 0.0, renormalise=True)], points=["router_weights"]
    )
    plain = model.trace(IDS, points=["router_weights", "router_indices"])
    weights, indices = plain.get("router_weights", LAYER), plain.get("router_indices", LAYER)
    chosen = indices == 3
    assert chosen.any()
    assert not chosen.all(axis=1).any()
    expected = np.where(chosen.any(axis=1, keepdims=True), np.where(chosen, 0.0, 1.0), weights)
    np.testing.assert_allclose(trace.get("router_weights", LAYER), expected, atol=1e-6)


@pytest.mark.parametrize("case", SPARSE)
def test_forced_experts_get_what_the_router_gives_them_when_it_has_no_other(case: str) -> None:
    """By hand: all other experts' logits at -inf, so that the router itself picks and weighs the two."""
    layer = 0 if case == "qwen2_moe" else 1
    forced = (2, 0)
    model = model_of(case)
    trace = model.trace(
        IDS,
        points=["router_indices", "router_weights", "router_logits"],
        interventions=[edit.ForceExperts(layer, forced)],
        logits_at="all",
    )
    assert (trace.get("router_indices", layer) == np.array(forced)).all()
    weights = trace.get("router_weights", layer)
    if case in ("qwen2_moe", "qwen3_moe", "olmoe"):
        # norm_topk_prob is off: weights are shares of the softmax over all experts, not of the forced.
        logits = torch.tensor(trace.get("router_logits", layer))
        np.testing.assert_allclose(weights, logits.softmax(-1)[:, list(forced)].numpy(), atol=1e-6)
        return
    hf_model = build_model(case)

    def only_forced(logits: torch.Tensor) -> torch.Tensor:
        kept = torch.full_like(logits, -1e30)
        kept[:, list(forced)] = logits[:, list(forced)]
        return kept

    _replace_router(hf_model, layer, only_forced)
    np.testing.assert_allclose(trace.get("logits"), hf_logits(hf_model), atol=1e-5)


@pytest.mark.parametrize("case", SPARSE)
def test_forcing_what_the_router_chose_changes_nothing(case: str) -> None:
    layer, position = (0 if case == "qwen2_moe" else 1), 5
    model = model_of(case)
    plain = model.trace(IDS, logits_at="all")
    chosen = tuple(int(i) for i in plain.get("router_indices", layer)[position])
    weights = tuple(float(w) for w in plain.get("router_weights", layer)[position])
    for one in (
        edit.ForceExperts(layer, chosen, positions=(position,)),
        edit.ForceExperts(layer, chosen, weights, positions=(position,)),
    ):
        trace = model.trace(IDS, logits_at="all", interventions=[one])
        np.testing.assert_allclose(trace.get("logits"), plain.get("logits"), atol=1e-5)


@pytest.mark.parametrize("case", ["llama", "mistral", "gemma2", "gpt2", "gpt_oss", "opt"])
@pytest.mark.parametrize("head", [None, HEAD])
def test_cut_edge_is_one_more_masked_cell(case: str, head: int | None) -> None:
    plain = model_of(case).trace(IDS).get("pattern", LAYER)
    key_pos = int(plain[HEAD, 9].argmax())  # the cell that matters most
    cut = edit.CutEdge(LAYER, head, query_pos=9, key_pos=key_pos)
    hf_model = build_model(case)
    blocks = {"gpt2": "transformer.h", "opt": "model.decoder.layers"}.get(case, "model.layers")
    block = at(hf_model, blocks)[LAYER]
    attention = block.attn if case == "gpt2" else block.self_attn

    def mask_by_hand(module: Any, args: Any, kwargs: Any) -> Any:
        mask = kwargs["attention_mask"]
        if mask is None:
            mask = torch.ones(12, 12, dtype=torch.bool).tril()[None, None]
        mask = mask.expand(1, 4, 12, 12).clone()
        hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        mask[:, range(4) if head is None else head, 9, key_pos] = hidden
        return args, kwargs | {"attention_mask": mask}

    attention.register_forward_pre_hook(mask_by_hand, with_kwargs=True)
    logits = traced(case, cut)
    np.testing.assert_allclose(logits, hf_logits(hf_model), atol=2e-6)
    trace = model_of(case).trace(IDS, interventions=[cut])
    pattern = trace.get("pattern", LAYER)
    cut_heads = [HEAD] if head is not None else range(4)
    assert all(pattern[h, 9, key_pos] == 0 for h in cut_heads)
    assert np.array_equal(pattern[0], plain[0]) == (head is not None)
    assert trace.get("attn_scores", LAYER)[cut_heads[0], 9, key_pos] == -np.inf


STREAM = np.linspace(-1, 1, 32).astype(np.float32)


@pytest.mark.parametrize(
    "case", ["llama", "gemma2", "gpt2", "gpt_neox", "opt", "olmo2", "mixtral", "gpt_oss"]
)
@pytest.mark.parametrize("point", ["embed", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post"])
def test_patch_and_steer_are_seen_where_they_happen(case: str, point: str) -> None:
    model = model_of(case)
    if case == "gpt_neox" and point == "resid_mid":
        with pytest.raises(InterventionError, match="parallel"):
            model.trace(IDS, interventions=[edit.Patch(point, LAYER, 3, tuple(STREAM))])
        return
    layer = 0 if point == "embed" else LAYER
    names = ["embed", "resid_pre", "attn_out", "mlp_out", "resid_post"]
    names += [] if case == "gpt_neox" else ["resid_mid"]
    at_layer = None if point == "embed" else layer
    plain = model.trace(IDS, points=names).get(point, at_layer)
    patched = model.trace(IDS, points=names, interventions=[edit.Patch(point, layer, 8, tuple(STREAM))])
    found = patched.get(point, at_layer)
    np.testing.assert_array_equal(found[8], STREAM)
    np.testing.assert_array_equal(found[:8], plain[:8])
    steered = model.trace(
        IDS, points=names, interventions=[edit.Steer(point, layer, tuple(STREAM), 2.0, positions=(8, 10))]
    )
    found = steered.get(point, at_layer)
    np.testing.assert_array_equal(found[[8, 10]], plain[[8, 10]] + 2.0 * STREAM)
    for trace in (patched, steered):
        assert not np.array_equal(trace.next_token_logits(), model.trace(IDS).next_token_logits())
        if case != "gpt_neox" and point != "resid_post":
            # What comes after adds to the edited stream, so the edit reached the stream itself.
            if point not in ("mlp_out",):
                attn = trace.get("resid_pre", LAYER) + trace.get("attn_out", LAYER)
                if point != "resid_mid":
                    np.testing.assert_array_equal(trace.get("resid_mid", LAYER), attn)
            total = trace.get("resid_mid", LAYER) + trace.get("mlp_out", LAYER)
            np.testing.assert_array_equal(trace.get("resid_post", LAYER), total)


@pytest.mark.parametrize("case", ["llama", "gpt2", "mixtral"])
def test_a_steered_stream_is_a_model_with_a_bias(case: str) -> None:
    """Steering attn_out or mlp_out everywhere equals a hook that adds a constant to that module."""
    for point, path in (
        ("attn_out", {"gpt2": "transformer.h.1.attn"}.get(case, "model.layers.1.self_attn")),
        ("mlp_out", {"gpt2": "transformer.h.1.mlp"}.get(case, "model.layers.1.mlp")),
    ):
        hf_model = build_model(case)

        def add(module: Any, args: Any, output: Any) -> Any:
            shift = torch.tensor(STREAM)
            return (output[0] + shift, *output[1:]) if isinstance(output, tuple) else output + shift

        at(hf_model, path).register_forward_hook(add)
        logits = traced(case, edit.Steer(point, LAYER, tuple(STREAM)))
        np.testing.assert_array_equal(logits, hf_logits(hf_model))


def _with_rope(case: str, change: Callable[[dict[str, Any]], None]) -> np.ndarray:
    """Logits of a model built from a config with other RoPE settings and given the same weights."""
    original = build_model(case)
    config = copy.deepcopy(original.config)
    parameters = config.rope_parameters
    for one in [parameters] if "rope_type" in parameters else parameters.values():
        change(one)
    other = type(original)._from_config(config).eval()
    other.load_state_dict(original.state_dict())
    return hf_logits(other)


@pytest.mark.parametrize("case", ROTATING)
def test_rope_base_is_a_config_with_another_theta(case: str) -> None:
    expected = _with_rope(case, lambda parameters: parameters.update(rope_theta=500.0))
    np.testing.assert_array_equal(traced(case, edit.RopeBase(500.0)), expected)


@pytest.mark.parametrize("case", ["llama", "gpt_neox", "phi3", "gemma3"])
def test_linear_scaling_is_hugging_faces_rope_type_linear(case: str) -> None:
    if case in ("llama", "gemma3"):
        expected = _with_rope(case, lambda parameters: parameters.update(rope_type="linear", factor=4.0))
        np.testing.assert_array_equal(traced(case, edit.RopeScaling("linear", 4.0)), expected)
    positions = torch.arange(12)[None] / 4
    expected = hf_logits(build_model(case), position_ids=positions, attention_mask=torch.ones(1, 12))
    np.testing.assert_allclose(traced(case, edit.RopeScaling("linear", 4.0)), expected, atol=2e-5)


@pytest.mark.parametrize(("case", "d_rotary"), [("llama", 8), ("gpt_neox", 4)])
def test_ntk_scaling_raises_the_base(case: str, d_rotary: int) -> None:
    def change(parameters: dict[str, Any]) -> None:
        parameters["rope_theta"] *= 4.0 ** (d_rotary / (d_rotary - 2))

    np.testing.assert_array_equal(traced(case, edit.RopeScaling("ntk", 4.0)), _with_rope(case, change))


@pytest.mark.parametrize("case", [*ROTATING, "llama-dynamic", "phi3-longrope"])
@pytest.mark.parametrize("offset", [3, 20])
def test_rope_offset_is_other_position_ids(case: str, offset: int) -> None:
    """Equal to the bit, and the relative distances keep attention the same up to rounding."""
    positions = torch.arange(offset, offset + 12)[None]
    expected = hf_logits(build_model(case), position_ids=positions, attention_mask=torch.ones(1, 12))
    np.testing.assert_array_equal(traced(case, edit.RopeOffset(offset)), expected)


@pytest.mark.parametrize("case", ROTATING)
def test_positions_off_is_every_token_at_position_0(case: str) -> None:
    positions = torch.zeros(1, 12, dtype=torch.long)
    expected = hf_logits(build_model(case), position_ids=positions, attention_mask=torch.ones(1, 12))
    np.testing.assert_array_equal(traced(case, edit.PositionsOff()), expected)
    trace = model_of(case).trace(IDS, points=["q", "rot_q"], interventions=[edit.PositionsOff()])
    if case != "llama-yarn" and case != "gpt_oss":  # YaRN scales cos and sin
        np.testing.assert_array_equal(trace.get("q", 0), trace.get("rot_q", 0))


@pytest.mark.parametrize(
    ("case", "path"), [("gpt2", "transformer.wpe"), ("opt", "model.decoder.embed_positions")]
)
def test_positions_off_with_learned_positions_is_a_table_of_zeros(case: str, path: str) -> None:
    logits = traced(case, edit.PositionsOff())
    np.testing.assert_array_equal(logits, by_hand(case, lambda model: at(model, path).weight.zero_()))


def test_edits_add_up_in_their_order() -> None:
    steer = edit.Steer("resid_post", LAYER, (1.0,) * 32, positions=(4,))
    patch = edit.Patch("resid_post", LAYER, 4, (0.0,) * 32)
    model = model_of("llama")

    def after(*edits: Any) -> np.ndarray:
        return model.trace(IDS, points=["resid_post"], interventions=edits).get("resid_post", LAYER)[4]

    assert (after(steer, patch) == 0).all()
    assert (after(patch, steer) == 1).all()
    both = traced("llama", edit.RopeBase(500.0), edit.RopeScaling("linear", 2.0), edit.RopeOffset(2))
    positions = torch.arange(2, 14)[None] / 2
    original = build_model("llama")
    config = copy.deepcopy(original.config)
    config.rope_parameters["rope_theta"] = 500.0
    other = type(original)._from_config(config).eval()
    other.load_state_dict(original.state_dict())
    expected = hf_logits(other, position_ids=positions, attention_mask=torch.ones(1, 12))
    np.testing.assert_allclose(both, expected, atol=2e-5)


EVERY_EDIT: tuple[Any, ...] = (
    edit.ScaleHead(LAYER, HEAD),
    edit.ScaleHead(LAYER, HEAD, 0.5, positions=(2, 9)),
    edit.ScaleMLP(LAYER, 0.5),
    edit.ScaleNeuron(LAYER, 3, positions=(1, 10)),
    edit.CutEdge(LAYER, None, 10, 3),
    edit.CutEdge(LAYER, 1, 5, 2),
    edit.Patch("resid_mid", LAYER, 9, tuple(STREAM)),
    edit.Steer("resid_pre", LAYER, tuple(STREAM)),
    edit.RopeBase(500.0),
    edit.RopeOffset(7),
    edit.RopeScaling("linear", 2.0),
    edit.RopeScaling("ntk", 2.0),
    edit.PositionsOff(),
)
SPARSE_EDITS: tuple[Any, ...] = (
    edit.ScaleExpert(LAYER, 3, 0.5),
    edit.ScaleExpert(LAYER, 2, 0.0, renormalise=True),
    edit.ForceExperts(LAYER, (2, 0)),
    edit.ForceExperts(LAYER, (1, 3), (0.75, 0.25), positions=(2, 10)),
)
DENSE_CASES = ("llama", "mistral", "gemma2", "gemma3", "gpt2", "opt", "llama-dynamic", "phi3-longrope")


def edited_cases() -> list[tuple[str, Any]]:
    """Every edit with every layout that it fits."""
    pairs = [(case, one) for case in DENSE_CASES for one in EVERY_EDIT]
    pairs += [(case, one) for case in ("gpt_oss", "mixtral") for one in (*EVERY_EDIT, *SPARSE_EDITS)]
    turns = (edit.RopeBase, edit.RopeOffset, edit.RopeScaling)
    return [
        (case, one)
        for case, one in pairs
        if not (isinstance(one, turns) and case in ("gpt2", "opt"))
        and not (isinstance(one, edit.ScaleNeuron) and case in ("gpt_oss", "mixtral"))
    ]


@pytest.mark.parametrize(("case", "one"), edited_cases())
def test_decoding_step_by_step_applies_the_same_edit(case: str, one: Any) -> None:
    model = model_of(case)
    logits, state = model.step(IDS[:4], interventions=[one])
    for token in IDS[4:]:
        logits, state = model.step([token], state)
    full = model.trace(IDS, interventions=[one]).next_token_logits()
    np.testing.assert_allclose(logits, full, atol=1e-4)


@pytest.mark.parametrize(
    ("case", "one", "says"),
    [
        ("llama", edit.ScaleHead(3, 0), "layer 3"),
        ("llama", edit.ScaleHead(-1, 0), "layer -1"),
        ("llama", edit.ScaleHead(0, 4), "head 4"),
        ("llama", edit.ScaleHead(0, 0, positions=(12,)), "position 12"),
        ("llama", edit.ScaleNeuron(0, 48), "neuron 48"),
        ("mixtral", edit.ScaleNeuron(0, 0), "mixture of experts"),
        ("llama", edit.ScaleExpert(0, 0), "dense"),
        ("mixtral", edit.ScaleExpert(0, 4), "expert 4"),
        ("mixtral", edit.ForceExperts(0, (1,)), "2 different ones"),
        ("mixtral", edit.ForceExperts(0, (1, 1)), "2 different ones"),
        ("mixtral", edit.ForceExperts(0, (1, 2), (1.0,)), "one per expert"),
        ("mixtral", edit.ForceExperts(0, (1, 2), (-1.0, 1.0)), "add up to 0"),
        ("mixtral", edit.ForceExperts(0, (1, 2), (-2.0, 1.0)), "add up to -1"),
        ("llama", edit.CutEdge(0, 0, 3, 4), "comes later"),
        ("llama", edit.CutEdge(0, 0, 0, 0), "are cut"),
        ("llama", edit.Patch("q", 0, 0, (0.0,) * 32), "cannot be edited"),
        ("llama", edit.Patch("resid_pre", 0, 0, (0.0,) * 31), "31 numbers"),
        ("llama", edit.Patch("embed", 1, 0, (0.0,) * 32), "no layer"),
        ("gpt2", edit.RopeBase(500.0), "learned positions"),
        ("gpt2", edit.RopeOffset(1), "learned positions"),
        ("llama", "cut everything", "not an intervention"),
    ],
)
def test_edits_of_what_is_not_there_are_refused(case: str, one: Any, says: str) -> None:
    with pytest.raises(InterventionError, match=says):
        model_of(case).trace(IDS, interventions=[one])


def test_a_row_cut_by_several_edges_within_its_window_is_refused() -> None:
    # Mistral's window is 6: position 9 sees 4 to 9.
    cuts = [edit.CutEdge(0, None if key % 2 else 1, 9, key) for key in range(4, 10)]
    model = model_of("mistral")
    model.trace(IDS, interventions=cuts[1:])
    with pytest.raises(InterventionError, match="head 1 are cut"):
        model.trace(IDS, interventions=cuts)


def test_every_record_has_a_maker_is_decoded_somewhere_and_is_a_key() -> None:
    everything = (*EVERY_EDIT, *SPARSE_EDITS)
    assert {type(one) for one in everything} == set(get_args(edit.Intervention)) == set(_MAKERS)
    assert len(dict.fromkeys(everything)) == len(everything)
    for one in everything:
        assert hash(dataclasses.replace(one)) == hash(one)


def test_ntk_scaling_of_a_single_pair_is_refused() -> None:
    model = model_of("gpt_neox")
    object.__setattr__(model.spec, "d_rotary", 2)
    with pytest.raises(InterventionError, match="more than one rotating pair"):
        model.trace(IDS, interventions=edit.RopeScaling("ntk", 2.0))
