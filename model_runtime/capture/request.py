"""A request for a trace: checked before the forward, and its result checked after it."""

from __future__ import annotations

import operator
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from model_runtime.capture.availability import Reasons
from model_runtime.errors import PointUnavailable, SettingError
from model_runtime.interventions import Intervention, as_interventions
from model_runtime.points import POINTS
from model_runtime.records import ModelSpec

Indices = int | Iterable[int]
LogitsAt = str | Indices  # "last", "all", or positions


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
    points: str | Iterable[str] | None,
    layers: Indices | None,
    positions: Indices | None,
    interventions: Intervention | Iterable[Intervention],
    exact: bool,
    logits_at: LogitsAt,
) -> TraceRequest:
    """A request in which every point, layer and position exists in this model and prompt.

    Raises:
        PointUnavailable: one that does not; the text says why.
        SettingError: an argument of the wrong type, or a selection that is empty.
    """
    if isinstance(points, str):
        points = (points,)
    request = TraceRequest(
        ids=ids,
        points=default if points is None else _names(points),
        layers=_checked("layer", layers, spec.n_layers),
        positions=None if positions is None else _checked("position", positions, len(ids)),
        logits_positions=_logits_positions(logits_at, len(ids)),
        interventions=as_interventions(interventions),
        exact=exact,
    )
    if points is not None:
        _check_points(spec, reasons, request)
    return request


def _names(points: Iterable[Any]) -> tuple[str, ...]:
    try:
        names = tuple(dict.fromkeys(points))
    except TypeError:
        names = ("",)
    if not all(isinstance(name, str) and name for name in names):
        raise SettingError(f"points is {points!r}.", 'Give names, such as ("pattern", "resid_post").')
    return names


def whole_numbers(given: Any) -> tuple[int, ...]:
    """One whole number or several, as they come; numpy's and torch's count as well.

    Raises:
        TypeError: anything else, such as 1.5, text, or rows of a matrix.
    """
    if hasattr(given, "__index__") and not getattr(given, "shape", ()):
        return (operator.index(given),)
    return tuple(operator.index(index) for index in given)


def _checked(what: str, given: Indices | None, limit: int) -> tuple[int, ...]:
    try:
        chosen = tuple(range(limit)) if given is None else tuple(sorted(set(whole_numbers(given))))
    except TypeError:
        raise SettingError(f"{given!r} names no {what}s.", f"Give whole numbers below {limit}.") from None
    if not chosen and what == "position":
        raise SettingError("No position was chosen.", "Name at least one, or leave the argument out.")
    if wrong := [index for index in chosen if not 0 <= index < limit]:
        raise PointUnavailable(f"There is no {what} {wrong[0]}.", f"There are {limit}, counted from 0.")
    return chosen


def _logits_positions(logits_at: LogitsAt, n: int) -> tuple[int, ...]:
    if isinstance(logits_at, str):
        if logits_at not in ("last", "all"):
            raise SettingError(f"logits_at is {logits_at!r}.", 'Use "last", "all", or positions.')
        return (n - 1,) if logits_at == "last" else tuple(range(n))
    return _checked("position", logits_at, n)


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
