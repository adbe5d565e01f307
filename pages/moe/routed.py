"""One run's side of the page with its routers' decisions, the layer and expert fitted to what the run has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from model_runtime.moe.routing import Routing, routing, sparse_layers
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from pages.shared.settings.table import FIRST_EXPERT
from viz.drawn import Drawn


@dataclass(frozen=True, eq=False)
class Routed:
    """A side of a mixture of experts. Its layer is the selected one, or the nearest with experts."""

    side: Side
    asked_layer: int  # the selected layer itself, which may be dense
    expert: int  # the chosen expert, or the selected token's first choice
    decided: Routing | None  # None: the prompt cannot be read, or scores are no numbers

    @property
    def routing(self) -> Routing:
        """Every router's decisions, for parts that need the run."""
        assert self.decided is not None
        return self.decided

    @property
    def layer(self) -> int:
        return self.side.layer

    @property
    def row(self) -> int:
        """Where the layer lies in the routing's arrays."""
        return self.routing.row(self.layer)

    def origin(self, kind: Kind = "measured", **extra: object) -> Provenance:
        """Where a figure of this layer comes from; routers have no heads."""
        return self.side.origin(kind, head=False, **extra)

    def show(
        self,
        drawn: Drawn,
        name: str,
        take: Callable[[Click], None] | None = None,
        *,
        provenance: Provenance | None = None,
    ) -> None:
        """Draw a figure of this side; where the side may be changed, `take` is told of clicks."""
        live_figure(
            drawn,
            key=self.side.key_figure(name),
            provenance=provenance or self.origin(),
            clickable=take is not None and self.side.clickable,
            on_click=take,
        )


def routed_of(sides: Sequence[Side]) -> tuple[Routed, ...]:
    """Those runs of the page whose models have experts, the current one first."""
    sparse = [side for side in sides if side.spec.n_experts]
    if len(sparse) == 1 and sparse[0].clickable:
        sparse = [replace(sparse[0], name="")]  # alone: the pinned run has no experts
    return tuple(map(_routed, sparse))


def _routed(side: Side) -> Routed:
    spec, chosen = side.spec, state.get("expert")
    layer = min(sparse_layers(side.model), key=lambda sparse: abs(sparse - side.layer))
    found, first = None, 0
    if side.run.unread is None and side.run.finiteness.first is None:
        found = side.run.measure(routing, "Reading the routers")
        first = int(found.indices[found.row(layer), side.query, 0])
    expert = first if chosen == FIRST_EXPERT else min(chosen, spec.n_experts - 1)
    return Routed(replace(side, layer=layer), side.layer, expert, found)


def comparable(several: Sequence[Routed]) -> bool:
    """Whether two runs have the same experts in the same layers."""
    specs = [routed.side.spec for routed in several]
    return len({(spec.family, spec.n_layers, spec.n_experts) for spec in specs}) == 1
