"""What BertViz draws (Vig 2019, arXiv:1906.05714): patterns for a browser, and its view in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model_runtime.errors import PointUnavailable
from model_runtime.model import Model
from model_runtime.records import WrittenPatterns
from model_runtime.run import OpenRun

DECIMALS = 4
_WRITTEN = [f"{step / 10**DECIMALS:.{DECIMALS}g}" for step in range(10**DECIMALS + 1)]


def layer_patterns(run: OpenRun, layers: Sequence[int], positions: Sequence[int]) -> WrittenPatterns:
    """The patterns of all heads of some layers, between the tokens at some positions.

    Layers without softmax attention have none and are left out.

    Raises:
        NotCaptured: as `Trace.get`.
    """
    inside, found, n_heads = np.array(positions), {}, run.spec.n_heads
    for layer in layers:
        try:
            found[layer] = written_patterns(run.trace.get("pattern", layer)[:, inside[:, None], inside])
        except PointUnavailable:
            continue
    rows = tuple(text for text, _ in found.values())
    return WrittenPatterns(tuple(found), rows, n_heads, sum(count for _, count in found.values()), DECIMALS)


def written_patterns(patterns: np.ndarray) -> tuple[str, int]:
    """Patterns [head, query_pos, key_pos] as JSON, each row up to its last cell above nought; their number.

    >>> written_patterns(np.array([[[1, 0], [0.25, 0.75]]]))
    ('[[[1],[0.25,0.75]]]', 3)
    """
    steps = np.rint(np.nan_to_num(patterns) * 10**DECIMALS).clip(0, 10**DECIMALS).astype(np.int64)
    n_keys = steps.shape[-1]
    used = np.where(steps.any(-1), n_keys - (steps[..., ::-1] > 0).argmax(-1), 0)  # [head, query_pos]
    heads = [
        ",".join(
            f"[{','.join(map(_WRITTEN.__getitem__, row[:end]))}]"
            for row, end in zip(head.tolist(), ends.tolist(), strict=True)
        )
        for head, ends in zip(steps, used, strict=True)
    ]
    return f"[{','.join(f'[{rows}]' for rows in heads)}]", int(used.sum())


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
