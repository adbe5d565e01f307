"""The heavy libraries, imported once and by one thread at a time.

transformers imports its parts when they are first asked for. Two threads that ask at the same time, the
warm-up and the first visitor's page, can meet a half-imported module: `cannot import name 'DynamicCache'`. So
every page waits here before it imports anything that needs them.
"""

from __future__ import annotations

import importlib
import threading

# What loads torch, transformers and plotly, and the modules that the default model needs of them.
MODULES = (
    "model_runtime.loading.load",
    "model_runtime.sampling.generation",
    "transformers.models.llama.modeling_llama",
    "plotly.graph_objects",
    "viz.style",
)
_LOCK = threading.Lock()
_DONE = threading.Event()


def is_loaded() -> bool:
    """Whether `load` has nothing left to do."""
    return _DONE.is_set()


def load() -> None:
    """Import them; who comes while another thread does so waits for it."""
    with _LOCK:
        for name in MODULES:
            importlib.import_module(name)
        _DONE.set()
