"""Stability: what it costs to hold a model in three number formats against one another."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bench.measure import Row, ratio_row
from bench.runtime import forward, prompt_ids
from model_runtime import load_model
from model_runtime.loading.convert import ensure_converted
from model_runtime.numbers.precisions import compare_precisions
from model_runtime.run import open_run

DTYPES = ("float32", "bfloat16", "float16")
N_TOKENS, PAIRS = 64, 21


def untouched_models() -> list[Any]:
    """The same weights in each format, without our hooks."""
    folder = ensure_converted()
    return [
        AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval() for dtype in DTYPES
    ]


def rows() -> list[Row]:
    models, plain = {dtype: load_model(dtype=dtype) for dtype in DTYPES}, untouched_models()
    ids = prompt_ids(models["float32"], N_TOKENS)
    run = open_run(models["float32"], ids)
    return [
        ratio_row(
            f"three precisions compared layer by layer against three bare forwards, {N_TOKENS} tokens",
            lambda: compare_precisions(run, model_in=models.__getitem__),
            lambda: [forward(model, ids) for model in plain],
            repeats=PAIRS,
            reach=1.3,
        )
    ]
