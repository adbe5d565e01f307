"""Pictures of every part of every page, to see that a change of the code changed nothing on screen.

    python -m bench.pictures take OUT [--house FOLDER] [--only TEXT,TEXT] [--links FILE]
    python -m bench.pictures compare BEFORE AFTER OUT [--only TEXT,TEXT]

`take` opens the app of the checkout FOLDER (this one, unless named) and writes whole pages, from top to
bottom: OUT/<page>-<part>-<light|dark>-<width>.png, and OUT/links.json: name -> link. It finds pages and parts
by clicking through the app, so it needs to know nothing of the code. TEXT is a page or a page and its part:
`tokens`, `attention-cost`; `attention-cost-pinned` is that part beside a pinned run.

`compare` prints a line for each picture that is not equal pixel by pixel, writes before | after | difference
of it to OUT, and exits with 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Error, Locator, sync_playwright

from bench.browser import FLAGS, ROOT, server

SIZES = {1440: 1000, 390: 844}  # width -> height of the window while a page opens, in CSS pixels
THEMES = ("light", "dark")
# Without it, whether a rounded corner is a shade lighter depends on what was painted before.
REPAINT = "--disable-partial-raster"
# Streamlit opens its sidebar 300 wide where it is drawn before the message with its width comes: by chance.
SIDEBAR = "try { localStorage.setItem('sidebarWidth', '320') } catch {}"
PARTS = '[data-testid="stMain"] [role="radiogroup"][aria-label="Part of this page"] button'
NAVIGATION = '[data-testid="stSidebarNav"] a'
PIN = "Pin this run"
PINNED_PROMPT = "a fluffy blue creature roamed the verdant forest"
# The model that a page needs to show its parts; with the default model it has one picture, `<page>-dense`.
MODELS = {"moe": ("mixtral-mini", "dense")}
PATIENCE = 120.0  # seconds until a page that does not come to rest is taken as it is ...
LONGEST = 1200.0  # ... or while its script still runs: fp16 on a busy processor takes minutes
QUIET = 1.0  # seconds without any change in which a page counts as being at rest
LOOKS = 6  # pictures taken until two in a row are equal
TALLEST = 16_000  # pixels; Chromium draws no taller window

# What is on screen in a few words; "running", or "" while something loads or is still to be drawn.
STATE = """
() => {
  const all = selector => [...document.querySelectorAll(selector)]
  const app = document.querySelector('[data-testid="stApp"]')
  const { testScriptState, testConnectionState } = app?.dataset ?? {}
  const resting = testScriptState === "notRunning" && testConnectionState === "CONNECTED"
  const busy = all('[data-testid="stSpinner"], [data-testid="stSkeleton"], [data-stale="true"]').length
  const whole = all('[data-testid="stMain"] h1').length && all('[data-testid="stPageLink"]').length
  const drawn = all(".gf-plot").every(plot => plot.querySelector(".main-svg"))
    && all(".gf-figure iframe").every(frame => frame.closest(".gf-figure").dataset.drawn)
  if (testScriptState === "running") return "running"
  if (!resting || busy || !whole || !drawn || document.fonts.status !== "loaded") return ""
  const heights = all('[data-testid="stMain"], .gf-figure').map(part => part.scrollHeight)
  return [location.search, document.body.innerHTML.length, ...heights].join(" ")
}
"""
# Height of the window in which nothing is left to scroll.
HEIGHT = """
() => Math.max(...[...document.querySelectorAll('[data-testid="stMain"], [data-testid="stSidebarContent"]')]
  .map(part => part.getBoundingClientRect().right > 0 ? part.scrollHeight : 0))
