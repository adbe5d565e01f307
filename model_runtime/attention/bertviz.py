"""What people do with the runtime in a notebook, in a few lines; the pages show these functions."""

from __future__ import annotations

from typing import Any

from model_runtime.model import Model


def bertviz_head_view(model: Model, text: str, layer: int, head: int) -> Any:
    """BertViz's head view of a measured trace, opened on one head; the last line of a notebook cell shows it.

    `bertviz.model_view(attention, tokens, html_action="return")` is the other view. In a notebook both load
    d3 and jQuery from the web, and put the tokens into a script as they stand: use your own prompts.
    """
    import bertviz
    import torch

    trace = model.trace(text)
    patterns = [trace.get("pattern", index) for index in range(model.spec.n_layers)]  # [head, query, key]
    attention = [torch.from_numpy(pattern)[None] for pattern in patterns]  # a batch of one, as BertViz wants
    tokens = [token.text for token in trace.tokens]
    return bertviz.head_view(attention, tokens, layer=layer, heads=[head], html_action="return")
