"""One run's side of the page: its routing, and the selected layer and expert, fitted to what the run has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.frame.page import View
from pages.shared.frame.sides import Drawing, drawings_of
from pages.shared.run import runtime
from pages.shared.run.runs import Run
from pages.shared.settings import url_state as state
from pages.shared.settings.table import FIRST_EXPERT


@dataclass(frozen=True, eq=False)
class Routed(Drawing):
    """A run of a mixture of experts. `layer` is the selected layer or the nearest one with experts."""

    asked_layer: int = 0  # the selected layer itself, which may be dense
    expert: int = 0  # the chosen expert, or the selected token's first choice
    expert_is_chosen: bool = False  # False: it follows the token

    def origin(self, kind: Kind = "measured", **extra: Any) -> Provenance:
        """Where a figure of this layer comes from; routers have no heads."""
        return runtime.provenance_of(self.run, kind, layer=self.layer, **extra)

    def routing(self) -> Any:
        """Every router's decisions (`model_runtime.moe.routing.Routing`; cached)."""
        return routing_for(self.run)


def routing_for(run: Run) -> Any:
    """The decisions of a run's routers, kept beside its trace."""
    from model_runtime.moe.routing import routing

    model = runtime.model_for(run)
    return runtime.derived(run, "routing", lambda trace: routing(model, trace), words="Reading the routers")


def has_experts(run: Run) -> bool:
    """Whether the run's model is a mixture of experts."""
    return bool(runtime.model_for(run).spec.n_experts)


def routed_of(view: View) -> tuple[Routed, ...]:
    """Those runs of the page whose models have experts, the current one first."""
    drawings = [drawing for drawing in drawings_of(view) if has_experts(drawing.run)]
    if len(drawings) == 1 and drawings[0].clickable:
        drawings = [replace(drawings[0], name="")]  # alone: the pinned run has no experts
    return tuple(map(_routed, drawings))


def _routed(drawing: Drawing) -> Routed:
    routing = routing_for(drawing.run)
    layer = min(routing.layers, key=lambda sparse: abs(sparse - drawing.layer))
    chosen = state.get("expert")
    first = int(routing.indices[routing.row(layer), drawing.query, 0])
    return Routed(
        run=drawing.run,
        name=drawing.name,
        layer=layer,
        head=drawing.head,
        query=drawing.query,
        chosen_key=None,
        texts=drawing.texts,
        asked_layer=drawing.layer,
        expert=first if chosen == FIRST_EXPERT else min(chosen, routing.n_experts - 1),
        expert_is_chosen=chosen != FIRST_EXPERT,
    )


def comparable(drawings: Sequence[Routed]) -> bool:
    """Whether two runs have the same experts in the same layers."""
    shapes = {(d.spec().family, d.spec().n_layers, d.spec().n_experts) for d in drawings}
    return len(shapes) == 1
