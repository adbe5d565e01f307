"""The figure frame in a real browser: in place, by mouse and keyboard, in both themes, with hostile text."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Download, Locator, Page, Route, expect

pytestmark = pytest.mark.browser

APP = "tests/browser/apps/figures_app.py"


@pytest.fixture
def page(serve, open_page) -> Page:
    return drawn(open_page(serve(APP)))


def drawn(page: Page) -> Page:
    for key in ("bars", "cells", "steps"):
        page.wait_for_selector(f'.gf-figure[data-key="{key}"][data-drawn]', timeout=30_000)
    page.wait_for_function(
        """() => document.querySelector('[data-key="bars"] .gf-words').textContent !== ''"""
    )
    settle(page)
    return page


def settle(page: Page) -> None:
    """Until the page has stopped running and its figures drawing."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def frame(page: Page, key: str) -> Locator:
    return page.locator(f'.gf-figure[data-key="{key}"]')


def slider(page: Page, label: str) -> Locator:
    return page.get_by_role("slider", name=label)


def heights(page: Page) -> list[float]:
    """The bars as drawn: what plotly holds, both traces."""
    return page.evaluate(
        """() => document.querySelector('[data-key="bars"] .gf-plot')._fullData
                 .flatMap(trace => Array.from(trace.y))"""
    )


def x_range(page: Page) -> list[float]:
    return page.evaluate(
        """() => [...document.querySelector('[data-key="bars"] .gf-plot')._fullLayout.xaxis.range]"""
    )


def mark_nodes(page: Page) -> None:
    """Puts a mark on the plot and its svg: a figure that is rebuilt loses it."""
    page.evaluate(
        """() => { const bars = document.querySelector('[data-key="bars"]')
                   for (const node of bars.querySelectorAll('.gf-plot, svg.main-svg'))
                       node.dataset.kept = 'yes' }"""
    )


def unmarked(page: Page) -> int:
    return page.locator(
        '[data-key="bars"] .gf-plot:not([data-kept]), [data-key="bars"] svg.main-svg:not([data-kept])'
    ).count()


def test_ten_changes_happen_in_place_and_keep_the_zoom(page: Page) -> None:
    page.evaluate(
        """() => { const plot = document.querySelector('[data-key="bars"] .gf-plot')
                   return Plotly.relayout(plot, {'xaxis.range': [0.5, 4.5]}).then(() => null) }"""
    )
    mark_nodes(page)
    before = heights(page)
    slider(page, "Temperature").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        settle(page)
    expect(page.get_by_text("server temperature 1.5")).to_be_visible()
    assert unmarked(page) == 0
    assert x_range(page) == [0.5, 4.5]
    assert heights(page) != before


def test_the_picture_moves_during_the_drag_before_the_server_knows(page: Page) -> None:
    page.evaluate(
        """() => { window.frames_drawn = []; const plot = document.querySelector('[data-key="bars"] .gf-plot')
                   plot.on('plotly_afterplot', () => window.frames_drawn.push(plot._fullData[0].y[0])) }"""
    )
    box = slider(page, "Temperature").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    page.mouse.down()
    for step in range(1, 31):
        page.mouse.move(box["x"] + box["width"] * (0.3 + 0.02 * step), middle)
        page.wait_for_timeout(20)
    while_held = page.evaluate("() => window.frames_drawn")
    page.mouse.up()
    settle(page)
    assert len(set(while_held)) >= 15  # of 30 steps; the rest share an animation frame
    assert while_held[0] > while_held[-1]  # hotter: the likeliest token loses
    value = slider(page, "Temperature").input_value()
    expect(page.get_by_text(f"server temperature {float(value):g} kept 12")).to_be_visible()
    shown = frame(page, "bars").locator(".gf-words").text_content()
    assert f"At temperature {float(value):g} " in shown


