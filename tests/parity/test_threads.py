"""Many threads on one model give exactly what one thread gives."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from model_runtime import Model
from model_runtime import interventions as edit
from model_runtime.capture import context
from tests.tiny_models import TEXT, VOCABULARY, build_model, tiny_tokenizer

N_THREADS = 16
CASES = (
    *("llama", "mistral", "qwen3", "gemma2", "gemma3", "smollm3", "gpt2", "gpt_neox", "opt", "olmo2"),
    *("mixtral", "qwen3_moe", "olmoe", "gpt_oss", "llama-dynamic", "phi3-longrope", "gpt2-upcast"),
)


def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def requests_for(model: Model) -> list[dict[str, Any]]:
    """Requests that differ in text, length, points, positions and edits."""
    generator = torch.Generator().manual_seed(7)
    edits: list[tuple[Any, ...]] = [
        (),
        (edit.ScaleHead(1, 2),),
        (edit.ScaleMLP(0, 0.5), edit.CutEdge(1, None, 2, 1)),
        (edit.PositionsOff(),),
    ]
    if model.spec.positions == "rope":
        edits += [(edit.RopeBase(500.0),), (edit.RopeOffset(9),), (edit.RopeScaling("linear", 2.0),)]
    if model.spec.n_experts:
        edits += [(edit.ForceExperts(1, (2, 0)),), (edit.ScaleExpert(1, 1, 0.0, renormalise=True),)]
    requests = []
    for number in range(16):
        length = (3, 14, 22, 40)[number % 4]  # on both sides of where dynamic and longrope change
        ids = torch.randint(1, VOCABULARY, (length,), generator=generator).tolist()
        requests.append(
            {
                "prompt": ids,
                "interventions": edits[number % len(edits)],
                "points": [None, ("resid_post", "pattern"), ("q", "k", "z", "mlp_out")][number % 3],
                "positions": (0, length - 1) if number % 5 == 0 else None,
                "exact": number % 7 == 0,
            }
        )
    return requests


def answers(model: Model, request: dict[str, Any]) -> dict[str, np.ndarray]:
    trace = model.trace(**request)
    found = {"logits": trace.next_token_logits()}
    for name in trace.points:
        if all(reason is None for reason in model.reasons[name]):
            found[name] = trace.get(name, layer=None if len(model.reasons[name]) == 1 else 1)
    logits, state = model.step(request["prompt"], interventions=request["interventions"])
    for _ in range(3):
        logits, state = model.step([int(logits.argmax())], state)
    return found | {"stepped": logits}


@pytest.mark.parametrize("case", CASES)
def test_sixteen_threads_give_what_one_gives(case: str) -> None:
    model = model_of(case)
    requests = requests_for(model)
    expected = [answers(model, request) for request in requests]
    start = threading.Barrier(N_THREADS)

    def work(number: int) -> list[dict[str, np.ndarray]]:
        start.wait()
        order = requests[number:] + requests[:number]
        return [answers(model, request) for request in order]

    with ThreadPoolExecutor(N_THREADS) as pool:
        results = list(pool.map(work, range(N_THREADS)))
    for number, result in enumerate(results):
        for found, wanted in zip(result, expected[number:] + expected[:number], strict=True):
            assert found.keys() == wanted.keys()
            for name, value in wanted.items():
                np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("case", ["llama-dynamic", "phi3-longrope"])
def test_threads_calling_the_hugging_face_model_itself_get_the_right_rotation(case: str) -> None:
    """Its rotary module changes itself in forward; ours does not, so idle forwards are safe as well."""
    model = model_of(case)
    texts = [torch.randint(1, VOCABULARY, (1, 4 + 9 * (n % 5))) for n in range(40)]
    with torch.no_grad():
        expected = [build_model(case)(ids, use_cache=False).logits for ids in texts]

    def forward(ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return model.hf_model(ids, use_cache=False).logits

    with ThreadPoolExecutor(N_THREADS) as pool:
        found = list(pool.map(forward, texts))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_threads_share_the_tokenizer() -> None:
    model = model_of("llama")
    texts = [TEXT[: 10 + number] for number in range(60)]
    expected = [model.tokenize(text) for text in texts]
    with ThreadPoolExecutor(N_THREADS) as pool:
        assert list(pool.map(model.tokenize, texts)) == expected


def test_nothing_is_left_behind_after_a_forward() -> None:
    model = model_of("llama")
    model.trace([5, 6, 7])
    assert context.current() is None
    assert torch.is_grad_enabled()
    before = torch.random.get_rng_state()
    model.trace([5, 6, 7])
    assert torch.equal(torch.random.get_rng_state(), before)
    hf_model = model.hf_model
    hf_model.model.layers[1].mlp.forward = lambda *args: 1 / 0
    with pytest.raises(ZeroDivisionError):
        model.trace([5, 6, 7])
    assert context.current() is None
