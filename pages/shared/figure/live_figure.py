"""The one figure frame of the app: `live_figure` shows what `viz` drew, with all that belongs to it.

It is a single component whose browser side lives in `assets/js/live_figure.js`. The message to the browser
holds the figure; arrays behind sliders, the data table and the exports are fetched by content hash (see
`pages.shared.server.shelf`), so an unchanged one never travels twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

from pages.shared.figure import export, scripts
from pages.shared.figure import walk as walking
from pages.shared.figure.provenance import Provenance, badge_text, caption
from pages.shared.figure.walk import Walk
from pages.shared.server.shelf import BROWSER_DATA, EXPORTS
from viz.drawn import Drawn

_COMPONENT = scripts.component("live_figure")
_MOST_REPORTS = 2**53  # a number of a report beyond it would end all later ones
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Slider:
    """A slider inside the figure; it moves the picture in the browser while it is dragged.

    Either `low`, `high`, `step`, or uneven `stops` (top-k from 1 to the vocabulary). `words` names special
    values: `{0: "greedy"}`.
    """

    name: str
    label: str
    value: float
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    stops: Sequence[float] = ()
    unit: str = ""
    words: Mapping[float, str] = field(default_factory=dict)
    help: str = ""


@dataclass(frozen=True)
class Click:
    """A point that was clicked, or chosen with the arrow keys and Enter.

    `point` is the index within trace number `trace`; in a heat map (row, column). Both exist in the figure
    that was drawn (but for one that the browser redraws). The other values are the browser's word: plain
    ones, `customdata` at most a flat list of such; what they say is fitted by whoever takes it.
    """

    trace: int
    point: int | tuple[int, int]
    x: Any
    y: Any
    customdata: Any

    @property
    def number(self) -> int | None:
        """The whole number that the point carries: its `customdata`, or the first of it."""
        kept = self.customdata[:1] if isinstance(self.customdata, list) else [self.customdata]
        return kept[0] if kept and type(kept[0]) is int else None


def live_figure(
    drawn: Drawn,
    *,
    key: str,
    provenance: Provenance,
    clickable: bool = False,
    sliders: Sequence[Slider] = (),
    link_group: str | None = None,
    height: int | None = None,
    on_click: Callable[[Click], None] | None = None,
    on_slide: Callable[[dict[str, float]], None] | None = None,
    slide_on_release: bool = False,
    walk: Walk | None = None,
    leads_to: str = "",
) -> Click | None:
    """Show a figure in its frame: badge, picture, words, caption, data table, export menu.

    The same `key` on the next run changes the picture in place: zoom, hover and keyboard cursor stay.
    `on_click` gets a click before the page runs again, so that its answer is drawn in one run. Without it
    the click is returned, and one that changes state ends in `st.rerun()`: a second run.

    `on_slide` gets {name: value} before the page runs again, at most every 100 ms during a drag and at
    release (with `slide_on_release` at release only: a browser side that redraws everything needs no server
    meanwhile); without it the sliders move the picture in the browser only. Figures of one `link_group`
    highlight the points whose `customdata` (or its first element) equals that of the hovered one.
    An export shows the picture at the slider values that the server knows, so pass `on_slide` and draw
    from the values where sliders change it. `figure.frames` get a play button; nothing plays by itself.
    `leads_to`: the figure that a click changes, brought into view on a phone. `walk`: through its stops.
    """
    seq_key = f"{key}:slider-seq"

    def clicked() -> None:
        click = _click(_trigger(key, "click"), drawn)
        if on_click is not None and click is not None:
            on_click(click)

    def slid() -> None:
        report = _trigger(key, "slide")
        if on_slide is not None and _is_news(report, st.session_state.get(seq_key, 0)):
            st.session_state[seq_key] = report["seq"]
            if moved := _within(report["values"], sliders):
                on_slide(moved)

    message = _message(drawn, key, provenance, height)
    message |= {"clickable": clickable, "leads_to": leads_to, "group": link_group}
    message |= {
        "sliders": [_slider_message(slider) for slider in sliders],
        "reports": "" if on_slide is None else "released" if slide_on_release else "moving",
        "seq": st.session_state.get(seq_key, 0),
        "walk": walking.message(walk, drawn.walk, key),
    }
    result = _COMPONENT(
        key=key,
        data=message,
        on_click_change=clicked,
        on_slide_change=slid,
        on_walk_change=lambda: walking.reported(walk, _trigger(key, "walk"), len(drawn.walk), key),
        on_again_change=lambda: None,
    )
    return None if on_click is not None else _click(result.click, drawn)


def encode_arrays(value: Any) -> Any:
    """`value` with numpy arrays as {"dtype", "shape", "bdata"}: typed arrays again in the browser.

    float64 and int64 are kept as float64 and, where they fit, int32 (browsers have no plain int64).
    """
    if isinstance(value, np.ndarray):
        if value.dtype == np.bool_:
            value = value.astype(np.uint8)
        elif value.dtype.kind in "iu" and value.dtype.itemsize == 8:
            fits = value.size == 0 or (value.min() >= -(2**31) and value.max() < 2**31)
            value = value.astype(np.int32 if fits else np.float64)
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {
            "dtype": f"{little.dtype.kind}{little.dtype.itemsize}",
            "shape": list(little.shape),
            "bdata": base64.b64encode(little.tobytes()).decode("ascii"),
        }
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name): encode_arrays(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode_arrays(item) for item in value]
    return value


def _message(drawn: Drawn, key: str, provenance: Provenance, height: int | None) -> dict[str, Any]:
    """What travels for a figure: small, and equal for equal figures, so that Streamlit can skip it."""
    parts = _parts(drawn.figure)
    figure = _whole(parts)
    exportable = export.Exportable(figure, drawn.table, drawn.stem, drawn.alt, provenance)
    EXPORTS.put(exportable.key, exportable, exportable.n_bytes)
    return {
        "key": key,
        "figure": figure,
        "alt": drawn.alt,
        "narrow": json.dumps(dict(drawn.narrow_layout)),
        "narrow_figure": _whole(_parts(drawn.narrow_figure), parts[0]) if drawn.narrow_figure else None,
        "middle_figure": _middle_message(drawn, parts[0]),
        "height": height,
        "badge": _badge(provenance),
        "caption": caption(provenance),
        "export": exportable.key,
        "files": exportable.file_names(),
        "install": "" if export.find_browser() else export.INSTALL_HELP,
        "browser": _browser_message(drawn),
    }


def _badge(provenance: Provenance) -> dict[str, str]:
    """What stands above a figure; in a narrow one without the model, which the bar above the page names."""
    short = replace(provenance, model=None, dtype=None)
    return {
        "kind": provenance.kind,
        "text": badge_text(provenance),
        "short": badge_text(short),
        "meaning": provenance.meaning,
    }


Parts = tuple[list[str], str]  # JSON of each trace, and of all else


def _parts(figure: go.Figure) -> Parts:
    whole = figure.to_dict()
    traces = [pio.json.to_json_plotly(trace) for trace in whole.pop("data")]
    return traces, pio.json.to_json_plotly(whole)


def _whole(parts: Parts, known: Sequence[str] = ()) -> str:
    """A figure's JSON. A trace that stands among the `known` ones is its number there: it travels once."""
    traces, rest = parts
    places = {trace: str(place) for place, trace in reversed([*enumerate(known)])}
    return f'{{"data":[{",".join(places.get(trace, trace) for trace in traces)}],{rest[1:]}'


