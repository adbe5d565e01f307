"""Which points a model has, and why it lacks the others: the sentences of every refusal."""

from __future__ import annotations

from torch import nn

from model_runtime.capture.adapter import Adapter, Missing
from model_runtime.points import DEFAULT_POINTS, POINTS, Point

Reasons = dict[str, tuple[str | None, ...]]
"""point -> per layer (one entry if it belongs to no layer) why the model lacks it, None where it has it."""


def reasons_of(adapter: Adapter) -> Reasons:
    """The reasons for every point of the table."""
    return {
        point.name: tuple(
            _reason(adapter, point, layer)
            for layer in (range(len(adapter.blocks)) if point.layered else (None,))
        )
        for point in POINTS.values()
    }


def default_points(adapter: Adapter, reasons: Reasons) -> tuple[str, ...]:
    """The default points that this model has in at least one layer."""
    # Where nothing rotates, q and k are what attention received, so they cost nothing.
    extra = () if isinstance(adapter.model_roles["rotary"], nn.Module) else ("q", "k")
    return tuple(
        name for name in (*DEFAULT_POINTS, *extra) if any(reason is None for reason in reasons[name])
    )


def _reason(adapter: Adapter, point: Point, layer: int | None) -> str | None:
    if point.name in ("rot_q", "rot_k", "rope_cos", "rope_sin") and not adapter.rotates(layer or 0):
        rotary = adapter.model_roles["rotary"]
        return rotary.reason if isinstance(rotary, Missing) else "this layer does not rotate q and k (NoPE)"
    if point.name == "sink_weight" and not hasattr(adapter.attentions[layer or 0], "sinks"):
        return f"{adapter.family.title} has no attention sinks: the pattern's rows sum to 1"
    if point.port is None or point.port[0] in ("received", "logits"):
        return None
    role = adapter.role(point.port[0], None if point.port[0] == "rotary" else layer)
    return role.reason if isinstance(role, Missing) else None
