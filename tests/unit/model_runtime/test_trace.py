"""Traces: what `get` gives and refuses, what is kept, what is raised."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from model_runtime import ALL_POINTS, Model
from model_runtime import interventions as edit
from model_runtime.attention.measures import head_measures, stream_contributions
from model_runtime.errors import InterventionError, NotCaptured, PointUnavailable, PromptError, SettingError
from model_runtime.points import POINTS
from tests.open_runs import run_with
from tests.tiny_models import TEXT, build_model, tiny_tokenizer

IDS = (9, 80, 12, 80, 31, 7)


def model_of(case: str = "llama") -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name="Tiny", revision="random")


@pytest.fixture(scope="module")
def model() -> Model:
    return model_of()


def test_shapes_and_types_follow_the_table(model: Model) -> None:
    sizes = {"pos": 6, "key_pos": 6, "head": 4, "kv head": 2, "d_head": 8, "d_model": 32, "d_mlp": 48}
    sizes |= {"d_rotary": 8, "d_vocab": 320, "expert": 4, "k": 2}
    for case in ("llama", "mixtral"):
        one = model_of(case)
        names = [name for name in ALL_POINTS if any(reason is None for reason in one.reasons[name])]
        trace = one.trace(IDS, points=names, logits_at="all")
        for name in names:
            array = trace.get(name, layer=0 if POINTS[name].layered else None)
            assert array.shape == tuple(sizes[axis] for axis in POINTS[name].axes), name
            assert array.dtype == (np.int64 if name == "router_indices" else np.float32)


def test_layers_are_stacked_when_none_is_named(model: Model) -> None:
    trace = model.trace(IDS, layers=(0, 2))
    assert trace.get("resid_post").shape == (2, 6, 32)
    np.testing.assert_array_equal(trace.get("resid_post")[1], trace.get("resid_post", layer=2))
    assert trace.get("v", head=1).shape == (2, 6, 8)
    with pytest.raises(NotCaptured, match="Name a layer"):
        trace.get("pattern")


def test_one_head_is_a_slice_of_all(model: Model) -> None:
    trace = model.trace(IDS, points=["pattern", "z", "q"])
    for name, heads in (("pattern", 4), ("attn_scores", 4), ("z", 4), ("q", 4), ("rot_k", 2)):
        both = trace.get(name, layer=1)
        assert len(both) == heads
        for head in range(heads):
            np.testing.assert_allclose(trace.get(name, layer=1, head=head), both[head], atol=1e-6)
        with pytest.raises(PointUnavailable, match=f"head {heads}"):
            trace.get(name, layer=1, head=heads)


def test_what_was_not_asked_for_is_refused_with_the_request_that_has_it(model: Model) -> None:
    trace = model.trace(IDS, points=["resid_mid"], layers=[1])
    with pytest.raises(NotCaptured, match=r'points=\("ln1",\)'):
        trace.get("ln1", layer=1)
    with pytest.raises(NotCaptured, match=r'points=\("resid_mid",\), layers=\(2,\)'):
        trace.get("resid_mid", layer=2)
    with pytest.raises(NotCaptured, match='points=\\("pattern",\\)'):
        trace.get("pattern", layer=1)
    with pytest.raises(PointUnavailable, match="no layer 3"):
        trace.get("resid_mid", layer=3)
    with pytest.raises(PointUnavailable, match="no point 'hidden_states'"):
        trace.get("hidden_states")
    with pytest.raises(PointUnavailable, match="no heads"):
        trace.get("resid_mid", layer=1, head=0)
    with pytest.raises(NotCaptured, match="logits at the last position"):
        model.trace(IDS, logits_at=(0,)).next_token_logits()


@pytest.mark.parametrize(
    ("case", "point", "says"),
    [
        ("llama", "pos_embed", "rotates q and k"),
        ("llama", "sink_weight", "no attention sinks"),
        ("llama", "router_logits", "dense"),
        ("gpt2", "rot_q", "does not rotate"),
        ("gpt2", "rope_cos", "does not rotate"),
        ("gpt2", "mlp_pre_linear", "not gated"),
        ("gpt_neox", "resid_mid", "parallel block"),
        ("olmo2", "ln1", "no norm before attention"),
        ("olmo2", "ln2", "no norm before the MLP"),
        ("mixtral", "mlp_post", "mixture of experts"),
    ],
)
def test_points_that_a_family_lacks_are_refused_by_name(case: str, point: str, says: str) -> None:
    one = model_of(case)
    with pytest.raises(PointUnavailable, match=says):
        one.trace(IDS, points=[point])
    with pytest.raises(PointUnavailable, match=says):
        one.trace(IDS).get(point, layer=0)


def test_a_point_that_some_layers_have_is_kept_there_and_refused_elsewhere() -> None:
    nope = model_of("smollm3")
    trace = nope.trace(IDS, points=["rot_q", "q"])
    assert trace.get("rot_q", layer=0).shape == (4, 6, 8)
    with pytest.raises(PointUnavailable, match="in layer 1: this layer does not rotate"):
        trace.get("rot_q", layer=1)
    np.testing.assert_array_equal(trace.get("q", layer=1), trace.call(1).query[0].numpy())
    with pytest.raises(PointUnavailable, match="does not rotate"):
        nope.trace(IDS, points=["rope_cos"], layers=[1])
    mixed = model_of("qwen2_moe").trace(IDS)
    assert mixed.get("router_indices", layer=0).shape == (6, 2)
    with pytest.raises(PointUnavailable, match="layer 1: it is dense"):
        mixed.get("router_indices", layer=1)


@pytest.mark.parametrize("case", ["llama", "gpt2", "gemma3", "gpt_neox", "phi3", "gpt_oss"])
def test_positions_restrict_rows_and_patterns_keep_all_keys(case: str) -> None:
    one = model_of(case)
    names = [name for name in ALL_POINTS if all(reason is None for reason in one.reasons[name])]
    whole = one.trace(IDS, points=names)
    part = one.trace(IDS, points=names, positions=(1, 4))
    for name in names:
        row = POINTS[name]
        if name == "logits":
            continue
        layer = 2 if row.layered else None
        expected = whole.get(name, layer).take((1, 4), axis=row.pos_axis)
        np.testing.assert_allclose(part.get(name, layer), expected, atol=1e-6, err_msg=name)
    assert part.nbytes < whole.nbytes
    assert part.positions == (1, 4)


def test_logits_at_chosen_positions(model: Model) -> None:
    whole = model.trace(IDS, logits_at="all")
    some = model.trace(IDS, logits_at=(1, 3))
    assert some.logits_positions == (1, 3)
    np.testing.assert_allclose(some.get("logits"), whole.get("logits")[[1, 3]], atol=1e-5)
    with pytest.raises(PointUnavailable, match="no position 6"):
        model.trace(IDS, logits_at=(6,))
    with pytest.raises(SettingError, match="first"):
        model.trace(IDS, logits_at="first")
    with pytest.raises(PointUnavailable, match="no layer 3"):
        model.trace(IDS, layers=[3])


def test_arrays_that_leave_a_trace_are_copies(model: Model) -> None:
    trace = model.trace(IDS)
    for name in ("resid_post", "v", "rot_q", "pattern"):
        before = trace.get(name, layer=0)
        trace.get(name, layer=0)[:] = 7
        np.testing.assert_array_equal(trace.get(name, layer=0), before)
    trace.next_token_logits()[:] = 7
    assert not (trace.next_token_logits() == 7).any()


def test_small_windows_on_large_storages_are_copied() -> None:
    """Phi-3's v is a fifth of its fused projection, which would stay in memory as a whole."""
    for case in ("phi3", "gpt_neox"):
        one = model_of(case)
        trace = one.trace(IDS, points=["v"], layers=[1])
        call = trace.call(1)
        used = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in (call.value,)}
        assert sum(used.values()) == call.value.nbytes
    one = model_of("gpt2")
    for points in (["q", "k", "v"], ["v"], None):
        trace = one.trace(IDS, points=points)
        # GPT-2's q, k and v fill their projection: one storage, nothing copied.
        call = trace.call(1)
        assert len({t.untyped_storage().data_ptr() for t in (call.query, call.key, call.value)}) == 1
    trace = one.trace(IDS, points=["q", "k", "v"])
    per_layer = 3 * 6 * 32 * 4
    assert trace.nbytes == 3 * per_layer + trace.get("logits").nbytes