def _middle_message(drawn: Drawn, known: Sequence[str]) -> str | None:
    """The picture for a tablet; "narrow" where it is the phone's, which then travels once."""
    if drawn.middle_figure is None:
        return None
    if drawn.middle_figure is drawn.narrow_figure:
        return "narrow"
    return _whole(_parts(drawn.middle_figure), known)


def _browser_message(drawn: Drawn) -> dict[str, str] | None:
    if drawn.browser is None:
        return None
    module, function = drawn.browser.split("#")
    content = json.dumps(encode_arrays(drawn.browser_data)).encode()
    data_key = hashlib.sha256(content).hexdigest()
    BROWSER_DATA.put(data_key, content, len(content))
    return {"module": module, "function": function, "data": data_key}


def _slider_message(slider: Slider) -> dict[str, Any]:
    return {
        "name": slider.name,
        "label": slider.label,
        "value": float(slider.value),
        "low": float(slider.low),
        "high": float(slider.high),
        "step": float(slider.step),
        "stops": [float(stop) for stop in slider.stops],
        "unit": slider.unit,
        "words": [[float(value), word] for value, word in slider.words.items()],
        "help": slider.help,
    }


def _trigger(key: str, name: str) -> Any:
    state = st.session_state.get(key)
    return None if state is None else state.get(name)


def _is_news(report: Any, seen: int) -> bool:
    """Whether a sliders' report is well formed and later than number `seen`.

    A run that a newer report overtook may still hand in its own, older one.
    """
    match report:
        case {"seq": int(seq), "values": dict()}:
            return seen < seq < _MOST_REPORTS
    return False


def _within(values: Mapping[str, Any], sliders: Sequence[Slider]) -> dict[str, float]:
    """The browser's values, clamped: what comes over the wire is anybody's. What is no number is left out."""
    clamped = {}
    for slider in sliders:
        low, high = (min(slider.stops), max(slider.stops)) if slider.stops else (slider.low, slider.high)
        value = values.get(slider.name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            clamped[slider.name] = float(min(max(value, low), high))
    return clamped


def _click(payload: Any, drawn: Drawn) -> Click | None:
    """A report of the browser as a click on a point of `drawn`; None for anything else."""
    if not isinstance(payload, Mapping) or type(trace := payload.get("trace")) is not int:
        return None
    match payload.get("point"):
        case int(index):
            point: int | tuple[int, int] = index
        case [int(row), int(column)]:
            point = (row, column)
        case _:
            return None
    figures = [figure for figure in (drawn.figure, drawn.narrow_figure, drawn.middle_figure) if figure]
    if not drawn.browser and not any(_has(figure, trace, point) for figure in figures):
        return None
    carried = payload.get("customdata")
    if not all(isinstance(one, _PLAIN) for one in (carried if isinstance(carried, list) else [carried])):
        return None
    x, y = (value if isinstance(value, _PLAIN) else None for value in (payload.get("x"), payload.get("y")))
    return Click(trace, point, x, y, carried)


def _has(figure: go.Figure, trace: int, point: int | tuple[int, int]) -> bool:
    """Whether the figure has this point."""
    if not 0 <= trace < len(figure.data):
        return False
    drawn = figure.data[trace]
    return any(_is_place(drawn[name], point) for name in ("z", "x", "y", "customdata") if name in drawn)


def _is_place(values: Any, point: int | tuple[int, int]) -> bool:
    """Whether a row of values has a place `point`, or rows of them a cell (row, column)."""
    for at in point if isinstance(point, tuple) else (point,):
        if not isinstance(values, tuple | list | np.ndarray) or not 0 <= at < len(values):
            return False
        values = values[at]
    return True
