"""The runtime against an untouched model: what tracing, idle hooks and streaming cost."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

from bench.measure import Row, ratio_row
from model_runtime import Model, SamplingSettings, head_measures, load_model
from model_runtime.loading.convert import ensure_converted
from model_runtime.run import open_run

OVERVIEWS = {64: 15, 512: 5}  # tokens -> pairs measured
LENGTHS = {64: 21, 256: 11, 1024: 5}  # tokens -> pairs measured
WORDS = "The quick brown fox jumps over the lazy dog near the old river bank. "


def untouched_model() -> Any:
    """The same weights in Hugging Face's own default implementation, without our hooks."""
    return AutoModelForCausalLM.from_pretrained(ensure_converted(), dtype=torch.float32).eval()


def prompt_ids(model: Model, n_tokens: int) -> tuple[int, ...]:
    return model.prompt_ids(WORDS * n_tokens)[:n_tokens] if n_tokens < 1000 else _long_ids(model, n_tokens)


def _long_ids(model: Model, n_tokens: int) -> tuple[int, ...]:
    ids = model.prompt_ids(WORDS * 60)
    return (ids * (n_tokens // len(ids) + 1))[:n_tokens]


def forward(hf_model: Any, ids: tuple[int, ...]) -> torch.Tensor:
    """The default forward for the next token, as `generate` asks for it."""
    with torch.no_grad():
        return hf_model(
            input_ids=torch.tensor([ids], device=hf_model.device), use_cache=False, logits_to_keep=1
        ).logits


def decode(hf_model: Any, ids: tuple[int, ...], n_tokens: int) -> None:
    """A bare greedy loop over the cache."""
    cache = DynamicCache(config=hf_model.config)
    inputs = torch.tensor([ids], device=hf_model.device)
    with torch.no_grad():
        for _ in range(n_tokens):
            output = hf_model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
            inputs = output.logits[:, -1].argmax(-1, keepdim=True)


def rows() -> list[Row]:
    model, plain = load_model(), untouched_model()
    found = []
    for n_tokens, repeats in LENGTHS.items():
        ids = prompt_ids(model, n_tokens)
        found.append(
            ratio_row(
                f"default trace against an untouched forward, {n_tokens:,} tokens",
                lambda ids=ids: model.trace(ids),
                lambda ids=ids: forward(plain, ids),
                repeats=repeats,
                reach=1.05,
            )
        )
    ids = prompt_ids(model, 64)
    found.append(
        ratio_row(
            "idle hooks, forward of 64 tokens",
            lambda: forward(model.hf_model, ids),
            lambda: forward(plain, ids),
            repeats=31,
            reach=1.02,
        )
    )
    found.append(
        ratio_row(
            "idle hooks, decode of 32 tokens",
            lambda: decode(model.hf_model, ids, 32),
            lambda: decode(plain, ids, 32),
            repeats=9,
            reach=1.02,
        )
    )
    found += _overviews(model, plain)
    found.append(_streaming(model, plain, ids))
    found.append(_memory())
    return found


def _overviews(model: Model, plain: Any) -> list[Row]:
    """All heads of a trace measured, against the forward that made the trace."""
    spec, found = model.spec, []
    for n_tokens, repeats in OVERVIEWS.items():
        ids = prompt_ids(model, n_tokens)
        run = open_run(model, ids)
        run.trace  # noqa: B018  # made before the clock starts
        found.append(
            ratio_row(
                f"overview of {spec.n_layers} layers x {spec.n_heads} heads against a forward, "
                f"{n_tokens} tokens",
                lambda run=run: head_measures(run),
                lambda ids=ids: forward(plain, ids),
                repeats=repeats,
                reach=0.5,
            )
        )
    return found


def _streaming(model: Model, plain: Any, ids: tuple[int, ...]) -> Row:
    """Our loop, which records every token's distribution, against transformers' generate."""
    settings = _unbroken(model, ids)
    inputs = torch.tensor([ids])

    def theirs() -> None:
        plain.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            do_sample=True,
            temperature=0.8,
            top_p=0.9,
            top_k=0,
            max_new_tokens=48,
            min_new_tokens=48,
            pad_token_id=0,
        )

    def ours() -> None:
        for _ in model.generate(ids, settings):
            pass

    return ratio_row(
        "streaming generation of 48 tokens against transformers' generate", ours, theirs, repeats=5, reach=1.0
    )


def _unbroken(model: Model, ids: tuple[int, ...]) -> SamplingSettings:
    """The first seed whose text does not end before 48 tokens: both sides then do equal work."""
    for seed in range(50):
        settings = SamplingSettings(temperature=0.8, top_p=0.9, seed=seed, max_new_tokens=48)
        if sum(1 for _ in model.generate(ids, settings)) == 48:
            return settings
    raise RuntimeError("Every one of 50 seeds meets an end of text: choose another prompt.")


_MEMORY = """
import psutil, torch
from model_runtime import load_model
from bench.runtime import prompt_ids
model = load_model()
model.trace(prompt_ids(model, 1024))
process = psutil.Process()
import gc; gc.collect()
before = process.memory_info().rss
trace = model.trace(prompt_ids(model, 1024))
gc.collect()
print(process.memory_info().rss - before, trace.nbytes)
"""


def _memory() -> Row:
    """Resident memory that one default 1,024-token trace adds, in a process of its own."""
    printed = subprocess.run(
        [sys.executable, "-c", _MEMORY], check=True, capture_output=True, text=True
    ).stdout.split()
    added, counted = (int(word) / 1e6 for word in printed[-2:])
    return Row(
        "memory added by a default 1,024-token trace",
        added,
        "MB",
        400,
        f"the trace itself counts {counted:.0f} MB",
    )
