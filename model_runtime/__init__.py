"""Models, capture, sampling and decoding: the part of Glassformer that people import in notebooks.

    from model_runtime import load_model
    model = load_model("smollm2-135m-instruct")
    trace = model.trace("The quick brown fox")
    trace.get("pattern", layer=3, head=5)  # numpy float32 [query_pos, key_pos]

Nothing here knows of plotly or streamlit. What needs torch is imported at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from model_runtime import errors, interventions
from model_runtime.loading.catalogue import catalogue
from model_runtime.records import LayerSpec, ModelSpec, Token
from model_runtime.sampling.settings import SamplingSettings

if TYPE_CHECKING:
    from model_runtime.attention.cost import CostFit, CostMeasurement, cache_bytes, measure_cost, score_counts
    from model_runtime.attention.formulas import (
        ProjectionSizes,
        layer_types,
        multiplications,
        projection_sizes,
    )
    from model_runtime.attention.masks import as_used, encoder_decoder_masks, pattern_under, visible_under
    from model_runtime.attention.measures import (
        HeadMeasures,
        StreamContributions,
        head_measures,
        stream_contributions,
    )
    from model_runtime.attention.score_scale import Saturation, pattern_scaled_by, saturation
    from model_runtime.attention.sdpa_check import SdpaCheck
    from model_runtime.attention.stages import HeadStages, ScoreTerms, recombination_error, score_terms
    from model_runtime.loading.load import load_model
    from model_runtime.model import DecodeState, Model
    from model_runtime.moe.collapse import Collapse, read_collapse
    from model_runtime.moe.domains import (
        DomainDivergence,
        DomainRouting,
        domain_divergence,
        domain_routing,
        domain_shares,
        read_heldout,
        typical_tokens,
    )
    from model_runtime.moe.effects import ExpertEffects
    from model_runtime.moe.load import (
        Balance,
        Dispatch,
        PromptDivergence,
        balance_loss,
        dispatch,
        js_divergence,
        noisy_top_k,
        pooled_loss,
        prompt_divergence,
    )
    from model_runtime.moe.outputs import ExpertOutputs, ask_experts
    from model_runtime.moe.routing import RouterRule, Routing, router_rule, routing
    from model_runtime.moe.sizes import (
        PUBLISHED,
        ExpertSizes,
        MoeShape,
        model_sizes,
        shape_of_config,
        shape_sizes,
    )
    from model_runtime.numbers.formats import FORMATS, parse_number
    from model_runtime.numbers.gradients import GradientReport, loss_gradients
    from model_runtime.numbers.precision_texts import PrecisionTexts, compare_texts
    from model_runtime.numbers.precisions import PrecisionReport, compare_precisions
    from model_runtime.numbers.quantization import QuantReport, QuantScheme, dequantize, quantize, quantized
    from model_runtime.numbers.scaling_order import HeadSizes, OrderReport, compare_orders, head_sizes
    from model_runtime.numbers.softmax_ways import RowReport, break_curve, softmax_row
    from model_runtime.numbers.sums import SumTerms, batch_shapes, error_by_length, in_orders, sum_terms
    from model_runtime.numbers.weight_formats import WeightRanges, weight_ranges
    from model_runtime.points import ALL_POINTS, DEFAULT_POINTS
    from model_runtime.positions.length import LengthReading, loss_by_position
    from model_runtime.positions.rotation import (
        HeadRotation,
        head_rotation,
        pattern_change,
        rotate_interleaved,
        rotate_split,
        score_by_distance,
    )
    from model_runtime.positions.schemes import alibi_slopes, sinusoidal_table
    from model_runtime.positions.shuffling import OrderExperiment, order_experiment
    from model_runtime.proof import ProofCheck, SelfProof, self_proof
    from model_runtime.sampling.generation import GeneratedToken, Generation, generate_many
    from model_runtime.sampling.greedy import GreedyText, greedy_text
    from model_runtime.sampling.report import SamplingReport
    from model_runtime.sampling.steps import draws, sampling_steps
    from model_runtime.tokens.bpe import BpeTraining, pieces_after, train_bpe
    from model_runtime.tokens.encodings import (
        TOKENIZERS,
        Tokenized,
        agreement,
        tokenize_with,
        tokenize_with_model,
    )
    from model_runtime.tokens.foreign import ForeignReading, read_foreign
    from model_runtime.tokens.merges import MergeChain, merge_chain, word_merges
    from model_runtime.trace import Trace
    from model_runtime.vectors.embeddings import (
        Analogy,
        TableNorms,
        analogy,
        embedding_row,
        similarities,
        table_norms,
        word_vector,
    )
    from model_runtime.vectors.point_sets import (
        PointSet,
        parse_groups,
        prompt_points,
        vocabulary_points,
        word_points,
    )
    from model_runtime.vectors.projection import (
        Neighbours,
        Projection,
        ProjectionSettings,
        nearest,
        pca,
        project,
    )
    from model_runtime.vectors.senses import Senses, find_word, sense_paths

# name -> module that has it. The functions head_stages, sdpa_check, senses and expert_effects are not
# here: their modules have these names, so import them from there.
_LATE = {
    "ALL_POINTS": "points",
    "DEFAULT_POINTS": "points",
    "FORMATS": "numbers.formats",
    "PUBLISHED": "moe.sizes",
    "TOKENIZERS": "tokens.encodings",
    "Analogy": "vectors.embeddings",
    "Balance": "moe.load",
    "BpeTraining": "tokens.bpe",
    "Collapse": "moe.collapse",
    "CostFit": "attention.cost",
    "CostMeasurement": "attention.cost",
    "DecodeState": "model",
    "Dispatch": "moe.load",
    "DomainDivergence": "moe.domains",
    "DomainRouting": "moe.domains",
    "ExpertEffects": "moe.effects",
    "ExpertOutputs": "moe.outputs",
    "ExpertSizes": "moe.sizes",
    "ForeignReading": "tokens.foreign",
    "GeneratedToken": "sampling.generation",
    "Generation": "sampling.generation",
    "GradientReport": "numbers.gradients",
    "GreedyText": "sampling.greedy",
    "HeadMeasures": "attention.measures",
    "HeadRotation": "positions.rotation",
    "HeadSizes": "numbers.scaling_order",
    "HeadStages": "attention.stages",
    "LengthReading": "positions.length",
    "MergeChain": "tokens.merges",
    "Model": "model",
    "MoeShape": "moe.sizes",
    "Neighbours": "vectors.projection",
    "OrderExperiment": "positions.shuffling",
    "OrderReport": "numbers.scaling_order",
    "PointSet": "vectors.point_sets",
    "PrecisionReport": "numbers.precisions",
    "PrecisionTexts": "numbers.precision_texts",
    "Projection": "vectors.projection",
    "ProjectionSettings": "vectors.projection",
    "ProjectionSizes": "attention.formulas",
    "PromptDivergence": "moe.load",
    "ProofCheck": "proof",
    "QuantReport": "numbers.quantization",
    "QuantScheme": "numbers.quantization",
    "RouterRule": "moe.routing",
    "Routing": "moe.routing",
    "RowReport": "numbers.softmax_ways",
    "SamplingReport": "sampling.report",
    "Saturation": "attention.score_scale",
    "ScoreTerms": "attention.stages",
    "SdpaCheck": "attention.sdpa_check",
    "SelfProof": "proof",
    "Senses": "vectors.senses",
    "StreamContributions": "attention.measures",
    "SumTerms": "numbers.sums",
    "TableNorms": "vectors.embeddings",
    "Tokenized": "tokens.encodings",
    "Trace": "trace",
    "WeightRanges": "numbers.weight_formats",
    "agreement": "tokens.encodings",
    "alibi_slopes": "positions.schemes",
    "analogy": "vectors.embeddings",
    "as_used": "attention.masks",
    "ask_experts": "moe.outputs",
    "balance_loss": "moe.load",
    "batch_shapes": "numbers.sums",
    "break_curve": "numbers.softmax_ways",
    "cache_bytes": "attention.cost",
    "compare_orders": "numbers.scaling_order",
    "compare_precisions": "numbers.precisions",
    "compare_texts": "numbers.precision_texts",
    "dequantize": "numbers.quantization",
    "dispatch": "moe.load",
    "domain_divergence": "moe.domains",
    "domain_routing": "moe.domains",
    "domain_shares": "moe.domains",
    "draws": "sampling.steps",
    "embedding_row": "vectors.embeddings",
    "encoder_decoder_masks": "attention.masks",
    "error_by_length": "numbers.sums",
    "find_word": "vectors.senses",
    "generate_many": "sampling.generation",
    "greedy_text": "sampling.greedy",
    "head_measures": "attention.measures",
    "head_rotation": "positions.rotation",
    "head_sizes": "numbers.scaling_order",
    "in_orders": "numbers.sums",
    "js_divergence": "moe.load",
    "layer_types": "attention.formulas",
    "load_model": "loading.load",
    "loss_by_position": "positions.length",
    "loss_gradients": "numbers.gradients",
    "measure_cost": "attention.cost",
    "merge_chain": "tokens.merges",
    "model_sizes": "moe.sizes",
    "multiplications": "attention.formulas",
    "nearest": "vectors.projection",
    "noisy_top_k": "moe.load",
    "order_experiment": "positions.shuffling",
    "parse_groups": "vectors.point_sets",
    "parse_number": "numbers.formats",
    "pattern_change": "positions.rotation",
    "pattern_scaled_by": "attention.score_scale",
    "pattern_under": "attention.masks",
    "pca": "vectors.projection",
    "pieces_after": "tokens.bpe",
    "pooled_loss": "moe.load",
    "project": "vectors.projection",
    "projection_sizes": "attention.formulas",
    "prompt_divergence": "moe.load",
    "prompt_points": "vectors.point_sets",
    "quantize": "numbers.quantization",
    "quantized": "numbers.quantization",
    "read_collapse": "moe.collapse",
    "read_foreign": "tokens.foreign",
    "read_heldout": "moe.domains",
    "recombination_error": "attention.stages",
    "rotate_interleaved": "positions.rotation",
    "rotate_split": "positions.rotation",
    "router_rule": "moe.routing",
    "routing": "moe.routing",
    "sampling_steps": "sampling.steps",
    "saturation": "attention.score_scale",
    "score_by_distance": "positions.rotation",
    "score_counts": "attention.cost",
    "score_terms": "attention.stages",
    "self_proof": "proof",
    "sense_paths": "vectors.senses",
    "shape_of_config": "moe.sizes",
    "shape_sizes": "moe.sizes",
    "similarities": "vectors.embeddings",
    "sinusoidal_table": "positions.schemes",
    "softmax_row": "numbers.softmax_ways",
    "stream_contributions": "attention.measures",
    "sum_terms": "numbers.sums",
    "table_norms": "vectors.embeddings",
    "tokenize_with": "tokens.encodings",
    "tokenize_with_model": "tokens.encodings",
    "train_bpe": "tokens.bpe",
    "typical_tokens": "moe.domains",
    "visible_under": "attention.masks",
    "vocabulary_points": "vectors.point_sets",
    "weight_ranges": "numbers.weight_formats",
    "word_merges": "tokens.merges",
    "word_points": "vectors.point_sets",
    "word_vector": "vectors.embeddings",
}

__all__ = [
    "ALL_POINTS",
    "DEFAULT_POINTS",
    "FORMATS",
    "PUBLISHED",
    "TOKENIZERS",
    "Analogy",
    "Balance",
    "BpeTraining",
    "Collapse",
    "CostFit",
    "CostMeasurement",
    "DecodeState",
    "Dispatch",
    "DomainDivergence",
    "DomainRouting",
    "ExpertEffects",
    "ExpertOutputs",
    "ExpertSizes",
    "ForeignReading",
    "GeneratedToken",
    "Generation",
    "GradientReport",
    "GreedyText",
    "HeadMeasures",
    "HeadRotation",
    "HeadSizes",
    "HeadStages",
    "LayerSpec",
    "LengthReading",
    "MergeChain",
    "Model",
    "ModelSpec",
    "MoeShape",
    "Neighbours",
    "OrderExperiment",
    "OrderReport",
    "PointSet",
    "PrecisionReport",
    "PrecisionTexts",
    "Projection",
    "ProjectionSettings",
    "ProjectionSizes",
    "PromptDivergence",
    "ProofCheck",
    "QuantReport",
    "QuantScheme",
    "RouterRule",
    "Routing",
    "RowReport",
    "SamplingReport",
    "SamplingSettings",
    "Saturation",
    "ScoreTerms",
    "SdpaCheck",
    "SelfProof",
    "Senses",
    "StreamContributions",
    "SumTerms",
    "TableNorms",
    "Token",
    "Tokenized",
    "Trace",
    "WeightRanges",
    "agreement",
    "alibi_slopes",
    "analogy",
    "as_used",
    "ask_experts",
    "balance_loss",
    "batch_shapes",
    "break_curve",
    "cache_bytes",
    "catalogue",
    "compare_orders",
    "compare_precisions",
    "compare_texts",
    "dequantize",
    "dispatch",
    "domain_divergence",
    "domain_routing",
    "domain_shares",
    "draws",
    "embedding_row",
    "encoder_decoder_masks",
    "error_by_length",
    "errors",
    "find_word",
    "generate_many",
    "greedy_text",
    "head_measures",
    "head_rotation",
    "head_sizes",
    "in_orders",
    "interventions",
    "js_divergence",
    "layer_types",
    "load_model",
    "loss_by_position",
    "loss_gradients",
    "measure_cost",
    "merge_chain",
    "model_sizes",
    "multiplications",
    "nearest",
    "noisy_top_k",
    "order_experiment",
    "parse_groups",
    "parse_number",
    "pattern_change",
    "pattern_scaled_by",
    "pattern_under",
    "pca",
    "pieces_after",
    "pooled_loss",
    "project",
    "projection_sizes",
    "prompt_divergence",
    "prompt_points",
    "quantize",
    "quantized",
    "read_collapse",
    "read_foreign",
    "read_heldout",
    "recombination_error",
    "rotate_interleaved",
    "rotate_split",
    "router_rule",
    "routing",
    "sampling_steps",
    "saturation",
    "score_by_distance",
    "score_counts",
    "score_terms",
    "self_proof",
    "sense_paths",
    "shape_of_config",
    "shape_sizes",
    "similarities",
    "sinusoidal_table",
    "softmax_row",
    "stream_contributions",
    "sum_terms",
    "table_norms",
    "tokenize_with",
    "tokenize_with_model",
    "train_bpe",
    "typical_tokens",
    "visible_under",
    "vocabulary_points",
    "weight_ranges",
    "word_merges",
    "word_points",
    "word_vector",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)


def __dir__() -> list[str]:
    """Every name, those that are imported at first use included, for completion in notebooks."""
    return sorted({*globals(), *__all__})