"""


class Visit:
    """One tab of the browser, which knows when what it shows is complete."""

    def __init__(self, context: BrowserContext, address: str, height: int | None = None) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        if height is not None:
            self.page.set_viewport_size({"width": self.page.viewport_size["width"], "height": height})
        self._asked: set[object] = set()  # requests without an answer so far
        self.page.on("request", lambda request: self._asked.add(request))
        self.page.on("requestfinished", lambda request: self._asked.discard(request))
        self.page.on("requestfailed", lambda request: self._asked.discard(request))
        self.page.goto(address)
        self.at_rest = self.settle()

    def settle(self, left: str = "") -> bool:
        """Wait until another page than `left` is shown and at rest; False if that did not come."""
        began = since = time.monotonic()
        end, before = began + PATIENCE, ""
        while (now := time.monotonic()) < end:
            try:
                state = "" if self._asked else self.page.evaluate(STATE)
            except Error:  # the page was replaced meanwhile
                state = ""
            if state == "running":
                end = min(now + PATIENCE, began + LONGEST)
            if state in ("", "running") or state != before or self.page.url == left:
                since, before = now, state
            elif now - since >= QUIET:
                return True
            self.page.wait_for_timeout(150)
        return False

    def click(self, button: Locator) -> None:
        """Click what changes the address, and wait for what it shows."""
        left = self.page.url
        button.click()
        self.at_rest = self.settle(left)

    def link(self) -> str:
        """Path and query of what is shown."""
        parts = urlsplit(self.page.url)
        return f"{parts.path}?{parts.query}"

    def picture(self) -> bytes:
        """The whole page as a PNG, taken when two in a row are equal."""
        width = self.page.viewport_size["width"]
        for _ in range(4):  # a taller window may make room for more
            height = min(self.page.evaluate(HEIGHT), TALLEST)
            if height <= self.page.viewport_size["height"]:
                break
            self.page.set_viewport_size({"width": width, "height": height})
            self.at_rest &= self.settle()
        last = self._shot()
        for _ in range(LOOKS):
            before, last = last, self._shot()
            if before == last:
                return last
        self.at_rest = False
        return last

    def _shot(self) -> bytes:
        self.page.wait_for_timeout(100)
        return self.page.screenshot(animations="disabled", caret="hide")


def context_of(browser: Browser, width: int, theme: str) -> BrowserContext:
    """A window of its own; pages opened in it share what was downloaded, and nothing else."""
    context = browser.new_context(
        viewport={"width": width, "height": SIZES[width]},
        color_scheme=theme,
        device_scale_factor=1,
        reduced_motion="reduce",
    )
    context.add_init_script(SIDEBAR)
    return context


def named(page: str, links: Sequence[str]) -> dict[str, str]:
    """The links of a page's parts by name: a part is called by the setting that differs in all of them."""
    if len(links) == 1:
        return {page: links[0]}
    settings = [parse_qs(urlsplit(link).query) for link in links]
    for key in settings[0]:
        keys = [setting.get(key, [""])[0] for setting in settings]
        if len(set(keys)) == len(keys):
            return {f"{page}-{part}": link for part, link in zip(keys, links, strict=True)}
    raise RuntimeError(f"The parts of {page} have no setting of their own in the link.")


def parts_of(context: BrowserContext, address: str) -> list[str]:
    """The link of each part of a page, found by clicking its control."""
    visit = Visit(context, address)
    buttons = visit.page.locator(PARTS)
    links = []
    for index in range(max(buttons.count(), 1)):
        if index:
            visit.click(buttons.nth(index))
        if not visit.at_rest:
            print(f"WARNING: did not come to rest: {visit.page.url}", flush=True)
        links.append(visit.link())
    visit.page.close()
    return links


def with_pin(link: str, pin: str) -> str:
    """The link with a run pinned: the same one on another prompt."""
    path, query = link.split("?", 1)
    settings = dict(parse_qsl(query, keep_blank_values=True))
    run = json.loads(pin) | {"model": settings["model"], "prompt": PINNED_PROMPT}
    settings["pin"] = json.dumps(run, ensure_ascii=False, separators=(",", ":"))
    return f"{path}?{urlencode(settings)}"


def open_home(browser: Browser, root: str) -> tuple[list[str], str]:
    """The paths of all pages, and a pinned run as it stands in the link."""
    visit = Visit(context_of(browser, 1440, "light"), root)
    paths = visit.page.eval_on_selector_all(NAVIGATION, "links => links.map(link => link.pathname)")
    visit.click(visit.page.get_by_role("button", name=PIN, exact=True))
    pin = parse_qs(urlsplit(visit.page.url).query)["pin"][0]
    visit.page.context.close()
    return paths, pin


def find_links(browser: Browser, root: str, only: Sequence[str]) -> Iterator[dict[str, str]]:
    """Name -> link of everything that is to be taken, a page at a time."""
    paths, pin = open_home(browser, root)
    for path in paths:
        page = path.strip("/") or "home"
        if only and not any(text.startswith(page) or text in page for text in only):
            continue
        context = context_of(browser, 1440, "light")
        if page in MODELS:
            model, otherwise = MODELS[page]
            found = {f"{page}-{otherwise}": parts_of(context, root + path)[0]}
            found |= named(page, parts_of(context, f"{root}{path}?{urlencode({'model': model})}"))
        else:
            found = named(page, parts_of(context, root + path))
        context.close()
        print(f"{page}: {', '.join(found)}", flush=True)
        yield {
            said: at
            for name, link in found.items()
            for said, at in ((name, link), (f"{name}-pinned", with_pin(link, pin)))
        }


def wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(text in name for text in only)


