"""Number formats: what a number becomes in the machine, and what that does to the model's own weights."""

from __future__ import annotations

from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Part, choose, end_part

PARTS = (
    Part(
        "bits",
        "Bits",
        "Type a number and see what each format makes of it. Click a bit to flip it: which bits change the "
        "number a little, and which change it beyond recognition?",
        "pages.numbers.bits",
    ),
    Part(
        "spacing",
        "Spacing",
        "A format holds only some numbers. How far apart are they, and what happens to all those in between?",
        "pages.numbers.spacing",
    ),
    Part(
        "weights",
        "Weights",
        "Where do the loaded model's own weights lie, and which formats have digits to spare there? The "
        "stronger the colour, the more of a layer's weights have that size.",
        "pages.numbers.weights",
    ),
    Part(
        "quant",
        "Quantization",
        "The model's own weights in 8 or 4 bits. How much error is that, how many bytes does it save, and "
        "does the model still say the same?",
        "pages.numbers.quantizing",
    ),
    Part(
        "blocks",
        "GGUF blocks",
        "How a file keeps 32 weights in 20 bytes: click a weight to follow it from its bits to its value.",
        "pages.numbers.blocks",
    ),
)

view = start_page(
    "Numbers in the machine",
    "Number formats",
    "A machine keeps each number in a few bits. Fewer bits save memory and time, and cost digits or range.",
)
with showing_errors():
    part = choose(PARTS, "formats")
    end_part(part.draw(view))
end_page()
