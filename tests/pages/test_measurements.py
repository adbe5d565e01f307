"""Measurements asked for by name: one for equal requests, another where anything that decides it differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model_runtime.errors import PromptError
from model_runtime.interventions import ScaleHead
from model_runtime.model import Model
from model_runtime.numbers import quantization_effects
from model_runtime.numbers.quantization import QuantScheme
from model_runtime.numbers.quantization_effects import QuantEffect, effect_of
from model_runtime.run import open_run
from model_runtime.tokens.encodings import tokenize_with
from model_runtime.tokens.foreign import ForeignReading, read_foreign
from pages.shared.run import runtime
from pages.shared.run.opened import opened
from pages.shared.run.runs import Run
from tests.pages.test_runtime import run

FOUR = QuantScheme(4, "absmax", "tensor")
CUT = (ScaleHead(0, 0),)


def quantized(asked: Run, scheme: QuantScheme, layers: tuple[int, ...] | None) -> QuantEffect:
    """What the page asks for."""
    return opened(asked).measure(effect_of, slow=True, scheme=scheme, layers=layers)


def test_a_text_in_another_tokenizers_numbers_is_read_once(tiny: str) -> None:
    def read(asked: Run, key: str, text: str) -> ForeignReading:
        return opened(asked).measure(read_foreign, tokenized=tokenize_with(key, text))

    edited = run(tiny, "another prompt", edits=CUT)
    first = read(run(tiny), "gpt2", "hello you")
    assert read(edited, "gpt2", "hello you") is first
    assert first.ids == (31373, 345)
    assert first.read == (None, None)  # the tiny model's table has 256 rows
    assert "Token id 31373 does not exist" in first.error
    assert read(run(tiny), "cl100k", "hello you").ids != first.ids
    with pytest.raises(PromptError, match="blank"):
        read(run(tiny), "gpt2", " ")


def test_a_packed_model_is_made_once_whatever_the_sampling(tiny: str) -> None:
    first = run(tiny, "packed once")
    warmer = replace(first, sampling=replace(first.sampling, temperature=0.1))
    effect = quantized(first, FOUR, (0,))
    assert quantized(warmer, FOUR, (0,)) is effect
    assert quantized(first, QuantScheme(4, "absmax", "tensor"), (0,)) is effect


@pytest.mark.parametrize(
    ("asked", "scheme", "layers"),
    [
        ({}, FOUR, (1,)),
        ({}, FOUR, None),
        ({}, QuantScheme(8, "absmax", "tensor"), (0,)),
        ({}, QuantScheme(4, "zero_point", "tensor"), (0,)),
        ({}, QuantScheme(4, "absmax", "32"), (0,)),
        ({"edits": CUT}, FOUR, (0,)),
        ({"prompt": "packed, too"}, FOUR, (0,)),
        ({"dtype": "bfloat16"}, FOUR, (0,)),
    ],
)
def test_what_decides_a_packed_model_s_logits_is_in_its_key(
    tiny: str, asked: dict[str, Any], scheme: QuantScheme, layers: tuple[int, ...] | None
) -> None:
    first = run(tiny, "packed here")
    other: Run = replace(first, **asked)
    before = quantized(first, FOUR, (0,))
    found = quantized(other, scheme, layers)
    alone = effect_of(open_run(runtime.model_for(other), other.prompt, other.edits), scheme, layers)
    np.testing.assert_array_equal(found.logits, alone.logits)
    assert not np.array_equal(found.logits, before.logits)


def test_packing_waits_in_the_slow_line_and_only_the_forward_takes_a_turn(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, held = runtime.Turns(1), []
    asked = run(tiny, "who waits where")
    runtime.tokens_for(asked)
    monkeypatch.setattr(runtime, "turns", lambda: turns)

    def taken(line: runtime.Turns) -> bool:
        places = line.places if line is runtime.slow_turns() else line.quick  # a tiny model's pass is quick
        free = places.acquire(blocking=False)
        if free:
            places.release()
        return not free

    def watched(name: str, work: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            held.append((name, taken(runtime.slow_turns()), taken(turns)))
            return work(*given, **more)

        return call

    monkeypatch.setattr(Model, "trace", watched("forward", Model.trace))
    packing = watched("packing", quantization_effects.quantized)
    monkeypatch.setattr(quantization_effects, "quantized", packing)
    quantized(asked, FOUR, (0,))
    assert held == [("packing", True, False), ("forward", True, True)]
    assert not taken(turns)
    assert not taken(runtime.slow_turns())