def take(out: Path, house: Path, only: Sequence[str], links: Path | None) -> None:
    """All pictures of one checkout, with one server and one browser; or of the links in a file."""
    out.mkdir(parents=True, exist_ok=True)
    path = os.environ.get("BROWSER_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    began, taken, file = time.monotonic(), 0, out / "links.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    with server("app.py", house) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, REPAINT])
        root = f"http://127.0.0.1:{port}"
        contexts = {(width, theme): context_of(browser, width, theme) for width in SIZES for theme in THEMES}
        pages = [json.loads(links.read_text())] if links else find_links(browser, root, only)
        for page in pages:
            found = {name: link for name, link in page.items() if wanted(name, only)}
            known |= found
            file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
            for name, link in found.items():
                taken += take_one(contexts, name, root + link, out)
        browser.close()
    print(f"{taken} pictures in {(time.monotonic() - began) / 60:.1f} minutes")


def take_one(contexts: Mapping[tuple[int, str], BrowserContext], name: str, address: str, out: Path) -> int:
    """The pictures of one link, and how many there are."""
    heights: dict[int, int] = {}  # width -> height of the window in which the page stood without scrolling
    sides = [(1440, "light")] if name.endswith("-pinned") else [*contexts]
    for width, theme in sides:
        start = time.monotonic()
        visit = Visit(contexts[width, theme], address, heights.get(width))
        (out / f"{name}-{theme}-{width}.png").write_bytes(visit.picture())
        heights[width] = visit.page.viewport_size["height"]
        note = "" if visit.at_rest else "  WARNING: did not come to rest"
        print(f"{name}-{theme}-{width}  {time.monotonic() - start:.1f} s{note}", flush=True)
        visit.page.close()
    return len(sides)


def pixels(file: Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The picture's [height, width, 3] bytes; what `shape` adds to it is a colour that no page has."""
    found = np.asarray(Image.open(file).convert("RGB"))
    if shape is None:
        return found
    grown = np.full((*shape, 3), (255, 0, 255), np.uint8)
    grown[: found.shape[0], : found.shape[1]] = found
    return grown


def difference(before: Path, after: Path, out: Path) -> str:
    """What sets two pictures apart, in words ("" if nothing); a picture of it is written to `out`."""
    sizes = [pixels(file).shape[:2] for file in (before, after)]
    height, width = np.max(sizes, axis=0)
    old, new = (pixels(file, (height, width)) for file in (before, after))
    apart = (old != new).any(axis=2)
    if not apart.any():
        return ""
    (top, bottom), (left, right) = (np.flatnonzero(apart.any(axis=axis))[[0, -1]] for axis in (1, 0))
    shown = np.where(apart[..., None], np.array((255, 0, 0), np.uint8), new // 4 + 160)
    Image.fromarray(np.concatenate([old, new, shown.astype(np.uint8)], axis=1)).save(out / before.name)
    words = f"{apart.mean():.3%} of pixels, x {left} to {right}, y {top} to {bottom}"
    if sizes[0] != sizes[1]:
        words += "; size {1} x {0}".format(*sizes[0]) + " -> {1} x {0}".format(*sizes[1])
    return words


def differences(before: Path, after: Path, out: Path, only: Sequence[str]) -> Iterator[str]:
    """A line for everything that is not the same on both sides."""
    names = [{file.name for file in folder.glob("*.png")} for folder in (before, after)]
    sides = [{name for name in side if wanted(name, only)} for side in names]
    for name in sorted(sides[0] | sides[1]):
        if name not in sides[0] or name not in sides[1]:
            yield f"{name}  only in {before if name in sides[0] else after}"
        elif words := difference(before / name, after / name, out):
            yield f"{name}  {words}"
    links = [json.loads((folder / "links.json").read_text()) for folder in (before, after)]
    for name in links[0].keys() & links[1].keys():
        if links[0][name] != links[1][name]:
            yield f"{name}  link {links[0][name]} -> {links[1][name]}"
    print(f"{len(sides[0] & sides[1])} pictures compared")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pictures", description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    taking, comparing = verbs.add_parser("take"), verbs.add_parser("compare")
    taking.add_argument("out", type=Path)
    taking.add_argument("--house", type=Path, default=ROOT, help="the checkout whose app is taken")
    for name in ("before", "after", "out"):
        comparing.add_argument(name, type=Path)
    taking.add_argument(
        "--links", type=Path, help="links.json of an earlier time, instead of clicking through"
    )
    for verb in (taking, comparing):
        verb.add_argument("--only", default="", help="names or beginnings of names, separated by commas")
    asked = parser.parse_args()
    only = [text for text in asked.only.split(",") if text]
    if asked.verb == "take":
        take(asked.out, asked.house.resolve(), only, asked.links)
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    lines = list(differences(asked.before, asked.after, asked.out, only))
    print(*lines, f"{len(lines)} differences" if lines else "No difference", sep="\n")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
