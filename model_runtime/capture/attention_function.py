"""What the attention function of a layer received, and the arithmetic that recomputes scores and patterns."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from model_runtime.capture.edit_values import cut_mask
from model_runtime.families import Family
from model_runtime.interventions import CutEdge


@dataclass
class AttentionCall:
    """What the attention function of one layer received: all that scores and pattern follow from.

    query [1, head, query_pos, d_head]; key and value [1, kv head, key_pos, d_head], q and k rotated.
    rows: which rows of the forward `query` and `mask` hold; None is all of them, as keys.
    device: where the forward ran, and scores are recomputed: traces themselves are kept in main memory.
    mask: None (plain causal), bool (True is visible) or float (added; the dtype's minimum hides a cell);
        layers share it.
    cuts: edges that are hidden as well, in this layer only.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    rows: torch.Tensor | None
    mask: torch.Tensor | None
    scaling: float
    softcap: float | None
    sinks: torch.Tensor | None  # [head]
    softmax_in_float32: bool
    scores_in_float32: bool
    device: torch.device
    cuts: tuple[CutEdge, ...] = ()

    def to(self, device: torch.device, moved: dict[int, torch.Tensor] | None = None) -> AttentionCall:
        """The same on another device. `moved` (by id) lets layers that share a mask go on sharing it."""
        moved = {} if moved is None else moved
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        for tensor in tensors.values():
            if id(tensor) not in moved:
                moved[id(tensor)] = tensor.to(device)
        there: dict[str, Any] = {name: moved[id(tensor)] for name, tensor in tensors.items()}
        return replace(self, **there)

    def at_home(self) -> AttentionCall:
        """On the device where the forward ran."""
        return self if self.query.device == self.device else self.to(self.device)


def eager_attention(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The family's own eager attention: sinks, soft caps and options live in its module."""
    if getattr(module, "reorder_and_upcast_attn", False):
        # GPT-2's option takes its own path only under the literal key "eager".
        upcast: Any = module._upcast_and_reordered_attn
        return upcast(*args)
    return sys.modules[type(module).__module__].eager_attention_forward(module, *args, **kwargs)


def describe_call(
    family: Family,
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    cuts: tuple[CutEdge, ...],
    options: dict[str, Any],
) -> AttentionCall:
    """Keep what the function received, by reference."""
    scaling, sinks = options.get("scaling"), options.get("s_aux")
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        rows=None,
        mask=mask,
        scaling=float(query.shape[-1] ** -0.5 if scaling is None else scaling),
        softcap=options.get("softcap"),
        sinks=None if sinks is None else sinks.detach().clone(),  # a weight, which may change later
        softmax_in_float32=family.softmax_in_float32,
        scores_in_float32=bool(getattr(module, "reorder_and_upcast_attn", False)),
        device=query.device,
        cuts=cuts,
    )


def family_pattern(module: nn.Module, call: AttentionCall) -> torch.Tensor:
    """The pattern as the family's own eager attention computes it, [head, query_pos, key_pos].

    The second opinion of the self-proof: Hugging Face's code on what this layer received, with the mask
    that it received, of a forward of which all rows were kept.
    """
    dtype = call.query.dtype
    mask = cut_mask(call.cuts, call.mask, call.query, call.key, offset=0)
    if mask is None:
        mask = torch.ones(call.query.shape[2], call.key.shape[2], dtype=torch.bool, device=call.query.device)
        mask = mask.tril()[None, None]
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
            ~mask, torch.finfo(dtype).min
        )
    arguments = (call.query, call.key, call.value, mask)
    if getattr(module, "reorder_and_upcast_attn", False):
        return eager_attention(module, *arguments)[1][0]
    return eager_attention(module, *arguments, scaling=call.scaling, softcap=call.softcap)[1][0]


def query_rows(call: AttentionCall) -> torch.Tensor:
    """Position of each query that was kept, int64 [query_pos]."""
    return torch.arange(call.query.shape[2], device=call.query.device) if call.rows is None else call.rows


