"""How values are edited at the hooks: rows of the stream, cells of the mask, weights of experts.

An edit never writes into what it got, with one exception: the stream between attention and MLP (resid_mid)
exists as no module's output, so it is edited where it lies, which is safe because it was just made by an
addition and nobody else holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from model_runtime.interventions import CutEdge, Intervention, ScaleHead

Change = Callable[[torch.Tensor], torch.Tensor]  # rows [row, d] -> rows [row, d]
Positions = tuple[int, ...] | None


def rows_at(positions: Positions, offset: int, n: int, device: torch.device) -> torch.Tensor:
    """Rows of this forward (of `n` tokens from `offset` on) that `positions` names."""
    wanted = range(n) if positions is None else [p - offset for p in positions if offset <= p < offset + n]
    return torch.tensor(list(wanted), dtype=torch.long, device=device)


def edit_rows(value: Any, offset: int, positions: Positions, change: Change, in_place: bool = False) -> Any:
    """Apply `change` to the named rows of the stream: [1, pos, d], [pos, d], or the first of a tuple."""
    tensor: torch.Tensor = value[0] if isinstance(value, tuple) else value
    edited = tensor if in_place else tensor.clone()
    flat = edited.view(-1, edited.shape[-1])
    rows = rows_at(positions, offset, flat.shape[0], flat.device)
    if len(rows):
        flat[rows] = change(flat[rows])
    return (edited, *value[1:]) if isinstance(value, tuple) else edited


def scale_columns(columns: slice, factor: float) -> Change:
    def change(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.clone()
        rows[:, columns] = rows[:, columns] * factor
        return rows

    return change


def z_factor(
    edits: tuple[Intervention, ...], layer: int, head: int, queries: torch.Tensor
) -> torch.Tensor | None:
    """What a run's edits multiply a head's z by, [query_pos]; None without such an edit."""
    mine = [e for e in edits if isinstance(e, ScaleHead) and (e.layer, e.head) == (layer, head)]
    if not mine:
        return None
    factor = torch.ones(len(queries), device=queries.device)
    for edit in mine:
        chosen = queries.tolist() if edit.positions is None else edit.positions
        at = torch.isin(queries, torch.tensor(chosen, device=queries.device))
        factor[at] = factor[at] * edit.factor
    return factor


def cut_mask(
    cuts: tuple[CutEdge, ...],
    mask: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    offset: int,
) -> torch.Tensor | None:
    """The attention mask [1, 1 or head, query_pos, key_pos] with the cells of `cuts` hidden as well.

    Keys may have been dropped from the front of a sliding cache, so they are counted from the end.
    """
    n_queries, n_keys = query.shape[2], key.shape[2]
    first_key = offset + n_queries - n_keys
    here = [cut for cut in cuts if offset <= cut.query_pos < offset + n_queries and cut.key_pos >= first_key]
    if not here:
        return mask
    if mask is None:
        rows = torch.arange(n_keys - n_queries, n_keys, device=query.device)[:, None]
        mask = (rows >= torch.arange(n_keys, device=query.device)[None, :])[None, None]
    heads = query.shape[1] if any(cut.head is not None for cut in here) else mask.shape[1]
    mask = mask.expand(-1, heads, -1, -1).clone()
    hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    for cut in here:
        heads_cut = slice(None) if cut.head is None else cut.head
        mask[:, heads_cut, cut.query_pos - offset, cut.key_pos - first_key] = hidden
    return mask


def router_weights(router: Any, logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The weights that a family's router gives to `chosen` experts, [row, k], from its logits [row, expert].

    GPT-OSS takes the softmax over the chosen logits; the others over all, and Mixtral always, the Qwen and
    OLMoE families by their setting `norm_topk_prob`, divide by the sum of the chosen.
    """
    if hasattr(router, "bias"):
        return logits[:, chosen].softmax(dim=-1)
    weights = logits.float().softmax(dim=-1)[:, chosen]
    if getattr(router, "norm_topk_prob", True):
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights


def with_the_same_sum(scaled: torch.Tensor, before: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The weights [row, k] of an expert that was scaled (where `chosen`), the others' making up for it.

    The sum of a row stays what it was `before`; the scaled expert gets all of it at most, so that no other
    falls below 0. A row whose only weight was this expert's has no others that could make up for it.
    """
    total = before.sum(-1, keepdim=True)
    scaled = torch.where(chosen, torch.minimum(scaled, total), before)
    rest = torch.where(chosen, 0, before).sum(-1, keepdim=True)
    missing = total - torch.where(chosen, scaled, 0).sum(-1, keepdim=True)
    others = torch.where(rest > 0, before * missing / rest.clamp_min(1e-30), before)
    return torch.where(chosen, scaled, others.to(before.dtype))
