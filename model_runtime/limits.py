"""Limits that are checked before work starts, each named with both numbers when it is met.

They protect a server that a whole class opens. `Limits.from_environment()` reads them once per call, so an
operator raises one by an environment variable and a notebook passes its own `Limits`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, fields
from typing import Any

from model_runtime.errors import ModelTooLarge, PromptError, SettingError
from model_runtime.records.counts import counted

log = logging.getLogger(__name__)

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class Limits:
    """The app's limits. Each field is read from `GLASSFORMER_<FIELD IN CAPITALS>`.

    Raises:
        SettingError: from `from_environment`, a variable that is no positive whole number.
    """

    max_prompt_tokens: int = 1024  # longest prompt that is traced, in tokens
    max_new_tokens: int = 512  # most tokens that one generation writes
    trace_cache_mib: int = 1024  # memory for traces of all visitors together, in MiB
    model_cache_mib: int = 8192  # memory for models kept loaded besides the one in use, in MiB

    @classmethod
    def from_environment(cls) -> Limits:
        """The limits with the environment's changes."""
        changed: dict[str, Any] = {}
        for field in fields(cls):
            variable = f"GLASSFORMER_{field.name.upper()}"
            text = os.environ.get(variable, "").strip()
            if not text:
                continue
            if not text.isdecimal() or int(text) < 1:
                log.error("The environment variable %s is %r, no whole number above 0", variable, text)
                raise SettingError(
                    f"The setting {field.name!r} of this server is {text!r}, no whole number above 0.",
                    "Whoever runs the server has to correct it.",
                )
            changed[field.name] = int(text)
        return cls(**changed)


def check_prompt_length(n_tokens: int, n_ctx: int, limits: Limits | None = None) -> None:
    """Refuse a prompt that is empty, longer than the model's context, or longer than the app's limit.

    Args:
        n_tokens: length of the prompt in tokens, with what the tokenizer adds.
        n_ctx: the model's context, in tokens.
        limits: the app's limits; None checks against the model's context only.

    Raises:
        PromptError: with the number that came and the number that is allowed.
    """
    if n_tokens < 1:
        raise PromptError("The prompt is empty.", "Type at least one character.")
    allowed, whose = n_ctx, "this model reads at most"
    if limits is not None and limits.max_prompt_tokens < n_ctx:
        allowed, whose = limits.max_prompt_tokens, "this app traces at most"
    if n_tokens > allowed:
        raise PromptError(
            f"The prompt has {counted(n_tokens, 'token')}; {whose} {allowed:,}.",
            f"Shorten it by {counted(n_tokens - allowed, 'token')} or more.",
        )


def check_new_tokens(n_new: int, n_prompt: int, n_ctx: int, limits: Limits | None = None) -> None:
    """Refuse a generation that asks for more tokens than are allowed or than fit into the context.

    Raises:
        SettingError: with the number that came and the number that is allowed.
    """
    room = n_ctx - n_prompt
    allowed, why = room, f"the model's context of {n_ctx:,} tokens has room for"
    if limits is not None and limits.max_new_tokens < room:
        allowed, why = limits.max_new_tokens, "this app writes at most"
    if n_new > allowed:
        raise SettingError(
            f"{n_new:,} new tokens were asked for; {why} {allowed:,}.", f"Ask for {allowed:,} or fewer."
        )


def check_model_fits(weight_bytes: int, free_bytes: int, where: str, dtype: str, name: str) -> None:
    """Refuse a model whose weights do not fit into free memory, before anything is read or downloaded.

    A tenth and 256 MiB are kept back for the activations of a forward pass.

    Args:
        weight_bytes: bytes of the weights in the dtype they will have.
        free_bytes: bytes free on the device.
        dtype: of those bytes. For "float32", bfloat16 is suggested where that would fit.
        where: the memory's name in the message, such as "memory" or "memory of the GPU".

    Raises:
        ModelTooLarge: with both numbers.
    """
    needed = _with_room(weight_bytes)
    if needed <= free_bytes:
        return
    remedy = "Choose a smaller model, or free memory and try again."
    if dtype == "float32" and _with_room(weight_bytes // 2) <= free_bytes:
        remedy = "Choose a smaller model, or the number format bfloat16, which halves the weights."
    raise ModelTooLarge(
        f"{name} does not fit: its weights in {dtype} take {in_gib(weight_bytes)}, with room to work "
        f"{in_gib(needed)}; {in_gib(free_bytes)} of {where} is free.",
        remedy,
        needed - free_bytes,
    )


def _with_room(weight_bytes: int) -> int:
    return weight_bytes + weight_bytes // 10 + 256 * MIB


def in_gib(n_bytes: int) -> str:
    """Bytes as a person reads them: "0.50 GiB"."""
    return f"{n_bytes / GIB:,.2f} GiB"
