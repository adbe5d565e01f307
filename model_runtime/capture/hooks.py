"""Hooks, installed once per loaded model, and the one attention function: they report to the current `Run`.

A hook returns at once unless the current context holds a run.

Attention is registered once with transformers under two keys: one for families whose default kernel is sdpa,
one for those that have only their own eager attention. Idle and collecting use the same kernel, so a trace
and an ordinary forward agree to the bit. A custom attention must be registered together with its mask
function: with the first alone, transformers passes no mask and the model silently stops being causal.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask

from model_runtime.capture import context
from model_runtime.capture.adapter import Adapter
from model_runtime.capture.attention_function import eager_attention
from model_runtime.capture.context import Ports
from model_runtime.capture.rotary import changes_itself, stateless
from model_runtime.points import POINTS, Port

KEYS = {"sdpa": "glassformer", "eager": "glassformer_eager"}


def _attend(kernel: str) -> Any:
    default = sdpa_attention_forward if kernel == "sdpa" else eager_attention

    def attend(
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        run = context.current()
        if run is None:
            return default(module, query, key, value, attention_mask, **kwargs)
        return run.attend(
            eager_attention if run.exact else default, module, query, key, value, attention_mask, kwargs
        )

    return attend


def _mask(kernel: str) -> Any:
    def mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
        run = context.current()
        eager = kernel == "eager" or (run is not None and run.exact)
        return (eager_mask if eager else sdpa_mask)(*args, **kwargs)

    return mask


for _kernel, _key in KEYS.items():
    AttentionInterface.register(_key, _attend(_kernel))
    AttentionMaskInterface.register(_key, _mask(_kernel))


def _observed_forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The forward of a module that plays a role: its own, with a report to the current run, if any."""
    run = context.current()
    if run is None:
        return self._inner(self, *args, **kwargs)  # type: ignore[operator]
    before: Ports = self._ports_before  # type: ignore[assignment]
    if before:
        value = args[0] if args else kwargs["hidden_states"]
        if run.starts_at and run.skips(before):
            return value
        for place, layer in before:
            value = run.visit(place, layer, value)
        args, kwargs = ((value, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": value})
    output = self._inner(self, *args, **kwargs)  # type: ignore[operator]
    after: Ports = self._ports_after  # type: ignore[assignment]
    for place, layer in after:
        output = run.visit(place, layer, output)
    return output


def _observed_rotary(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    run = context.current()
    output = self._inner(self, *args, **kwargs)  # type: ignore[operator]
    if run is None:
        return output
    given = dict(zip(("x", "position_ids", "layer_type"), args, strict=False)) | kwargs
    layer_type = (given["layer_type"],) if given.get("layer_type") is not None else ()
    return run.rotate(given["x"], given["position_ids"], layer_type, output)


def _observe(module: nn.Module, forward: Callable[..., Any], inner: Callable[..., Any]) -> None:
    """Put `forward` in front of `inner`. As a bound method it follows a deep copy of the model."""
    module.__dict__["_inner"] = inner
    module.__dict__["forward"] = MethodType(forward, module)


def _inner_of(module: nn.Module) -> Callable[..., Any]:
    """What runs now: the class's forward, or what someone (accelerate, say) put on the module."""
    replaced = module.__dict__.get("forward")
    return (
        type(module).forward if replaced is None else lambda self, *args, **kwargs: replaced(*args, **kwargs)
    )


def install(adapter: Adapter) -> None:
    """Put the hooks on a model: once, when it is loaded, and never again.

    A hook is a forward of our own on the module. torch's forward hooks would do the same, but send every
    call through a slower path even when idle: 2 microseconds a module, 2 % of a decoded token here.
    """
    ports: dict[int, tuple[nn.Module, dict[str, list[tuple[Port, int | None]]]]] = {}
    for place in sorted({point.port for point in POINTS.values() if point.port is not None}):
        role, side = place
        if role in ("received", "rotary", "logits"):
            continue
        for layer in (None,) if role in adapter.model_roles else range(len(adapter.blocks)):
            module = adapter.role(role, layer)
            if isinstance(module, nn.Module):
                sides = ports.setdefault(id(module), (module, {"input": [], "output": []}))[1]
                sides[side].append((place, layer))
    for module, sides in ports.values():
        if "_inner" in module.__dict__:
            raise RuntimeError("This model already has our hooks: use the Model that was made of it.")
        module.__dict__["_ports_before"] = tuple(sides["input"])
        module.__dict__["_ports_after"] = tuple(sides["output"])
        _observe(module, _observed_forward, _inner_of(module))
    rotary = adapter.model_roles["rotary"]
    if isinstance(rotary, nn.Module):
        _observe(rotary, _observed_rotary, stateless if changes_itself(rotary) else _inner_of(rotary))


def let_go(copied: nn.Module) -> None:
    """Take our forwards off a copy that has served, and that nobody else has: a module that holds a method of
    its own is a circle, and its weights would stay in memory until Python next looks for circles.
    """
    for module in copied.modules():
        module.__dict__.pop("forward", None)
