"""Mixture of experts: which experts a router asks for each token, and what they do."""

from __future__ import annotations

from model_runtime.errors import PointUnavailable
from pages.moe.dense import dense_state, tell_of_dense_runs
from pages.moe.drawing import has_experts, routed_of
from pages.shared.frame.errors import missing
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Part, choose, end_part
from pages.shared.frame.sides import drawings_of

PARTS = (
    Part(
        "routing",
        "Who is asked",
        "In every layer a router sends each token to a few experts, and the others do nothing for it. The "
        "colour is the expert asked first. Choose a token and follow its way.",
        "pages.moe.routing",
    ),
    Part(
        "experts",
        "What an expert did",
        "Each asked expert adds its part to the stream. Choose one, see how much of the layer's output is "
        "its own, then switch it off and watch the text.",
        "pages.moe.experts",
    ),
    Part(
        "domains",
        "Who knows what",
        "Plays, scripture, Python, arithmetic: does each kind of text have its own experts? Compare the "
        "panels, and where your prompt falls.",
        "pages.moe.domains",
    ),
    Part(
        "load",
        "Load",
        "If all tokens went to one expert, the others would be dead weight. How even is the work, and what "
        "happens when an expert is full? Move the sliders.",
        "pages.moe.load",
    ),
    Part(
        "sizes",
        "Arithmetic",
        "Every expert must lie in memory, but only a few work on a token. How many parameters does a model "
        "keep, and how many does it use?",
        "pages.moe.sizes",
    ),
)
# Parts that have something to say about a dense model too; they are given every run.
ALSO_DENSE = ("sizes",)

view = start_page(
    "Mixture of experts",
    "Mixture of experts",
    "Instead of one MLP a layer has several, the experts. A small router chooses which of them work on a "
    "token: many parameters, little work.",
)
with showing_errors():
    part = choose(PARTS, "moe")
    if part.key in ALSO_DENSE:
        end_part(part.draw(view, drawings_of(view)))
    elif not any(map(has_experts, view.runs)):
        dense_state(view)
    else:
        tell_of_dense_runs(view)
        try:
            lesson = part.draw(view, routed_of(view))
        except PointUnavailable as refusal:
            missing(refusal.what, "Choose another model in the sidebar.")
        else:
            end_part(lesson)
end_page()
