"""The Python side of the figure frame: what it sends, and what it believes of what comes back."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from pages.shared.figure.live_figure import Slider, _click, _is_news, _message, _within, encode_arrays
from pages.shared.figure.provenance import Provenance
from pages.shared.server.shelf import BROWSER_DATA, EXPORTS
from viz.drawn import Drawn
from viz.style import TEMPLATE

PLACE = Provenance("measured", model="m", dtype="float32", layer=1)


def drawn(**changes: Any) -> Drawn:
    figure = go.Figure(go.Bar(y=np.array([1.0, 2.0], np.float32)), layout={"template": TEMPLATE})
    return replace(Drawn(figure, "Two bars.", "bars", {"y": [1.0, 2.0]}), **changes)


def decoded(sent: dict[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(sent["bdata"]), dtype=f"<{sent['dtype']}")
    return flat.reshape(sent["shape"])


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([[1.5, -2.0]], np.float32), "f4"),
        (np.array([1e-300, np.nan]), "f8"),
        (np.array([1, -(2**31)]), "i4"),
        (np.array([2**40]), "f8"),
        (np.array([True, False]), "u1"),
        (np.array([7], ">i2"), "i2"),
        (np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::2], "f4"),
        (np.array([], np.int64), "i4"),
    ],
)
def test_arrays_travel_as_typed_arrays(array: np.ndarray, dtype: str) -> None:
    sent = encode_arrays({"deep": [array]})["deep"][0]
    assert sent["dtype"] == dtype
    np.testing.assert_array_equal(decoded(sent), array)


def test_other_values_travel_as_they_are() -> None:
    values = {"words": ("a", None), "number": np.float32(0.5), 3: True}
    assert encode_arrays(values) == {"words": ["a", None], "number": 0.5, "3": True}


def test_equal_figures_make_equal_messages() -> None:
    one, same = _message(drawn(), "key", PLACE, None), _message(drawn(), "key", PLACE, None)
    assert one == same
    other = _message(drawn(figure=go.Figure(go.Bar(y=[3]))), "key", PLACE, None)
    assert other["export"] != one["export"]


def test_the_message_says_it_all() -> None:
    message = _message(drawn(narrow_layout={"xaxis.tickangle": 90}), "key", PLACE, 300)
    assert message["badge"]["text"] == "measured · m · fp32 · L1"
    assert message["badge"]["meaning"].startswith("Every number was read")
    assert message["caption"] == "Measured on m, float32. Layer 1."
    assert message["files"]["svg"] == "bars_m_fp32_l1.svg"
    assert json.loads(message["narrow"]) == {"xaxis.tickangle": 90}
    assert EXPORTS.get(message["export"]).table == {"y": [1.0, 2.0]}
    assert message["browser"] is None
    json.dumps(message)  # plain values only


def test_browser_data_is_put_by_content() -> None:
    logits = np.array([1, 2], np.float32)
    sent = [
        _message(drawn(browser="m.js#f", browser_data={"logits": logits * scale}), "key", PLACE, None)[
            "browser"
        ]
        for scale in (1, 1, 2)
    ]
    assert sent[0] == sent[1]
    assert sent[0]["data"] != sent[2]["data"]
    assert (sent[0]["module"], sent[0]["function"]) == ("m.js", "f")
    np.testing.assert_array_equal(
        decoded(json.loads(BROWSER_DATA.get(sent[2]["data"]))["logits"]), logits * 2
    )


def test_slider_values_from_the_wire_are_clamped_or_left_out() -> None:
    sliders = (Slider("t", "T", 1, 0.1, 2), Slider("k", "K", 5, stops=(1, 5, 50)))
    assert _within({"t": 9, "k": 0}, sliders) == {"t": 2.0, "k": 1.0}
    assert _within({"t": 0.5, "other": 1}, sliders) == {"t": 0.5}
    assert _within({"t": float("nan"), "k": "5"}, sliders) == {}
    assert _within({"t": float("inf"), "k": None}, sliders) == {"t": 2.0}
    assert _within({"t": True, "k": 10**400}, sliders) == {"k": 50.0}


def test_only_a_later_report_counts() -> None:
    assert _is_news({"seq": 4, "values": {"t": 1}}, seen=3)
    assert not _is_news({"seq": 3, "values": {"t": 1}}, seen=3)
    assert not _is_news({"seq": 2, "values": {"t": 1}}, seen=3)
    # A number past all others would make every later report an older one.
    last = {"seq": 2**60, "values": {"t": 1}}
    for forged in (None, "x", {}, {"seq": 9}, {"seq": "9", "values": {}}, {"seq": 9, "values": 1}, last):
        assert not _is_news(forged, seen=3)


def grid(**changes: Any) -> Drawn:
    """A heat map of three rows and four columns above two bars."""
    figure = go.Figure([go.Heatmap(z=np.zeros((3, 4))), go.Bar(y=[1, 2], customdata=[[7], [8]])])
    return replace(Drawn(figure, "A map.", "map", {}), **changes)


def test_clicks_from_the_wire() -> None:
    made = _click({"trace": 0, "point": [2, 3], "x": 1, "y": 2, "customdata": ["a"]}, grid())
    assert made is not None
    assert made.point == (2, 3)
    assert made.customdata == ["a"]
    assert made.number is None
    bar = _click({"trace": 1, "point": 1, "customdata": [8]}, grid())
    assert bar is not None
    assert (bar.point, bar.number) == (1, 8)
    assert replace(bar, customdata=9).number == 9
    assert replace(bar, customdata=True).number is None
    assert replace(bar, customdata=[]).number is None


@pytest.mark.parametrize(
    "forged",
    [
        None,
        "x",
        {},
        {"trace": 0},
        {"trace": 0, "point": "1"},
        {"trace": 0, "point": [1]},
        {"trace": None, "point": 1},
        {"trace": True, "point": 1},
        {"trace": 9, "point": 1},
        {"trace": -1, "point": 1},
        {"trace": 0, "point": [3, 0]},
        {"trace": 0, "point": [0, -1]},
        {"trace": 0, "point": [10**15, 0]},
        {"trace": 1, "point": 2},
        {"trace": 1, "point": 1, "customdata": {"a": 1}},
        {"trace": 1, "point": 1, "customdata": [[1]]},
    ],
)
def test_a_click_that_the_figure_has_no_place_for_is_none(forged: Any) -> None:
    assert _click(forged, grid()) is None


def test_a_click_in_the_picture_for_a_phone_counts() -> None:
    longer = go.Figure(go.Bar(y=[1, 2, 3, 4, 5]))
    forged = {"trace": 0, "point": 4}
    assert _click(forged, grid()) is None
    assert _click(forged, grid(narrow_figure=longer)) is not None
    assert _click(forged, grid(middle_figure=longer)) is not None
    assert _click(forged, grid(browser="m.js#f")) is not None  # the browser may have drawn more by now


def test_a_page_with_a_figure_runs() -> None:
    def page() -> None:
        import plotly.graph_objects as go

        from pages.shared.figure.live_figure import live_figure
        from pages.shared.figure.provenance import Provenance
        from viz.drawn import Drawn

        figure = Drawn(go.Figure(go.Bar(y=[1, 2])), "Two bars.", "bars", {"y": [1, 2]})
        assert live_figure(figure, key="one", provenance=Provenance("computed"), clickable=True) is None

    test = AppTest.from_function(page).run()
    assert not test.exception
    component = test.get("bidi_component")[0]
    sent = json.loads(component.proto.json)
    assert sent["alt"] == "Two bars."
    assert json.loads(sent["figure"])["data"][0]["type"] == "bar"


def test_traces_that_two_layouts_share_travel_once() -> None:
    wide = go.Figure([go.Bar(y=[1]), go.Bar(y=[2])], layout={"template": TEMPLATE})
    narrow = go.Figure([go.Bar(y=[2]), go.Bar(y=[3]), go.Bar(y=[1])], layout={"height": 200})
    sent = _message(drawn(figure=wide, narrow_figure=narrow, middle_figure=wide), "k", PLACE, None)
    assert [trace["y"] for trace in json.loads(sent["figure"])["data"]] == [[1], [2]]
    shared = json.loads(sent["narrow_figure"])
    assert (shared["data"][0], shared["data"][2]) == (1, 0)
    assert shared["data"][1]["y"] == [3]
    assert shared["layout"]["height"] == 200
    assert json.loads(sent["middle_figure"])["data"] == [0, 1]


def test_a_tablet_s_picture_that_is_the_phone_s_travels_once() -> None:
    narrow, other = (go.Figure(go.Bar(y=[n]), layout={"template": TEMPLATE}) for n in (1, 2))
    same = _message(drawn(narrow_figure=narrow, middle_figure=narrow), "k", PLACE, None)
    assert same["middle_figure"] == "narrow"
    apart = _message(drawn(narrow_figure=narrow, middle_figure=other), "k", PLACE, None)
    assert json.loads(apart["middle_figure"])["data"][0]["y"] == [2]
    assert _message(drawn(), "k", PLACE, None)["middle_figure"] is None
