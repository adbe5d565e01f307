"""Two trainings: the share of each expert over the steps, with the balancing loss and without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viz import style
from viz.drawn import Drawn
from viz.moe.routing import named

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
        tuple(tuple(tuple(map(float, line)) for line in share[:, layer]) for share in shares),
        tuple(tuple(map(float, loss)) for loss in losses),
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
    return Drawn(
        figure=_figure(record, side_by_side=True),
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
        narrow_figure=_figure(record, side_by_side=False),
    )


def _figure(record: CollapseRecord, side_by_side: bool) -> go.Figure:
    figure = go.Figure()
    annotations: list[dict[str, Any]] = []
    for number, name in enumerate(NAMES):
        suffix = str(number + 1) if number else ""
        _add_bands(figure, record, number, suffix)
        annotations += [_heading(record, number, name, suffix), *_names(record, number, suffix)]
        x = [0.56 * number, 0.44 + 0.56 * number] if side_by_side else [0, 1]
        y = [0, 0.9] if side_by_side else [0.56 - 0.56 * number, 0.95 - 0.56 * number]
        figure.layout[f"xaxis{suffix}"] = go.layout.XAxis(
            domain=x, anchor=f"y{suffix}", title={"text": "training step"}, fixedrange=True, nticks=5
        )
        figure.layout[f"yaxis{suffix}"] = go.layout.YAxis(
            domain=y,
            anchor=f"x{suffix}",
            range=[0, 1],
            tickformat=".0%",
            tickvals=[0, 0.25, 0.5, 0.75, 1],
            fixedrange=True,
        )
    kept, fallen = record.largest
    figure.update_layout(
        template=style.TEMPLATE,
        height=340 if side_by_side else 560,
        showlegend=False,
        annotations=annotations,
        title={
            "text": f"L{record.layer}: the busiest expert ends at {style.share(kept)}"
            f"{' with the loss' if side_by_side else ''}, {style.share(fallen)} without",
            "font": {"size": 16 if side_by_side else 13},
        },
        margin={"l": 8, "r": 34, "t": 44, "b": 8},
    )
    return figure


def _add_bands(figure: go.Figure, record: CollapseRecord, number: int, suffix: str) -> None:
    for expert in range(record.n_experts):
        shares = [line[expert] for line in record.shares[number]]
        figure.add_scatter(
            name=f"{named(expert)}, {NAMES[number].lower()}",
            x=list(record.steps),
            y=shares,
            mode="lines",
            stackgroup=f"shares{suffix}",
            line={"width": 0.5, "color": style.LIGHT.background},
            fillcolor=style.category(expert),
            fillpattern={"shape": style.pattern(expert), "solidity": 0.2},
            text=[style.share(share) for share in shares],
            hovertemplate=f"{named(expert)}: %{{text}} at step %{{x:,}}<extra></extra>",
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
        )


def _heading(record: CollapseRecord, number: int, name: str, suffix: str) -> dict[str, Any]:
    loss = style.three_digits(record.losses[number][-1], "nats")
    return {
        "text": f"<b>{name}</b> · prediction loss {loss}",
        "x": 0,
        "y": 1,
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 2,
        "font": {"size": 13, "color": style.LIGHT.ink},
    }


def _names(record: CollapseRecord, number: int, suffix: str) -> list[dict[str, Any]]:
    """Names of the wide bands, beside their ends."""
    found, below = [], 0.0
    for expert, share in enumerate(record.shares[number][-1]):
        if share >= _NAMED_FROM:
            found.append(
                {
                    "text": named(expert),
                    "x": 1,
                    "y": below + share / 2,
                    "xref": f"x{suffix} domain",
                    "yref": f"y{suffix}",
                    "xanchor": "left",
                    "yanchor": "middle",
                    "xshift": 4,
                    "font": {"size": 11, "color": style.LIGHT.ink},
                }
            )
        below += share
    return found
