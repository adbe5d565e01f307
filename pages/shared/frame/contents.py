"""The pages of the app in the order of the forward pass, and the parts of each.

A new page is one file and one `Entry` here; a new part is one file beside its page, its words in
`assets/lessons`, and one `Part` row. The setting that keeps the chosen part in the link is made of these rows
(`settings.table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Needs = Literal["run", "model", "nothing"]


@dataclass(frozen=True)
class Part:
    """One part of a page: a file with a function `draw(sides) -> Lesson`."""

    key: str  # in the link
    title: str  # on the control: two or three words
    module: str
    # What it cannot do without: the run; the model, so that it is drawn while the prompt cannot be read; none
    # of both, so that it is drawn while no model can be had.
    needs: Needs = "run"
    # What must be finite (`not_finite`): all of the run; what attention reads in the chosen layer; all of the
    # model without edits; nothing: of the text, the weights or the machine, or about where formats break.
    reads: Literal["run", "layer", "model", "nothing"] = "run"


@dataclass(frozen=True)
class Entry:
    """One page: where it stands, what it is called, its file, relative to the router, and its parts."""

    section: str
    title: str
    file: str
    url: str  # its path in the address; the first page's is not shown
    says: str  # one sentence for the tooltip of its link
    claim: str  # one sentence under its title: what one is about to see and what to look for
    setting: str = ""  # key in the link of the chosen part
    parts: tuple[Part, ...] = ()
    has_prompt_box: bool = False  # of its own, in the place of the one that stands on top of the others


PAGES: tuple[Entry, ...] = (
    Entry(
        "Start",
        "From prompt to next token",
        "start/home.py",
        "home",
        "The whole way of a prompt through the model in one picture.",
        "A prompt goes in as tokens and a guess at the next one comes out. In between, every block adds to "
        "the stream of the selected token: look for the blocks that add most.",
    ),
    Entry(
        "Text to numbers",
        "Tokens",
        "tokens/tokens.py",
        "tokens",
        "How text is cut into tokens, by this model's tokenizer and by others.",
        "A model reads no letters: a tokenizer cuts the text into pieces and gives the model their numbers.",
        has_prompt_box=True,
        setting="lesson",
        parts=(
            Part("compare", "Tokenizers", "pages.tokens.compare", reads="nothing"),
            Part("levels", "Words, letters, pieces", "pages.tokens.levels", reads="nothing"),
            Part("built", "How a token is built", "pages.tokens.merges", reads="nothing"),
            Part("train", "Train one", "pages.tokens.bpe", reads="nothing"),
            Part("fed", "The wrong tokenizer", "pages.tokens.foreign", reads="model"),
        ),
    ),
    Entry(
        "Vectors",
        "Embeddings",
        "vectors/embeddings.py",
        "embeddings",
        "Tokens as points in space: their neighbours, and how a word's vector takes in its sentence.",
        "Each token is a point in a space of hundreds of dimensions.",
        setting="space",
        parts=(
            Part("table", "The table", "pages.vectors.table", reads="nothing", needs="model"),
            Part("words", "Words and sums", "pages.vectors.words", reads="nothing", needs="model"),
            Part("map", "Projection", "pages.vectors.projection", reads="nothing", needs="model"),
            Part("senses", "One word, many meanings", "pages.vectors.senses", needs="model"),
        ),
    ),
    Entry(
        "Order",
        "Positions",
        "positions/positions.py",
        "positions",
        "How a model knows the order of its tokens: four schemes, and the loaded model's own.",
        "Attention adds up what it reads, and a sum has no order. So the order of the tokens must be put in.",
        setting="place",
        parts=(
            Part("order", "Why order", "pages.positions.order"),
            Part("schemes", "Four schemes", "pages.positions.schemes", reads="nothing", needs="model"),
            Part("rope", "RoPE, turning", "pages.positions.rotation", reads="layer"),
            Part("change", "RoPE, changed", "pages.positions.change"),
            Part("beyond", "Beyond the length", "pages.positions.length", needs="model"),
        ),
    ),
    Entry(
        "Attention",
        "Attention",
        "attention/attention.py",
        "attention",
        "Which earlier tokens each head reads from, for all heads at a glance and for one in detail.",
        "Each head of each layer decides which earlier tokens to read, and carries what it reads to later "
        "ones.",
        setting="part",
        parts=(
            Part("heads", "All heads", "pages.attention.heads"),
            Part("stages", "Step by step", "pages.attention.stages", reads="layer"),
            Part("number", "One number", "pages.attention.number", reads="layer"),
            Part("lines", "Who reads whom", "pages.attention.lines"),
            Part("masks", "Masks", "pages.attention.masks", reads="layer"),
            Part("groups", "Shared keys", "pages.attention.groups", reads="layer"),
            Part("cost", "Cost", "pages.attention.cost", reads="nothing"),
            Part("bertviz", "BertViz", "pages.attention.bertviz"),
        ),
    ),
    Entry(
        "Mixture of experts",
        "Mixture of experts",
        "moe/moe.py",
        "moe",
        "Which experts a router sends each token to, and what they do.",
        "Instead of one MLP a layer has several, the experts. A small router chooses which of them work on "
        "a token: many parameters, little work.",
        setting="moe",
        parts=(
            Part("routing", "Who is asked", "pages.moe.routing"),
            Part("experts", "What an expert did", "pages.moe.experts"),
            Part("domains", "Who knows what", "pages.moe.domains", reads="model", needs="model"),
            Part("load", "Load", "pages.moe.load"),
            Part("sizes", "Arithmetic", "pages.moe.sizes", reads="nothing", needs="model"),
        ),
    ),
    Entry(
        "Output",
        "Next token",
        "output/next_token.py",
        "next-token",
        "How logits become probabilities and probabilities become a choice.",
        "Scores (logits) become probabilities, and one token is drawn. Move a slider: watch what each step "
        "keeps and cuts.",
    ),
    Entry(
        "Numbers in the machine",
        "Number formats",
        "numbers/formats.py",
        "number-formats",
        "What a number becomes in fp32, fp16, bf16 and fp8, and what that does to the model's weights.",
        "A machine keeps each number in a few bits. Fewer bits save memory and time, and cost digits or "
        "range.",
        setting="formats",
        parts=(
            Part("bits", "Bits", "pages.numbers.bits", reads="nothing", needs="nothing"),
            Part("spacing", "Spacing", "pages.numbers.spacing", reads="nothing", needs="nothing"),
            Part("weights", "Weights", "pages.numbers.weights", reads="nothing", needs="model"),
            Part("quant", "Quantization", "pages.numbers.quantization", needs="model"),
            Part("blocks", "GGUF blocks", "pages.numbers.gguf_blocks", reads="nothing", needs="model"),
        ),
    ),
    Entry(
        "Numbers in the machine",
        "Stability",
        "numbers/stability.py",
        "stability",
        "Where fp16 and bf16 break on this model's own numbers, and what keeps them whole.",
        "Sixteen bits hold fewer numbers than thirty-two. Where does that break a real model, and what "
        "keeps it whole?",
        setting="stability",
        parts=(
            Part("order", "Order of operations", "pages.numbers.scaling_order", reads="layer"),
            Part("softmax", "Softmax", "pages.numbers.softmax", reads="layer"),
            Part("model", "Whole model", "pages.numbers.precisions", reads="nothing"),
            Part("sums", "Sums", "pages.numbers.sums"),
            Part("gradients", "Loss scaling", "pages.numbers.gradients", reads="model"),
        ),
    ),
)


def entry_of(url: str) -> Entry:
    """The page with this path in the address; the first page for a path that is none."""
    return next((entry for entry in PAGES if entry.url == url), PAGES[0])


def part_on_screen(entry: Entry, values: Mapping[str, object]) -> Part:
    """The part of a page that these settings choose; of a page without parts, the page itself."""
    chosen = values.get(entry.setting)
    return next((part for part in entry.parts if part.key == chosen), Part("", entry.title, ""))


def neighbours(url: str) -> tuple[Entry | None, Entry | None]:
    """The pages before and after this one."""
    at = PAGES.index(entry_of(url))
    return (PAGES[at - 1] if at else None, PAGES[at + 1] if at + 1 < len(PAGES) else None)