def test_reports_wait_for_the_server_and_the_last_value_arrives(page: Page) -> None:
    page.evaluate(
        """() => { window.sent = 0
                   const send = WebSocket.prototype.send
                   WebSocket.prototype.send = function (data) {
                       window.sent += 1
                       return send.call(this, data) } }"""
    )
    sent, seconds = slider(page, "Temperature").evaluate(
        """async input => { const start = performance.now()
                            for (let step = 0; step < 20; step += 1) {
                                input.stepUp()
                                input.dispatchEvent(new Event('input'))
                                await new Promise(done => setTimeout(done, 5))
                            }
                            return [window.sent, (performance.now() - start) / 1000] }"""
    )
    settle(page)
    expect(page.get_by_text("server temperature 2 kept 12")).to_be_visible()
    assert 1 <= sent <= 2 + 10 * seconds  # at most one in 100 ms


def test_a_value_set_elsewhere_moves_the_slider(page: Page) -> None:
    page.get_by_role("button", name="Hotter").click()
    expect(slider(page, "Temperature")).to_have_value("2")
    expect(frame(page, "bars").locator(".gf-words")).to_contain_text("At temperature 2 ")


def test_uneven_stops_and_named_values(page: Page) -> None:
    kept = slider(page, "Tokens kept")
    assert kept.get_attribute("aria-valuetext") == "all"
    kept.focus()
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert kept.get_attribute("aria-valuetext") == "8"
    expect(page.get_by_text("server temperature 1 kept 8")).to_be_visible()


def test_a_click_reaches_python(page: Page) -> None:
    bar = frame(page, "bars").locator(".bars .point path").nth(1)
    box = bar.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_text("clicked Click(trace=0, point=1, x=1,")).to_be_visible()
    expect(page.get_by_text("customdata=1)")).to_be_visible()


def test_arrow_keys_walk_over_cells_and_enter_clicks(page: Page) -> None:
    stage = frame(page, "cells").locator(".gf-stage")
    stage.focus()
    page.keyboard.press("ArrowDown")  # enters at the first cell
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    # Row 2 has three cells, the rest is the masked future: the cursor stays on the last one.
    expect(frame(page, "cells").locator(".gf-ring-cursor")).to_be_visible()
    expect(frame(page, "cells").locator(".gf-spoken")).to_contain_text("0.577")
    page.keyboard.press("Enter")
    expect(page.get_by_text("clicked Click(trace=0, point=(2, 2), x=2, y=2, customdata=2)")).to_be_visible()
    expect(frame(page, "cells").locator(".gf-ring-cursor")).to_be_visible()  # kept over the new run
    page.keyboard.press("Escape")
    expect(frame(page, "cells").locator(".gf-ring-cursor")).to_have_count(0)


