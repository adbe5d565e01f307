"""From intervention records to edits at the hooks: checked against the model, applied for one request only.

An edit gets a hooked value and the position of its first token, and returns the value that the forward
goes on with; how it does so is in `edits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

import model_runtime.interventions as records
from model_runtime.capture.adapter import Adapter, Missing
from model_runtime.capture.edit_values import (
    Change,
    edit_rows,
    router_weights,
    rows_at,
    scale_columns,
    with_the_same_sum,
)
from model_runtime.capture.rotary import RopeEdit, RopeEditor
from model_runtime.errors import InterventionError
from model_runtime.points import POINTS
from model_runtime.records import ModelSpec

Edit = Callable[[Any, int], Any]
IN_PLACE = ("mlp_in", "input")


@dataclass
class Plan:
    """All edits of one request, by the place where they happen."""

    edits: dict[tuple[str, str, int | None], tuple[Edit, ...]] = field(default_factory=dict)
    cuts: dict[int, tuple[records.CutEdge, ...]] = field(default_factory=dict)
    rope: RopeEdit | None = None
    rope_editor: RopeEditor | None = None

    def add(self, role: str, side: str, layer: int | None, edit: Edit) -> None:
        place = (role, side, layer)
        self.edits[place] = (*self.edits.get(place, ()), edit)


class Planner:
    """Checks interventions against one model and turns them into a `Plan`.

    Raises:
        InterventionError: a record names something that the model, layer or prompt does not have.
    """

    def __init__(self, adapter: Adapter, spec: ModelSpec) -> None:
        self.adapter, self.spec = adapter, spec
        rotary = adapter.model_roles["rotary"]
        self.rope_editor = RopeEditor(rotary, adapter.config) if isinstance(rotary, nn.Module) else None

    def plan(self, interventions: Iterable[records.Intervention], n_tokens: int | None) -> Plan:
        """The plan for these records, in their order; `n_tokens` None while positions may still come."""
        plan = Plan(rope_editor=self.rope_editor)
        limit = self.spec.n_ctx if n_tokens is None else n_tokens
        for record in interventions:
            maker = _MAKERS.get(type(record))
            if maker is None:
                raise InterventionError(
                    f"{record!r} is not an intervention.", "Use the records of model_runtime.interventions."
                )
            self._check_positions(record, limit)
            maker(self, plan, record)
        self._check_cuts(plan)
        return plan

    # Checks

    def _below(self, record: Any, what: str, value: int, limit: int) -> None:
        if not 0 <= value < limit:
            raise InterventionError(
                f"{type(record).__name__} names {what} {value}.",
                f"{self.spec.name} has {limit} of them, counted from 0 to {limit - 1}.",
            )

    def _layer(self, record: Any) -> int:
        self._below(record, "layer", record.layer, self.spec.n_layers)
        return int(record.layer)

    def _has(self, record: Any, role: str, layer: int | None) -> None:
        found = self.adapter.role(role, layer)
        if isinstance(found, Missing):
            where = "this model" if layer is None else f"layer {layer}"
            raise InterventionError(
                f"{type(record).__name__} cannot be applied to {where}: {found.reason}.",
                "Choose another edit.",
            )

    def _check_positions(self, record: Any, limit: int) -> None:
        named = getattr(record, "positions", None) or ()
        single = (getattr(record, name, None) for name in ("position", "query_pos", "key_pos"))
        for position in (*named, *(p for p in single if p is not None)):
            if not 0 <= position < limit:
                raise InterventionError(
                    f"{type(record).__name__} names position {position}.",
                    f"Positions here go from 0 to {limit - 1}.",
                )

    def _check_cuts(self, plan: Plan) -> None:
        """A row whose every visible key is cut has no softmax."""
        for layer, cuts in plan.cuts.items():
            window = self.spec.layers[layer].window
            for head in range(self.spec.n_heads):
                by_query: dict[int, set[int]] = {}
                for cut in cuts:
                    if cut.head in (None, head):
                        by_query.setdefault(cut.query_pos, set()).add(cut.key_pos)
                for query_pos, keys in by_query.items():
                    first = 0 if window is None else max(0, query_pos - window + 1)
                    if keys >= set(range(first, query_pos + 1)):
                        raise InterventionError(
                            f"All keys that position {query_pos} sees in layer {layer}, head {head} are cut.",
                            "Leave at least one: without any, there is nothing to attend to.",
                        )

    # One maker per record

    def _scale_head(self, plan: Plan, record: records.ScaleHead) -> None:
        layer = self._layer(record)
        self._below(record, "head", record.head, self.spec.n_heads)

        def edit(value: torch.Tensor, offset: int) -> torch.Tensor:  # [1, pos, head, d_head]
            edited = value.clone()
            rows = rows_at(record.positions, offset, value.shape[1], value.device)
            edited[:, rows, record.head] = value[:, rows, record.head] * record.factor
            return edited

        plan.add("received", "output", layer, edit)

    def _scale_mlp(self, plan: Plan, record: records.ScaleMLP) -> None:
        layer = self._layer(record)
        change: Change = lambda rows: rows * record.factor  # noqa: E731
        plan.add("mlp_add", "output", layer, lambda v, offset: edit_rows(v, offset, record.positions, change))

    def _scale_neuron(self, plan: Plan, record: records.ScaleNeuron) -> None:
        layer = self._layer(record)
        self._has(record, "down", layer)
        down: Any = self.adapter.role("down", layer)
        width = getattr(down, "in_features", None) or down.weight.shape[0]  # GPT-2's Conv1D is transposed
        self._below(record, "neuron", record.neuron, width)
        change = scale_columns(slice(record.neuron, record.neuron + 1), record.factor)
        plan.add("down", "input", layer, lambda v, offset: edit_rows(v, offset, record.positions, change))

    def _scale_expert(self, plan: Plan, record: records.ScaleExpert) -> None:
        layer = self._layer(record)
        self._has(record, "router", layer)
        self._below(record, "expert", record.expert, self.spec.n_experts)

        def edit(value: tuple[torch.Tensor, ...], offset: int) -> tuple[torch.Tensor, ...]:
            logits, weights, indices = value
            scaled = torch.where(indices == record.expert, weights * record.factor, weights)
            if record.renormalise:
                scaled = with_the_same_sum(scaled, weights, indices == record.expert)
            return logits, scaled, indices

        plan.add("router", "output", layer, edit)

    def _force_experts(self, plan: Plan, record: records.ForceExperts) -> None:
        layer, k = self._layer(record), self.spec.experts_per_token
        self._has(record, "router", layer)
        for expert in record.experts:
            self._below(record, "expert", expert, self.spec.n_experts)
        if len(record.experts) != k or len(set(record.experts)) != k:
            raise InterventionError(
                f"ForceExperts names the experts {record.experts}.",
                f"Name {k} different ones: the router picks {k}.",
            )
        if record.weights is not None and len(record.weights) != k:
            raise InterventionError(
                f"ForceExperts has {len(record.weights)} weights.",
                f"Give one per expert: {k}.",
            )
        if record.weights is not None and not sum(record.weights) > 0:
            raise InterventionError(
                f"The weights {record.weights} add up to {sum(record.weights):g}.",
                "Give weights that add up to more than 0.",
            )
        router = self.adapter.role("router", layer)

        def edit(value: tuple[torch.Tensor, ...], offset: int) -> tuple[torch.Tensor, ...]:
            logits, weights, indices = value
            rows = rows_at(record.positions, offset, weights.shape[0], weights.device)
            chosen = torch.tensor(record.experts, device=indices.device, dtype=indices.dtype)
            indices, weights = indices.clone(), weights.clone()
            indices[rows] = chosen
            if record.weights is not None:
                weights[rows] = torch.tensor(record.weights, device=weights.device, dtype=weights.dtype)
            else:
                weights[rows] = router_weights(router, logits[rows], chosen).to(weights.dtype)
            return logits, weights, indices

        plan.add("router", "output", layer, edit)

    def _cut_edge(self, plan: Plan, record: records.CutEdge) -> None:
        layer = self._layer(record)
        if record.head is not None:
            self._below(record, "head", record.head, self.spec.n_heads)
        if record.key_pos > record.query_pos:
            raise InterventionError(
                f"Position {record.query_pos} cannot see position {record.key_pos}, which comes later.",
                "Cut an edge to an earlier position or to itself.",
            )
        plan.cuts[layer] = (*plan.cuts.get(layer, ()), record)

    def _stream_place(self, record: records.Patch | records.Steer, width: int) -> tuple[str, str, int | None]:
        point = POINTS.get(record.point)
        if point is None or not point.editable or point.port is None:
            names = ", ".join(p.name for p in POINTS.values() if p.editable)
            raise InterventionError(f"{record.point!r} cannot be edited.", f"Points that can: {names}.")
        layer = self._layer(record) if point.layered else None
        if layer is None and record.layer != 0:
            raise InterventionError(f"{record.point!r} belongs to no layer.", "Write layer=0.")
        self._has(record, point.port[0], layer)
        if width != self.spec.d_model:
            raise InterventionError(
                f"{type(record).__name__} has {width} numbers.", f"The stream is {self.spec.d_model} wide."
            )
        return (*point.port, layer)

    def _patch(self, plan: Plan, record: records.Patch) -> None:
        place = self._stream_place(record, len(record.values))

        def change(rows: torch.Tensor) -> torch.Tensor:
            return torch.tensor(record.values, dtype=rows.dtype, device=rows.device).expand_as(rows)

        in_place = place[:2] == IN_PLACE
        plan.add(*place, lambda v, offset: edit_rows(v, offset, (record.position,), change, in_place))

    def _steer(self, plan: Plan, record: records.Steer) -> None:
        place = self._stream_place(record, len(record.vector))

        def change(rows: torch.Tensor) -> torch.Tensor:
            return rows + record.factor * torch.tensor(record.vector, dtype=rows.dtype, device=rows.device)

        in_place = place[:2] == IN_PLACE
        plan.add(*place, lambda v, offset: edit_rows(v, offset, record.positions, change, in_place))

    def _rope(self, plan: Plan, record: Any) -> None:
        self._has(record, "rotary", None)
        if isinstance(record, records.RopeScaling) and record.kind == "ntk" and self.spec.d_rotary <= 2:
            raise InterventionError(
                "NTK scaling needs more than one rotating pair per head.",
                f"{self.spec.name} has {self.spec.d_rotary // 2}: use linear scaling.",
            )
        now = plan.rope or RopeEdit()
        plan.rope = _with_rope_record(now, record)

    def _positions_off(self, plan: Plan, record: records.PositionsOff) -> None:
        if self.rope_editor is None:
            plan.add("pos_embed", "output", None, lambda value, offset: torch.zeros_like(value))
        else:
            self._rope(plan, record)


def _with_rope_record(now: RopeEdit, record: Any) -> RopeEdit:
    """One more RoPE record on top of the edits so far."""
    if isinstance(record, records.RopeBase):
        return replace(now, base=record.base)
    if isinstance(record, records.RopeOffset):
        return replace(now, offset=now.offset + record.offset)
    if isinstance(record, records.PositionsOff):
        return replace(now, off=True)
    if record.kind == "linear":
        return replace(now, linear_factor=now.linear_factor * record.factor)
    return replace(now, ntk_factor=now.ntk_factor * record.factor)


_MAKERS: dict[type, Callable[[Planner, Plan, Any], None]] = {
    records.ScaleHead: Planner._scale_head,
    records.ScaleMLP: Planner._scale_mlp,
    records.ScaleNeuron: Planner._scale_neuron,
    records.ScaleExpert: Planner._scale_expert,
    records.ForceExperts: Planner._force_experts,
    records.CutEdge: Planner._cut_edge,
    records.Patch: Planner._patch,
    records.Steer: Planner._steer,
    records.RopeBase: Planner._rope,
    records.RopeOffset: Planner._rope,
    records.RopeScaling: Planner._rope,
    records.PositionsOff: Planner._positions_off,
}
