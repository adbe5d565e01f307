"""Every head off in one sweep, against a run of its own for each head, in every family."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest

from model_runtime import Model, head_worth
from model_runtime import interventions as edit
from model_runtime.attention import worth
from model_runtime.errors import SettingError
from model_runtime.records.distributions import log_softmax
from model_runtime.run import OpenRun, open_run
from model_runtime.steps import listening
from tests.tiny_models import ALL_CASES, build_model, tiny_tokenizer

IDS = (5, 17, 5, 90, 17, 200, 44, 5, 17, 301, 12)
STEER = tuple(0.1 * (i % 7) for i in range(32))


@functools.cache
def model_of(case: str) -> Model:
    return Model(build_model(case), tiny_tokenizer(), model_id=case, name=case, revision="random")


def one_by_one(run: OpenRun, token: int) -> np.ndarray:
    """The log probability under `ScaleHead`, by a whole forward for each head."""
    spec = run.spec

    def off(layer: int, head: int) -> float:
        edits = (*run.interventions, edit.ScaleHead(layer, head))
        logits = run.model.trace(run.prompt, points=(), interventions=edits).next_token_logits()
        return float(log_softmax(logits)[token])

    return np.array([[off(layer, head) for head in range(spec.n_heads)] for layer in range(spec.n_layers)])


def assert_equal(run: OpenRun, token: int, layers: Sequence[int] | None = None) -> None:
    found = head_worth(run, token)
    expected = one_by_one(run, token)
    np.testing.assert_allclose(found.after, expected, atol=3e-5)
    before = log_softmax(run.trace.next_token_logits())[token]
    assert found.before == before
    assert np.abs(expected - before).max() > 1e-3, "no head does anything: nothing was compared"
    np.testing.assert_allclose(found.change, np.exp(before) - np.exp(expected), atol=3e-5)


@pytest.mark.parametrize("case", [*ALL_CASES])
def test_the_sweep_is_a_run_for_each_head(case: str) -> None:
    assert_equal(open_run(model_of(case), IDS), 7)


@pytest.mark.parametrize("case", ["llama", "opt", "gpt_neox", "mixtral", "gemma3"])
@pytest.mark.parametrize(
    "edits",
    [
        (edit.ScaleHead(1, 2), edit.ScaleMLP(0, 0.5)),
        (edit.Steer("resid_pre", 1, STEER), edit.CutEdge(2, None, 9, 3)),
        (edit.Steer("resid_pre", 2, STEER, positions=(4, 10)), edit.ScaleHead(0, 1, 2.0, positions=(10,))),
        (edit.Patch("resid_post", 0, 10, STEER),),
    ],
    ids=["off", "everywhere", "at positions", "patch"],
)
def test_the_edits_of_the_run_stay(case: str, edits: tuple[edit.Intervention, ...]) -> None:
    run = open_run(model_of(case), IDS, edits)
    assert_equal(run, 7)
    if edits[0] == edit.ScaleHead(1, 2):
        found = head_worth(run, 7)
        assert abs(found.after[1, 2] - found.before) < 1e-5  # it is off already


@pytest.mark.parametrize("edits", [(edit.ForceExperts(1, (3, 1)),), (edit.ScaleExpert(2, 0, 0.0, True),)])
def test_edits_of_experts_stay(edits: tuple[edit.Intervention, ...]) -> None:
    assert_equal(open_run(model_of("mixtral"), IDS, edits), 7)


def test_batches_and_chosen_layers_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(model_of("llama"), IDS)
    whole = head_worth(run, 7)
    part = head_worth(run, 7, layers=(2, 0))
    assert part.layers == (2, 0)
    np.testing.assert_array_equal(part.after, whole.after[[2, 0]])
    sizes: list[int] = []
    forward = Model.next_logits
    monkeypatch.setattr(worth, "MOST_TOKENS", 3 * len(IDS))
    monkeypatch.setattr(
        Model, "next_logits", lambda self, ids, run, n: sizes.append(n) or forward(self, ids, run, n)
    )
    np.testing.assert_allclose(head_worth(run, 7).after, whole.after, atol=1e-5)
    assert sizes == [3, 1] * 3


def test_without_a_token_it_is_the_likeliest() -> None:
    run = open_run(model_of("qwen2"), IDS)
    assert head_worth(run).token == int(run.trace.next_token_logits().argmax())


def test_what_the_model_does_not_have_is_refused() -> None:
    run = open_run(model_of("llama"), IDS)
    with pytest.raises(SettingError, match="token 320"):
        head_worth(run, 320)
    with pytest.raises(SettingError, match="layer 3"):
        head_worth(run, 7, layers=(3,))


def test_it_says_how_far_it_is_and_can_be_stopped() -> None:
    run = open_run(model_of("llama"), IDS)
    run.trace  # noqa: B018  # its forward has steps of its own
    heard: list[float] = []
    with listening(lambda done: heard.append(-1.0 if done is None else done)):
        head_worth(run, 7)
    assert heard == sorted(heard)
    assert heard[-1] == 1
    assert len(set(heard)) > 3

    def gone(done: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listening(gone):
        head_worth(run, 7)
