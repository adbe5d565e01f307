"""What lies in a model folder, read from names and headers only: nothing is loaded and nothing is run.

Only safetensors and GGUF are read. The other formats are pickles or can hold code, and so can a
configuration that names Python files of its own; both are refused here, before anything opens them.

Source of the safetensors header: https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from model_runtime.errors import ModelNotFound, UnsupportedModel
from model_runtime.loading.gguf_file import GgufFile, is_gguf, is_part, read_gguf
from model_runtime.loading.rope_config import read_today

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILE = "config.json"
UNSAFE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npz")
UNPACKED = "mxfp4"  # the one quantised format that is unpacked exactly: GPT-OSS is published in it only
# Keys with which a config renames or overrides other settings, so that checking those proves nothing.
REWRITING_KEYS = ("attribute_map", "per_layer_config")
# Bytes. A tensor takes about 120 of a header and twice that of an index; JSON becomes up to 25 times as large
# in memory. The format's own limit, 100 MB, is far above what any published file has.
LONGEST_HEADER = 5_000_000
LONGEST_CONFIG = 1_000_000
LONGEST_INDEX = 8_000_000
MOST_TENSORS = 100_000  # in all files of a model

Shapes = Mapping[str, tuple[int, ...]]

# safetensors' names of floating dtypes. Others (masks, counters) are no weights and are not counted.
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
# Bytes of one number of the other dtypes.
OTHERS = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8}


@dataclass(frozen=True)
class Checkpoint:
    """One model on disk: where its weights are, how many, and in which dtype."""

    folder: Path
    gguf: str | None  # file name in the folder, None for safetensors
    config: dict[str, Any]  # empty for GGUF, which carries its own
    n_weights: int  # floating-point numbers in the files
    stored_dtype: torch.dtype  # of most of them; float32 for GGUF, which is dequantised
    shapes: Shapes = field(default_factory=dict)  # of each tensor in safetensors, by its name there
    gguf_file: GgufFile | None = None  # the header of a GGUF file

    @property
    def unpack(self) -> bool:
        """Whether the weights are MXFP4 (four bits each, a shared exponent) and are unpacked on loading."""
        return _quantisation(self.config) == UNPACKED


def _quantisation(config: dict[str, Any]) -> str | None:
    """The name of a checkpoint's quantisation, None where there is none."""
    settings = config.get("quantization_config")
    if settings is None:
        return None
    return str(settings.get("quant_method", "unknown")) if isinstance(settings, dict) else "unknown"


