"""Every supported family survives saving and loading, and traces stay the same while another model loads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from model_runtime import Model, load_model
from tests.tiny_models import FAMILY_CASES, TEXT, build_model, tiny_tokenizer

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_every_family_loads_from_the_hub_s_cache(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    storage = tmp_path / f"models--owner--{family}"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    original = build_model(family)
    original.save_pretrained(storage / "snapshots" / COMMIT)
    tiny_tokenizer().save_pretrained(storage / "snapshots" / COMMIT)

    model = load_model(f"owner/{family}")

    assert (model.spec.family, model.spec.revision) == (family, COMMIT)
    loaded = model.hf_model.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in original.state_dict().items())
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        # Not to the bit: weights read from a file lie at other addresses, for which a matrix product may add
        # in another order.
        torch.testing.assert_close(model.hf_model(ids).logits, original(ids).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILY_CASES)
def test_traces_stay_the_same_while_another_model_loads_in_half_precision(family: str) -> None:
    """The library sets the process's default dtype while it builds a model; no forward may depend on it."""
    model = Model(build_model(family), tiny_tokenizer(), model_id=family, name=family, revision="local")

    def values() -> list[np.ndarray]:
        trace = model.trace(TEXT)
        patterns = [trace.get("pattern", layer=layer, head=0) for layer in range(model.spec.n_layers)]
        return [trace.next_token_logits(), *patterns]

    before = values()
    torch.set_default_dtype(torch.bfloat16)
    try:
        during = values()
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(np.array_equal(one, other) for one, other in zip(before, during, strict=True))
