"""Keeps the models that were used last, within a budget of bytes. The cache itself is `runtime`'s."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from model_runtime.errors import ModelTooLarge
from model_runtime.model import Model
from pages.shared.server import collector

Key = tuple[str, str]  # name, dtype


class ModelShelf:
    """Decides which models stay loaded.

    Args:
        load: gives the model of a name and dtype, loading it at most once until it is dropped.
        drop: makes `load` forget one.
        max_bytes: for all models besides the one in use.
    """

    def __init__(
        self, load: Callable[[str, str], Model], drop: Callable[[str, str], Any], max_bytes: int
    ) -> None:
        self._load, self._drop = load, drop
        self._max_bytes = max_bytes
        self._used: OrderedDict[Key, int] = OrderedDict()  # bytes; the least recently used first
        self._lock = threading.Lock()

    def get(self, name: str, dtype: str) -> Model:
        """The model, after making room for it where memory is short and the other models take enough of it.

        A link to a model that never fits must not cost all others theirs.

        Raises:
            GlassformerError: as `load_model`; `ModelTooLarge` only if dropping the others would not help.
        """
        try:
            model = self._load(name, dtype)
        except ModelTooLarge as error:
            if error.short_by is None or error.short_by > self._n_bytes() or not self._drop_all():
                raise
            model = self._load(name, dtype)
        self._keep((name, dtype), model)
        return model

    def holds(self, name: str, dtype: str) -> bool:
        """Whether `get` will find it loaded (unless memory runs short in this very moment)."""
        with self._lock:
            return (name, dtype) in self._used

    def _n_bytes(self) -> int:
        with self._lock:
            return sum(self._used.values())

    def _keep(self, key: Key, model: Model) -> None:
        """Note the use and drop what was not used for longest, until the others fit."""
        with self._lock:
            known = self._used.pop(key, None)
            others = sum(self._used.values())
            too_many = []
            while others > self._max_bytes:
                dropped, size = self._used.popitem(last=False)
                too_many.append(dropped)
                others -= size
            self._used[key] = known if known is not None else _model_bytes(model)
        self._let_go(too_many)

    def _drop_all(self) -> bool:
        """Drop every model; whether there was one."""
        with self._lock:
            keys = list(self._used)
            self._used.clear()
        self._let_go(keys)
        return bool(keys)

    def _let_go(self, keys: list[Key]) -> None:
        """Drop them and free them now. Visitors who still draw with one keep it alive until they end."""
        for key in keys:
            self._drop(*key)
        if keys:
            collector.sweep()  # a model has cycles and may have been set apart


def _model_bytes(model: Model) -> int:
    from model_runtime.loading.load import model_bytes

    return model_bytes(model.hf_model)
