"""GGUF files against the same models in transformers, and against llama.cpp, which reads the same files.

The first says that the reader is right; the second that the files are: llama.cpp computes from them what
transformers computes from the model that was written.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from model_runtime import load_model
from tests.gguf_files import GGUF_CASES, write_gguf
from tests.llama_cpp import LlamaCpp

IDS = list(range(5, 60))


def _written(case: str, folder: Path) -> tuple[Path, torch.Tensor]:
    """A case's file, and transformers' logits after each of `IDS`, [pos, token]."""
    wanted = GGUF_CASES[case]
    hf_model = wanted.model()
    file = write_gguf(folder / f"{case}.gguf", hf_model, settings=wanted.settings, tensors=wanted.tensors)
    with torch.no_grad():
        return file, hf_model(torch.tensor([IDS])).logits[0]


@pytest.mark.parametrize("case", GGUF_CASES)
def test_gives_the_same_logits_as_transformers(case: str, tmp_path: Path) -> None:
    file, logits = _written(case, tmp_path)
    ours = torch.tensor(load_model(file).trace(IDS).next_token_logits())
    assert (ours - logits[-1]).abs().max() <= 1e-4


@pytest.mark.parametrize("case", [case for case in GGUF_CASES if GGUF_CASES[case].llama_cpp < math.inf])
def test_llama_cpp_computes_the_same_from_the_file(case: str, tmp_path: Path) -> None:
    file, logits = _written(case, tmp_path)
    # It answers only where the likeliest token is a whole character: 1 to 94 are ASCII.
    last = max(place for place in range(len(IDS)) if 0 < int(logits[place].argmax()) < 95)
    assert last > 20
    with LlamaCpp(file) as reference:
        theirs = torch.tensor(reference.log_probabilities(IDS[: last + 1], logits.shape[1]))
    assert (theirs - logits[last].log_softmax(-1)).abs().max() <= GGUF_CASES[case].llama_cpp