def resolved_path(name: str) -> Path | None:
    """`name` as an absolute path, with links and ".." followed; None where no path can be called so.

    A name too long for the file system, a NUL in it and an unknown "~user" are such cases.
    """
    try:
        path = Path(name).expanduser().resolve()
        path.exists()  # raises where the system, and not pathlib, refuses the name
    except (OSError, RuntimeError, ValueError):
        return None
    return path


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a config and all its safetensors, or a GGUF file."""
    if (folder / INDEX_FILE).is_file() and not (folder / SINGLE_FILE).is_file():
        try:
            complete = all((folder / shard).is_file() for shard in shard_names(folder))
        except UnsupportedModel:
            return False
        return complete and (folder / CONFIG_FILE).is_file()
    if (folder / SINGLE_FILE).is_file():
        return (folder / CONFIG_FILE).is_file()
    return folder.is_dir() and any(is_gguf(file.name) for file in folder.iterdir())


def read_checkpoint(path: Path) -> Checkpoint:
    """Look at a model folder, or at one GGUF file.

    Raises:
        ModelNotFound: there is nothing at `path`, or no model in it.
        UnsupportedModel: unsafe, damaged, quantised or incomplete; the text says which.
    """
    if is_gguf(path.name) and not path.is_dir():
        if not path.is_file():
            raise ModelNotFound(f"There is no file {path.name}.", "Check the path.")
        return _gguf_checkpoint(path)
    if not path.is_dir():
        raise ModelNotFound(f"There is no folder {path.name}.", "Check the path.")
    if not (path / SINGLE_FILE).is_file() and not (path / INDEX_FILE).is_file():
        return _gguf_checkpoint(_only_gguf(path))
    config = _read_config(path)
    if any(re.match(r"shard-\d{5}-model-", file.name) for file in path.glob("shard-*.safetensors")):
        raise UnsupportedModel(
            f"{path.name} holds a distributed training checkpoint.",
            "Save the model with save_pretrained first.",
        )
    shards = [SINGLE_FILE] if (path / SINGLE_FILE).is_file() else shard_names(path)
    counts: Counter[torch.dtype] = Counter()
    shapes: dict[str, tuple[int, ...]] = {}
    for shard in shards:
        here, held = _read_header(path / shard)
        counts += here
        shapes |= held
        if len(shapes) > MOST_TENSORS:
            raise UnsupportedModel(
                f"The weight files in {path.name} name more than {MOST_TENSORS:,} tensors.",
                "Choose another model.",
            )
    if not counts:
        raise UnsupportedModel(f"The weight files in {path.name} hold no weights.", "Fetch the model again.")
    return Checkpoint(path, None, config, counts.total(), counts.most_common(1)[0][0], shapes)


def _only_gguf(folder: Path) -> Path:
    """The GGUF file of a folder without safetensors; every other case is refused with its own sentence."""
    ggufs = sorted(file for file in folder.iterdir() if is_gguf(file.name))
    if len(ggufs) == 1 or (ggufs and all(is_part(file.name) for file in ggufs)):
        return ggufs[0]
    if ggufs:
        names = ", ".join(file.name for file in ggufs)
        raise UnsupportedModel(f"{folder.name} holds several GGUF files: {names}.", "Give the path of one.")
    files = [file.name for file in folder.iterdir()]
    if "adapter_config.json" in files:
        raise UnsupportedModel(
            f"{folder.name} holds an adapter (LoRA), not a whole model.",
            "Merge it into its base model and save the result with save_pretrained.",
        )
    unsafe = sorted(name for name in files if name.endswith(UNSAFE_ENDINGS))
    if unsafe:
        raise UnsupportedModel(
            f"{folder.name} has its weights only as {unsafe[0]}, a format that can run code when it is "
            "opened.",
            "Save the model as safetensors (save_pretrained does) or choose a revision that has them.",
        )
    if CONFIG_FILE in files:
        raise ModelNotFound(f"{folder.name} has a config but no weights.", "Fetch its safetensors files too.")
    raise ModelNotFound(
        f"{folder.name} is not a model folder: it has no {CONFIG_FILE} and no weights.",
        "Give a folder with config.json, safetensors weights and a tokenizer, or a .gguf file.",
    )


def _read_config(folder: Path) -> dict[str, Any]:
    """The configuration, checked for what this app can load at all."""
    if not (folder / CONFIG_FILE).is_file():
        raise ModelNotFound(
            f"{folder.name} has weights but no {CONFIG_FILE}.", "Add the model's config.json."
        )
    config = read_json(folder / CONFIG_FILE, LONGEST_CONFIG)
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    for key in REWRITING_KEYS:
        if key in config:
            raise UnsupportedModel(
                f"The config in {folder.name} has {key!r}, which can change its other settings unseen.",
                "Remove it, or choose another model.",
            )
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise UnsupportedModel(f"The config in {folder.name} names no model_type.", "Use the model's own.")
    if model_type not in CAUSAL:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES as KNOWN

        if "auto_map" in config:
            raise UnsupportedModel(
                f"The model type {model_type!r} exists only as Python code in the model's own files.",
                "Glassformer never runs such code; choose a model of a family in the table of the README.",
            )
        if model_type not in KNOWN:
            raise UnsupportedModel(
                f"The model type {model_type[:40]!r} is not known here: newer than this app, or misspelled.",
                "Choose a model of a family in the table of the README.",
            )
        raise UnsupportedModel(
            f"The model type {model_type!r} is no causal language model: it does not predict the next token.",
            "Choose a model of a family in the table of the README.",
        )
    method = _quantisation(config)
    if method not in (None, UNPACKED):
        raise UnsupportedModel(
            f"The weights are quantised ({method}); only their kernels can read them.",
            "Choose the unquantised checkpoint, or a GGUF file of the model.",
        )
    return read_today(config, folder.name)


def shard_names(folder: Path) -> list[str]:
    """File names in a safetensors index; only files beside the index count."""
    weight_map = read_json(folder / INDEX_FILE, LONGEST_INDEX).get("weight_map")
    named = list(weight_map.values()) if isinstance(weight_map, dict) else []
    for name in named:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise UnsupportedModel(
                f"The index in {folder.name} points at {name!r}.", "Fetch the model again."
            )
    if not named:
        raise UnsupportedModel(f"The index in {folder.name} names no weight files.", "Fetch the model again.")
    return sorted(set(named))


def _read_header(file: Path) -> tuple[Counter[torch.dtype], dict[str, tuple[int, ...]]]:
    """Floating-point numbers in a safetensors file by dtype, and all shapes, from its header.

    The header is believed only if its tensors lie one behind the other and fill the file to its end.
    """
    damaged = UnsupportedModel(f"The file {file.name} is damaged or not complete.", "Fetch the model again.")
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > size - 8:
                raise damaged
            if length > LONGEST_HEADER:
                raise UnsupportedModel(
                    f"The header of {file.name} takes {length:,} bytes; at most {LONGEST_HEADER:,} are read.",
                    "Save the model in several files, or choose another one.",
                )
            header = json.loads(stream.read(length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        counts: Counter[torch.dtype] = Counter()
        shapes: dict[str, tuple[int, ...]] = {}
        end = 0
        for name, entry in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
            shapes[name] = shape = _shape(entry["shape"])
            dtype, n_numbers = entry["dtype"], math.prod(shape)
            begin, end_before = entry["data_offsets"][0], end
            end = entry["data_offsets"][1]
            n_bytes = n_numbers * (FLOATS[dtype].itemsize if dtype in FLOATS else OTHERS[dtype])
            if begin != end_before or end != begin + n_bytes:
                raise damaged
            if dtype in FLOATS:
                counts[FLOATS[dtype]] += n_numbers
            elif name.endswith("_blocks"):  # MXFP4: two four-bit numbers a byte, bfloat16 once unpacked
                counts[torch.bfloat16] += 2 * n_numbers
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"The weight file {file.name} is missing in {file.parent}.", "Fetch it too."
        ) from error
    except OSError as error:
        raise ModelNotFound(
            f"{file.name} cannot be read: {error.strerror}.", "Check the path and its rights."
        ) from error
    except (
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RecursionError,
        struct.error,
    ) as error:
        raise damaged from error
    if 8 + length + end != size:
        raise damaged
    return counts, shapes


def _shape(stated: Any) -> tuple[int, ...]:
    """A shape as the header states it.

    Raises:
        ValueError: it is none.
    """
    if len(stated) > 8 or any(type(size) is not int or not 0 <= size < 1 << 48 for size in stated):
        raise ValueError("no shape")
    return tuple(stated)


def _gguf_checkpoint(file: Path) -> Checkpoint:
    """A GGUF file: the count of its weights, which are dequantised to float32 when they are loaded."""
    header = read_gguf(file)
    return Checkpoint(file.parent, file.name, {}, header.n_weights, torch.float32, gguf_file=header)


def read_json(file: Path, most_bytes: int) -> dict[str, Any]:
    """The object in a JSON file of at most so many bytes.

    Raises:
        ModelNotFound, UnsupportedModel: it cannot be read, is too large, or holds something else.
    """
    try:
        size = file.stat().st_size
        if size > most_bytes:
            raise UnsupportedModel(
                f"The file {file.name} takes {size:,} bytes; at most {most_bytes:,} are read.",
                "Use the model's own.",
            )
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelNotFound(
            f"{file.name} cannot be read: {error.strerror}.", "Check the path and its rights."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnsupportedModel(
            f"The file {file.name} is not valid JSON.", "Fetch the model again."
        ) from error
    if not isinstance(content, dict):
        raise UnsupportedModel(f"The file {file.name} does not hold a JSON object.", "Fetch the model again.")
    return content
