"""A mixture of experts: what it costs to keep every router's decisions, against a bare forward."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bench.measure import Row, ratio_row
from bench.runtime import forward
from model_runtime import load_model, routing
from model_runtime.loading.catalogue import row_of
from model_runtime.run import OpenRun
from model_runtime.trace import Trace

MODEL = "mixtral-mini"
ROUTERS = ("router_logits", "router_weights", "router_indices")
LENGTHS = {64: 31, 256: 15, 512: 9}  # tokens -> pairs measured
WORDS = "To be, or not to be, that is the question: def add(a, b): return a + b. 3 + 4 = 7. "


class OfRouters(OpenRun):
    """A run that keeps the routers' points alone."""

    @cached_property
    def trace(self) -> Trace:
        return self.traced(points=ROUTERS)


def untouched_model(folder: str) -> Any:
    """The same weights without our hooks."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def rows() -> list[Row]:
    row = row_of(MODEL)
    if row is None:
        raise SystemExit(f"{MODEL} is not in assets/models: there is nothing to measure.")
    model, plain = load_model(MODEL), untouched_model(row.location)
    found = []
    for n_tokens, repeats in LENGTHS.items():
        ids = filled(model, n_tokens)
        for name, opened in (("the routers' points", OfRouters), ("all default points", OpenRun)):
            found.append(
                ratio_row(
                    f"trace of {MODEL} with {name}, its routing read, against a bare forward, "
                    f"{n_tokens} tokens",
                    lambda ids=ids, opened=opened: routing(opened(model, ids)),
                    lambda ids=ids: forward(plain, ids),
                    repeats=repeats,
                    reach=1.1,
                )
            )
    return found


def filled(model: Any, n_tokens: int) -> tuple[int, ...]:
    """Exactly so many tokens of the text, from its beginning again where it ends."""
    ids = model.prompt_ids(WORDS)
    return (ids * (n_tokens // len(ids) + 1))[:n_tokens]
