"""What the browser needs to move the next-token picture under a slider without the server.

The logits travel once, as float32. Numbers that depend on a slider do not travel at all, so that the message
stays the same, and is not sent again, while one is dragged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from viz.drawn import Drawn
from viz.output.next_token.record import (
    AXIS_ROOM,
    AXIS_STEPS,
    DIFFERENCE_ENDS,
    LABEL_SPAN,
    LEAST_BAR,
    NARROW_ROOM,
    SLIDER_STEPS,
    NextTokenRecord,
)
from viz.output.next_token.traces import (
    AXIS_WORDS,
    BEYOND,
    EDGE,
    LABEL_ROOM,
    STROKE,
    THICK,
    THIN,
    column_edges,
    resting_words,
)
from viz.palette import LIGHT, NEGATIVE, POSITIVE

FUNCTION = "next_token.js#update"
# Numbers of the moment: the browser puts its own in.
_MOVING = ("x", "y", "base", "width", "text", "textposition", "hovertext", "customdata")


def with_sliders(
    drawn: Drawn,
    record: NextTokenRecord,
    logits: np.ndarray,
    settings: Mapping[str, object],
    context_ids: Sequence[int],
    generated_ids: Sequence[int] = (),
) -> Drawn:
    """`drawn`, ready to move in the browser.

    Args:
        logits: [d_vocab] float32, before any step.
        settings: the fields of SamplingSettings by name; those with a slider are left out.
        context_ids, generated_ids: what the penalties count.
    """
    pinned = [_known(candidate.pinned) for candidate in record.candidates]
    data = {
        "logits": np.asarray(logits, dtype=np.float32),
        "settings": {name: value for name, value in settings.items() if name not in SLIDER_STEPS},
        "context_ids": [int(token_id) for token_id in context_ids],
        "generated_ids": [int(token_id) for token_id in generated_ids],
        "shown": [{"id": c.token_id, "label": c.label, "rank": c.rank} for c in record.candidates],
        "selected": record.selected,
        "paired": record.pinned_label is not None,
        "pinned": pinned,
        "slider_steps": list(SLIDER_STEPS),
        "traces": _resting_traces(drawn),
        "look": {
            "thick": THICK,
            "thin": THIN,
            "label_room": LABEL_ROOM,
            "column_edges": column_edges(),
            "resting_words": resting_words(record),
            "axis_steps": list(AXIS_STEPS.items()),
            "axis_room": AXIS_ROOM,
            "narrow_room": NARROW_ROOM,
            "axis_words": AXIS_WORDS,
            "least_bar": LEAST_BAR,
            "label_span": LABEL_SPAN,
            "stroke": STROKE,
            "beyond": BEYOND,
            "edge": EDGE,
            "difference_ends": DIFFERENCE_ENDS,
            "ink": LIGHT.ink,
            "muted": LIGHT.muted,
            "accent": LIGHT.accent,
            "background": LIGHT.background,
            "positive": POSITIVE,
            "negative": NEGATIVE,
        },
    }
    return replace(drawn, browser=FUNCTION, browser_data=data)


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _resting_traces(drawn: Drawn) -> list[dict[str, object]]:
    """The traces without the numbers of the moment."""
    traces = drawn.figure.to_plotly_json()["data"]
    resting = []
    for trace in traces:
        moving = [key for key in _MOVING if _is_list(trace.get(key))]
        kept = {key: value for key, value in trace.items() if key not in moving}
        for part in ("marker", "textfont"):
            if part in kept:
                kept[part] = {key: value for key, value in kept[part].items() if not _is_list(value)}
        resting.append(kept)
    return resting


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray)
