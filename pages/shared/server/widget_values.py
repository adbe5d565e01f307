"""Values that a browser sends for widgets and figures, fitted before anybody reads them.

Streamlit trusts its own page: a number widget that is sent a text or an infinity, a figure that is sent
brackets nested a thousand deep, stops the script. All values are read at one place (`WStates.__getitem__`),
and there each is made one that its widget could have sent: a number becomes the nearest allowed one; what is
of another kind, or is no plain JSON, counts as never sent, so that the value from before stays.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.state.common import WidgetMetadata
from streamlit.runtime.state.session_state import Serialized, WStates

_NUMBERS = frozenset(
    {"double_value", "int_value"}
)  # of a number box: its registration says "double" for both
_JSON = frozenset({"json_value", "json_trigger_value"})
_MOST_LETTERS = 1_000_000  # of JSON; a figure's click has a few hundred, a typed prompt 100,000 at most
_DEEPEST = 12  # lists and objects inside one another; ours have five
_MOST_DIGITS = 20  # of a whole number; 2^64 has them

_read = WStates.__getitem__


def install() -> None:
    """Put the door in place, for the whole process; again does nothing."""
    WStates.__getitem__ = _fitted_item  # type: ignore[method-assign]


def _fitted_item(states: WStates, widget: str) -> Any:
    """A widget's value. Raises `KeyError` for one that cannot be used, as for none: the older one is read."""
    kept = states.states.get(widget)
    metadata = states.widget_metadata.get(widget)
    if isinstance(kept, Serialized) and metadata is not None:
        fitting = fitted(kept.value, metadata)
        if fitting is None:
            raise KeyError(widget)
        states.states[widget] = Serialized(fitting)
    return _read(states, widget)


def fitted(sent: WidgetState, metadata: WidgetMetadata[Any]) -> WidgetState | None:
    """What was sent as the widget could have sent it; None where there is no such value."""
    kind = sent.WhichOneof("value")
    if kind is None:
        return sent  # a box that was emptied
    if kind != metadata.value_type and not {kind, metadata.value_type} <= _NUMBERS:
        return None
    if kind in _JSON:
        return sent if is_plain_json(getattr(sent, kind)) else None
    if kind in _NUMBERS or kind == "double_array_value":
        return _within(sent, kind, getattr(metadata.deserializer, "__self__", None))
    return sent


def _within(sent: WidgetState, kind: str, widget: object) -> WidgetState | None:
    """The numbers between the least and the greatest that the widget has."""
    low, high = getattr(widget, "min_value", -math.inf), getattr(widget, "max_value", math.inf)
    made = WidgetState(id=sent.id)
    if kind == "double_array_value":
        values = sent.double_array_value.data
        if any(math.isnan(value) for value in values):
            return None
        made.double_array_value.data.extend(min(max(value, low), high) for value in values)
        return made
    value = getattr(sent, kind)
    if math.isnan(value):
        return None
    nearest = min(max(value, low), high)
    if not math.isfinite(nearest):
        return None
    setattr(made, kind, int(nearest) if kind == "int_value" else nearest)
    return made


def is_plain_json(words: str) -> bool:
    """Whether `words` are JSON with finite numbers and a few levels.

    >>> is_plain_json('{"picked": 3}'), is_plain_json("{"), is_plain_json('{"picked": 1e400}')
    (True, False, False)
    """
    if len(words) > _MOST_LETTERS:
        return False
    try:
        value = json.loads(words, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError):
        return False
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _finite(word: str) -> float:
    value = float(word)
    return value if math.isfinite(value) else _refuse(word)


def _whole(word: str) -> int:
    return int(word) if len(word) <= _MOST_DIGITS else _refuse(word)
