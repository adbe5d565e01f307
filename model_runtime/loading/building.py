"""One model is built at a time, and nobody waits for another one's weights.

The library changes settings of the whole process while it builds a model and while it finishes one: the
default dtype, how weights begin, whether they are tied. Two that build at once would get each other's. What
takes long, reading and converting the numbers in between, touches nothing but the model itself: there the
turn is handed on, so that a visitor's small model never waits until a stranger's large one is read.
"""

from __future__ import annotations

import threading
from typing import Any

TURN = threading.Lock()


def model_class(config: Any) -> Any:
    """The library's class of causal language models for a config, which gives way while it reads weights.

    Its `from_pretrained` has to be called by the holder of `TURN`; `as_published` belongs to what it gives.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    mapping: Any = MODEL_FOR_CAUSAL_LM_MAPPING
    published: Any = mapping[type(config)]

    def read(*arguments: Any, **options: Any) -> Any:
        TURN.release()
        try:
            return published._load_pretrained_model(*arguments, **options)
        finally:
            TURN.acquire()

    # The same name in the same module: the library looks some things up by them.
    names = {"__module__": published.__module__, "__qualname__": published.__qualname__}
    return type(published.__name__, (published,), {**names, "_load_pretrained_model": staticmethod(read)})


def as_published(hf_model: Any) -> Any:
    """The model with the library's own class."""
    hf_model.__class__ = type(hf_model).__mro__[1]
    return hf_model
