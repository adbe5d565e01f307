"""Mixture of experts: which experts a router asks for each token, and what they do."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.moe.dense import dense_state, tell_of_dense_runs
from pages.moe.drawing import has_experts, routed_of
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, draw, end_part
from pages.shared.frame.sides import drawings_of

# Parts that have something to say about a dense model too; they are given every run.
ALSO_DENSE = ("sizes",)

view = start_page(
    "Mixture of experts",
    "Mixture of experts",
    "Instead of one MLP a layer has several, the experts. A small router chooses which of them work on a "
    "token: many parameters, little work.",
)
with showing_errors():
    part = choose()
    if part.key in ALSO_DENSE:
        end_part(draw(part, view, drawings_of(view)), part)
    elif not any(map(has_experts, view.runs)):
        dense_state(view)
    else:
        tell_of_dense_runs(view)
        try:
            lesson = draw(part, view, routed_of(view))
        except PointUnavailable as refusal:
            missing(refusal.what, "Choose another model in the sidebar.")
        else:
            end_part(lesson, part)
end_page()
