"""Who may look at whom: masks as pictures, and what a layer would have looked at under another mask.

A mask is bool [query_pos, key_pos], True where attention may look. Its four kinds: causal (a decoder: no
token sees a later one, Vaswani et al. 2017, 3.2.3), a sliding window of it (Beltagy et al. 2020,
arXiv:2004.05150; Jiang et al. 2023, arXiv:2310.06825), bidirectional (an encoder: Devlin et al. 2018,
arXiv:1810.04805), and a prefix that sees itself whole with causal attention after it (Raffel et al. 2019,
arXiv:1910.10683, 3.2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from model_runtime.capture.attention_function import pattern_and_sink, query_rows, visible_cells
from model_runtime.errors import SettingError
from model_runtime.run import OpenRun

MaskKind = Literal["causal", "window", "bidirectional", "prefix"]
MASK_KINDS: tuple[MaskKind, ...] = ("causal", "window", "bidirectional", "prefix")


@dataclass(frozen=True, eq=False)
class EncoderDecoderMasks:
    """The three masks of an encoder-decoder (Vaswani et al. 2017, figure 1), bool, True is visible.

    encoder_self [source_pos, source_pos]: everything sees everything. decoder_self [target_pos,
    target_pos]: causal. cross [target_pos, source_pos]: every written token sees the whole source.
    """

    encoder_self: np.ndarray
    decoder_self: np.ndarray
    cross: np.ndarray


def visible_under(kind: MaskKind, n: int, window: int | None = None, prefix: int | None = None) -> np.ndarray:
    """The mask of a kind for n tokens, bool [query_pos, key_pos].

    Args:
        window: for "window", how many tokens each one sees, itself included; 1 or more.
        prefix: for "prefix", how many tokens at the beginning see each other; 0 (causal) or more.

    >>> visible_under("window", 4, window=2).astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    >>> visible_under("prefix", 4, prefix=2).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]

    Raises:
        SettingError: an unknown kind, or a window or prefix that is missing or too small.
    """
    if kind not in MASK_KINDS:
        raise SettingError(f"There is no mask {kind!r}.", f"Masks are {', '.join(MASK_KINDS)}.")
    size = {"window": window, "prefix": prefix}.get(kind, 1)
    if size is None or size < (kind == "window"):
        least = int(kind == "window")
        raise SettingError(f"The mask's {kind} is {size}.", f"Give a whole number of {least} or more.")
    query, key = np.arange(n)[:, None], np.arange(n)[None, :]
    causal = key <= query  # [query_pos, key_pos]: no token sees a later one
    if kind == "window":
        return causal & (key > query - size)
    if kind == "prefix":
        return causal | (query < size) & (key < size)
    return causal if kind == "causal" else np.ones_like(causal)


def encoder_decoder_masks(n_source: int, n_target: int) -> EncoderDecoderMasks:
    """The masks of an encoder-decoder that has read n_source tokens and written n_target."""
    return EncoderDecoderMasks(
        encoder_self=visible_under("bidirectional", n_source),
        decoder_self=visible_under("causal", n_target),
        cross=np.ones((n_target, n_source), dtype=bool),
    )


def as_used(run: OpenRun, layer: int, head: int | None = None) -> np.ndarray:
    """The cells that a layer really used, bool [query_pos, key_pos]: its window and cut edges included.

    Args:
        head: one head; None gives the cells that at least one head used (edits can cut edges by head).

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    cells = visible_cells(run.trace.call(layer), head)
    return cells.any(dim=0).cpu().numpy().copy()


def pattern_under(
    run: OpenRun,
    layer: int,
    head: int,
    kind: MaskKind,
    window: int | None = None,
    prefix: int | None = None,
    queries: int | Sequence[int] | None = None,
) -> np.ndarray:
    """One head's pattern from the same q and k under another mask, float32 [query_pos, key_pos].

    A calculation, not a measurement: the q and k are those of the model with its own mask, and a model
    trained or run with another one would have others. Scaling, soft cap and sink stay; "causal" in a layer
    with a sliding window lifts the window; edges that the run's edits cut stay cut. A row that may look at
    nothing (all cut) is 0.

    Args:
        queries: token positions of the rows; None keeps all rows of the trace.

    Raises:
        SettingError: as `visible_under`. NotCaptured, PointUnavailable: as `head_stages`.
    """
    call = run.trace.call(layer, head, queries)
    rows, n_keys = query_rows(call), call.key.shape[2]
    cells = torch.from_numpy(visible_under(kind, n_keys, window, prefix)).to(rows.device)[rows]
    pattern, _ = pattern_and_sink(replace(call, mask=cells[None, None]), head)
    return np.array(pattern[0].float().nan_to_num(nan=0.0).cpu().numpy())