@pytest.mark.parametrize("case", ["gpt2", "phi3", "gpt_neox", "gemma3"])
def test_restricted_positions_keep_no_more_than_they_need(case: str) -> None:
    one, n = model_of(case), 60
    trace = one.trace([5] * n, points=["q", "v", "mlp_pre"], positions=(3,))
    for layer in range(3):
        call = trace.call(layer)
        for tensor in (
            call.query,
            call.key,
            call.value,
            trace.kept["q", layer],
            trace.kept["mlp_pre", layer],
        ):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
        assert call.mask is None or call.mask.shape[2] == 1
    masks = {call.mask.data_ptr() for call in trace.calls.values() if call.mask is not None}
    assert len(masks) <= 2  # one per kind of layer, shared


@pytest.mark.parametrize("case", ["llama", "mistral", "gpt_oss"])
def test_a_cut_in_one_head_keeps_no_mask_per_head(case: str) -> None:
    one, n = model_of(case), 50
    ids = [5 + number for number in range(n)]
    cuts = [edit.CutEdge(layer, 1, 40, 38) for layer in range(3)] + [edit.CutEdge(2, None, 41, 39)]
    plain, cut = one.trace(ids), one.trace(ids, interventions=cuts)
    assert cut.nbytes == plain.nbytes
    for layer in range(3):
        pattern = cut.get("pattern", layer)
        for head in range(4):
            assert (pattern[head, 40, 38] == 0) == (head == 1)
            assert (pattern[head, 41, 39] == 0) == (layer == 2)
            np.testing.assert_allclose(cut.get("pattern", layer, head), pattern[head], atol=1e-6)
        part = one.trace(ids, interventions=cuts, positions=(7, 40, 41)).get("pattern", layer)
        np.testing.assert_allclose(part, pattern[:, [7, 40, 41]], atol=1e-6)


