"""From files that were checked to a Hugging Face config and model; nothing else is opened."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from model_runtime.capture.adapter import families_of
from model_runtime.errors import UnsupportedModel
from model_runtime.loading import building
from model_runtime.loading.checkpoint import Checkpoint
from model_runtime.loading.gguf_config import config_of
from model_runtime.loading.gguf_file import GgufFile
from model_runtime.loading.gguf_weights import check_tensors, weights_of

log = logging.getLogger(__name__)

# Constants that older files hold beside the weights: masks, and the frequencies of the rotation.
OLD_BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".inv_freq")

# Options of every call into the library that reads files: these files only, and no code of theirs.
_ONLY_HERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def read_config(checkpoint: Checkpoint, name: str) -> Any:
    """The library's config object, without settings that lead to other files or kernels.

    Args:
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: it cannot be read, or its family (which a GGUF file names only here) has no row.
    """
    from transformers import CONFIG_MAPPING

    with _library_errors(name):
        if checkpoint.gguf_file is not None:
            return _gguf_config(checkpoint.gguf_file)
        config = CONFIG_MAPPING[checkpoint.config["model_type"]].from_dict(checkpoint.config)
        _drop_detours(config)
        families_of(config.model_type)
    return config


def _gguf_config(file: GgufFile) -> Any:
    """The config that a GGUF file states; its tensors are held against it."""
    from transformers import CONFIG_MAPPING

    settings = config_of(file)
    families_of(settings["model_type"])
    config = CONFIG_MAPPING[settings.pop("model_type")](**settings)
    check_tensors(file, config)
    return config


def read_weights(
    checkpoint: Checkpoint, config: Any, name: str, dtype: torch.dtype, device: torch.device
) -> Any:
    """The Hugging Face model, in evaluation mode and without gradients. Waits for the turn to build.

    Args:
        config: from `read_config`.
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: the files cannot be read or do not belong together.
    """
    from transformers.utils.quantization_config import Mxfp4Config

    options: dict[str, Any] = {"config": config, "dtype": dtype, "output_loading_info": True}
    options["ignore_mismatched_sizes"] = True  # they are refused below, in words
    if device.type != "cpu":
        options["device_map"] = {"": device}
    if checkpoint.unpack:
        options["quantization_config"] = Mxfp4Config(dequantize=True)
    with _library_errors(name):
        loaded: Any
        if checkpoint.gguf_file is not None:
            weights = weights_of(checkpoint.gguf_file, config, dtype)
            with building.TURN:
                loaded = building.model_class(config).from_pretrained(None, state_dict=weights, **options)
        else:
            with building.TURN:
                loaded = building.model_class(config).from_pretrained(
                    str(checkpoint.folder), use_safetensors=True, **_ONLY_HERE, **options
                )
    hf_model, info = building.as_published(loaded[0]), loaded[1]
    _check_nothing_missing(name, info)
    _check_nothing_left(name, info)
    _check_numbers(name, hf_model)
    if hasattr(hf_model.config, "quantization_config"):
        del hf_model.config.quantization_config  # GPT-OSS's weights are unpacked by now
    return hf_model.eval().requires_grad_(False)


@contextmanager
def _library_errors(name: str) -> Iterator[None]:
    """Turn whatever a damaged config or file makes the library stumble over into a sentence."""
    try:
        yield
    except UnsupportedModel:
        raise
    except Exception as error:
        log.warning("%s cannot be loaded", name, exc_info=error)
        raise UnsupportedModel(
            f"{name} cannot be loaded: its config and weights do not make a model of its family.",
            "Check that its files belong together, and fetch the model again.",
        ) from error


def _drop_detours(config: Any) -> None:
    """Forget what a config could use to bring in other files or kernels than those that were checked."""
    for detour in ("transformers_weights", "fusion_config"):
        if getattr(config, detour, None) is not None:
            setattr(config, detour, None)
    config._attn_implementation = None
    config._experts_implementation = None


def _check_numbers(name: str, hf_model: torch.nn.Module) -> None:
    """A weight that is infinite or no number spreads to all that is computed with it: nothing is shown."""
    for tensor, weight in hf_model.named_parameters():
        n_bad = weight.numel() - int(torch.isfinite(weight).sum())
        if n_bad:
            form = str(weight.dtype).removeprefix("torch.")
            wider = " or choose float32, which reaches further" if weight.dtype != torch.float32 else ""
            raise UnsupportedModel(
                f"{name} has weights that are infinite or not a number (NaN): {n_bad:,} of "
                f"{weight.numel():,} in {tensor}, read as {form}. What is computed with them would be too.",
                f"Fetch the model again{wider}.",
            )


def _check_nothing_missing(name: str, info: dict[str, Any]) -> None:
    """The library fills weights that a file lacks with random numbers; such a model must never be shown."""
    missing = sorted(info.get("missing_keys") or ())
    mismatched = sorted(str(entry[0]) for entry in info.get("mismatched_keys") or ())
    if missing or mismatched:
        first = (missing or mismatched)[0]
        raise UnsupportedModel(
            f"The weights of {name} do not match its config: {len(missing)} are missing and "
            f"{len(mismatched)} have another shape, for example {first}.",
            "Fetch the model again, with the config that belongs to it.",
        )


def _check_nothing_left(name: str, info: dict[str, Any]) -> None:
    """The library drops weights that it has no place for; without them the model gives other numbers."""
    left = [key for key in sorted(info.get("unexpected_keys") or ()) if not key.endswith(OLD_BUFFERS)]
    if left:
        raise UnsupportedModel(
            f"{name} has weights that its family, set up by its config, does not use: {len(left)} of them, "
            f"for example {left[0]}.",
            "Fetch the model again, with the config that belongs to it.",
        )
