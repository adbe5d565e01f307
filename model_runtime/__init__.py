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
    from model_runtime.generation import GeneratedToken, Generation, generate_many
    from model_runtime.loading import load_model
    from model_runtime.measures import (
        HeadMeasures,
        StreamContributions,
        head_measures,
        stream_contributions,
    )
    from model_runtime.model import DecodeState, Model
    from model_runtime.points import ALL_POINTS, DEFAULT_POINTS
    from model_runtime.proof import ProofCheck, SelfProof, self_proof
    from model_runtime.sampling import draws, sampling_steps
    from model_runtime.sampling_report import SamplingReport
    from model_runtime.trace import Trace

# name -> module that has it
_LATE = {
    "ALL_POINTS": "points",
    "DEFAULT_POINTS": "points",
    "DecodeState": "model",
    "GeneratedToken": "generation",
    "Generation": "generation",
    "HeadMeasures": "measures",
    "Model": "model",
    "ProofCheck": "proof",
    "SamplingReport": "sampling_report",
    "SelfProof": "proof",
    "StreamContributions": "measures",
    "Trace": "trace",
    "draws": "sampling",
    "generate_many": "generation",
    "head_measures": "measures",
    "load_model": "loading",
    "sampling_steps": "sampling",
    "self_proof": "proof",
    "stream_contributions": "measures",
}

__all__ = [
    "ALL_POINTS",
    "DEFAULT_POINTS",
    "DecodeState",
    "GeneratedToken",
    "Generation",
    "HeadMeasures",
    "LayerSpec",
    "Model",
    "ModelSpec",
    "ProofCheck",
    "SamplingReport",
    "SamplingSettings",
    "SelfProof",
    "StreamContributions",
    "Token",
    "Trace",
    "catalogue",
    "draws",
    "errors",
    "generate_many",
    "head_measures",
    "interventions",
    "load_model",
    "sampling_steps",
    "self_proof",
    "stream_contributions",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)


def __dir__() -> list[str]:
    """Every name, those that are imported at first use included, for completion in notebooks."""
    return sorted({*globals(), *__all__})
