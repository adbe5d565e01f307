"""The matrices that a layer quantizes, and the GGUF file that a model's weights may come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from model_runtime.numbers.gguf_blocks import BLOCK, BLOCK_BYTES, FileTensor, file_tensors, gguf_file_of
from pages.shared.escape import quoted
from pages.shared.frame.sides import Drawing
from pages.shared.run import runtime
from pages.shared.settings import url_state as state


def choose_named(setting: str, label: str, names: Sequence[str], default: str) -> str:
    """A list to choose a name from; one that is not there gives way to the default, and is named."""
    asked = state.get(setting)
    if asked not in names:
        if asked:
            st.warning(f"{label} {quoted(asked, 40)} does not exist here; {quoted(default)} is shown.")
        state.open_with(**{setting: default})
    st.selectbox(label, list(names), width=360, **state.bound(setting))
    return str(state.get(setting))


def nearest_name(setting: str, names: Sequence[str], default: str) -> str:
    """What a pinned run shows: the chosen name if its model has it."""
    asked = state.get(setting)
    return asked if asked in names else default


def file_of(drawing: Drawing) -> Path | None:
    """The GGUF file that the run's weights come from, if they do."""
    return gguf_file_of(runtime.model_for(drawing.run).spec.model_id)


def tensors_of(file: Path, layer: int | None) -> dict[str, FileTensor]:
    """The block tensors of a layer (None: of all layers) by their name without "blk.3."."""
    found = {}
    for tensor in file_tensors(file):
        if not tensor.name.startswith("blk."):
            continue
        number, _, name = tensor.name.removeprefix("blk.").partition(".")
        if layer is None:
            found[tensor.name] = tensor
        elif number == str(layer):
            found[name] = tensor
    return found


def tensors_outside(file: Path) -> dict[str, FileTensor]:
    """The block tensors of no layer: the embedding."""
    return {tensor.name: tensor for tensor in file_tensors(file) if not tensor.name.startswith("blk.")}


def bytes_in_file(tensors: Sequence[FileTensor]) -> int:
    return sum(tensor.rows * tensor.width // BLOCK * BLOCK_BYTES[tensor.kind] for tensor in tensors)
