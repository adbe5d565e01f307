"""Several readings of equally many tokens in one forward: each a row of the batch, with a `Run` of its own.

A short text is read as fast as the weights come out of memory, so four texts in one forward cost little more
than one. The sums of a product with more rows may be added in another order: such readings agree with
separate ones to rounding, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from model_runtime.capture.context import Run
from model_runtime.capture.planner import Plan


class Together(Run):
    """Hands each run its row of what the hooks report, and puts together what the runs make of it.

    Args:
        looks_ahead: which of them have no mask, so that every token sees every other.
    """

    def __init__(self, runs: Sequence[Run], looks_ahead: Sequence[bool]) -> None:
        super().__init__(runs[0].adapter, Plan())
        self.runs, self.looks_ahead = tuple(runs), tuple(looks_ahead)

    @property
    def has_work(self) -> bool:
        """Whether one of the readings differs from an idle one."""
        return any(self.looks_ahead) or any(run.has_work for run in self.runs)

    def visit(self, place: tuple[str, str], layer: int | None, value: Any) -> Any:
        """A hook's report, row by row."""
        rows = _rows(value, len(self.runs))
        made = [run.visit(place, layer, row) for run, row in zip(self.runs, rows, strict=True)]
        return value if all(one is row for one, row in zip(made, rows, strict=True)) else _joined(made)

    def attend(
        self,
        attention: Callable[..., Any],
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        options: dict[str, Any],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The attention function of one layer, row by row."""
        n = query.shape[2]
        free = torch.zeros((1, 1, n, n), dtype=query.dtype, device=query.device)  # nothing added to a score
        rows = [_rows(one, len(self.runs)) for one in (query, key, value, mask)]
        outputs = [
            run.attend(attention, module, q, k, v, free if ahead else m, options)
            for run, ahead, q, k, v, m in zip(self.runs, self.looks_ahead, *rows, strict=True)
        ]
        joined: tuple[torch.Tensor, torch.Tensor | None] = _joined(outputs)
        return joined

    def rotate(
        self, x: torch.Tensor, position_ids: torch.Tensor, layer_type: tuple[Any, ...], output: Any
    ) -> Any:
        """The rotary module's report: cos and sin, which the rows share unless a run turns otherwise."""
        rows = _rows(output, len(self.runs))
        made = [
            run.rotate(x, position_ids, layer_type, row) for run, row in zip(self.runs, rows, strict=True)
        ]
        return output if all(one is row for one, row in zip(made, rows, strict=True)) else _joined(made)

    def finish(self) -> None:
        """After the forward."""
        for run in self.runs:
            run.finish()


def _rows(value: Any, n: int) -> list[Any]:
    """What each of `n` readings has of a value [row, ...] or [row x pos, ...]; all where it is shared."""
    if isinstance(value, tuple):
        return list(zip(*(_rows(one, n) for one in value), strict=True))
    if not isinstance(value, torch.Tensor) or value.shape[0] == 1:
        return [value] * n
    assert value.shape[0] % n == 0, f"{tuple(value.shape)} is not of {n} readings"
    return list(value.chunk(n))


def _joined(values: Sequence[Any]) -> Any:
    """Values of the readings as one of the whole batch."""
    if isinstance(values[0], tuple):
        return tuple(map(_joined, zip(*values, strict=True)))
    return torch.cat(list(values)) if isinstance(values[0], torch.Tensor) else values[0]