def visible_cells(call: AttentionCall, head: int | None = None) -> torch.Tensor:
    """Which cells attention may use, bool [1 or head, query_pos, key_pos]; for one head: [1, ...]."""
    rows, n_keys = query_rows(call), call.key.shape[2]
    if call.mask is None:
        cells = (rows[:, None] >= torch.arange(n_keys, device=rows.device))[None]
    else:
        cells = call.mask[0, :, :, :n_keys]
        cells = cells if cells.dtype == torch.bool else cells > torch.finfo(cells.dtype).min / 2
    cuts = [cut for cut in call.cuts if head is None or cut.head in (None, head)]
    if not cuts:
        return cells
    own = head is None and any(cut.head is not None for cut in cuts)
    cells = cells.expand(call.query.shape[1] if own else 1, -1, -1).clone()
    for cut in cuts:
        heads = cut.head if own and cut.head is not None else slice(None)
        cells[heads, rows == cut.query_pos, cut.key_pos] = False
    return cells


def at_queries(call: AttentionCall, chosen: torch.Tensor) -> AttentionCall:
    """The same for some of the kept queries only: `chosen` counts rows of `call.query`, int64 [query_pos]."""
    return replace(
        call,
        query=call.query.index_select(2, chosen),
        rows=query_rows(call).index_select(0, chosen),
        mask=None if call.mask is None else call.mask.index_select(2, chosen),
    )


def dots(call: AttentionCall, head: int | None) -> torch.Tensor:
    """q k^T before scaling, [head, query_pos, key_pos]; for one head (an axis of 1), or all of the layer."""
    query, key = call.query[0], call.key[0]
    if call.scores_in_float32:
        query, key = query.float(), key.float()
    group = query.shape[0] // key.shape[0]  # query heads that share one kv head
    if head is None:
        key = key.repeat_interleave(group, dim=0)
    else:
        query, key = query[head : head + 1], key[head // group : head // group + 1]
    return torch.matmul(query, key.transpose(1, 2))


def soft_capped(scaled: torch.Tensor, softcap: float | None) -> torch.Tensor:
    """Scores bent smoothly to stay within +-softcap (Gemma 2); None leaves them as they are."""
    return scaled if softcap is None else torch.tanh(scaled / softcap) * softcap


def scores(call: AttentionCall, head: int | None) -> torch.Tensor:
    """[head, query_pos, key_pos] in the model's dtype and order: scale, soft cap, then mask with -inf.

    For one head, or all heads of the layer.
    """
    # In place, since large matrices cost more to allocate than to fill.
    result = soft_capped(dots(call, head).mul_(call.scaling), call.softcap)
    return result.masked_fill_(~visible_cells(call, head), float("-inf"))


def pattern_and_sink(call: AttentionCall, head: int | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Softmax of the scores: pattern [head, query_pos, key_pos] and the sink's share [head, query_pos].

    A learned sink (GPT-OSS) takes part in the softmax as one more column, which is not in the pattern.
    """
    return softmax_and_sink(call, scores(call, head), head)


def softmax_and_sink(
    call: AttentionCall, logits: torch.Tensor, head: int | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The softmax of `pattern_and_sink`, of scores that are there already."""
    if call.sinks is None:
        dtype = torch.float32 if call.softmax_in_float32 else logits.dtype
        return logits.softmax(dim=-1, dtype=dtype).to(call.value.dtype), None
    sinks = call.sinks if head is None else call.sinks[head : head + 1]
    column = sinks.to(logits.dtype).reshape(-1, 1, 1).expand(-1, logits.shape[1], 1)
    combined = torch.cat((logits, column), dim=-1)
    combined = combined - combined.max(dim=-1, keepdim=True).values  # the family's own guard against overflow
    shares = combined.softmax(dim=-1, dtype=combined.dtype)
    return shares[..., :-1].to(call.value.dtype), shares[..., -1]
