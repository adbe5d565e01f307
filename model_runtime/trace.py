"""What one forward pass left behind: tokens, captured points, and patterns recomputed on demand."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model_runtime.capture.attention_function import (
    AttentionCall,
    at_queries,
    pattern_and_sink,
    query_rows,
    scores,
)
from model_runtime.capture.availability import Reasons
from model_runtime.capture.request import whole_numbers
from model_runtime.errors import NotCaptured, PointUnavailable, SettingError
from model_runtime.interventions import Intervention
from model_runtime.points import POINTS, Point
from model_runtime.records import ModelSpec, Token


@dataclass(frozen=True, eq=False)
class Trace:
    """The record of one forward pass. Nothing in it changes; arrays that leave it are copies.

    Attributes:
        tokens: what the model read.
        added: what was put before the text, in words.
        points, layers, positions: what was asked for (`positions` None: all).
        logits_positions: token positions whose logits were computed.
        seconds: duration of the forward.
        recipe: hashable key of everything that decides the values.
        exact: computed with the family's eager attention.
    """

    spec: ModelSpec
    tokens: tuple[Token, ...]
    added: tuple[str, ...]
    points: tuple[str, ...]
    layers: tuple[int, ...]
    positions: tuple[int, ...] | None
    logits_positions: tuple[int, ...]
    interventions: tuple[Intervention, ...]
    exact: bool
    seconds: float
    recipe: Hashable
    kept: dict[tuple[str, int | None], torch.Tensor]
    calls: dict[int, AttentionCall]
    reasons: Reasons

    def __repr__(self) -> str:
        return (
            f"Trace({self.spec.name}, {len(self.tokens)} tokens, {self.nbytes / 2**20:.1f} MiB, "
            f"points={self.points})"
        )

    @property
    def dtype(self) -> str:
        return self.spec.dtype

    @property
    def nbytes(self) -> int:
        """Memory that the captured values hold, each storage counted once."""
        tensors = list(self.kept.values())
        for call in self.calls.values():
            tensors += [t for t in (call.query, call.key, call.value, call.mask, call.rows) if t is not None]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
        return sum(storage.nbytes() for storage in storages.values())

    def get(self, point: str, layer: int | None = None, head: int | None = None) -> np.ndarray:
        """One captured value as a new numpy array, float32 (int64 for indices).

        Args:
            point: a name of the table in `points`.
            layer: which layer; None stacks all captured layers in front, for points that are kept.
            head: one head of a point that has heads (for k, v, rot_k: one kv head).

        Raises:
            PointUnavailable: the model or this layer has no such point; the text says why.
            NotCaptured: the request did not include it; the text names the request that would.
        """
        row = POINTS.get(point)
        if row is None:
            raise PointUnavailable(f"There is no point {point!r}.", f"Points are {', '.join(POINTS)}.")
        if not row.layered:
            self._check(row, None)
            if layer is not None:
                raise PointUnavailable(f"{point} belongs to no layer.", "Leave out layer=.")
            self._check_head(row, head)
            return _array(self.kept[point, None])
        if layer is None:
            return self._stack(row, head)
        self._check_layer(layer)
        self._check(row, layer)
        self._check_head(row, head)
        return self._value(row, layer, head)

    def call(
        self, layer: int, head: int | None = None, queries: int | Sequence[int] | None = None
    ) -> AttentionCall:
        """What attention received in this layer, for measures of whole patterns; errors as in `get`.

        Args:
            head: only checked: the call holds all heads of the layer.
            queries: token positions of the rows wanted; None keeps all rows of the trace.
        """
        self._check_layer(layer)
        self._check(POINTS["pattern"], layer)
        self._check_head(POINTS["pattern"], head)
        call = self.calls[layer].at_home()
        return call if queries is None else at_queries(call, rows_of(call, queries))

    def next_token_logits(self) -> np.ndarray:
        """Logits for the token after the last one, float32 [d_vocab]."""
        if self.logits_positions[-1:] != (len(self.tokens) - 1,):
            raise NotCaptured("The logits at the last position were not kept.", 'Ask for logits_at="last".')
        return _array(self.kept["logits", None])[-1]

    def _stack(self, row: Point, head: int | None) -> np.ndarray:
        if row.derived:
            raise NotCaptured(
                f"{row.name} of all layers at once would grow with the square of the prompt.",
                f"Name a layer: trace.get({row.name!r}, layer=0).",
            )
        if not self.layers:
            raise NotCaptured("This trace has no layers.", "Ask for it without layers=().")
        return np.stack([self.get(row.name, layer, head) for layer in self.layers])

    def _check(self, row: Point, layer: int | None) -> None:
        reason = self.reasons[row.name][layer or 0]
        if reason is not None:
            where = "" if layer is None else f" in layer {layer}"
            raise PointUnavailable(
                f"{self.spec.name} has no {row.name}{where}: {reason}.", "Choose another point or layer."
            )
        on_demand = row.derived or row.port == ("received", "input")
        if layer not in self.calls if on_demand else (row.name, layer) not in self.kept:
            layers = "" if layer is None or layer in self.layers else f", layers=({layer},)"
            raise NotCaptured(
                f"{row.name}{'' if layer is None else f' of layer {layer}'} was not captured.",
                f'Ask for it: model.trace(text, points=("{row.name}",){layers}).',
            )

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.spec.n_layers:
            raise PointUnavailable(
                f"There is no layer {layer}.", f"{self.spec.name} has layers 0 to {self.spec.n_layers - 1}."
            )

    def _check_head(self, row: Point, head: int | None) -> None:
        if head is None:
            return
        limits = {"head": self.spec.n_heads, "kv head": self.spec.n_kv_heads}
        limit = limits.get(row.axes[0])
        if limit is None:
            raise PointUnavailable(f"{row.name} has no heads.", "Leave out head=.")
        if not 0 <= head < limit:
            raise PointUnavailable(
                f"{row.name} has no {row.axes[0]} {head}.", f"{self.spec.name} has {limit}, counted from 0."
            )

    def _value(self, row: Point, layer: int, head: int | None) -> np.ndarray:
        if not row.derived:
            if row.port == ("received", "input"):
                tensor = self._received(row, self.calls[layer])
            else:
                tensor = self.kept[row.name, layer]
            return _array(tensor if head is None else tensor[head])
        call = self.calls[layer].at_home()
        if row.name == "attn_scores":
            result = scores(call, head)
        else:
            pattern, sink = pattern_and_sink(call, head)
            result = pattern if row.name == "pattern" else _required(sink)
        return _array(result if head is None else result[0])

    def _received(self, row: Point, call: AttentionCall) -> torch.Tensor:
        tensor: torch.Tensor = {"v": call.value, "rot_q": call.query, "rot_k": call.key}[row.name][0]
        # Keys and values are kept whole, since every pattern row needs all of them.
        if call.rows is not None and row.name != "rot_q":
            tensor = tensor[:, call.rows]
        return tensor


def rows_of(call: AttentionCall, queries: int | Sequence[int]) -> torch.Tensor:
    """Which rows of a call hold these token positions, int64 [query_pos].

    Raises:
        NotCaptured: one that was not kept, or does not exist.
        SettingError: none, or no whole numbers.
    """
    try:
        wanted = whole_numbers(queries)
    except TypeError:
        wanted = ()
    if not wanted:
        raise SettingError(f"{queries!r} names no queries.", "Give token positions, such as (3, 4).")
    at = {position: row for row, position in enumerate(query_rows(call).tolist())}
    if missing := [position for position in wanted if position not in at]:
        raise NotCaptured(
            f"The trace has no query {missing[0]}.", f"It has {len(at)} of them, up to {max(at)}."
        )
    return torch.tensor([at[position] for position in wanted], device=call.query.device)


def _required(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None, "a layer without sinks must have refused this point"
    return tensor


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A copy as numpy: float32, or int64 for indices. (numpy has no bfloat16.)"""
    floating = tensor.is_floating_point()
    return np.array(tensor.detach().to("cpu", torch.float32 if floating else torch.int64).numpy())
