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
    from model_runtime.greedy import GreedyText, greedy_text
    from model_runtime.head_stages import (
        HeadStages,
        ScoreTerms,
        recombination_error,
        score_terms,
    )
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
    from model_runtime.point_sets import (
        PointSet,
        parse_groups,
        prompt_points,
        vocabulary_points,
        word_points,
    )
    from model_runtime.points import ALL_POINTS, DEFAULT_POINTS
    from model_runtime.projection import Neighbours, Projection, ProjectionSettings, nearest, pca, project
    from model_runtime.proof import ProofCheck, SelfProof, self_proof
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
    from model_runtime.score_scale import Saturation, pattern_scaled_by, saturation
    from model_runtime.sdpa_check import SdpaCheck
    from model_runtime.senses import Senses, find_word, sense_paths
    from model_runtime.trace import Trace

# name -> module that has it. The functions head_stages, sdpa_check, senses and expert_effects are not
# here: their modules have these names, so import them from there.
_LATE = {
    "ALL_POINTS": "points",
    "DEFAULT_POINTS": "points",
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
    "GreedyText": "greedy",
    "HeadMeasures": "measures",
    "HeadRotation": "rotation",
    "HeadStages": "head_stages",
    "MergeChain": "merges",
    "Model": "model",
    "MoeShape": "expert_sizes",
    "Neighbours": "projection",
    "PointSet": "point_sets",
    "Projection": "projection",
    "ProjectionSettings": "projection",
    "ProjectionSizes": "attention_formulas",
    "PromptDivergence": "router_load",
    "ProofCheck": "proof",
    "RouterRule": "experts",
    "Routing": "experts",
    "SamplingReport": "sampling_report",
    "Saturation": "score_scale",
    "ScoreTerms": "head_stages",
    "SdpaCheck": "sdpa_check",
    "SelfProof": "proof",
    "Senses": "senses",
    "StreamContributions": "measures",
    "TableNorms": "embeddings",
    "Tokenized": "encodings",
    "Trace": "trace",
    "agreement": "encodings",
    "analogy": "embeddings",
    "as_used": "masks",
    "ask_experts": "expert_outputs",
    "balance_loss": "router_load",
    "cache_bytes": "attention_cost",
    "dispatch": "router_load",
    "domain_divergence": "domains",
    "domain_routing": "domains",
    "domain_shares": "domains",
    "draws": "sampling",
    "embedding_row": "embeddings",
    "encoder_decoder_masks": "masks",
    "find_word": "senses",
    "generate_many": "generation",
    "greedy_text": "greedy",
    "head_measures": "measures",
    "head_rotation": "rotation",
    "js_divergence": "router_load",
    "layer_types": "attention_formulas",
    "load_model": "loading",
    "measure_cost": "attention_cost",
    "merge_chain": "merges",
    "model_sizes": "expert_sizes",
    "multiplications": "attention_formulas",
    "nearest": "projection",
    "noisy_top_k": "router_load",
    "parse_groups": "point_sets",
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
    "stream_contributions": "measures",
    "table_norms": "embeddings",
    "tokenize_with": "encodings",
    "tokenize_with_model": "encodings",
    "train_bpe": "bpe",
    "typical_tokens": "domains",
    "visible_under": "masks",
    "vocabulary_points": "point_sets",
    "word_merges": "merges",
    "word_points": "point_sets",
    "word_vector": "embeddings",
}

__all__ = [
    "ALL_POINTS",
    "DEFAULT_POINTS",
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
    "GreedyText",
    "HeadMeasures",
    "HeadRotation",
    "HeadStages",
    "LayerSpec",
    "MergeChain",
    "Model",
    "ModelSpec",
    "MoeShape",
    "Neighbours",
    "PointSet",
    "Projection",
    "ProjectionSettings",
    "ProjectionSizes",
    "PromptDivergence",
    "ProofCheck",
    "RouterRule",
    "Routing",
    "SamplingReport",
    "SamplingSettings",
    "Saturation",
    "ScoreTerms",
    "SdpaCheck",
    "SelfProof",
    "Senses",
    "StreamContributions",
    "TableNorms",
    "Token",
    "Tokenized",
    "Trace",
    "agreement",
    "analogy",
    "as_used",
    "ask_experts",
    "balance_loss",
    "cache_bytes",
    "catalogue",
    "dispatch",
    "domain_divergence",
    "domain_routing",
    "domain_shares",
    "draws",
    "embedding_row",
    "encoder_decoder_masks",
    "errors",
    "find_word",
    "generate_many",
    "greedy_text",
    "head_measures",
    "head_rotation",
    "interventions",
    "js_divergence",
    "layer_types",
    "load_model",
    "measure_cost",
    "merge_chain",
    "model_sizes",
    "multiplications",
    "nearest",
    "noisy_top_k",
    "parse_groups",
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
    "stream_contributions",
    "table_norms",
    "tokenize_with",
    "tokenize_with_model",
    "train_bpe",
    "typical_tokens",
    "visible_under",
    "vocabulary_points",
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