def test_prompts_that_cannot_be_read(model: Model) -> None:
    for prompt, says in (
        ("", "empty"),
        (" \n\t", "blank"),
        ([], "no tokens"),
        ([320], "id 320"),
        ([-1], "id -1"),
        ([5] * 129, r"129 tokens; this model reads at most 128. Shorten it by 1 token or more"),
    ):
        with pytest.raises(PromptError, match=says):
            model.trace(prompt)
    assert len(model.trace([5]).tokens) == 1
    assert model.trace([5] * 128).next_token_logits().shape == (320,)
    _, state = model.step([5] * 127)
    _, state = model.step([5], state)
    with pytest.raises(PromptError, match="129 tokens"):
        model.step([5], state)


@pytest.mark.parametrize(
    "prompt",
    [b"ab", bytearray(b"ab"), [1.9, 2.2], None, ["5"], torch.ones(2, 3, dtype=torch.long), [[5, 6]], 1.5],
    ids=repr,
)
def test_prompts_of_another_type_are_refused(model: Model, prompt: object) -> None:
    for read in (model.trace, model.step, model.generate):
        with pytest.raises(PromptError, match="cannot be read"):
            read(prompt)  # type: ignore[operator]


def test_ids_of_arrays_and_tensors_are_read(model: Model) -> None:
    assert model.prompt_ids(np.array([5, 6])) == model.prompt_ids(torch.tensor([5, 6])) == (5, 6)


def test_a_step_checks_its_ids_too(model: Model) -> None:
    _, state = model.step(IDS)
    with pytest.raises(PromptError, match="id 9999"):
        model.step([9999], state)
    with pytest.raises(PromptError, match="no tokens"):
        model.step([], state)


