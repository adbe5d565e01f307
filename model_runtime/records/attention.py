"""One attention head taken apart, and the equation behind one cell of its pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class HeadStages:
    """All stages of one head, float32 (what the model computed in its dtype, widened); rows are `queries`.

    Attributes:
        queries: token position of each row, int64 [query_pos].
        kv_head: the key and value head that this head reads (its own, unless heads share them).
        group: query heads that share this kv head, this one included, in order.
        q [query_pos, d_head], k [key_pos, d_head]: as attention received them, rotated where the layer
            rotates. v [key_pos, d_head].
        dots: q k^T. scaled: times `scaling`. capped: bent by the soft cap, None where there is none.
        scores: the last of these with cells that are not visible at -inf. [query_pos, key_pos] each.
        pattern: softmax of the scores [query_pos, key_pos]; with a sink, rows sum to less than 1.
        sink: share of each row that goes to the learned sink (GPT-OSS), [query_pos]; None without one.
        sink_logit: the sink's score, the same in every row; None without one.
        z: pattern v [query_pos, d_head], times `z_factor` where an edit scales the head.
        z_factor: what the run's `ScaleHead` edits multiply z by, [query_pos]; None where there are none.
        result: z W_O [query_pos, d_model], in float32: what the head adds to the stream, before the layer's
            output bias and any post-norm (in a post-norm family the norm mixes the heads).
        visible: cells that this head may use [query_pos, key_pos], bool; edges cut by an edit are not.
        scaling: what q k^T is multiplied by here. 1 / sqrt(d_head) in most models.
        q_handed_over_scaled: q was already divided by sqrt(d_head) when attention received it (OPT, whose
            `scaling` is therefore 1).
        w_o_shape: (d_head, d_model), of this head's rows of W_O.
        dtype: in which the model computed.
    """

    layer: int
    head: int
    kv_head: int
    group: tuple[int, ...]
    queries: np.ndarray
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    dots: np.ndarray
    scaled: np.ndarray
    capped: np.ndarray | None
    scores: np.ndarray
    pattern: np.ndarray
    sink: np.ndarray | None
    sink_logit: float | None
    z: np.ndarray
    z_factor: np.ndarray | None
    result: np.ndarray
    visible: np.ndarray
    scaling: float
    softcap: float | None
    q_handed_over_scaled: bool
    w_o_shape: tuple[int, int]
    dtype: str

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))


@dataclass(frozen=True, eq=False)
class ScoreTerms:
    """Where one cell of a pattern comes from, in float64 from the captured float32 values.

    dot = sum(products); scaled = dot x scaling; capped = softcap tanh(scaled / softcap) (else = scaled);
    exp = e^(capped - row_max); denominator = sum of exp over the row's visible cells + sink_term;
    probability = exp / denominator. A cell that is not visible has exp and probability 0.

    Attributes:
        products: q_i k_i, [d_head].
        row_max: the largest score of the row, the sink's included; it is taken off before exp so that
            nothing overflows, and cancels.
        sink_term: e^(sink_logit - row_max), 0 without a sink.
        n_visible: cells of the row in the denominator.
    """

    query_pos: int
    key_pos: int
    q: np.ndarray
    k: np.ndarray
    products: np.ndarray
    dot: float
    scaling: float
    scaled: float
    softcap: float | None
    capped: float
    visible: bool
    row_max: float
    exp: float
    sink_term: float
    denominator: float
    n_visible: int
    probability: float
