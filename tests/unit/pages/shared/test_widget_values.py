"""What a visitor's socket sends for widgets: fitted as a link's text is, or as if it had never come."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.state.session_state import WStates
from streamlit.testing.v1 import AppTest

from pages.shared.server import widget_values
from pages.shared.server.widget_values import is_plain_json

DEEP = "[" * 1000 + "]" * 1000


@pytest.fixture(autouse=True)
def _door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WStates, "__getitem__", WStates.__getitem__)  # put back afterwards
    widget_values.install()


def page() -> None:
    import streamlit as st

    taken = {
        "whole": st.number_input("Whole", 2, 200, 15, key="whole"),
        "real": st.number_input("Real", 0.0, 0.99, 0.5, key="real"),
        "text": st.text_input("Text", "hello", key="text"),
        "box": st.selectbox("Box", ["a", "b"], key="box"),
        "one": st.segmented_control("One", ["x", "y"], default="y", required=True, key="one"),
        "several": st.pills("Several", [1, 2, 3], selection_mode="multi", default=[3], key="several"),
        "many": st.multiselect("Many", ["m", "n"], default=["n"], key="many"),
        "stop": st.select_slider("Stop", [1, 4, 16], value=4, key="stop"),
        "slid": st.slider("Slid", 0, 10, 7, key="slid"),
        "on": st.toggle("On", value=True, key="on"),
        "pressed": st.button("Press", key="pressed"),
    }
    figure = st.components.v2.component("test_figure", js="export default () => {}")
    state = figure(key="figure", on_picked_change=lambda: None)
    st.json({**taken, "picked": state.picked})


def value(kind: str, sent: Any) -> Callable[[WidgetState], None]:
    """Writes a value of one kind of message."""

    def write(state: WidgetState) -> None:
        if kind.endswith("array_value"):
            getattr(state, kind).data.extend(sent)
        else:
            setattr(state, kind, sent)

    return write


BEFORE = {
    "whole": 15,
    "real": 0.5,
    "text": "hello",
    "box": "a",
    "one": "y",
    "several": [3],
    "many": ["n"],
    "stop": 4,
    "slid": 7,
    "on": True,
    "pressed": False,
    "picked": None,
}


def after(name: str, *values: Callable[[WidgetState], None]) -> dict[str, Any]:
    """What the page holds after a visitor sent these values for one widget, one after the other."""
    app = AppTest.from_function(page).run()
    base = name.removesuffix("__events")
    ids = [state.id for state in app.session_state._state.get_widget_states()]
    found = next(widget for widget in ids if widget.endswith(f"-{base}"))
    if base != name:  # where a component's triggers come in
        found = f"$$STREAMLIT_INTERNAL_KEY_{found}__events"
    for write in values:
        sent = WidgetState(id=found)
        write(sent)
        app._run(WidgetStates(widgets=[sent]))
        assert not app.exception, app.exception[0].value
    held: dict[str, Any] = json.loads(app.json[0].value)
    return held


@pytest.mark.parametrize(
    ("name", "sent", "held"),
    [
        ("whole", value("int_value", 10**18), 200),
        ("whole", value("int_value", -5), 2),
        ("whole", value("double_value", math.inf), 200),
        ("whole", value("double_value", math.nan), 15),
        ("whole", value("string_value", "many"), 15),
        ("whole", value("double_array_value", [3.0]), 15),
        ("whole", value("int_value", 20), 20),
        ("real", value("double_value", -math.inf), 0.0),
        ("real", value("double_value", 1e300), 0.99),
        ("real", value("double_value", math.nan), 0.5),
        ("real", value("string_value", "0.3"), 0.5),
        ("real", value("double_value", 0.3), 0.3),
        ("text", value("int_value", 3), "hello"),
        ("text", value("json_value", "{}"), "hello"),
        ("text", value("string_value", "typed"), "typed"),
        ("box", value("int_value", 10**9), "a"),
        ("box", value("int_value", -1), "a"),
        ("box", value("string_value", "nothing of ours"), "a"),
        ("box", value("string_value", "b"), "b"),
        ("one", value("int_array_value", [1_000_000]), "y"),
        ("one", value("string_array_value", ["z"]), "y"),
        ("one", value("string_array_value", ["x"]), "x"),
        ("several", value("int_array_value", [0, 0, 0]), [3]),
        ("several", value("string_array_value", ["1", "2"]), [1, 2]),
        ("many", value("double_value", 1.0), ["n"]),
        ("stop", value("int_value", 1), 4),
        ("stop", value("string_array_value", ["16"]), 16),
        ("slid", value("double_array_value", [math.inf]), 10),
        ("slid", value("double_array_value", [math.nan]), 7),
        ("slid", value("int_array_value", [3]), 7),
        ("slid", value("double_array_value", [1.0, 2.0]), 7),
        ("on", value("string_value", "no"), True),
        ("on", value("bool_value", False), False),
        ("pressed", value("string_value", "yes"), False),
    ],
)
def test_a_widget_holds_the_nearest_value_or_the_one_before(
    name: str, sent: Callable[[WidgetState], None], held: Any
) -> None:
    assert after(name, sent) == {**BEFORE, name: held}


@pytest.mark.parametrize("words", ["{", DEEP, '{"picked": 1e400}', "[NaN]", "3", "null", '{"picked": [[1]]}'])
@pytest.mark.parametrize("kind", ["json_value", "json_trigger_value"])
def test_a_figure_s_report_of_nonsense_stops_nothing(kind: str, words: str) -> None:
    name = "figure__events" if kind == "json_trigger_value" else "figure"
    held = after(name, value(kind, words))
    assert {key: held[key] for key in BEFORE if key != "picked"} == {
        key: BEFORE[key] for key in BEFORE if key != "picked"
    }


def test_after_nonsense_the_next_value_counts() -> None:
    held = after("whole", value("string_value", "x"), value("int_value", 30), value("string_value", "y"))
    assert held["whole"] == 30


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ('[{"event": "click", "value": {"trace": 0, "point": [1, 2], "customdata": ["a", 3]}}]', True),
        ('{"seq": 3, "values": {"t": 0.5}}', True),
        ("", False),
        ("{", False),
        ("NaN", False),
        ("[Infinity]", False),
        ('{"picked": 1e400}', False),
        ("9" * 5000, False),
        ("9" * 400, False),
        (DEEP, False),
        ("[" * 100_000, False),
        ("[" * 40 + "]" * 40, False),
    ],
)
def test_plain_json(words: str, plain: bool) -> None:
    assert is_plain_json(words) is plain
