"""Attention by formula: other ways to look back, what each costs, and how large the four matrices are.

Nothing here is measured. Sources stand at each function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from model_runtime.attention.cost import score_counts
from model_runtime.records import ModelSpec

AttentionKind = Literal["full", "window", "linear"]


def multiplications(kind: AttentionKind, n: int, d_head: int, window: int | None = None) -> int:
    """Multiplications of one causal head for n tokens, between its q, k, v and z.

    full, window: each score is a dot product of d_head terms, and weights d_head values: 2 d_head a score.
    linear: every token adds phi(k) v^T to a running d_head x d_head matrix and phi(k) to a running vector,
    and reads both with phi(q): 2 d_head^2 + d_head a token (Katharopoulos et al. 2020, arXiv:2006.16236,
    section 3.3, with a feature map as wide as the head).

    >>> multiplications("full", 4, 2), multiplications("linear", 4, 2)
    (40, 40)
    """
    if kind == "linear":
        return n * (2 * d_head * d_head + d_head)
    return 2 * d_head * score_counts(n, window if kind == "window" else None)


def linear_pays_from(d_head: int) -> int:
    """The length from which linear attention needs fewer multiplications than full attention.

    n (n+1) d_head > n (2 d_head^2 + d_head), so from n = 2 d_head + 1 on.

    >>> linear_pays_from(64)
    129
    """
    return 2 * d_head + 1


@dataclass(frozen=True)
class LayerType:
    """One row of Vaswani et al. 2017 (arXiv:1706.03762), table 1, with its formulas and their values.

    operations: order of the work of a layer. sequential: steps that must wait for each other. path: most
    steps a signal takes between two positions. The values are the formulas without constant factors.
    """

    name: str
    operations_formula: str
    operations: int
    sequential_formula: str
    sequential: int
    path_formula: str
    path: int


def layer_types(n: int, d: int, kernel: int = 3, window: int = 128) -> tuple[LayerType, ...]:
    """Self-attention beside a recurrent and a convolutional layer, for n tokens of d numbers.

    Args:
        kernel: width k of the convolution, dilated so that its reach grows k-fold a layer; 2 or more.
        window: neighbourhood r of restricted self-attention, in tokens.
    """
    reach = max(1, math.ceil(math.log(n, kernel) - 1e-9)) if n > 1 else 1
    r = min(window, n)
    return (
        LayerType("self-attention", "n² d", n * n * d, "1", 1, "1", 1),
        LayerType("recurrent", "n d²", n * d * d, "n", n, "n", n),
        LayerType("convolutional", "k n d²", kernel * n * d * d, "1", 1, "⌈logₖ n⌉", reach),
        LayerType("self-attention, window r", "r n d", r * n * d, "1", 1, "⌈n / r⌉", math.ceil(n / r)),
    )


@dataclass(frozen=True)
class ProjectionSizes:
    """The attention matrices of one layer as (rows, columns): inputs by outputs, biases left out.

    `head_` are one head's part: W_q, W_k, W_v [d_model, d_head] and W_o [d_head, d_model].
    """

    name: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """W_q, W_k, W_v and W_o of all heads of a layer together."""
        queries, keys = self.n_heads * self.d_head, self.n_kv_heads * self.d_head
        d = self.d_model
        return {"W_q": (d, queries), "W_k": (d, keys), "W_v": (d, keys), "W_o": (queries, d)}

    @property
    def head_shapes(self) -> dict[str, tuple[int, int]]:
        one = (self.d_model, self.d_head)
        return {"W_q": one, "W_k": one, "W_v": one, "W_o": (self.d_head, self.d_model)}

    @property
    def per_layer(self) -> int:
        """Weights of the four matrices in one layer."""
        return sum(rows * columns for rows, columns in self.shapes.values())

    @property
    def total(self) -> int:
        """Weights of the four matrices in all layers."""
        return self.n_layers * self.per_layer


def projection_sizes(spec: ModelSpec) -> ProjectionSizes:
    """The attention matrices of a loaded model."""
    return ProjectionSizes(spec.name, spec.n_layers, spec.n_heads, spec.n_kv_heads, spec.d_model, spec.d_head)


GPT3 = ProjectionSizes("GPT-3 175B", n_layers=96, n_heads=96, n_kv_heads=96, d_model=12_288, d_head=128)
"""The largest GPT-3 as published (Brown et al. 2020, arXiv:2005.14165, table 2.1).

One head's W_q has 12,288 x 128 = 1,572,864 weights, that of all 96 heads 12,288 x 12,288 = 150,994,944.
"""
