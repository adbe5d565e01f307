"""Hooks, installed once per loaded model, and the `Run` that they report to.

A hook returns at once unless the current context holds a run. A run knows which points of which layers to
keep and which edits to make; it keeps what it sees by reference, since copying at the hook would miss
what some families clamp in place afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any

import torch
from torch import nn

from model_runtime.capture import context
from model_runtime.capture.adapter import Adapter
from model_runtime.capture.attention_function import AttentionCall, describe_call
from model_runtime.capture.edit_values import cut_mask
from model_runtime.capture.planner import Plan
from model_runtime.capture.rotary import changes_itself, stateless
from model_runtime.points import ON_DEMAND, POINTS, Point, Port

Key = tuple[str, int | None]  # (point, layer)
Ports = tuple[tuple[Port, int | None], ...]
_LAST: Port = ("block", "output")
_ATTENDED: Port = ("received", "output")


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
        self._fresh: dict[Key, torch.Tensor] = {}  # of the layer that is running
        self.calls: dict[int, AttentionCall] = {}
        # By id of the whole mask, which is held so that the id stays its own: the rows asked for.
        self._masks: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        names = tuple(points)
        self._keeps_calls = any(name in ON_DEMAND for name in names)
        self._wanted: dict[tuple[str, str], list[Point]] = {}
        for point in (POINTS[name] for name in names):
            if point.port is not None and point.port != ("received", "input"):
                self._wanted.setdefault(point.port, []).append(point)
        self._active = {_LAST, *self._wanted, *((role, side) for role, side, _ in plan.edits)}

    @property
    def has_work(self) -> bool:
        """Whether the forward differs from an idle one; plain decoding does not."""
        plan = self.plan
        keeps = bool(self._wanted) or self._keeps_calls
        return keeps or self.exact or bool(plan.edits) or bool(plan.cuts) or plan.rope is not None

    def visit(self, place: Port, layer: int | None, value: Any) -> Any:
        """A hook's report: edit, keep, and return the value that the forward goes on with."""
        if place not in self._active:
            return value
        for edit in self.plan.edits.get((*place, layer), ()):
            value = edit(value, self.offset)
        if layer is None or layer in self.layers:
            for point in self._wanted.get(place, ()):
                self._fresh[point.name, layer] = point.take(value, self.adapter)
            if place == _LAST:
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
        cuts = self.plan.cuts.get(layer, ())
        seen = cut_mask(cuts, mask, query, key, self.offset)
        output, weights = attention(module, query, key, value, seen, **options)
        output = self.visit(_ATTENDED, layer, output)
        if self._keeps_calls and layer in self.layers:
            # The mask that layers share, not the one with this layer's cuts, which may be one per head.
            self.calls[layer] = describe_call(
                self.adapter.family, module, query, key, value, mask, cuts, options
            )
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
        fresh, self._fresh = self._fresh, {}
        call = self.calls.get(layer) if layer is not None else None
        if self.positions is not None:
            for key, tensor in fresh.items():
                axis = POINTS[key[0]].pos_axis
                fresh[key] = tensor if axis is None else tensor.index_select(axis, self.positions)
            if call is not None:
                self._restrict(call, self.positions)
        # Where q, k and v (or gate and up) are windows on one projection, the rest of it may be dead.
        self.kept.update(compacted(fresh, call) if self.adapter.fused else fresh)

    def _restrict(self, call: AttentionCall, positions: torch.Tensor) -> None:
        call.rows = positions
        call.query = call.query.index_select(2, positions)
        if call.mask is not None:
            whole, part = self._masks.get(id(call.mask), (None, None))
            if whole is None or part is None:
                part = call.mask.index_select(2, positions)
                self._masks[id(call.mask)] = call.mask, part
            call.mask = part

    def finish(self) -> None:
        """After the forward: settle what belongs to the model as a whole, and free a GPU's memory."""
        self._settle(None)
        main = torch.device("cpu")
        if any(tensor.device != main for tensor in self.kept.values()) or any(
            call.device != main for call in self.calls.values()
        ):
            moved: dict[int, torch.Tensor] = {}  # the originals stay alive meanwhile, so ids are unique
            self.kept = {key: tensor.to(main) for key, tensor in self.kept.items()}
            self.calls = {layer: call.to(main, moved) for layer, call in self.calls.items()}


def compacted(tensors: dict[Key, torch.Tensor], call: AttentionCall | None) -> dict[Key, torch.Tensor]:
    """The same, with copies of those that are small windows on a large storage, which they keep alive.

    What attention received is treated alike.
    """
    received = () if call is None else (call.query, call.key, call.value)
    # One window may be kept under two names: q is what attention receives where nothing rotates.
    windows = {(t.untyped_storage().data_ptr(), t.data_ptr()): t for t in (*tensors.values(), *received)}
    used: dict[int, int] = {}
    for (pointer, _), tensor in windows.items():
        used[pointer] = used.get(pointer, 0) + tensor.nbytes

    def compact(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        small = 4 * used[storage.data_ptr()] <= 3 * storage.nbytes()
        return tensor.clone(memory_format=torch.contiguous_format) if small else tensor

    if call is not None:
        call.query, call.key, call.value = compact(call.query), compact(call.key), compact(call.value)
    return {key: compact(tensor) for key, tensor in tensors.items()}


def _observed_forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The forward of a module that plays a role: its own, with a report to the current run, if any."""
    run = context.current()
    if run is None:
        return self._inner(self, *args, **kwargs)  # type: ignore[operator]
    before: Ports = self._ports_before  # type: ignore[assignment]
    if before:
        value = args[0] if args else kwargs["hidden_states"]
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
