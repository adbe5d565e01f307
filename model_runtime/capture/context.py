"""The `Run`: one forward under observation, and which one, if any, the current thread's forward belongs to.

A `ContextVar` set right around one forward, in the thread that runs it, and reset before anything is
yielded: hooks of a model shared by many threads then see only their own request. A run knows which points
of which layers to keep and which edits to make; it keeps what it sees by reference, since copying at the
hook would miss what some families clamp in place afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn

from model_runtime.capture.adapter import Adapter
from model_runtime.capture.attention_function import AttentionCall, describe_call
from model_runtime.capture.edit_values import cut_mask
from model_runtime.capture.planner import Edit, Plan
from model_runtime.points import ON_DEMAND, POINTS, Point, Port
from model_runtime.steps import small_step

Key = tuple[str, int | None]  # (point, layer)
Ports = tuple[tuple[Port, int | None], ...]  # of a module: what it plays, and in which layer
_FIRST: Port = ("block", "input")
_LAST: Port = ("block", "output")
_ATTENDED: Port = ("received", "output")


class Run:
    """One forward under observation: what it keeps, what it edits.

    Attributes:
        kept: (point, layer) -> tensor without the batch axis.
        calls: layer -> what attention received.
        offset: position of the first token of this forward (above 0 in a cached decode).
        starts_at: the first block that works; those before it hand on what they get (see `starting`).
    """

    starts_at = 0

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

    def starting(self, layer: int, stream: torch.Tensor) -> Run:
        """This run, begun at a block whose input is known: `stream` [pos, d_model], for all texts of a batch.

        What is edited before that block must be in `stream` already.
        """
        place = (*_FIRST, layer)
        given: Edit = lambda value, offset: stream.to(value).expand_as(value).clone()  # noqa: E731
        self.plan.edits[place] = (given, *self.plan.edits.get(place, ()))
        self._active.add(_FIRST)
        self.starts_at = layer
        return self

    def skips(self, ports: Ports) -> bool:
        """Whether the module with these ports is a block before the one that the forward starts at."""
        return any(place == _FIRST and layer is not None and layer < self.starts_at for place, layer in ports)

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
        if place == _LAST and layer is not None:
            small_step(layer + 1, len(self.adapter.blocks))
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


_ACTIVE: ContextVar[Run | None] = ContextVar("glassformer_run", default=None)
current = _ACTIVE.get


@contextmanager
def active(run: Run) -> Iterator[None]:
    token = _ACTIVE.set(run)
    try:
        yield
    finally:
        _ACTIVE.reset(token)
