"""Parameters by formula are those of the real modules: of tiny families, and of published shapes."""

from __future__ import annotations

import pytest
import torch
import transformers as hf

from model_runtime.model import Model
from model_runtime.moe.sizes import (
    PUBLISHED,
    MoeShape,
    Published,
    SwitchShape,
    calculator_of,
    model_sizes,
    shape_of_config,
    shape_sizes,
)
from tests.tiny_models import FAMILY_CASES, tiny_model

SPARSE = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")


def wrapped(family: str) -> Model:
    hf_model, tokenizer = tiny_model(family)
    return Model(hf_model, tokenizer, model_id="tiny", name="tiny", revision="local")


@pytest.mark.parametrize("family", [*FAMILY_CASES])
def test_every_parameter_is_counted_once(family: str) -> None:
    model = wrapped(family)
    sizes = model_sizes(model)
    assert sizes.total == model.spec.n_params
    dense = family not in SPARSE
    assert (sizes.active == sizes.total) is dense
    assert sizes.part("experts").total > 0 or dense


@pytest.mark.parametrize("family", SPARSE)
def test_the_formula_is_the_real_count_part_by_part(family: str) -> None:
    model = wrapped(family)
    by_formula = shape_sizes(shape_of_config(model.hf_model.config, "tiny"))
    assert by_formula == model_sizes(model)


def test_active_is_what_is_left_without_the_unused_experts() -> None:
    model = wrapped("mixtral")
    experts = [block.mlp.experts for block in model.hf_model.model.layers]
    one = sum(p[0].numel() for layer in experts for p in layer.parameters())
    sizes = model_sizes(model)
    assert sizes.active == sizes.total - 2 * one  # 2 of 4 are used


def config_of(row: Published) -> object:
    """Hugging Face's config with this shape's numbers."""
    shape = row.shape
    if isinstance(shape, SwitchShape):
        return hf.SwitchTransformersConfig(
            vocab_size=shape.d_vocab,
            d_model=shape.d_model,
            d_kv=shape.d_head,
            d_ff=shape.d_ff,
            num_layers=shape.n_layers,
            num_decoder_layers=shape.n_layers,
            num_heads=shape.n_heads,
            num_experts=shape.n_experts,
            num_sparse_encoder_layers=shape.sparse_layers,
            num_sparse_decoder_layers=shape.sparse_layers,
        )
    width = "moe_intermediate_size" if "qwen" in row.model_type else "intermediate_size"
    experts = "num_experts" if row.model_type in ("qwen2_moe", "qwen3_moe", "olmoe") else "num_local_experts"
    more = {"shared_expert_intermediate_size": shape.d_shared} if shape.d_shared else {}
    return hf.AutoConfig.for_model(
        row.model_type,
        vocab_size=shape.d_vocab,
        hidden_size=shape.d_model,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        head_dim=shape.d_head,
        num_experts_per_tok=shape.k,
        pad_token_id=None,
        **{experts: shape.n_experts, width: shape.d_ff},
        **more,
    )


# The 61,440 experts of Switch-C are as many modules in the real class: its formula is that of Switch-Base.
BUILT = tuple(row for row in PUBLISHED if row.shape.name != "Switch-C")


@pytest.mark.parametrize("row", BUILT, ids=lambda row: row.shape.name)
def test_published_shapes_have_the_parameters_of_the_real_class(row: Published) -> None:
    config = config_of(row)
    cls = hf.SwitchTransformersForConditionalGeneration if row.shape.k == 1 else hf.AutoModelForCausalLM
    with torch.device("meta"):
        model = cls._from_config(config) if row.shape.k == 1 else cls.from_config(config)
    assert sum(p.numel() for p in model.parameters()) == row.sizes().total
    if isinstance(row.shape, MoeShape):
        assert shape_of_config(config, row.shape.name) == row.shape


def test_published_numbers_are_reached() -> None:
    found = {row.shape.name: row.sizes() for row in PUBLISHED}
    mixtral = found["Mixtral 8x7B"]
    assert round(mixtral.total / 1e9, 1) == 46.7
    assert round(mixtral.active / 1e9, 1) == 12.9
    assert round(found["OLMoE 1B-7B"].total / 1e9, 1) == 6.9
    assert round(found["OLMoE 1B-7B"].active / 1e9, 1) == 1.3
    assert round(found["Qwen1.5-MoE-A2.7B"].active / 1e9, 1) == 2.7
    assert round(found["Qwen3-30B-A3B"].total / 1e9, 1) == 30.5
    gpt_oss = found["GPT-OSS-20B"]
    assert round((gpt_oss.active - gpt_oss.part("token embedding").total) / 1e9, 1) == 3.6
    assert round(found["Switch-C"].total / 1e9) == 1571


def test_the_work_of_mixtral_by_hand() -> None:
    # A layer: W_q and W_o, W_k and W_v, the router, two experts.
    layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 4096 * 8 + 2 * 3 * 4096 * 14336
    assert PUBLISHED[0].sizes().multiplications == 32 * layer + 4096 * 32000


@pytest.mark.parametrize("family", ["mixtral", "qwen2_moe", "llama"])
def test_the_calculator_begins_at_the_model(family: str) -> None:
    model = wrapped(family)
    spec, sizes, calculator = model.spec, model_sizes(model), calculator_of(model)
    n, k = (spec.n_experts, spec.experts_per_token) if spec.n_experts else (1, 1)
    assert calculator.total(n, spec.d_mlp) == sizes.total
    assert calculator.active(n, k, spec.d_mlp) == sizes.active
    assert calculator.multiplications(n, k, spec.d_mlp) == sizes.multiplications


def test_more_experts_cost_memory_and_hardly_work() -> None:
    calculator = calculator_of(wrapped("llama"))
    # Three layers, d_model 32, three matrices of width 48; the router has 32 weights an expert.
    assert calculator.total(8, 48) - calculator.total(1, 48) == 3 * (7 * 3 * 32 * 48 + 8 * 32)
    assert calculator.active(8, 1, 48) - calculator.active(1, 1, 48) == 3 * 8 * 32
