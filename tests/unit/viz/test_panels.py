"""The figure kit: what a look decides, where panels, notes and lines lie, and what the template carries."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from viz import style
from viz.panels import (
    PHONE,
    TABLET,
    WIDE,
    Look,
    bars,
    box,
    columns,
    drawn,
    figure,
    heading,
    heat,
    line,
    log_axis,
    note,
    on,
    panels,
    rows,
    scatter,
    spread,
)


def test_a_tablet_takes_the_wide_value_unless_it_has_its_own() -> None:
    assert [look.pick("wide", "phone") for look in (WIDE, TABLET, PHONE)] == ["wide", "wide", "phone"]
    assert [look.pick(3, 1, 2) for look in (WIDE, TABLET, PHONE)] == [3, 2, 1]
    assert TABLET.pick(3, 1, 0) == 0


def test_a_title_breaks_on_a_phone_alone_and_makes_room_for_its_lines() -> None:
    words = "One; two: three; four"
    assert WIDE.title(words, ";", ":") == TABLET.title(words, ";") == {"text": words}
    told = PHONE.title(words, ";", ":")
    assert told["text"] == "One;<br>two:<br>three;<br>four"
    assert told["pad"] == {"t": 18 * 4, "b": 0}
    assert PHONE.title(words, phone_size=12) == {"text": words, "font": {"size": 12}}
    assert PHONE.title(words, phone_lines=2)["pad"]["t"] == 36


def build(record: str, look: Look) -> go.Figure:
    return figure([scatter(record, [0], np.zeros(1))], title=look.title(look.name))


def test_every_width_is_drawn_and_a_tablet_only_when_asked() -> None:
    one = drawn(build, "x", alt="a", stem="s", table={}, browser="a.js#b", browser_data={"c": 1})
    assert one.figure.layout.title.text == "wide"
    assert one.narrow_figure.layout.title.text == "phone"
    assert one.middle_figure is None
    assert (one.browser, one.browser_data) == ("a.js#b", {"c": 1})
    both = drawn(build, "x", alt="a", stem="s", table={}, tablet=True)
    assert both.middle_figure.layout.title.text == "tablet"


def test_panels_are_placed_row_by_row_and_the_last_row_may_be_short() -> None:
    axes = panels(spread(2), spread(2)[::-1], {}, [{"range": [0, n]} for n in range(3)], n=3)
    assert list(axes) == ["xaxis", "yaxis", "xaxis2", "yaxis2", "xaxis3", "yaxis3"]
    assert [axes[f"xaxis{n}"]["domain"] for n in ("", "2", "3")] == [[0, 0.5], [0.5, 1], [0, 0.5]]
    assert [axes[f"yaxis{n}"]["domain"] for n in ("", "2", "3")] == [[0.5, 1], [0.5, 1], [0, 0.5]]
    assert axes["yaxis3"] == {"domain": [0, 0.5], "anchor": "x3", "range": [0, 2]}
    assert on(0) == {"xaxis": "x", "yaxis": "y"}
    assert on(2) == {"xaxis": "x3", "yaxis": "y3"}


def test_notes_lines_and_boxes_belong_to_a_panel() -> None:
    said = note("a", 1, 2, "left bottom", panel=1, within="y", yshift=3)
    assert (said["xref"], said["yref"], said["xanchor"], said["yanchor"]) == (
        "x2",
        "y2 domain",
        "left",
        "bottom",
    )
    assert said["yshift"] == 3
    assert "yanchor" not in note("a", 1, 2, "left")
    assert heading("a", 1, font={"size": 9})["font"] == {"size": 9}
    upright, level = line(x=3, panel=1), line(y=3)
    assert (upright["x0"], upright["y1"], upright["xref"], upright["yref"]) == (3, 1, "x2", "y2 domain")
    assert (level["y0"], level["x1"], level["xref"], level["yref"]) == (3, 1, "x domain", "y")
    assert box((0, 1), (2, 3), within="x")["xref"] == "x domain"


def test_axes_of_names_and_of_powers() -> None:
    down = rows(["a", "b"], above=0.6, below=0.4)
    assert (down["range"], down["tickvals"], down["ticktext"]) == ([1.4, -0.6], [0, 1], ["a", "b"])
    assert columns(["a"], showgrid=True) == {
        "range": [-0.5, 0.5], "tickvals": [0], "ticktext": ["a"], "showgrid": True,
    }  # fmt: skip
    tens = log_axis(20, 5_000, str, below=0.5, step=2)
    assert tens["tickvals"] == [10, 1000]
    assert tens["range"] == pytest.approx([np.log10(20) - 0.5, np.log10(5_000)])


def test_traces_keep_arrays_and_are_drawn() -> None:
    cells = heat("h", [[0.5, None], [np.nan, 1]], 0, 1, style.PROBABILITY_SCALE)
    assert cells["z"].dtype == np.float32
    assert np.isnan(cells["z"]).sum() == 2
    made = figure([bars("b", (0.2, 0.8), ("20 %", "80 %")), cells], margin={"t": 44})
    assert list(made.data[0].y) == [0, 1]
    assert made.data[0].textposition == "outside"
    assert made.layout.margin.t == 44
    assert made.layout.margin.l is None  # the template's


def test_an_axis_stays_put_unless_it_asks_for_zoom() -> None:
    template = go.layout.Template(figure([]).layout.template)
    assert template.layout.xaxis.fixedrange
    assert template.layout.yaxis.fixedrange
