"""Attention measured: one head taken apart, a cell's equation, all heads at a glance, what it all costs."""

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


@dataclass(frozen=True, eq=False)
class HeadMeasures:
    """One number per head, float32 [layer, head]; rows are the trace's `layers`, NaN where undefined.

    entropy: mean over queries of the pattern's entropy, in nats (Shannon). A sink's share is left out, and
        the rest is taken as it is.
    mean_distance: mean over queries of the expected distance query_pos - key_pos, in tokens.
    first_token: mean share on position 0, over the queries after it (the "attention sink" of Xiao et al.
        2023, arXiv:2309.17453).
    previous_token: mean share on the token just before, over the queries after the first (Olsson et al.
        2022, arXiv:2209.11895, "previous-token heads").
    induction: mean share on the token that followed the last earlier occurrences of the query's token,
        over the queries that have one (Olsson et al. 2022: "prefix matching": here on the prompt itself,
        not on random repeated tokens). NaN if no token is repeated.
    duplicate_token: mean share on earlier occurrences of the query's own token (Wang et al. 2022,
        arXiv:2211.00593, "duplicate token heads"). NaN if no token is repeated.
    """

    layers: tuple[int, ...]
    entropy: np.ndarray
    mean_distance: np.ndarray
    first_token: np.ndarray
    previous_token: np.ndarray
    induction: np.ndarray
    duplicate_token: np.ndarray
    n_tokens: int
    n_repeated: int  # queries whose token occurred before: the basis of the last two

    @property
    def nbytes(self) -> int:
        return 6 * self.entropy.nbytes


@dataclass(frozen=True, eq=False)
class HeadWorth:
    """What one next token is worth to the model without each head: its probability with that head off.

    layers: those measured. token: its id. before: natural logarithm of its probability with all heads as
    they are. after: the same with each head's output set to 0 at every token, float64 [layer, head]; NaN
    where the model then has no finite logits.
    """

    layers: tuple[int, ...]
    token: int
    before: float
    after: np.ndarray

    @property
    def change(self) -> np.ndarray:
        """How much the probability falls without each head, float64 [layer, head]; below 0 where it rises."""
        return np.asarray(np.exp(self.before) - np.exp(self.after))

    @property
    def nbytes(self) -> int:
        return self.after.nbytes


@dataclass(frozen=True, eq=False)
class HeadOverlap:
    """How much alike the heads of a layer read beyond the first token, float32 [head, head].

    The first key is left out: most heads read it when they have nothing to read (Xiao et al. 2023,
    arXiv:2309.17453), and all would look alike for it. Of the rest, summed over tokens and keys, the overlap
    of heads a and b is 2 sum min(p_a, p_b) / (sum p_a + sum p_b) (Bray and Curtis 1957): 1 where they read
    the same in the same shares, 0 where they share no key. NaN where neither reads anything but the first.

    n_queries: tokens that were compared. first_share: mean share of the first token over them and all heads.
    """

    overlap: np.ndarray
    n_queries: int
    first_share: float

    @property
    def nbytes(self) -> int:
        return self.overlap.nbytes


@dataclass(frozen=True)
class WrittenPatterns:
    """Patterns of some layers and tokens as JSON, rounded: what a browser draws.

    layers: those that have patterns. rows: for each of them [head][query_pos][key_pos], a row up to its last
    cell above nought. n_values: numbers in all of it.
    """

    layers: tuple[int, ...]
    rows: tuple[str, ...]
    n_heads: int
    n_values: int
    decimals: int

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.rows))


@dataclass(frozen=True)
class CostFit:
    """seconds = a + b n + c n^2, fitted by least squares with a, b, c >= 0; r2 is the share explained."""

    a: float
    b: float
    c: float
    r2: float

    def at(self, n: int | np.ndarray) -> float | np.ndarray:
        """Seconds that the curve gives for n tokens; beyond the measured lengths it is a guess."""
        return self.a + self.b * n + self.c * np.square(np.asarray(n, dtype=np.float64))

    def squared_share(self, n: int) -> float:
        """The share of c n^2 in the time for n tokens, 0 to 1."""
        total = float(self.at(n))
        return self.c * n * n / total if total else 0.0


@dataclass(frozen=True)
class CostMeasurement:
    """Timings of one loaded model on this machine, one entry per length.

    Seconds are the least of several rounds through all lengths: other work on the machine only ever adds
    time (as the documentation of Python's timeit argues), and a slow moment falls on all lengths alike.

    Attributes:
        lengths: prompt lengths in tokens, ascending.
        forward_seconds: one forward of the whole model, with its own kernel, for the next token.
        attention_seconds: scores, softmax and weighted values of all heads of one layer, one after the
            other in the eager arithmetic, which writes every score to memory (a fused kernel does not).
        n_scores: scores that one head needs, n(n+1)/2 (fewer in a layer with a sliding window). The eager
            arithmetic computes all n^2 and hides the rest.
        score_bytes: memory of all heads' scores in this layer at that length, n^2 each.
        forward_fit, attention_fit: their curves; None below four lengths.
        layer, n_heads, dtype, device, threads: of what was timed.
        stopped: why longer lengths were left out, in words; empty if none was.
    """

    lengths: tuple[int, ...]
    forward_seconds: tuple[float, ...]
    attention_seconds: tuple[float, ...]
    n_scores: tuple[int, ...]
    score_bytes: tuple[int, ...]
    forward_fit: CostFit | None
    attention_fit: CostFit | None
    layer: int
    n_heads: int
    dtype: str
    device: str
    threads: int
    stopped: str

    @property
    def nbytes(self) -> int:
        return 8 * 5 * len(self.lengths) + 512