def test_a_hovered_point_rings_its_kin_in_the_other_figure(page: Page) -> None:
    frame(page, "bars").locator(".gf-stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # token 1: eleven visible cells in its column, one future one
    expect(frame(page, "cells").locator(".gf-ring-linked")).to_have_count(11)
    expect(frame(page, "bars").locator(".gf-spoken")).to_contain_text("·quick: 0.229")
    bar = frame(page, "bars").locator(".bars .point path").nth(0).bounding_box()
    page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    expect(frame(page, "cells").locator(".gf-ring-linked")).to_have_count(12)


WRITTEN = """plot => [['.1%', -0.123], ['.4f', -1.5], ['.2e', 1e-7]]
    .map(([format, value]) => plot._fullLayout._d3locale.numberFormat(format)(value))"""


def test_plotly_writes_the_numbers_of_a_hover_as_the_house_does(page: Page) -> None:
    written = frame(page, "cells").locator(".js-plotly-plot").evaluate(WRITTEN)
    assert written[:2] == ["−12.3\u00a0%", "−1.5000"]


def test_the_frame_speaks(page: Page) -> None:
    stage = frame(page, "bars").locator(".gf-stage")
    assert stage.get_attribute("role") == "application"
    assert stage.get_attribute("aria-label").startswith("Bars of 12 probabilities at temperature 1.")
    assert frame(page, "steps").locator(".gf-stage").get_attribute("role") == "img"


def colors(page: Page) -> dict[str, str]:
    return page.evaluate(
        """() => { const cells = document.querySelector('[data-key="cells"] .gf-plot')._fullData[0]
                   const bars = document.querySelector('[data-key="bars"] .gf-plot')
                   return { low: cells.colorscale[0][1], high: cells.colorscale.at(-1)[1],
                            bar: bars._fullData[0].marker.color,
                            text: bars._fullLayout.font.color, paper: bars._fullLayout.paper_bgcolor,
                            ticks: bars._fullLayout.xaxis.tickfont.color } }"""
    )


LIGHT_LOOK = {
    "low": "#ffffff",
    "high": "#2f54c9",
    "bar": "#2f54c9",
    "text": "#1a1d26",
    "paper": "#ffffff",
    "ticks": "#5a6070",
}
DARK_LOOK = {
    "low": "#10131a",
    "high": "#8fabff",
    "bar": "#8fabff",
    "text": "#eceef4",
    "paper": "#10131a",
    "ticks": "#a3abbd",
}


def test_theme_is_the_readers_and_switches_live(page: Page) -> None:
    assert colors(page) == LIGHT_LOOK
    mark_nodes(page)
    page.emulate_media(color_scheme="dark")
    expect(frame(page, "bars")).to_have_attribute("data-theme", "dark")
    settle(page)
    assert colors(page) == DARK_LOOK
    assert unmarked(page) == 0


def test_a_phone_gets_the_narrow_layout(serve, open_page) -> None:
    page = drawn(open_page(serve(APP), width=390, height=844))
    cells = page.evaluate(
        """() => { const plot = document.querySelector('[data-key="cells"] .gf-plot')
                   return { bar: plot._fullData[0].colorbar.orientation, width: plot._fullLayout.width,
                            angle: plot._fullLayout.xaxis.tickangle } }"""
    )
    assert cells["bar"] == "h"
    assert cells["angle"] == 90
    assert cells["width"] <= 390
    overflow = page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth")
    assert overflow <= 0


def test_hostile_tokens_are_text(page: Page) -> None:
    assert page.evaluate("() => window.hacked") is None
    assert page.locator(".gf-figure img").count() == 0
    labels = frame(page, "cells").locator(".yaxislayer-above text").all_text_contents()
    assert '</script><img·sr…ked=1">' in labels
    assert "$x^2$" in labels
    assert "·%{y}" in labels
    assert "⟨U+202E⟩abc" in labels
    assert labels.count("·fox") == 2  # repeated words keep their own places


def test_frames_play_only_when_asked(page: Page) -> None:
    steps = frame(page, "steps")
    page.wait_for_timeout(900)
    expect(steps.locator("output")).to_have_text("1 of 5")
    steps.get_by_role("button", name="Play").click()
    expect(steps.locator("output")).to_have_text("5 of 5", timeout=10_000)
    expect(steps.get_by_role("button", name="Play")).to_be_visible()
    expect(steps.locator(".gf-words")).to_have_text("layer 4")
    # By keyboard, one back.
    steps.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    expect(steps.locator(".gf-words")).to_have_text("layer 3")


def test_the_data_is_a_table(page: Page) -> None:
    bars = frame(page, "bars")
    bars.get_by_text("Data as a table").click()
    rows = bars.locator("tbody tr")
    expect(rows).to_have_count(12)
    expect(rows.first).to_contain_text("0.377096")
    assert page.locator(".gf-table img").count() == 0
    slider(page, "Temperature").focus()
    page.keyboard.press("End")
    expect(rows.first).to_contain_text("0.164")  # the table follows the picture


# Revision, number format, place and prompt of the trial page's figures, as file names have them.
NAMED = "_0000000_fp32_l3_h1_the-quick-brown-script-i"


def save(page: Page, key: str, item: str) -> Download:
    frame(page, key).get_by_role("button", name="Export").click()
    with page.expect_download(timeout=30_000) as waiting:
        frame(page, key).get_by_role("button", name=item).click()
    return waiting.value


def test_data_and_camera_are_saved_under_a_telling_name(page: Page) -> None:
    data = save(page, "bars", "Data (CSV)")
    assert data.suggested_filename == f"next-token_test-1b{NAMED}.csv"
    text = Path(data.path()).read_text(encoding="utf-8-sig")
    caption, header = text.splitlines()[:2]
    assert caption.startswith('"# Computed for Test-1B')
    assert header == "token,logit,probability"
    photograph = save(page, "cells", "What is on screen now")
    assert photograph.suggested_filename == f"attention-pattern-on-screen_test-1b{NAMED}.png"
    assert Path(photograph.path()).read_bytes().startswith(b"\x89PNG")


def test_the_saved_page_works_offline(page: Page, open_page, tmp_path: Path) -> None:
    file = tmp_path / "figure.html"
    save(page, "cells", "Interactive page").save_as(file)
    saved = open_page(file.as_uri())
    expect(saved.locator(".main-svg").first).to_be_visible()
    assert saved.locator(".hoverlayer").count() >= 1
    assert saved.evaluate("() => window.hacked") is None
    assert saved.locator(".js-plotly-plot").evaluate(WRITTEN)[:2] == ["−12.3\u00a0%", "−1.5000"]
    saved.locator(".js-plotly-plot").evaluate("plot => Plotly.relayout(plot, {width: 500}).then(() => 0)")
    assert saved.locator(".js-plotly-plot").evaluate(WRITTEN)[:2] == ["−12.3\u00a0%", "−1.5000"]
    expect(saved.locator("figcaption")).to_contain_text("</script><img src=x onerror")


def test_a_picture_that_the_server_dropped_is_drawn_again(serve, open_page) -> None:
    page = drawn(open_page(serve(APP), allow=("410",)))
    asked: list[str] = []

    def once_gone(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=410, body="gone")
        else:
            route.continue_()

    page.route("**/export/csv/*", once_gone)
    assert save(page, "bars", "Data (CSV)").suggested_filename.endswith(".csv")
    assert len(asked) == 2


def test_without_its_browser_side_the_figure_follows_the_server(serve, open_page) -> None:
    page = open_page(serve(APP), allow=("503",))
    page.route("**/data/at/*", lambda route: route.fulfill(status=503, body="no"))
    page.reload()
    page.wait_for_selector('.gf-figure[data-key="bars"][data-drawn]', timeout=30_000)
    settle(page)
    before = heights(page)
    slider(page, "Temperature").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("server temperature 1.05")).to_be_visible()
    settle(page)
    assert heights(page)[0] < before[0]


