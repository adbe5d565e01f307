"""Routing with and without the load-balancing loss, step by step, from two runs that differ in nothing else.

Both start from the same weights and read the same batches under the same learning rates; the run without the
loss stops early, so the comparison covers its steps. What is kept is what held-out text was routed to.
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
    steps = [step for step in b["steps"] if step in a["steps"]]

    def arm(run: dict) -> dict:
        chosen = [run["steps"].index(step) for step in steps]
        return {key: [run[key][i] for i in chosen] for key in ("share", "loss")}

    return {
        "description": "Recorded while training mixtral-mini: share of the routed token slots that each expert takes, "
        f"with the load-balancing loss (coefficient {coefficient}) and without it. Same initial weights, same "
        "batches, same learning rates.",
        "steps": steps,
        "domains_note": NOTE,
        "with_loss": arm(a),
        "without_loss": arm(b),
    }
