"""What the dialog of the self-proof says of a check."""

from __future__ import annotations

import math

import pytest

from model_runtime.proof import ProofCheck
from pages.shared.frame.proof import _outcome


@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_values_that_are_no_numbers_prove_nothing(error: float) -> None:
    assert _outcome(ProofCheck("a = b", error, 0.0, False, layer=1)).startswith("cannot be checked")


def test_a_check_that_fails_says_so_and_where() -> None:
    assert _outcome(ProofCheck("a = b", 0.5, 0.1, False, layer=1)) == "FAILS, largest in layer 1"
    assert _outcome(ProofCheck("a = b", 0.0, 0.1, True, layer=1)) == "holds"
    assert _outcome(ProofCheck("a = b", math.nan, 0.0, True, reason_skipped="no mask")).startswith("does not")
