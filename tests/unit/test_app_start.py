"""What the server does before its first visitor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COUNT = "import gc, torch, app; app.spare_the_collector(); print(len(gc.get_objects()))"


def test_the_collector_need_not_look_through_the_libraries() -> None:
    """Streamlit collects after every script run, and holds up every message meanwhile."""
    counted = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(counted.stdout.split()[-1]) < 10_000  # of more than 400,000
