"""The heavy libraries are imported by one thread at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
# Eight threads at once in a new process, as visitors of a server that has just started.
_RACE = """
import threading
from pages.shared.run import heavy
failed = []
start = threading.Barrier(8)
def visit():
    start.wait()
    try:
        heavy.load()
        from model_runtime import generate_many, load_model
        from model_runtime.model import Model
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=visit) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert heavy.is_loaded()
assert not failed, failed
"""


def test_many_first_visitors_meet_no_half_imported_library() -> None:
    command = [sys.executable, "-c", _RACE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_router_waits_before_it_runs_a_page() -> None:
    router = (ROOT / "pages" / "main.py").read_text(encoding="utf-8")
    assert router.index("heavy.load()") < router.index("page.run()")
