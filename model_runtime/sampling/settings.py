"""The settings of a draw from the next-token distribution: one frozen record, checked when it is made."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from model_runtime.errors import SettingError

# transformers' order: penalties first, then temperature, then the filters, each reading what the step
# before it left.
DEFAULT_ORDER: tuple[str, ...] = (
    "repetition",
    "presence",
    "frequency",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
)

# step -> (its field of SamplingSettings, the value at which it changes nothing)
FIELD_AND_OFF: dict[str, tuple[str, float]] = {
    "repetition": ("repetition_penalty", 1.0),
    "presence": ("presence_penalty", 0.0),
    "frequency": ("frequency_penalty", 0.0),
    "temperature": ("temperature", 1.0),
    "top_k": ("top_k", 0),
    "top_p": ("top_p", 1.0),
    "min_p": ("min_p", 0.0),
    "typical_p": ("typical_p", 1.0),
}

_WHOLE = ("top_k", "seed", "max_new_tokens")


def _plain(value: Any) -> int | float | None:
    """Python's own number for one of Python's or numpy's; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return int(value) if isinstance(value, numbers.Integral) else float(value)


@dataclass(frozen=True)
class SamplingSettings:
    """How the next token is chosen. The defaults leave the model's own distribution as it is.

    temperature 0 is greedy: the likeliest token, always. `order` is any permutation of the eight steps.
    """

    temperature: float = 1.0  # logits are divided by it; 0 to 100
    top_k: int = 0  # keep the k likeliest tokens; 0 is off
    top_p: float = 1.0  # keep the smallest set with at least this probability; 1 is off
    min_p: float = 0.0  # keep tokens with at least this share of the top probability; 0 is off
    typical_p: float = 1.0  # keep the most typical tokens with this probability together; 1 is off
    repetition_penalty: float = 1.0  # CTRL: divides positive, multiplies negative logits of tokens in context
    presence_penalty: float = 0.0  # subtracted once from the logit of a token already generated
    frequency_penalty: float = 0.0  # subtracted once for each time it was generated
    order: tuple[str, ...] = DEFAULT_ORDER
    seed: int = 0
    max_new_tokens: int = 40

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "temperature": (0.0, 100.0),
            "top_k": (0, 10_000_000),
            "top_p": (0.0, 1.0),
            "min_p": (0.0, 1.0),
            "typical_p": (0.0, 1.0),
            "repetition_penalty": (0.01, 100.0),
            "presence_penalty": (-100.0, 100.0),
            "frequency_penalty": (-100.0, 100.0),
            "seed": (0, 2**63 - 1),
            "max_new_tokens": (1, 100_000),
        }
        for name, (least, most) in ranges.items():
            value, whole = _plain(getattr(self, name)), name in _WHOLE
            if value is None or (whole and not isinstance(value, int)):
                raise SettingError(
                    f"{name} is {getattr(self, name)!r}.", f"Choose a {'whole ' * whole}number."
                )
            object.__setattr__(self, name, value if whole else float(value))
            if not math.isfinite(value) or not least <= value <= most:
                raise SettingError(f"{name} is {value}.", f"Choose a value from {least:g} to {most:g}.")
        if not isinstance(self.order, str) and isinstance(self.order, Iterable):
            object.__setattr__(self, "order", tuple(self.order))
        if not isinstance(self.order, tuple) or sorted(map(str, self.order)) != sorted(DEFAULT_ORDER):
            raise SettingError(
                f"The order of the sampling steps is {self.order!r}.",
                f"Name each of these once: {', '.join(DEFAULT_ORDER)}.",
            )

    def value(self, step: str) -> float:
        """The setting of one step of `order`."""
        return getattr(self, FIELD_AND_OFF[step][0])

    def is_active(self, step: str) -> bool:
        """Whether the step can change anything at these settings."""
        return self.value(step) != FIELD_AND_OFF[step][1]
