"""Stability: where narrow numbers break in a real model, and which small changes keep them whole."""

from __future__ import annotations

from pages.shared.page import end_page, showing_errors, start_page
from pages.shared.parts import Part, choose, end_part

PARTS = (
    Part(
        "order",
        "Order of operations",
        "Attention divides by √d. Before or after the product makes no difference on paper. Let q and k grow "
        "and see where it does in fp16.",
        "pages.numbers.scaling_order",
    ),
    Part(
        "softmax",
        "Softmax",
        "One row of scores, turned into probabilities in four ways that are equal on paper. Let the scores "
        "grow: which way breaks first, and which one never does?",
        "pages.numbers.softmax",
    ),
    Part(
        "model",
        "Whole model",
        "The same weights and the same prompt in three formats. How far do they drift apart, layer by layer, "
        "and does it change what the model says?",
        "pages.numbers.precisions",
    ),
    Part(
        "sums",
        "Sums",
        "The same numbers, added up in different orders and formats. Which digits can be trusted?",
        "pages.numbers.sums",
    ),
    Part(
        "gradients",
        "Loss scaling",
        "Gradients are far smaller than weights. How many of them vanish in fp16, and how many does a factor "
        "of 2ᵏ bring back?",
        "pages.numbers.gradients",
    ),
)

view = start_page(
    "Numbers in the machine",
    "Stability",
    "Half the bits, twice the speed, and a few places where everything turns into infinity.",
)
with showing_errors():
    part = choose(PARTS, "stability")
    end_part(part.draw(view))
end_page()
