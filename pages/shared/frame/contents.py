"""The pages of the app in the order of the forward pass. A new page is one file and one line here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One page: where it stands, what it is called, and its file, relative to the router."""

    section: str
    title: str
    file: str
    url: str  # its path in the address; the first page's is not shown
    says: str  # one sentence for the tooltip of its link


PAGES: tuple[Entry, ...] = (
    Entry(
        "Start",
        "From prompt to next token",
        "start/home.py",
        "home",
        "The whole way of a prompt through the model in one picture.",
    ),
    Entry(
        "Text to numbers",
        "Tokens",
        "tokens/tokens.py",
        "tokens",
        "How text is cut into tokens, by this model's tokenizer and by others.",
    ),
    Entry(
        "Vectors",
        "Embeddings",
        "vectors/embeddings.py",
        "embeddings",
        "Tokens as points in space: their neighbours, and how a word's vector takes in its sentence.",
    ),
    Entry(
        "Order",
        "Positions",
        "positions/positions.py",
        "positions",
        "How a model knows the order of its tokens: four schemes, and the loaded model's own.",
    ),
    Entry(
        "Attention",
        "Attention",
        "attention/attention.py",
        "attention",
        "Which earlier tokens each head reads from, for all heads at a glance and for one in detail.",
    ),
    Entry(
        "Mixture of experts",
        "Mixture of experts",
        "moe/moe.py",
        "moe",
        "Which experts a router sends each token to, and what they do.",
    ),
    Entry(
        "Output",
        "Next token",
        "output/next_token.py",
        "next-token",
        "How logits become probabilities and probabilities become a choice.",
    ),
    Entry(
        "Numbers in the machine",
        "Number formats",
        "numbers/formats.py",
        "number-formats",
        "What a number becomes in fp32, fp16, bf16 and fp8, and what that does to the model's weights.",
    ),
    Entry(
        "Numbers in the machine",
        "Stability",
        "numbers/stability.py",
        "stability",
        "Where fp16 and bf16 break on this model's own numbers, and what keeps them whole.",
    ),
)


def entry_of(url: str) -> Entry:
    """The page with this path in the address; the first page for a path that is none."""
    return next((entry for entry in PAGES if entry.url == url), PAGES[0])


def neighbours(url: str) -> tuple[Entry | None, Entry | None]:
    """The pages before and after this one."""
    at = PAGES.index(entry_of(url))
    return (PAGES[at - 1] if at else None, PAGES[at + 1] if at + 1 < len(PAGES) else None)
