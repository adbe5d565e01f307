"""Two trainings: the share of each expert over the steps, with the balancing loss and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.routing import floats, named
from viz.panels import Json, Look, drawn, figure, heading, ink, note, on, panels, scatter, share_ticks

_NAMED_FROM = 0.06  # share at the last step from which a band is named
NAMES = ("With the loss", "Without it")


@dataclass(frozen=True)
class CollapseRecord:
    """One layer of both trainings."""

    layer: int
    steps: tuple[int, ...]
    shares: tuple[tuple[tuple[float, ...], ...], ...]  # [with, without][step][expert]
    losses: tuple[tuple[float, ...], ...]  # [with, without][step], nats a token

    @property
    def n_experts(self) -> int:
        return len(self.shares[0][0])

    @property
    def largest(self) -> tuple[float, float]:
        """The busiest expert's share at the end of each."""
        return max(self.shares[0][-1]), max(self.shares[1][-1])

    @property
    def unused(self) -> tuple[int, int]:
        """Experts with less than a tenth of an equal share at the end of each."""
        least = 0.1 / self.n_experts
        return sum(s < least for s in self.shares[0][-1]), sum(s < least for s in self.shares[1][-1])


def collapse_record(
    steps: Sequence[int],
    shares: Sequence[np.ndarray],  # with, without: [step, layer, expert]
    losses: Sequence[np.ndarray],  # [step]
    layer: int,
) -> CollapseRecord:
    """Values -> what will be drawn."""
    return CollapseRecord(
        layer,
        tuple(int(step) for step in steps),
        tuple(floats(share[:, layer]) for share in shares),
        floats(losses),
    )


def collapse_sentence(record: CollapseRecord) -> str:
    """What became of the experts, in plain text."""
    kept, fallen = record.largest
    n, (idle_with, idle_without) = record.n_experts, record.unused
    even = style.share(1 / n)
    with_loss, without = (losses[-1] for losses in record.losses)
    return (
        f"At step {record.steps[-1]:,} the busiest of {n} experts of layer {record.layer} takes "
        f"{style.share(kept)} of the work with the loss and {style.share(fallen)} without it (equal: "
        f"{even}); hardly used are {idle_with} with it and {idle_without} without. The prediction's own loss "
        f"on held-out text is {style.three_digits(with_loss, 'nats')} a token with it and "
        f"{style.three_digits(without, 'nats')} without."
    )


def collapse_figure(record: CollapseRecord) -> Drawn:
    """Two panels of bands that fill 100 %."""
    return drawn(
        _figure,
        record,
        alt=f"Share of the work of each expert over two trainings. {collapse_sentence(record)}",
        stem="router-collapse",
        table={
            "step": [step for step in record.steps for _ in range(record.n_experts)],
            "expert": [named(e) for _ in record.steps for e in range(record.n_experts)],
            **{
                f"share, {name.lower()}": [share for line in shares for share in line]
                for name, shares in zip(NAMES, record.shares, strict=True)
            },
        },
    )


def _figure(record: CollapseRecord, look: Look) -> go.Figure:
    x: Json = {"title": {"text": "training step"}, "nticks": 5}
    y: Json = {"range": [0, 1], **share_ticks(0, 1)}
    kept, fallen = map(style.share, record.largest)
    with_loss = look.pick(" with the loss", "")
    losses = [style.three_digits(losses[-1], "nats") for losses in record.losses]
    return figure(
        [_band(record, panel, expert) for panel in (0, 1) for expert in range(record.n_experts)],
        **panels(
            look.pick([(0, 0.44), (0.56, 1)], [(0, 1)]),
            look.pick([(0, 0.9)], [(0.56, 0.95), (0, 0.39)]),
            x,
            y,
        ),
        height=look.pick(340, 560),
        showlegend=False,
        annotations=[
            *(
                heading(f"<b>{name}</b> · prediction loss {loss}", panel, yshift=2)
                for panel, (name, loss) in enumerate(zip(NAMES, losses, strict=True))
            ),
            *(note for panel in (0, 1) for note in _names(record, panel)),
        ],
        title=look.title(f"L{record.layer}: the busiest expert ends at {kept}{with_loss}, {fallen} without"),
        margin={"r": 34, "t": 44},
    )


def _band(record: CollapseRecord, panel: int, expert: int) -> Json:
    shares = [line[expert] for line in record.shares[panel]]
    return scatter(
        f"{named(expert)}, {NAMES[panel].lower()}",
        record.steps,
        shares,
        "lines",
        stackgroup="shares2" if panel else "shares",
        line={"width": 0.5, "color": style.LIGHT.background},
        fillcolor=style.category(expert),
        fillpattern={"shape": style.pattern(expert), "solidity": 0.2},
        text=[style.share(share) for share in shares],
        hovertemplate=f"{named(expert)}: %{{text}} at step %{{x:,}}<extra></extra>",
        **on(panel),
    )


def _names(record: CollapseRecord, panel: int) -> list[Json]:
    """Names of the wide bands, beside their ends."""
    found, below = [], 0.0
    for expert, share in enumerate(record.shares[panel][-1]):
        if share >= _NAMED_FROM:
            at = below + share / 2
            found.append(note(named(expert), 1, at, "left middle", panel, "x", xshift=4, font=ink(11)))
        below += share
    return found
