"""Routing with and without the load-balancing loss, step by step, from two runs that differ in nothing else.

Both start from the same weights and read the same batches under the same learning rates. Each token goes to one
expert, weighted by its probability, as in the Switch Transformer: with two experts a token, as Mixtral has, the
second choice keeps more of them alive. What is kept is what held-out text was routed to.
"""

from __future__ import annotations

import json
from pathlib import Path

NOTE = (
    "Held-out text of all four domains (plays, scripture, Python, arithmetic), four windows of 512 tokens each; the "
    "share of each domain counts the same. Loss: nats a token, mean of the four domains."
)


def compare(with_loss: Path, without_loss: Path, coefficient: float) -> dict:
    """The record that the page draws, from the `routing.json` of the two runs."""
    a, b = (json.loads((folder / "routing.json").read_text()) for folder in (with_loss, without_loss))
    if a["steps"] != b["steps"]:
        raise ValueError("the two runs were not looked at after the same steps")

    return {
        "description": "Recorded while training a small model whose router sends each token to one expert of eight "
        "(as the Switch Transformer's does): share of the tokens that each expert takes, with the load-balancing loss "
        f"(coefficient {coefficient}) and without it. Same initial weights, same batches, same learning rates.",
        "steps": a["steps"],
        "domains_note": NOTE,
        "with_loss": {key: a[key] for key in ("share", "loss")},
        "without_loss": {key: b[key] for key in ("share", "loss")},
    }
