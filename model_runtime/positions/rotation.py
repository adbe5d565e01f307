"""RoPE on real queries and keys: pairs of numbers turned by position times frequency.

    turned = head_rotation(open_run(model, text), layer=3, head=5)
    turned.q, turned.rot_q                      # [pos, d_head], before and after
    score_by_distance(turned, query=8, key=2, distances=range(100))

Source: Su et al. 2021, RoFormer (arXiv:2104.09864), section 3.4.2. Two layouts of one rotation are in use:
the paper's pairs neighbours (0, 1), (2, 3), ...; the code of GPT-NeoX and Llama in transformers pairs entry m
of the first half with entry m of the second. Only the order of the numbers differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_runtime.errors import PointUnavailable
from model_runtime.positions.schemes import first_turn, model_frequencies, model_rotary_table
from model_runtime.run import OpenRun

POINTS: tuple[str, ...] = ("q", "k", "rot_q", "rot_k", "rope_cos", "rope_sin", "attn_scores")
OFFSETS: tuple[int, ...] = (1, 10, 100, 1000)


@dataclass(frozen=True)
class OffsetCheck:
    """Moving all positions by `offset`: the largest change of a score, in the model's own cos and sin."""

    offset: int
    largest: float


@dataclass(frozen=True, eq=False)
class HeadRotation:
    """One head's queries and its keys before and after the rotation."""

    q: np.ndarray  # float32 [pos, d_head]
    k: np.ndarray
    rot_q: np.ndarray
    rot_k: np.ndarray
    cos: np.ndarray  # float32 [pos, pair], as the model had them
    sin: np.ndarray
    frequencies: np.ndarray  # float64 [pair], radians a position
    length: float  # what the rotation multiplies lengths by (1, but for YaRN and longrope)
    d_rotary: int  # how many of the d_head numbers turn
    scaling: float  # what scores are multiplied by
    softcap: float | None  # and bent by
    scores: np.ndarray  # float32 [query_pos, key_pos], masked cells -inf
    offsets: tuple[OffsetCheck, ...] = ()  # all positions moved together, by more and more

    @property
    def n_pairs(self) -> int:
        return self.d_rotary // 2

    @property
    def nbytes(self) -> int:
        arrays = (self.q, self.k, self.rot_q, self.rot_k, self.cos, self.sin, self.scores)
        return sum(array.nbytes for array in arrays)

    def pair(self, rows: np.ndarray, pair: int) -> np.ndarray:
        """The two numbers of a pair, [pos, 2], of any of the first four arrays."""
        return rows[:, [pair, pair + self.n_pairs]]


