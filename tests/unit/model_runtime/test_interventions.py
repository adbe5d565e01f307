"""Records of edits: what they accept, what they refuse when they are made, and that they stay keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model_runtime import interventions as edit
from model_runtime.capture.edit_values import with_the_same_sum
from model_runtime.errors import InterventionError

NAN, INF = float("nan"), float("inf")


def test_lists_and_arrays_become_tuples_so_that_records_stay_keys() -> None:
    head = edit.ScaleHead(np.int64(1), 2, np.float32(0.5), positions=[1, 2])  # type: ignore[arg-type]
    assert head == edit.ScaleHead(1, 2, 0.5, (1, 2))
    assert hash(head) == hash(edit.ScaleHead(1, 2, 0.5, (1, 2)))
    assert type(head.layer) is int
    values = np.array([0.1, 2.0], dtype=np.float32)
    patches = {
        edit.Patch("resid_mid", 0, 1, given) for given in (values, torch.tensor(values), tuple(values))
    }
    assert len(patches) == 1
    assert patches.pop().values == tuple(values.tolist())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: edit.ScaleHead(1.5, 0), "layer 1.5"),
        (lambda: edit.ScaleHead("1", 0), "layer '1'"),
        (lambda: edit.ScaleHead(True, 0), "layer True"),
        (lambda: edit.ScaleHead(0, 0, NAN), "factor nan"),
        (lambda: edit.ScaleHead(0, 0, "0.5"), "factor '0.5'"),
        (lambda: edit.ScaleMLP(0, positions=3), "positions 3"),
        (lambda: edit.ScaleMLP(0, positions=(1.5,)), "positions"),
        (lambda: edit.ScaleExpert(0, 0, renormalise=1), "renormalise 1"),
        (lambda: edit.ForceExperts(0, 3), "experts 3"),
        (lambda: edit.ForceExperts(0, (0, 1), (0.5, INF)), "weights"),
        (lambda: edit.CutEdge(0, 0.5, 1, 1), "head 0.5"),
        (lambda: edit.Patch("resid_mid", 0, 0, np.ones((2, 2))), "values"),
        (lambda: edit.Patch("resid_mid", 0, 0, (NAN,)), "values"),
        (lambda: edit.Patch(3, 0, 0, (1.0,)), "point 3"),
        (lambda: edit.RopeOffset(0.5), "offset 0.5"),
        (lambda: edit.RopeOffset(NAN), "offset nan"),
        (lambda: edit.RopeBase(INF), "base inf"),
        (lambda: edit.RopeBase(0.0), "base is 0.0"),
        (lambda: edit.RopeScaling("cubic", 2.0), "cubic"),
        (lambda: edit.RopeScaling("linear", 0.0), "factor 0.0"),
    ],
)
def test_fields_of_another_type_and_endless_numbers_are_refused(
    make: Callable[[], object], says: str
) -> None:
    with pytest.raises(InterventionError, match=says):
        make()


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5, 3.0, 1e6, -1.0])
def test_a_renormalised_expert_takes_no_more_than_all_and_leaves_no_less_than_nothing(factor: float) -> None:
    before = torch.tensor([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.2, 0.0, 0.0]])
    chosen = torch.tensor([[True, False, False], [False, False, False], [True, False, False]])
    found = with_the_same_sum(torch.where(chosen, factor * before, before), before, chosen)
    own = min(0.6 * factor, 1.0)
    by_hand = [own, (1 - own) * 0.75, (1 - own) * 0.25]  # 3 to 1, as before
    assert found[0].tolist() == pytest.approx(by_hand, abs=1e-6)
    assert (found[0, 1:] >= 0).all()
    assert found[1].tolist() == before[1].tolist()  # a token that did not ask it
    assert found[2].tolist() == pytest.approx([min(0.2 * factor, 0.2), 0, 0])  # one that asked no other
