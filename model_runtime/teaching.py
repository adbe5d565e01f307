"""Honest slow twins of what the runtime measures, made to be read: numpy only, one prompt, no cache.

The pages show these functions as they stand here; `tests/parity/test_teaching.py` holds them equal to the
runtime on the same weights. They follow the Llama family (Touvron et al. 2023, arXiv:2302.13971): RMSNorm
before each part, rotary positions, grouped-query attention, SwiGLU, nothing with a bias.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Weights = Mapping[str, np.ndarray]  # names of the family's state dict


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis. The largest score is taken off first: exp cannot overflow."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def attention_pattern(q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Who reads whom in one head: [query_pos, key_pos], each row sums to 1 (Vaswani et al. 2017, 3.2.1)."""
    n_tokens, d_head = q.shape
    scores = q @ k.T / np.sqrt(d_head)  # [query_pos, key_pos]: how well each key answers each query
    future = np.triu(np.ones((n_tokens, n_tokens), dtype=bool), k=1)
    scores[future] = -np.inf  # nobody reads what comes later; exp(-inf) is 0
    return softmax(scores)


def masked_pattern(q: np.ndarray, k: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Who reads whom where `visible`, bool [query_pos, key_pos], lets them (Vaswani et al. 2017, 3.2.3)."""
    scores = q @ k.T / np.sqrt(q.shape[1])  # [query_pos, key_pos]: how well each key answers each query
    return softmax(np.where(visible, scores, -np.inf))  # exp(-inf) is 0


def attention_head(q: np.ndarray, k: np.ndarray, v: np.ndarray, w_o: np.ndarray) -> np.ndarray:
    """What one head adds to the stream, [pos, d_model] (Vaswani et al. 2017, 3.2.2; Elhage et al. 2021).

    q, k and v are [pos, d_head], q and k already rotated; w_o is [d_head, d_model], this head's rows of W_O.
    """
    z = attention_pattern(q, k) @ v  # [pos, d_head]: a mean of the values, weighted by who reads whom
    return z @ w_o


def rms_norm(x: np.ndarray, gain: np.ndarray, epsilon: float) -> np.ndarray:
    """Each row brought to a root mean square of 1, then scaled number by number (Zhang and Sennrich 2019)."""
    return gain * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon)


def rotate(x: np.ndarray, base: float) -> np.ndarray:
    """RoPE: each pair (i, i + d/2) of [pos, d_head] turns by pos * base^(-2i/d) (Su et al. 2021)."""
    n_tokens, d_head = x.shape
    speeds = base ** (-np.arange(0, d_head, 2) / d_head)
    angles = np.outer(np.arange(n_tokens), speeds)  # [pos, d_head / 2]
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[:, : d_head // 2], x[:, d_head // 2 :]
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def attention(x: np.ndarray, w: Weights, n_heads: int, n_kv_heads: int, rope_base: float) -> np.ndarray:
    """What attention adds, [pos, d_model]: each head reads earlier tokens and writes what it found."""
    q = x @ w["q_proj.weight"].T  # [pos, n_heads * d_head]
    k = x @ w["k_proj.weight"].T  # [pos, n_kv_heads * d_head]
    v = x @ w["v_proj.weight"].T
    d_head = q.shape[1] // n_heads
    z = []
    for head in range(n_heads):
        kv_head = head // (n_heads // n_kv_heads)  # several query heads share one key and value head
        mine = slice(head * d_head, (head + 1) * d_head)
        shared = slice(kv_head * d_head, (kv_head + 1) * d_head)
        pattern = attention_pattern(rotate(q[:, mine], rope_base), rotate(k[:, shared], rope_base))
        z.append(pattern @ v[:, shared])  # [pos, d_head]: a weighted mean of the values
    return np.concatenate(z, axis=-1) @ w["o_proj.weight"].T  # heads side by side, [pos, d_model] after W_O


def mlp(x: np.ndarray, w: Weights) -> np.ndarray:
    """What the MLP adds, [pos, d_model]: every token by itself (SwiGLU, Shazeer 2020)."""
    gate = x @ w["gate_proj.weight"].T  # [pos, d_mlp]
    up = x @ w["up_proj.weight"].T
    silu = gate / (1 + np.exp(-gate))  # lets a number through the more, the larger it is
    return (silu * up) @ w["down_proj.weight"].T


def forward_pass(
    token_ids: list[int],
    w: Weights,
    *,
    n_layers: int,
    n_heads: int,
    n_kv_heads: int,
    rope_base: float,
    epsilon: float,
) -> np.ndarray:
    """From token ids to the probability of every possible next token, [d_vocab]."""
    x = w["model.embed_tokens.weight"][token_ids]  # 1, 2: each id's row of the table, [pos, d_model]
    for layer in range(n_layers):  # 3: every block adds to the stream x, twice
        block = part_of(w, f"model.layers.{layer}.")
        normed = rms_norm(x, block["input_layernorm.weight"], epsilon)
        x = x + attention(normed, part_of(block, "self_attn."), n_heads, n_kv_heads, rope_base)
        normed = rms_norm(x, block["post_attention_layernorm.weight"], epsilon)
        x = x + mlp(normed, part_of(block, "mlp."))
    # 4: only the last token is asked for the next one
    last = rms_norm(x[-1], w["model.norm.weight"], epsilon)
    logits = w["lm_head.weight"] @ last  # 5: one score for every entry of the vocabulary
    return softmax(logits)


def part_of(w: Weights, prefix: str) -> dict[str, np.ndarray]:
    """The weights whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}
