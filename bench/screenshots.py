"""Take the pictures of the README: every page, light and dark, wide and narrow, on the default model.

    python -m bench.screenshots [folder]

Each is `<page>-<light|dark>-<width>.png`, in `docs/pictures` unless another folder is named; a part of a
page is `<page>-<part>-<light|dark>-<width>.png`. `walk.webp` moves.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from bench.browser import DRAWN, FLAGS, ROOT, server
from pages.shared.figure.renderer import find_browser
from pages.shared.frame.contents import PAGES
from pages.shared.settings.table import DEFAULT_PROMPT

SIZES = {1440: 1000, 390: 844}  # width -> height of the window, in CSS pixels
RESTING = '[data-testid="stApp"][data-test-script-state="notRunning"]'
# The tokenizers cut the worked example alike; on this sentence they differ. Experts differ by kind of text.
PROMPTS = {
    "tokens": "a fluffy blue creature roamed the verdant forest",
    "moe": "And the LORD said unto him, 3 + 4 = 7",
}
# Parts of pages that have pictures of their own: page -> setting and value.
PARTS = {
    "tokens": (("lesson", "built"),),
    "embeddings": (("space", "map"), ("space", "senses")),
    "positions": (("place", "schemes"), ("place", "rope")),
    "attention": (("part", "stages"), ("part", "lines")),
    "moe": (("moe", "experts"), ("moe", "domains")),
    "number-formats": (("formats", "weights"), ("formats", "quant")),
    "stability": (("stability", "model"), ("stability", "gradients")),
}
# Settings of a page's pictures beside the prompt.
SETTINGS = {"moe": {"model": "mixtral-mini"}, "stability": {"gain": "45.25"}}
STEPS, WALK_FRAMES = 6, 4  # of the walk; pictures of each step's motion
SETTLE_MS = 1500  # the longest animation, fonts and theme colours included


def take(browser: Browser, address: str, file: Path, *, width: int, theme: str) -> None:
    """One picture of one page, taken when its figures are drawn and nothing runs."""
    context = browser.new_context(
        viewport={"width": width, "height": SIZES[width]},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=2 if width < 600 else 1,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_function(DRAWN % 1, timeout=120_000)
    page.wait_for_selector(RESTING, timeout=120_000)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=file)
    context.close()


def walk(browser: Browser, address: str, file: Path) -> None:
    """The walk on Start as a picture that moves: the whole, then each step, with the line that is drawn."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(address)
    page.wait_for_function(DRAWN % 1, timeout=120_000)
    page.wait_for_selector(RESTING, timeout=120_000)
    page.wait_for_timeout(SETTLE_MS)
    frames, lasting = [page.screenshot()], [2000]
    for _ in range(STEPS):
        page.locator(".gf-walk-next").click()
        for _ in range(WALK_FRAMES):
            frames.append(page.screenshot())
            lasting.append(60)
        page.wait_for_timeout(SETTLE_MS)
        page.wait_for_selector(RESTING, timeout=120_000)
        frames.append(page.screenshot())
        lasting.append(2600)
    page.close()
    first, *rest = [Image.open(io.BytesIO(frame)).convert("RGB").resize((960, 540)) for frame in frames]
    first.save(file, save_all=True, append_images=rest, duration=lasting, loop=0, quality=70, method=4)


def views() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Name of the picture, path and settings of everything that is taken."""
    for entry in PAGES:
        path = "" if entry is PAGES[0] else entry.url
        prompt = {"prompt": PROMPTS.get(entry.url, DEFAULT_PROMPT), **SETTINGS.get(entry.url, {})}
        yield entry.url, path, prompt
        for key, part in PARTS.get(entry.url, ()):
            yield f"{entry.url}-{part}", path, {**prompt, key: part}


def main() -> None:
    """Take all pictures and print where each one is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    with server("app.py") as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        walk(browser, f"http://127.0.0.1:{port}/", folder / "walk.webp")
        for name, path, settings in views():
            address = f"http://127.0.0.1:{port}/{path}?{urlencode(settings)}"
            for width in SIZES:
                for theme in ("light", "dark"):
                    file = folder / f"{name}-{theme}-{width}.png"
                    take(browser, address, file, width=width, theme=theme)
                    print(f"{file}  {file.stat().st_size / 1000:.0f} kB", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
