"""Plain records that leave the runtime: frozen, no torch, safe to keep, compare and show.

They import numpy only, and are all of the runtime that viz knows. `distributions` has the arithmetic that
both need.
"""

from model_runtime.records.attention import (
    CostFit,
    CostMeasurement,
    HeadMeasures,
    HeadOverlap,
    HeadStages,
    HeadWorth,
    ScoreTerms,
    WrittenPatterns,
)
from model_runtime.records.sampling import Fraction, SamplingReport, StepResult, Tail
from model_runtime.records.spec import LayerSpec, ModelSpec
from model_runtime.records.tokens import LOST, Coverage, Level, Token, Tokenized
from model_runtime.records.vectors import (
    Neighbours,
    Occurrence,
    Projection,
    ProjectionSettings,
    SensePaths,
    Senses,
)

__all__ = [
    "LOST",
    "CostFit",
    "CostMeasurement",
    "Coverage",
    "Fraction",
    "HeadMeasures",
    "HeadOverlap",
    "HeadStages",
    "HeadWorth",
    "LayerSpec",
    "Level",
    "ModelSpec",
    "Neighbours",
    "Occurrence",
    "Projection",
    "ProjectionSettings",
    "SamplingReport",
    "ScoreTerms",
    "SensePaths",
    "Senses",
    "StepResult",
    "Tail",
    "Token",
    "Tokenized",
    "WrittenPatterns",
]