def test_one_value_may_stand_alone(model: Model) -> None:
    one = edit.ScaleHead(1, 0)
    alone = model.trace(IDS, "pattern", layers=1, positions=2, interventions=one, logits_at=3)
    listed = model.trace(IDS, ["pattern"], layers=[1], positions=[2], interventions=[one], logits_at=(3,))
    assert alone.recipe == listed.recipe
    assert (alone.points, alone.layers, alone.positions) == (("pattern",), (1,), (2,))
    assert (alone.logits_positions, alone.interventions) == ((3,), (one,))
    np.testing.assert_array_equal(
        model.step(IDS, interventions=one)[0], model.step(IDS, interventions=[one])[0]
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"points": 3}, "points is 3"),
        ({"points": [["pattern"]]}, "points is"),
        ({"layers": [1.5]}, "names no layers"),
        ({"layers": "ab"}, "names no layers"),
        ({"positions": ()}, "No position"),
        ({"logits_at": ()}, "No position"),
        ({"logits_at": 1.5}, "names no positions"),
    ],
)
def test_arguments_of_another_type_and_empty_ones_are_refused(
    model: Model, arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(SettingError, match=says):
        model.trace(IDS, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [5, None, "cut"])
def test_what_is_no_edit_is_refused_everywhere(model: Model, wrong: object) -> None:
    for run in (model.trace, model.step, model.generate):
        with pytest.raises(InterventionError, match="not an intervention"):
            run(IDS, interventions=wrong)  # type: ignore[operator]


def test_generation_refuses_a_wrong_edit_at_once(model: Model) -> None:
    with pytest.raises(InterventionError, match="layer 7"):
        model.generate(IDS, interventions=[edit.ScaleHead(7, 0)])


def test_points_of_no_layer_refuse_a_layer_and_a_head(model: Model) -> None:
    trace = model.trace(IDS)
    for wrong in ({"layer": 99}, {"layer": 0}, {"head": 0}):
        with pytest.raises(PointUnavailable, match=r"no layer|no heads"):
            trace.get("embed", **wrong)


def test_a_trace_of_no_layers_says_so(model: Model) -> None:
    run = run_with(model.trace(IDS, layers=()))
    for measure in (head_measures, stream_contributions):
        with pytest.raises(NotCaptured, match="no layers"):
            measure(run)


def test_a_model_says_what_it_is(model: Model) -> None:
    assert repr(model) == "Model(Tiny, Llama, 3 layers, float32 on cpu)"


def test_a_text_and_its_ids_are_one_recipe(model: Model) -> None:
    trace = model.trace(TEXT)
    ids = [token.id for token in trace.tokens]
    assert trace.recipe == model.trace_recipe(ids) == model.trace(ids).recipe
    assert hash(trace.recipe) == hash(model.trace_recipe(TEXT))
    others = [
        model.trace_recipe(ids[:-1]),
        model.trace_recipe(ids, points=["resid_post"]),
        model.trace_recipe(ids, layers=[0]),
        model.trace_recipe(ids, positions=[0]),
        model.trace_recipe(ids, logits_at="all"),
        model.trace_recipe(ids, exact=True),
        model.trace_recipe(ids, interventions=[edit.ScaleHead(0, 0)]),
    ]
    assert len({trace.recipe, *others}) == 8


def test_a_forward_whose_hooks_did_not_fire_raises() -> None:
    one = model_of()
    del one.hf_model.model.layers[1].__dict__["forward"]  # someone took our hook off
    with pytest.raises(RuntimeError, match=r"left no .* \(layer 1\)"):
        one.trace(IDS)


def test_hooks_are_put_on_once() -> None:
    one = model_of()
    with pytest.raises(RuntimeError, match="already has our hooks"):
        Model(one.hf_model, tiny_tokenizer(), model_id="x", name="x", revision="random")


def test_a_deep_copy_of_the_model_computes_with_its_own_weights(model: Model) -> None:
    """People copy a model to edit it by hand: the copy must not run the original's weights."""
    other = copy.deepcopy(model.hf_model)
    with torch.no_grad():
        other.model.layers[1].mlp.down_proj.weight.zero_()
        expected = model.trace(IDS, interventions=[edit.ScaleMLP(1)], logits_at="all").get("logits")
        np.testing.assert_array_equal(other(torch.tensor([IDS]), use_cache=False).logits[0].numpy(), expected)


def test_weights_and_mode_are_untouched() -> None:
    hf_model = build_model("llama")
    before = {name: tensor.clone() for name, tensor in hf_model.state_dict().items()}
    one = Model(hf_model, tiny_tokenizer(), model_id="x", name="x", revision="random")
    one.trace(IDS, interventions=[edit.ScaleHead(0, 0), edit.RopeBase(300.0)])
    assert not hf_model.training
    after = hf_model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", ["llama", "gpt2", "mixtral", "gpt_oss"])
def test_half_precision_models_give_float32_arrays(case: str, dtype: torch.dtype) -> None:
    one = Model(build_model(case).to(dtype), tiny_tokenizer(), model_id="x", name="x", revision="random")
    trace = one.trace(IDS)
    assert trace.dtype == str(dtype).removeprefix("torch.")
    for array in (trace.get("pattern", 0), trace.get("resid_post", 0), trace.next_token_logits()):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_spec_of_a_mixed_model() -> None:
    spec = model_of("qwen2_moe").spec
    assert (spec.n_experts, spec.experts_per_token, spec.d_mlp) == (4, 2, 16)
    assert [layer.sparse for layer in spec.layers] == [True, False, True]
    spec = model_of("gemma3").spec
    assert [layer.window for layer in spec.layers] == [6, None, 6]
    assert [layer.rope_base for layer in spec.layers] == [10000.0, 1000000.0, 10000.0]
    spec = model_of("gpt_neox").spec
    assert (spec.d_rotary, spec.d_head, spec.parallel_block, spec.norm) == (4, 8, True, "LayerNorm")
    assert spec.positions == "rope"
    spec = model_of("gpt2").spec
    assert (spec.positions, spec.d_rotary, spec.gated_mlp, spec.d_mlp) == ("learned", 0, False, 48)
    assert spec.tied_embeddings
    assert spec.n_params == sum(p.numel() for p in build_model("gpt2").parameters())
