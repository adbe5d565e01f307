"""A file's settings as they are read: whatever nobody asked for at the end is refused by name."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.gguf_file import SAFETENSORS, GgufFile, Value
from model_runtime.loading.gguf_table import FOREIGN_SPACES, HARMLESS, NEUTRAL

LARGEST = 2**31 - 1


class Stated:
    """The settings of a file's own architecture, by their names without it ("rope.freq_base").

    Raises:
        UnsupportedModel: from every method, a value that is missing or none of its kind.
    """

    def __init__(self, file: GgufFile) -> None:
        self._file, self._asked = file, set[str]()
        self._own = file.architecture + "."

    def __contains__(self, key: str) -> bool:
        return self._own + key in self._file.settings

    def value(self, key: str) -> Value | None:
        """What the file states; a list with one value for every layer is that value."""
        self._asked.add(key)
        found = self._file.settings.get(self._own + key)
        if isinstance(found, np.ndarray) and found.size and (found == found[0]).all():
            same: bool | int | float = found[0].item()
            return same
        return found

    def whole(self, key: str, default: int | None = None, least: int = 1) -> int:
        """A whole number of `least` or more."""
        found = self.value(key)
        if found is None and default is not None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= LARGEST:
            self.refuse(key, f"where a whole number of {least} or more belongs")
        return found

    def number(self, key: str, default: float) -> float:
        """A finite number of 0 or more."""
        found = self.value(key)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found < math.inf:
            self.refuse(key, "where a number of 0 or more belongs")
        return float(found)

    def text(self, key: str, default: str) -> str:
        """A word."""
        found = self.value(key)
        return default if found is None else str(found)

    def refuse(self, key: str, why: str) -> NoReturn:
        """Refuse the file for one of its settings."""
        found = self._file.settings.get(self._own + key)
        said = "does not state" if found is None else "states"
        value = "" if found is None else f" = {_short(found)}"
        raise UnsupportedModel(
            f"{self._file.path.name} {said} {self._own}{key}{value}, {why}; a model read without regard to "
            "that would compute something else.",
            SAFETENSORS,
        )

    def refuse_tensor(self, name: str, why: str) -> NoReturn:
        """Refuse the file for one of its tensors, or for one that it lacks."""
        has = "has" if name in self._file.tensors else "lacks"
        raise UnsupportedModel(f"{self._file.path.name} {has} the tensor {name[:80]!r}, {why}.", SAFETENSORS)

    def refuse_rest(self) -> None:
        """Refuse a setting that changes the model and that nobody asked for."""
        for key, value in self._file.settings.items():
            space = key.partition(".")[0]
            if space in FOREIGN_SPACES:
                raise UnsupportedModel(
                    f"{self._file.path.name} states {key[:80]}: it is a part of a model, or no model.",
                    "Name the file of the model itself, or use the model's safetensors files.",
                )
            name = key.removeprefix(self._own)
            if name == key or name in self._asked or name in HARMLESS:
                continue
            if not isinstance(value, np.ndarray) and value in NEUTRAL.get(name, ()):
                continue
            self.refuse(name, "which is not understood here")


def _short(value: Value) -> str:
    if isinstance(value, (np.ndarray, tuple)):
        return f"a list of {len(value)}"
    return repr(value)[:60]
