"""One head of three tokens whose every number was worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from model_runtime.records import HeadStages, ScoreTerms

TOKENS = ("a", " b", "<c>")


def stages_by_hand(**changes: Any) -> HeadStages:
    """d_head 4, so scores are divided by 2; token 2 scores its keys 0, 0 and ln 2 and reads 1/4, 1/4, 1/2.

    v holds 4, 8 and 12 in its first dimension: z of token 2 is 1 + 2 + 6 = 9. W_O copies z and doubles it.
    """
    q = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], dtype=np.float32)
    k = np.array([[2, 4, 0, 0], [0, 2, 0, 0], [6, 0, 2 * math.log(2), 0]], dtype=np.float32)
    v = np.array([[4, 0, 0, 0], [8, 0, 0, 0], [12, 0, 0, 0]], dtype=np.float32)
    dots = q @ k.T  # [[2, 0, 6], [6, 2, 6], [0, 0, 2 ln 2]]
    visible = np.tril(np.ones((3, 3), dtype=bool))
    scores = np.where(visible, dots / 2, -np.inf).astype(np.float32)
    powers = np.exp(scores)
    pattern = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    z = pattern @ v
    values: dict[str, Any] = {
        "layer": 3,
        "head": 1,
        "kv_head": 0,
        "group": (0,),
        "queries": np.arange(3),
        "q": q,
        "k": k,
        "v": v,
        "dots": dots,
        "scaled": dots / 2,
        "capped": None,
        "scores": scores,
        "pattern": pattern,
        "sink": None,
        "sink_logit": None,
        "z": z,
        "z_factor": None,
        "result": np.concatenate((z, z), axis=1),
        "visible": visible,
        "scaling": 0.5,
        "softcap": None,
        "q_handed_over_scaled": False,
        "w_o_shape": (4, 8),
        "dtype": "float32",
    }
    return HeadStages(**{**values, **changes})


def terms_by_hand(**changes: Any) -> ScoreTerms:
    """The cell of query 1 and key 0: 1 x 2 + 1 x 4 = 6, halved 3; e^0 / (e^0 + e^-2)."""
    values: dict[str, Any] = {
        "query_pos": 1,
        "key_pos": 0,
        "q": np.array([1.0, 1.0, 0.0, 0.0]),
        "k": np.array([2.0, 4.0, 0.0, 0.0]),
        "products": np.array([2.0, 4.0, 0.0, 0.0]),
        "dot": 6.0,
        "scaling": 0.5,
        "scaled": 3.0,
        "softcap": None,
        "capped": 3.0,
        "visible": True,
        "row_max": 3.0,
        "exp": 1.0,
        "sink_term": 0.0,
        "denominator": 1 + math.exp(-2),
        "n_visible": 2,
        "probability": 1 / (1 + math.exp(-2)),
    }
    return ScoreTerms(**{**values, **changes})
