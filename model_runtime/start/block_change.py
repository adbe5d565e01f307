"""What one block changes for one token: what attention brings in, and the guess before and after.

Two ways of reading the same additions. Lengths say how much came from where, whatever it does to the guess;
the logit lens says what the model would guess if it ended there, though no block is trained to be the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from model_runtime.capture.attention_function import pattern_and_sink, query_rows
from model_runtime.capture.edit_values import z_factor
from model_runtime.model import Model
from model_runtime.records.distributions import softmax
from model_runtime.records.start import AttentionReading, EarlyGuess, EarlyGuesses
from model_runtime.run import OpenRun

N_GUESSES = 5


def attention_reading(run: OpenRun, layer: int, position: int) -> AttentionReading:
    """How long the pieces are that one token takes in, by the token they come from and by head.

    The pieces of all tokens, with the output's bias, sum to attn_out (before a norm that follows attention).
    Edits of the run are in the numbers, but for those of attn_out itself (Patch, Steer).

    Raises:
        NotCaptured, PointUnavailable: as `Trace.call`.
    """
    pieces, heads, pattern = _pieces(run, layer, position)
    return AttentionReading(
        layer=layer,
        position=position,
        key_lengths=_array(torch.linalg.vector_norm(pieces, dim=-1)),
        head_lengths=_array(torch.linalg.vector_norm(heads, dim=-1)),
        head_reads=pattern.argmax(dim=-1).cpu().numpy().astype(np.int64),
        head_shares=_array(pattern.amax(dim=-1)),
    )


def _pieces(run: OpenRun, layer: int, position: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What is added by key [key_pos, d_model], by head [head, d_model], and the pattern [head, key_pos]."""
    call = run.trace.call(layer, queries=[position])
    pattern = pattern_and_sink(call, None)[0][:, 0].float()
    n_heads = pattern.shape[0]
    factors = [z_factor(run.trace.interventions, layer, head, query_rows(call)) for head in range(n_heads)]
    weights = torch.stack(
        [row if factor is None else row * factor for row, factor in zip(pattern, factors, strict=True)]
    )
    values = call.value[0].float().repeat_interleave(n_heads // call.value.shape[1], dim=0)
    weighted = weights[..., None] * values  # [head, key_pos, d_head]
    w_o = run.model.adapter.output_projection(layer)[0].float()  # [head x d_head, d_model]
    by_key = weighted.transpose(0, 1).flatten(1) @ w_o
    by_head = torch.einsum("hd,hdm->hm", weighted.sum(1), w_o.unflatten(0, (n_heads, -1)))
    return by_key, by_head, pattern


def early_guesses(run: OpenRun, layer: int, position: int, token: int) -> EarlyGuesses:
    """The guess before, within and after a block, and what it says of `token` (an id) each time.

    Raises:
        NotCaptured, PointUnavailable: as `Trace.get`.
    """
    rows = {"resid_pre": _entering(run, layer, position)}
    if not run.model.adapter.parallel:
        rows["resid_mid"] = run.trace.get("resid_mid", layer)[position]
    rows["resid_post"] = run.trace.get("resid_post", layer)[position]
    logits = lens_logits(run.model, np.stack([*rows.values()]))
    experts: tuple[tuple[int, float], ...] = ()
    if run.spec.layers[layer].sparse:
        chosen, weights = (run.trace.get(f"router_{name}", layer) for name in ("indices", "weights"))
        experts = tuple(zip(map(int, chosen[position]), map(float, weights[position]), strict=True))
    return EarlyGuesses(
        layer,
        position,
        token,
        tuple(_guess(point, row, token) for point, row in zip(rows, logits, strict=True)),
        experts,
    )


def _entering(run: OpenRun, layer: int, position: int) -> np.ndarray:
    """The stream as it enters a block, [d_model]: as it left the one before, where no edit came between."""
    if layer > 0 and not run.trace.interventions:
        return run.trace.get("resid_post", layer - 1)[position]
    trace = run.traced(points=("resid_pre",), layers=(layer,), positions=(position,))
    return trace.get("resid_pre", layer)[0]


def lens_logits(model: Model, stream: np.ndarray) -> np.ndarray:
    """Rows of the stream [row, d_model], read out by the model's own end: logits, float32 [row, d_vocab].

    The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"): final norm, output table and,
    where the family has one, soft cap. A row of the last block's output gives the model's own logits.
    """
    norm: Any = model.adapter.model_roles["ln_final"]
    head: Any = model.adapter.model_roles["head"]
    rows = torch.from_numpy(np.array(stream, dtype=np.float32)).to(head.weight.device, head.weight.dtype)
    with torch.inference_mode():
        logits = head(norm(rows[None]))[0]
        cap = getattr(model.adapter.config, "final_logit_softcapping", None)
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        return _array(logits)


def _guess(point: str, logits: np.ndarray, token: int) -> EarlyGuess:
    shares = softmax(logits)
    ids = np.argsort(-shares, kind="stable")[:N_GUESSES]
    mine = float(shares[token])
    return EarlyGuess(
        point,
        tuple(map(int, ids)),
        tuple(map(float, shares[ids])),
        mine,
        rank=int((shares > mine).sum()) + 1,
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A float32 copy in main memory."""
    return np.array(tensor.detach().to("cpu", torch.float32).numpy())
