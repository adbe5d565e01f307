"""Garbage collection that does not grow with the server's age.

Streamlit collects everything after every script run, and holds up every message meanwhile. So what survived a
full collection is set apart (`gc.freeze` costs nothing), and the next looks only at what came since. Objects
without cycles are freed at once wherever they are; cycles among those set apart wait for `sweep`, which looks
at all of them: beside the visitors, at most once a minute, and at once when a model is let go.
"""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

EVERY = 60.0  # seconds from one sweep to the next, at least
QUIET = 3.0  # seconds without a full collection, thus without a script run, before a sweep
PATIENCE = 60.0  # seconds that a sweep waits for quiet on a busy server, at most
_FULL = 2  # the oldest generation
_STOPPED_AT = [0.0]  # monotonic time at which the last full collection ended
_SWEEPING = threading.Lock()


def _set_apart(phase: str, info: dict[str, Any]) -> None:
    """After a full collection, whoever asked for it.

    The collector may call it in the midst of any thread's work: it takes no lock, which that thread may hold.
    """
    if phase == "stop" and info["generation"] == _FULL:
        gc.freeze()
        _STOPPED_AT[0] = time.monotonic()


def sweep() -> int:
    """Collect everything, also what was set apart; the number of unreachable objects that were found."""
    with _SWEEPING:
        gc.unfreeze()
        return gc.collect()


def _sweep_now_and_then() -> None:
    swept_at = 0.0
    while True:
        time.sleep(EVERY)
        if _STOPPED_AT[0] == swept_at:
            continue  # nobody was there since
        patient_until = time.monotonic() + PATIENCE
        while (wait := min(_STOPPED_AT[0] + QUIET, patient_until) - time.monotonic()) > 0:
            time.sleep(wait)
        sweep()
        swept_at = _STOPPED_AT[0]


def install() -> None:
    """Set apart what is there now and, from here on, what survives; sweep beside. Once a process."""
    if _set_apart in gc.callbacks:
        return
    gc.callbacks.append(_set_apart)
    gc.freeze()
    threading.Thread(target=_sweep_now_and_then, name="collector", daemon=True).start()
