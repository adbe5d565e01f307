"""RoPE on real queries and keys: pairs of numbers turned by position times frequency.

    trace = model.trace(text, points=POINTS, layers=(3,))
    turned = head_rotation(trace, model, layer=3, head=5)
    turned.q, turned.rot_q                      # [pos, d_head], before and after
    score_by_distance(turned, query=8, key=2, distances=range(100))

Source: Su et al. 2021, RoFormer (arXiv:2104.09864), section 3.4.2. Two layouts of one rotation are in use:
the paper's pairs neighbours (0, 1), (2, 3), ...; the code of GPT-NeoX and Llama in transformers pairs entry m
of the first half with entry m of the second. Only the order of the numbers differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.errors import PointUnavailable
from model_runtime.model import Model
from model_runtime.positions.schemes import model_frequencies, model_rotary_table
from model_runtime.trace import Trace

POINTS: tuple[str, ...] = ("q", "k", "rot_q", "rot_k", "rope_cos", "rope_sin", "attn_scores")
OFFSETS: tuple[int, ...] = (1, 10, 100, 1000)


@dataclass(frozen=True, eq=False)
class HeadRotation:
    """One head's queries and its keys before and after the rotation; float32 [pos, d_head].

    frequencies: radians a position, float64 [pair]. cos, sin: as the model had them, float32 [pos, pair].
    length: what the rotation multiplies lengths by (1, but for YaRN and longrope). d_rotary: how many of the
    d_head numbers turn. scaling, softcap: what the scores are multiplied by, and bent by.
    """

    q: np.ndarray
    k: np.ndarray
    rot_q: np.ndarray
    rot_k: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    frequencies: np.ndarray
    length: float
    d_rotary: int
    scaling: float
    softcap: float | None
    scores: np.ndarray  # float32 [query_pos, key_pos], masked cells -inf

    @property
    def n_pairs(self) -> int:
        return self.d_rotary // 2

    @property
    def nbytes(self) -> int:
        arrays = (self.q, self.k, self.rot_q, self.rot_k, self.cos, self.sin, self.scores)
        return sum(array.nbytes for array in arrays)

    def pair(self, rows: np.ndarray, pair: int) -> np.ndarray:
        """The two numbers of a pair, [pos, 2], of any of the four arrays."""
        return rows[:, [pair, pair + self.n_pairs]]


def rotate_split(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turn x [..., 2 pairs] by angles [..., pair]: entry m and entry m + pairs are one pair.

    >>> rotate_split(np.array([1.0, 0.0]), np.array([np.pi / 2])).round(6).tolist()
    [0.0, 1.0]
    """
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def rotate_interleaved(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The same rotation where entries 2m and 2m + 1 are one pair, as the paper writes it."""
    first, second = x[..., 0::2], x[..., 1::2]
    cos, sin = np.cos(angles), np.sin(angles)
    turned = np.stack((first * cos - second * sin, second * cos + first * sin), axis=-1)
    return turned.reshape(x.shape)


def interleaving(d_rotary: int) -> np.ndarray:
    """The order that makes neighbours of split pairs: x[..., interleaving(d)] is in the paper's layout.

    >>> interleaving(6).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    return np.arange(d_rotary).reshape(2, -1).T.reshape(-1)


def head_rotation(trace: Trace, model: Model, layer: int, head: int) -> HeadRotation:
    """What the rotation did to one head, from a trace that kept `POINTS` of its layer.

    Raises:
        PointUnavailable: the model or this layer does not rotate.
        NotCaptured: the trace lacks a point.
    """
    spec = trace.spec
    if not spec.layers[layer].rotates:
        raise PointUnavailable(
            f"Layer {layer} of {spec.name} does not rotate queries and keys.",
            "Choose another layer, or a model with rotary positions.",
        )
    kv_head = head // (spec.n_heads // spec.n_kv_heads)
    cos, sin = trace.get("rope_cos", layer), trace.get("rope_sin", layer)
    pairs = cos.shape[1] // 2
    call = trace.call(layer)
    return HeadRotation(
        q=trace.get("q", layer, head),
        k=trace.get("k", layer, kv_head),
        rot_q=trace.get("rot_q", layer, head),
        rot_k=trace.get("rot_k", layer, kv_head),
        cos=cos[:, :pairs],
        sin=sin[:, :pairs],
        # From the model's own cos and sin: in some families the frequencies depend on the length of the text.
        frequencies=_frequencies(cos[:, :pairs], sin[:, :pairs])
        if len(cos) > 1
        else model_frequencies(model, layer, trace.interventions),
        length=float(np.hypot(cos[0, 0], sin[0, 0])),
        d_rotary=2 * pairs,
        scaling=call.scaling,
        softcap=call.softcap,
        scores=trace.get("attn_scores", layer, head),
    )


def _frequencies(cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """The angle between the first two positions, radians, float64 [pair]."""
    turn = (cos[1] + 1j * sin[1].astype(np.float64)) * np.conj(cos[0] + 1j * sin[0].astype(np.float64))
    return np.angle(turn)


def rotated(turned: HeadRotation, rows: np.ndarray) -> np.ndarray:
    """Rows [pos, d_head] turned by the model's own cos and sin: ours, to be held against the model's."""
    moving, resting = rows[:, : turned.d_rotary], rows[:, turned.d_rotary :]
    first, second = np.split(moving, 2, axis=1)
    there = (first * turned.cos - second * turned.sin, second * turned.cos + first * turned.sin, resting)
    return np.concatenate(there, axis=1)


def largest_rotation_error(turned: HeadRotation) -> float:
    """Largest difference of our rotated q and k from what the model's attention received."""
    pairs = ((turned.q, turned.rot_q), (turned.k, turned.rot_k))
    return max(float(np.abs(rotated(turned, before) - after).max()) for before, after in pairs)


def largest_length_change(turned: HeadRotation) -> float:
    """Largest relative change of a vector's length under the rotation, `turned.length` taken out.

    Over every pair of every query and key; pairs that are zero are left out.
    """
    worst = 0.0
    for before, after in ((turned.q, turned.rot_q), (turned.k, turned.rot_k)):
        old, new = _lengths(before, turned.n_pairs), _lengths(after, turned.n_pairs) / turned.length
        there = old > 1e-3 * old.max(initial=0.0)  # in a pair of tiny numbers rounding looks large
        worst = max(worst, float(np.abs(new[there] / old[there] - 1).max(initial=0.0)))
    return worst


def _lengths(rows: np.ndarray, pairs: int) -> np.ndarray:
    """[pos, pair]"""
    return np.hypot(rows[:, :pairs].astype(np.float64), rows[:, pairs : 2 * pairs].astype(np.float64))


def score_by_distance(turned: HeadRotation, query: int, key: int, distances: Sequence[int]) -> np.ndarray:
    """Score of the query at `query` with the key at `key`, were they so far apart; float64 [distance].

    With q and k as complex numbers, pair by pair, the score is scaling x sum Re(q conj(k) e^(i d theta)) plus
    what does not turn: positions enter through their difference alone. A soft cap is applied, a mask is not.
    """
    pairs = turned.n_pairs
    q, k = turned.q[query].astype(np.float64), turned.k[key].astype(np.float64)
    complex_q, complex_k = (x[:pairs] + 1j * x[pairs : 2 * pairs] for x in (q, k))
    product = complex_q * np.conj(complex_k)
    angles = np.asarray(distances, dtype=np.float64)[:, None] * turned.frequencies
    moving = (product * np.exp(1j * angles)).real.sum(axis=1) * turned.length**2
    scaled = (moving + q[2 * pairs :] @ k[2 * pairs :]) * turned.scaling
    return scaled if turned.softcap is None else turned.softcap * np.tanh(scaled / turned.softcap)


@dataclass(frozen=True)
class OffsetCheck:
    """Moving all positions by `offset`: the largest change of a score, in the model's own cos and sin."""

    offset: int
    largest: float


def offset_checks(model: Model, trace: Trace, turned: HeadRotation, layer: int) -> tuple[OffsetCheck, ...]:
    """Does a score depend on the distance alone? All positions moved together, by more and more.

    Scores are computed from the model's q and k and its own rotary module at the moved positions, in float32;
    what is left is rounding of the angles, which grows with them. Positions beyond the trained length are
    left out.
    """
    n = len(turned.q)
    checks = []
    here = _all_scores(turned, turned.cos, turned.sin)
    for offset in OFFSETS:
        if offset + n > model.spec.n_ctx:
            continue
        table = model_rotary_table(model, range(offset, offset + n), layer, trace.interventions)
        there = _all_scores(turned, *np.split(table, 2, axis=1))
        checks.append(OffsetCheck(offset, float(np.abs(there - here)[np.tril_indices(n)].max())))
    return tuple(checks)


def _all_scores(turned: HeadRotation, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Scaled dot products under given cos and sin, before soft cap and mask; float32 [query_pos, key_pos]."""
    pairs, rows = turned.n_pairs, []
    for x in (turned.q, turned.k):
        first, second = x[:, :pairs], x[:, pairs : 2 * pairs]
        parts = (first * cos - second * sin, second * cos + first * sin, x[:, 2 * pairs :])
        rows.append(np.concatenate(parts, axis=1))
    return (rows[0] @ rows[1].T) * np.float32(turned.scaling)


def layout_difference(turned: HeadRotation, position: int) -> float:
    """Largest difference of the two layouts on a real query, after reordering: 0 but for rounding."""
    angles = position * turned.frequencies
    query = turned.q[position, : turned.d_rotary].astype(np.float64)
    order = interleaving(turned.d_rotary)
    split, paired = rotate_split(query, angles)[order], rotate_interleaved(query[order], angles)
    return float(np.abs(split - paired).max())


@dataclass(frozen=True, eq=False)
class PatternChange:
    """How patterns of two traces differ: float32 [layer, head].

    moved: mean over queries of half the sum of absolute differences, 0 to 1 (total variation). scores:
    largest difference of a score that is visible in both.
    """

    moved: np.ndarray
    scores: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.moved.nbytes + self.scores.nbytes


def pattern_change(before: Trace, after: Trace, most_queries: int = 128) -> PatternChange:
    """Every head of every layer; on long prompts over `most_queries` queries, evenly spaced.

    Raises:
        PointUnavailable: the model has no patterns.
    """
    last = len(before.tokens) - 1
    spaced = np.linspace(0, last, min(most_queries, last + 1)).round()
    queries = sorted({int(position) for position in spaced})
    moved, largest = [], []
    for layer in range(before.spec.n_layers):
        one, other = (_rows(trace, layer, queries) for trace in (before, after))
        moved.append(np.abs(one[1] - other[1]).sum(-1).mean(-1) / 2)
        with np.errstate(invalid="ignore"):
            gap = np.abs(one[0] - other[0])
        largest.append(np.where(np.isfinite(gap), gap, 0).max((-1, -2)))
    return PatternChange(np.stack(moved).astype(np.float32), np.stack(largest).astype(np.float32))


def _rows(trace: Trace, layer: int, queries: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Scores and pattern of these queries, all heads: float32 [head, query, key_pos]."""
    from model_runtime.capture.attention_function import pattern_and_sink, scores

    call = trace.call(layer, queries=queries)
    logits = scores(call, None)
    return logits.float().cpu().numpy(), pattern_and_sink(call, None)[0].float().cpu().numpy()