@pytest.mark.slow
def test_a_vector_picture_is_saved(page: Page) -> None:
    picture = save(page, "bars", "Vector picture")
    assert picture.suggested_filename == f"next-token_test-1b{NAMED}.svg"
    assert "Which token comes next" in Path(picture.path()).read_text(encoding="utf-8")


def test_the_menu_by_keyboard(page: Page) -> None:
    button = frame(page, "bars").get_by_role("button", name="Export")
    button.focus()
    page.keyboard.press("Enter")
    items = frame(page, "bars").locator(".gf-item:not(:disabled)")
    expect(items.first).to_be_focused()
    page.keyboard.press("End")
    expect(items.last).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(frame(page, "bars").locator(".gf-menu-list")).to_be_hidden()


def test_without_a_browser_on_the_server_the_menu_says_what_to_install(serve, open_page) -> None:
    page = drawn(open_page(serve(APP, {"BROWSER_PATH": "/nowhere/chromium"}), width=390))
    frame(page, "bars").get_by_role("button", name="Export").click()
    expect(frame(page, "bars").locator(".gf-menu-list")).to_contain_text("sudo apt install chromium")
    expect(frame(page, "bars").get_by_role("button", name="Print (PDF)")).to_be_disabled()
    box = frame(page, "bars").locator(".gf-menu-list").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    with page.expect_download():
        frame(page, "bars").get_by_role("button", name="Data (CSV)").click()


def test_the_menu_says_saved_and_closes_after_a_download(page: Page) -> None:
    button = frame(page, "bars").get_by_role("button", name="Export")
    button.click()
    with page.expect_download() as saved:
        frame(page, "bars").get_by_role("button", name="Data (CSV)").click()
    assert saved.value.suggested_filename.endswith(".csv")
    expect(frame(page, "bars").locator(".gf-menu-status")).to_have_text("Saved.")
    expect(frame(page, "bars").locator(".gf-menu-list")).to_be_hidden()
    expect(button).to_be_focused()


def test_the_link_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    frame(page, "bars").get_by_role("button", name="Export").click()
    frame(page, "bars").get_by_role("button", name="Copy link").click()
    expect(frame(page, "bars").locator(".gf-menu-status")).to_have_text("Copied.")
    assert page.evaluate("() => navigator.clipboard.readText()") == page.url
