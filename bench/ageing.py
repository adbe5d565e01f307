"""What a rerun in which nothing changed costs on a fresh server, and after many visits to every page.

CPU time of the script's thread and what it waits for, without AppTest's own; the collector as on the server.
`python -m bench.ageing 300 --plain` does without it, as before it was there.
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from streamlit.testing.v1 import AppTest

from bench.measure import Row
from pages.shared.frame import contents
from pages.shared.run import heavy
from pages.shared.server import collector

ROUTER = Path(__file__).resolve().parents[1] / "pages" / "main.py"
INTERACTIONS, REPEATS = 2_000, 5
SCRIPT_THREAD = "ScriptRunner.scriptThread"  # its name to Streamlit
A_SESSION = 40  # interactions, then the next visitor comes
REACH_MS, REACH_RATIO = 60.0, 1.1


def visitor() -> AppTest:
    return AppTest.from_file(str(ROUTER), default_timeout=600).run()


def open_page(app: AppTest, entry: contents.Entry) -> AppTest:
    app.switch_page(entry.file).run()
    assert not app.exception, (entry.url, app.exception[0].value)
    return app


def cpu_ms(app: AppTest) -> float:
    """CPU time of one rerun, in milliseconds, less that of this thread, which only plays the browser."""
    start = time.process_time() - time.thread_time()
    app.run()
    for thread in threading.enumerate():  # AppTest returns before Streamlit collects at the end of a run
        if thread.name == SCRIPT_THREAD:
            thread.join()
    return (time.process_time() - time.thread_time() - start) * 1000


def every_page() -> list[float]:
    """Of each page in the order of contents: milliseconds of a rerun, median."""
    app = visitor()
    medians = []
    for entry in contents.PAGES:
        open_page(app, entry)
        medians.append(statistics.median(cpu_ms(app) for _ in range(REPEATS)))
    return medians


def state() -> str:
    sizes = f"{psutil.Process().memory_info().rss / 1e9:.3f} GB"
    return f"{sizes}, {gc.get_freeze_count()} objects set apart, {len(gc.get_objects())} not"


def main(interactions: int, plain: bool) -> None:
    """Print both rows of medians, fresh and aged."""
    heavy.load()
    gc.freeze() if plain else collector.install()
    for _ in range(2):  # everything is measured and in its cache
        fresh = every_page()
    print("fresh:", state(), file=sys.stderr)
    for count in range(interactions):
        if count % A_SESSION == 0:
            app = visitor()
        open_page(app, contents.PAGES[count % len(contents.PAGES)])
        if (count + 1) % 100 == 0:
            print(count + 1, state(), file=sys.stderr, flush=True)
    aged = every_page()
    found = collector.sweep()
    print("aged:", state(), f"{found} found by a last sweep", file=sys.stderr)
    for entry, before, after in zip(contents.PAGES, fresh, aged, strict=True):
        print(f"{entry.url}: {before:.0f} ms, {after:.0f} ms", file=sys.stderr)
    print(*fresh)
    print(*aged)


def rows() -> list[Row]:
    """In a process of its own."""
    lines = subprocess.run(
        [sys.executable, "-m", f"{__package__}.ageing"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    fresh, aged = ([float(word) for word in line.split()] for line in lines[-2:])
    worst = max(range(len(aged)), key=aged.__getitem__)
    how = f"CPU, worst of {len(aged)} pages ({contents.PAGES[worst].url}), median of {REPEATS}"
    ratio = statistics.median(after / before for before, after in zip(fresh, aged, strict=True))
    return [
        Row("rerun of each page, fresh", max(fresh), "ms", REACH_MS, f"CPU, worst of {len(fresh)} pages"),
        Row(f"the same after {INTERACTIONS:,} interactions", max(aged), "ms", REACH_MS, how),
        Row("the same, aged against fresh", ratio, "ratio", REACH_RATIO, "median of the pages' ratios"),
    ]


if __name__ == "__main__":
    main(next((int(word) for word in sys.argv[1:] if word.isdecimal()), INTERACTIONS), "--plain" in sys.argv)