def rotate_split(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Turn x [..., 2 pairs] by angles [..., pair]: entry m and entry m + pairs are one pair.

    The layout of GPT-NeoX and Llama in transformers, where two halves are cheaper to cut than neighbours.

    >>> rotate_split(np.array([1.0, 0.0]), np.array([np.pi / 2])).round(6).tolist()
    [0.0, 1.0]
    """
    first, second = np.split(x, 2, axis=-1)  # [..., pair] each
    cos, sin = np.cos(angles), np.sin(angles)
    # One 2 x 2 rotation matrix a pair (Su et al. 2021, arXiv:2104.09864, equation 13).
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)  # [..., 2 pairs]


def rotate_interleaved(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The same rotation where entries 2m and 2m + 1 are one pair, as the paper writes it (equation 15)."""
    first, second = x[..., 0::2], x[..., 1::2]  # [..., pair] each
    cos, sin = np.cos(angles), np.sin(angles)
    turned = np.stack((first * cos - second * sin, second * cos + first * sin), axis=-1)  # [..., pair, 2]
    return turned.reshape(x.shape)


def interleaving(d_rotary: int) -> np.ndarray:
    """The order that makes neighbours of split pairs: x[..., interleaving(d)] is in the paper's layout.

    >>> interleaving(6).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    halves = np.arange(d_rotary).reshape(2, -1)  # [first or second of its pair, pair]
    return halves.T.reshape(-1)


def head_rotation(run: OpenRun, layer: int, head: int) -> HeadRotation:
    """What the rotation did to one head.

    Raises:
        PointUnavailable: the model or this layer does not rotate.
    """
    spec = run.spec
    if not spec.layers[layer].rotates:
        raise PointUnavailable(
            f"Layer {layer} of {spec.name} does not rotate queries and keys.",
            "Choose another layer, or a model with rotary positions.",
        )
    trace = run.traced(points=POINTS, layers=(layer,))
    kv_head = head // (spec.n_heads // spec.n_kv_heads)
    cos, sin = trace.get("rope_cos", layer), trace.get("rope_sin", layer)
    pairs = cos.shape[1] // 2  # the split layout: both halves of cos and of sin are equal
    cos, sin = cos[:, :pairs], sin[:, :pairs]
    # From the model's own cos and sin: in some families the frequencies depend on the length of the text.
    own = first_turn(cos, sin) if len(cos) > 1 else model_frequencies(run.model, layer, run.interventions)
    call = trace.call(layer)
    turned = HeadRotation(
        q=trace.get("q", layer, head),
        k=trace.get("k", layer, kv_head),
        rot_q=trace.get("rot_q", layer, head),
        rot_k=trace.get("rot_k", layer, kv_head),
        cos=cos,
        sin=sin,
        frequencies=own,
        length=float(np.hypot(cos[0, 0], sin[0, 0])),
        d_rotary=2 * pairs,
        scaling=call.scaling,
        softcap=call.softcap,
        scores=trace.get("attn_scores", layer, head),
    )
    return replace(turned, offsets=_offset_checks(run, layer, turned))


def _turned(rows: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Rows [pos, d_head] turned by cos and sin [pos, pair]; what lies beyond the pairs passes."""
    pairs = cos.shape[1]
    first, second, resting = rows[:, :pairs], rows[:, pairs : 2 * pairs], rows[:, 2 * pairs :]
    return np.concatenate((first * cos - second * sin, second * cos + first * sin, resting), axis=1)


def largest_rotation_error(turned: HeadRotation) -> float:
    """Largest difference of our rotated q and k from what the model's attention received."""
    pairs = ((turned.q, turned.rot_q), (turned.k, turned.rot_k))
    return max(
        float(np.abs(_turned(before, turned.cos, turned.sin) - after).max()) for before, after in pairs
    )


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
    what does not turn: positions enter through their difference alone (Su et al. 2021, 3.4.3). A soft cap is
    applied, a mask is not.
    """
    pairs = turned.n_pairs
    q, k = turned.q[query].astype(np.float64), turned.k[key].astype(np.float64)  # [d_head]
    complex_q, complex_k = (x[:pairs] + 1j * x[pairs : 2 * pairs] for x in (q, k))  # [pair]
    product = complex_q * np.conj(complex_k)
    angles = np.asarray(distances, dtype=np.float64)[:, None] * turned.frequencies  # [distance, pair]
    moving = (product * np.exp(1j * angles)).real.sum(axis=1) * turned.length**2  # [distance]
    scaled = (moving + q[2 * pairs :] @ k[2 * pairs :]) * turned.scaling
    return scaled if turned.softcap is None else turned.softcap * np.tanh(scaled / turned.softcap)


def _offset_checks(run: OpenRun, layer: int, turned: HeadRotation) -> tuple[OffsetCheck, ...]:
    """Does a score depend on the distance alone? All positions moved together, by more and more.

    Scores are computed from the model's q and k and its own rotary module at the moved positions, in float32,
    before soft cap and mask; what is left is rounding of the angles, which grows with them. Positions beyond
    the trained length are left out.
    """

    def scores(cos: np.ndarray, sin: np.ndarray) -> np.ndarray:  # [query_pos, key_pos]
        q, k = (_turned(rows, cos, sin) for rows in (turned.q, turned.k))
        return (q @ k.T) * np.float32(turned.scaling)

    n, checks = len(turned.q), []
    here = scores(turned.cos, turned.sin)
    for offset in OFFSETS:
        if offset + n > run.spec.n_ctx:
            continue
        moved = range(offset, offset + n)
        table = model_rotary_table(run.model, moved, layer, run.interventions)  # [pos, 2 pairs]
        change = np.abs(scores(*np.split(table, 2, axis=1)) - here)
        checks.append(OffsetCheck(offset, float(change[np.tril_indices(n)].max())))
    return tuple(checks)


def layout_difference(turned: HeadRotation, position: int) -> float:
    """Largest difference of the two layouts on a real query, after reordering: 0 but for rounding."""
    angles = position * turned.frequencies
    query = turned.q[position, : turned.d_rotary].astype(np.float64)
    order = interleaving(turned.d_rotary)
    split, paired = rotate_split(query, angles)[order], rotate_interleaved(query[order], angles)
    return float(np.abs(split - paired).max())
