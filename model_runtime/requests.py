"""A request for a trace: checked before the forward, and its result checked after it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from model_runtime.availability import Reasons
from model_runtime.errors import NotCaptured, PointUnavailable
from model_runtime.interventions import Intervention
from model_runtime.points import POINTS
from model_runtime.records import ModelSpec

LogitsAt = str | tuple[int, ...]  # "last", "all", or positions


@dataclass(frozen=True)
class TraceRequest:
    """What one trace keeps, edits and computes: with the model, everything that decides its values."""

    ids: tuple[int, ...]
    points: tuple[str, ...]
    layers: tuple[int, ...]
    positions: tuple[int, ...] | None  # None: all
    logits_positions: tuple[int, ...]
    interventions: tuple[Intervention, ...]
    exact: bool


def checked_request(
    spec: ModelSpec,
    reasons: Reasons,
    default: tuple[str, ...],
    ids: tuple[int, ...],
    points: Iterable[str] | None,
    layers: Iterable[int] | None,
    positions: Iterable[int] | None,
    interventions: Iterable[Intervention],
    exact: bool,
    logits_at: LogitsAt,
) -> TraceRequest:
    """A request in which every point, layer and position exists in this model and prompt.

    Raises:
        PointUnavailable: one that does not; the text says why.
    """
    request = TraceRequest(
        ids=ids,
        points=default if points is None else tuple(dict.fromkeys(points)),
        layers=_checked("layer", layers, spec.n_layers),
        positions=None if positions is None else _checked("position", positions, len(ids)),
        logits_positions=_logits_positions(logits_at, len(ids)),
        interventions=tuple(interventions),
        exact=exact,
    )
    if points is not None:
        _check_points(spec, reasons, request)
    return request


def _checked(what: str, given: Iterable[int] | None, limit: int) -> tuple[int, ...]:
    chosen = tuple(range(limit)) if given is None else tuple(sorted({int(index) for index in given}))
    if wrong := [index for index in chosen if not 0 <= index < limit]:
        raise PointUnavailable(f"There is no {what} {wrong[0]}.", f"There are {limit}, counted from 0.")
    return chosen


def _logits_positions(logits_at: LogitsAt, n: int) -> tuple[int, ...]:
    if isinstance(logits_at, str):
        if logits_at not in ("last", "all"):
            raise NotCaptured(f"logits_at is {logits_at!r}.", 'Use "last", "all", or positions.')
        return (n - 1,) if logits_at == "last" else tuple(range(n))
    return _checked("position", logits_at, n) or (n - 1,)


def _check_points(spec: ModelSpec, reasons: Reasons, request: TraceRequest) -> None:
    """Refuse by name what this model has in none of the layers asked for."""
    for name in request.points:
        if name not in POINTS:
            raise PointUnavailable(f"There is no point {name!r}.", f"Points are {', '.join(POINTS)}.")
        here = [reasons[name][layer] for layer in request.layers] if POINTS[name].layered else reasons[name]
        if here and all(reason is not None for reason in here):
            raise PointUnavailable(f"{spec.name} has no {name}: {here[0]}.", "Leave it out of points=.")


def check_complete(
    spec: ModelSpec,
    reasons: Reasons,
    request: TraceRequest,
    kept: Container[tuple[str, int | None]],
    calls: Container[int | None],
) -> None:
    """A hook that did not fire would be a silent gap: better an exception than an empty picture."""
    for point in (POINTS[name] for name in request.points):
        for layer in request.layers if point.layered else (None,):
            if reasons[point.name][layer or 0] is not None:
                continue
            received = point.derived or point.port == ("received", "input")
            if layer not in calls if received else (point.name, layer) not in kept:
                raise RuntimeError(
                    f"The forward of {spec.name} left no {point.name} (layer {layer}): a hook did not fire. "
                    "The model was changed after it was loaded, or the family's row is wrong."
                )
