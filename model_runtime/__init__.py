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
from model_runtime.catalogue import catalogue
from model_runtime.records import LayerSpec, ModelSpec, Token
from model_runtime.sampling_settings import SamplingSettings

if TYPE_CHECKING:
    from model_runtime.attention_cost import CostFit, CostMeasurement, cache_bytes, measure_cost, score_counts
    from model_runtime.attention_formulas import (
        ProjectionSizes,
        layer_types,
        multiplications,
        projection_sizes,
    )
    from model_runtime.bpe import BpeTraining, pieces_after, train_bpe
    from model_runtime.collapse import Collapse, read_collapse
    from model_runtime.domains import (
        DomainDivergence,
        DomainRouting,
        domain_divergence,
        domain_routing,
        domain_shares,
        read_heldout,
        typical_tokens,
    )
    from model_runtime.embeddings import (
        Analogy,
        TableNorms,
        analogy,
        embedding_row,
        similarities,
        table_norms,
        word_vector,
    )
    from model_runtime.encodings import (
        TOKENIZERS,
        Tokenized,
        agreement,
        tokenize_with,
        tokenize_with_model,
    )
    from model_runtime.expert_effects import ExpertEffects
    from model_runtime.expert_outputs import ExpertOutputs, ask_experts
    from model_runtime.expert_sizes import (
        PUBLISHED,
        ExpertSizes,
        MoeShape,
        model_sizes,
        shape_of_config,
        shape_sizes,
    )
    from model_runtime.experts import RouterRule, Routing, router_rule, routing
    from model_runtime.foreign import ForeignReading, read_foreign
    from model_runtime.generation import GeneratedToken, Generation, generate_many
    from model_runtime.gradients import GradientReport, loss_gradients
    from model_runtime.greedy import GreedyText, greedy_text
    from model_runtime.head_stages import (
        HeadStages,
        ScoreTerms,
        recombination_error,
        score_terms,
    )
    from model_runtime.length import LengthReading, loss_by_position
    from model_runtime.loading import load_model
    from model_runtime.masks import as_used, encoder_decoder_masks, pattern_under, visible_under
    from model_runtime.measures import (
        HeadMeasures,
        StreamContributions,
        head_measures,
        stream_contributions,
    )
    from model_runtime.merges import MergeChain, merge_chain, word_merges
    from model_runtime.model import DecodeState, Model
    from model_runtime.number_formats import FORMATS, parse_number
    from model_runtime.order import OrderExperiment, order_experiment
    from model_runtime.point_sets import (
        PointSet,
        parse_groups,
        prompt_points,
        vocabulary_points,
        word_points,
    )
    from model_runtime.points import ALL_POINTS, DEFAULT_POINTS
    from model_runtime.position_schemes import alibi_slopes, sinusoidal_table
    from model_runtime.precision_texts import PrecisionTexts, compare_texts
    from model_runtime.precisions import PrecisionReport, compare_precisions
    from model_runtime.projection import Neighbours, Projection, ProjectionSettings, nearest, pca, project
    from model_runtime.proof import ProofCheck, SelfProof, self_proof
    from model_runtime.quantization import QuantReport, QuantScheme, dequantize, quantize, quantized
    from model_runtime.rotation import (
        HeadRotation,
        head_rotation,
        pattern_change,
        rotate_interleaved,
        rotate_split,
        score_by_distance,
    )
    from model_runtime.router_load import (
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
    from model_runtime.sampling import draws, sampling_steps
    from model_runtime.sampling_report import SamplingReport
    from model_runtime.scaling_order import HeadSizes, OrderReport, compare_orders, head_sizes
    from model_runtime.score_scale import Saturation, pattern_scaled_by, saturation
    from model_runtime.sdpa_check import SdpaCheck
    from model_runtime.senses import Senses, find_word, sense_paths
    from model_runtime.softmax_ways import RowReport, break_curve, softmax_row
    from model_runtime.sums import SumTerms, batch_shapes, error_by_length, in_orders, sum_terms
    from model_runtime.trace import Trace
    from model_runtime.weight_formats import WeightRanges, weight_ranges

# name -> module that has it. The functions head_stages, sdpa_check, senses and expert_effects are not
# here: their modules have these names, so import them from there.
_LATE = {
    "ALL_POINTS": "points",
    "DEFAULT_POINTS": "points",
    "FORMATS": "number_formats",
    "PUBLISHED": "expert_sizes",
    "TOKENIZERS": "encodings",
    "Analogy": "embeddings",
    "Balance": "router_load",
    "BpeTraining": "bpe",
    "Collapse": "collapse",
    "CostFit": "attention_cost",
    "CostMeasurement": "attention_cost",
    "DecodeState": "model",
    "Dispatch": "router_load",
    "DomainDivergence": "domains",
    "DomainRouting": "domains",
    "ExpertEffects": "expert_effects",
    "ExpertOutputs": "expert_outputs",
    "ExpertSizes": "expert_sizes",
    "ForeignReading": "foreign",
    "GeneratedToken": "generation",
    "Generation": "generation",
    "GradientReport": "gradients",
    "GreedyText": "greedy",
    "HeadMeasures": "measures",
    "HeadRotation": "rotation",
    "HeadSizes": "scaling_order",
    "HeadStages": "head_stages",
    "LengthReading": "length",
    "MergeChain": "merges",
    "Model": "model",
    "MoeShape": "expert_sizes",
    "Neighbours": "projection",
    "OrderExperiment": "order",
    "OrderReport": "scaling_order",
    "PointSet": "point_sets",
    "PrecisionReport": "precisions",
    "PrecisionTexts": "precision_texts",
    "Projection": "projection",
    "ProjectionSettings": "projection",
    "ProjectionSizes": "attention_formulas",
    "PromptDivergence": "router_load",
    "ProofCheck": "proof",
    "QuantReport": "quantization",
    "QuantScheme": "quantization",
    "RouterRule": "experts",
    "Routing": "experts",
    "RowReport": "softmax_ways",
    "SamplingReport": "sampling_report",
    "Saturation": "score_scale",
    "ScoreTerms": "head_stages",
    "SdpaCheck": "sdpa_check",
    "SelfProof": "proof",
    "Senses": "senses",
    "StreamContributions": "measures",
    "SumTerms": "sums",
    "TableNorms": "embeddings",
    "Tokenized": "encodings",
    "Trace": "trace",
    "WeightRanges": "weight_formats",
    "agreement": "encodings",
    "alibi_slopes": "position_schemes",
    "analogy": "embeddings",
    "as_used": "masks",
    "ask_experts": "expert_outputs",
    "balance_loss": "router_load",
    "batch_shapes": "sums",
    "break_curve": "softmax_ways",
    "cache_bytes": "attention_cost",
    "compare_orders": "scaling_order",
    "compare_precisions": "precisions",
    "compare_texts": "precision_texts",
    "dequantize": "quantization",
    "dispatch": "router_load",
    "domain_divergence": "domains",
    "domain_routing": "domains",
    "domain_shares": "domains",
    "draws": "sampling",
    "embedding_row": "embeddings",
    "encoder_decoder_masks": "masks",
    "error_by_length": "sums",
    "find_word": "senses",
    "generate_many": "generation",
    "greedy_text": "greedy",
    "head_measures": "measures",
    "head_rotation": "rotation",
    "head_sizes": "scaling_order",
    "in_orders": "sums",
    "js_divergence": "router_load",
    "layer_types": "attention_formulas",
    "load_model": "loading",
    "loss_by_position": "length",
    "loss_gradients": "gradients",
    "measure_cost": "attention_cost",
    "merge_chain": "merges",
    "model_sizes": "expert_sizes",
    "multiplications": "attention_formulas",
    "nearest": "projection",
    "noisy_top_k": "router_load",
    "order_experiment": "order",
    "parse_groups": "point_sets",
    "parse_number": "number_formats",
    "pattern_change": "rotation",
    "pattern_scaled_by": "score_scale",
    "pattern_under": "masks",
    "pca": "projection",
    "pieces_after": "bpe",
    "pooled_loss": "router_load",
    "project": "projection",
    "projection_sizes": "attention_formulas",
    "prompt_divergence": "router_load",
    "prompt_points": "point_sets",
    "quantize": "quantization",
    "quantized": "quantization",
    "read_collapse": "collapse",
    "read_foreign": "foreign",
    "read_heldout": "domains",
    "recombination_error": "head_stages",
    "rotate_interleaved": "rotation",
    "rotate_split": "rotation",
    "router_rule": "experts",
    "routing": "experts",
    "sampling_steps": "sampling",
    "saturation": "score_scale",
    "score_by_distance": "rotation",
    "score_counts": "attention_cost",
    "score_terms": "head_stages",
    "self_proof": "proof",
    "sense_paths": "senses",
    "shape_of_config": "expert_sizes",
    "shape_sizes": "expert_sizes",
    "similarities": "embeddings",
    "sinusoidal_table": "position_schemes",
    "softmax_row": "softmax_ways",
    "stream_contributions": "measures",
    "sum_terms": "sums",
    "table_norms": "embeddings",
    "tokenize_with": "encodings",
    "tokenize_with_model": "encodings",
    "train_bpe": "bpe",
    "typical_tokens": "domains",
    "visible_under": "masks",
    "vocabulary_points": "point_sets",
    "weight_ranges": "weight_formats",
    "word_merges": "merges",
    "word_points": "point_sets",
    "word_vector": "embeddings",
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
