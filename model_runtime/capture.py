"""Hooks, installed once per loaded model, and the `Run` that they report to.

A hook returns at once unless the current context holds a run. A run knows which points of which layers to
keep and which edits to make; it keeps what it sees by reference, since copying at the hook would miss
what some families clamp in place afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from model_runtime import context
from model_runtime.adapter import Adapter
from model_runtime.apply_interventions import Plan, cut_mask
from model_runtime.attention import AttentionCall, describe_call
from model_runtime.points import ON_DEMAND, POINTS, Point
from model_runtime.rope import make_stateless

Key = tuple[str, int | None]  # (point or role, layer)


class Run:
    """One forward under observation: what it keeps, what it edits.

    Attributes:
        kept: (point, layer) -> tensor without the batch axis.
        calls: layer -> what attention received.
        offset: position of the first token of this forward (above 0 in a cached decode).
    """

    def __init__(
        self,
        adapter: Adapter,
        plan: Plan,
        *,
        points: Iterable[str] = (),
        layers: Iterable[int] = (),
        positions: torch.Tensor | None = None,
        exact: bool = False,
        offset: int = 0,
    ) -> None:
        self.adapter, self.plan, self.exact, self.offset = adapter, plan, exact, offset
        self.positions = positions
        self.layers = frozenset(layers)
        self.kept: dict[Key, torch.Tensor] = {}
        self.calls: dict[int, AttentionCall] = {}
        names = tuple(points)
        self._keeps_calls = any(name in ON_DEMAND for name in names)
        self._wanted: dict[tuple[str, str], list[Point]] = {}
        for point in (POINTS[name] for name in names):
            if point.port is not None and point.port != ("received", "input"):
                self._wanted.setdefault(point.port, []).append(point)

    def visit(self, role: str, side: str, layer: int | None, value: Any) -> Any:
        """A hook's report: edit, keep, and return the value that the forward goes on with."""
        for edit in self.plan.edits.get((role, side, layer), ()):
            value = edit(value, self.offset)
        if layer is None or layer in self.layers:
            for point in self._wanted.get((role, side), ()):
                self.kept[point.name, layer] = point.take(value, self.adapter)
        if role == "block" and side == "output" and layer in self.layers:
            self._settle(layer)
        return value

    def attend(
        self,
        attention: Callable[..., Any],
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        options: dict[str, Any],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The attention function of one layer, with cut edges and scaled heads."""
        layer: int = module.layer_idx  # type: ignore[assignment]
        mask = cut_mask(self.plan.cuts.get(layer, ()), mask, query, key, self.offset)
        output, weights = attention(module, query, key, value, mask, **options)
        output = self.visit("received", "output", layer, output)
        if self._keeps_calls and layer in self.layers:
            self.calls[layer] = describe_call(self.adapter.family, module, query, key, value, mask, options)
        return output, weights

    def rotate(
        self, x: torch.Tensor, position_ids: torch.Tensor, layer_type: tuple[Any, ...], output: Any
    ) -> Any:
        """The rotary module's report: cos and sin for all layers of `layer_type` (empty: for all layers)."""
        edit, editor = self.plan.rope, self.plan.rope_editor
        if edit is not None and editor is not None:
            output = editor.cos_sin(edit, x, position_ids, *layer_type)
        for point in self._wanted.get(("rotary", "output"), ()):
            kept = point.take(output, self.adapter)
            for layer in self.layers:
                if self.adapter.rotates(layer) and layer_type in ((), (self.adapter.layer_type(layer),)):
                    self.kept[point.name, layer] = kept if self.positions is None else kept[self.positions]
        return output

    def _settle(self, layer: int | None) -> None:
        """A layer is done: keep only the rows asked for, so that restricted requests stay small."""
        mine = {key: value for key, value in self.kept.items() if key[1] == layer}
        if self.positions is None:
            self.kept.update(compacted(mine))
            return
        for (name, _), tensor in mine.items():
            axis = POINTS[name].pos_axis
            if axis is not None and POINTS[name].port != ("rotary", "output"):
                self.kept[name, layer] = tensor.index_select(axis, self.positions)
        call = self.calls.get(layer) if layer is not None else None
        if call is not None:
            call.query = call.query.index_select(2, self.positions)
            call.rows = self.positions

    def finish(self) -> None:
        """After the forward: settle what belongs to the model as a whole."""
        self._settle(None)


def compacted(tensors: dict[Key, torch.Tensor]) -> dict[Key, torch.Tensor]:
    """Copies of those tensors that are small windows on a large storage, which they would keep alive."""
    used: dict[int, int] = {}
    for tensor in tensors.values():
        pointer = tensor.untyped_storage().data_ptr()
        used[pointer] = used.get(pointer, 0) + tensor.nbytes
    return {
        key: tensor.clone()
        for key, tensor in tensors.items()
        if 2 * used[tensor.untyped_storage().data_ptr()] <= tensor.untyped_storage().nbytes()
    }


def _before(ports: list[tuple[str, int | None]]) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run = context.current()
        if run is None:
            return None
        value = args[0] if args else kwargs["hidden_states"]
        for role, layer in ports:
            value = run.visit(role, "input", layer, value)
        return ((value, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": value})

    return hook


def _after(ports: list[tuple[str, int | None]]) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        run = context.current()
        if run is None:
            return None
        for role, layer in ports:
            output = run.visit(role, "output", layer, output)
        return output

    return hook


def _after_rotary(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    run = context.current()
    if run is None:
        return None
    given = dict(zip(("x", "position_ids", "layer_type"), args, strict=False)) | kwargs
    layer_type = (given["layer_type"],) if given.get("layer_type") is not None else ()
    return run.rotate(given["x"], given["position_ids"], layer_type, output)


def install(adapter: Adapter) -> None:
    """Register every hook of a model, one per module and side. Called once, when the model is loaded."""
    sides = {point.port for point in POINTS.values() if point.port is not None}
    ports: dict[tuple[int, str], tuple[nn.Module, list[tuple[str, int | None]]]] = {}
    for role, side in sorted(sides):
        if role in ("received", "rotary", "logits"):
            continue
        for layer in (None,) if role in adapter.model_roles else range(len(adapter.blocks)):
            module = adapter.role(role, layer)
            if isinstance(module, nn.Module):
                ports.setdefault((id(module), side), (module, []))[1].append((role, layer))
    for (_, side), (module, visitors) in ports.items():
        if side == "input":
            module.register_forward_pre_hook(_before(visitors), with_kwargs=True)
        else:
            module.register_forward_hook(_after(visitors))
    rotary = adapter.model_roles["rotary"]
    if isinstance(rotary, nn.Module):
        make_stateless(rotary)
        rotary.register_forward_hook(_after_rotary, with_kwargs=True)
