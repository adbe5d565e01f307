"""Mixture of experts: which experts a router asks for each token, and what they do."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.moe.dense import dense_state, tell_of_dense_runs
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, draw, end_part

# Parts that have something to say about a dense model too.
ALSO_DENSE = ("sizes",)

sides = start_page()
with showing_errors():
    part = choose()
    if part.key in ALSO_DENSE:
        end_part(draw(part, sides), part)
    elif not any(side.spec.n_experts for side in sides):
        dense_state(sides[0].spec)
    else:
        tell_of_dense_runs(sides)
        try:
            lesson = draw(part, sides)
        except PointUnavailable as refusal:
            missing(refusal.what, "Choose another model in the sidebar.")
        else:
            end_part(lesson, part)
end_page()
