"""One attention head taken apart: every matrix between the captured q, k, v and what it adds to the stream.

    z = softmax(mask(cap(q k^T x scaling))) v,   result = z W_O      (Vaswani et al. 2017, 3.2.1 and 3.2.2)

Names follow TransformerLens (`z`, `result`) and "A Mathematical Framework for Transformer Circuits" (Elhage
et al. 2021), in which heads add to the stream independently of each other. Where the model's kernel is fused
(sdpa), the matrices between q, k and z never exist inside it: they are computed here from the captured q, k
and v by the arithmetic of the family's eager attention, in the model's own dtype and order of operations,
as `Trace.get("pattern")` is. `sdpa_check` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from model_runtime.capture.attention_function import (
    dots,
    query_rows,
    soft_capped,
    softmax_and_sink,
    visible_cells,
)
from model_runtime.capture.edit_values import z_factor
from model_runtime.errors import NotCaptured, PointUnavailable
from model_runtime.interventions import Patch, Steer
from model_runtime.model import Model
from model_runtime.records import HeadStages, ScoreTerms
from model_runtime.run import OpenRun


def head_stages(
    run: OpenRun, layer: int, head: int, queries: int | Sequence[int] | None = None
) -> HeadStages:
    """Take one head of a run apart. Holds this head's matrices only.

    Interventions of the run are in the numbers: with edges cut, `visible` and all after it are what the
    model used; with a scaled head, z and result are those after the scaling (`z_factor`). An edit of the
    stream (Patch, Steer) comes after the heads and is in none of them.

    Args:
        queries: token positions of the rows; None keeps all rows of the trace.

    Raises:
        NotCaptured: the trace has no patterns, or not of these queries.
        PointUnavailable: no such layer or head.
    """
    call = run.trace.call(layer, head, queries)
    group = call.query.shape[1] // call.key.shape[1]
    kv_head = head // group
    product = dots(call, head)
    scaled = product * call.scaling
    capped = soft_capped(scaled, call.softcap)
    visible = visible_cells(call, head)
    masked = capped.masked_fill(~visible, float("-inf"))
    pattern, sink = softmax_and_sink(call, masked, head)
    factor = z_factor(run.trace.interventions, layer, head, query_rows(call))
    z = torch.matmul(pattern[0], call.value[0, kv_head])
    if factor is not None:
        z = (z.float() * factor[:, None]).to(z.dtype)
    w_o = head_weight(run.model, layer, head)
    return HeadStages(
        layer=layer,
        head=head,
        kv_head=kv_head,
        group=tuple(range(kv_head * group, (kv_head + 1) * group)),
        queries=query_rows(call).cpu().numpy().copy(),
        q=_array(call.query[0, head]),
        k=_array(call.key[0, kv_head]),
        v=_array(call.value[0, kv_head]),
        dots=_array(product[0]),
        scaled=_array(scaled[0]),
        capped=None if call.softcap is None else _array(capped[0]),
        scores=_array(masked[0]),
        pattern=_array(pattern[0]),
        sink=None if sink is None else _array(sink[0]),
        sink_logit=None if call.sinks is None else float(call.sinks[head]),
        z=_array(z),
        z_factor=None if factor is None else _array(factor),
        result=_array(torch.matmul(z.float(), w_o.float())),
        visible=visible[0].cpu().numpy().copy(),
        scaling=call.scaling,
        softcap=call.softcap,
        q_handed_over_scaled=run.model.family.q_handed_over_scaled,
        w_o_shape=(int(w_o.shape[0]), int(w_o.shape[1])),
        dtype=str(call.query.dtype).removeprefix("torch."),
    )


def head_weight(model: Model, layer: int, head: int) -> torch.Tensor:
    """The rows of W_O that read one head's z, [d_head, d_model]; the weights themselves."""
    d_head = model.spec.d_head
    return model.adapter.output_projection(layer)[0][head * d_head : (head + 1) * d_head]


def score_terms(stages: HeadStages, query_pos: int, key_pos: int) -> ScoreTerms:
    """The equation behind one cell of the pattern, number by number.

    In float64: its probability is the pattern's to the rounding of the model's dtype.

    Raises:
        NotCaptured: the stages have no such query.
        PointUnavailable: there is no such key.
    """
    if not 0 <= key_pos < len(stages.k):
        raise PointUnavailable(f"There is no key {key_pos}.", f"There are {len(stages.k)}, counted from 0.")
    rows = np.flatnonzero(stages.queries == query_pos)
    if not len(rows):
        raise NotCaptured(f"These stages have no query {query_pos}.", "Name it in queries=.")
    row = int(rows[0])
    q, keys = stages.q[row].astype(np.float64), stages.k.astype(np.float64)
    scaled = keys @ q * stages.scaling
    capped = scaled if stages.softcap is None else np.tanh(scaled / stages.softcap) * stages.softcap
    seen = capped[stages.visible[row]]
    sinks = [] if stages.sink_logit is None else [stages.sink_logit]
    row_max = float(max([*sinks, seen.max()] if len(seen) else sinks or [0.0]))
    sink_term = float(np.exp(sinks[0] - row_max)) if sinks else 0.0
    denominator = float(np.exp(seen - row_max).sum()) + sink_term
    visible = bool(stages.visible[row, key_pos])
    exp = float(np.exp(capped[key_pos] - row_max)) if visible else 0.0
    products = q * keys[key_pos]
    return ScoreTerms(
        query_pos=query_pos,
        key_pos=key_pos,
        q=q,
        k=keys[key_pos],
        products=products,
        dot=float(products.sum()),
        scaling=stages.scaling,
        scaled=float(scaled[key_pos]),
        softcap=stages.softcap,
        capped=float(capped[key_pos]),
        visible=visible,
        row_max=row_max,
        exp=exp,
        sink_term=sink_term,
        denominator=denominator,
        n_visible=len(seen),
        probability=exp / denominator if visible else 0.0,
    )


def recombination_error(run: OpenRun, layer: int) -> float | None:
    """Largest absolute difference between the heads' results added up (with the output bias) and attn_out.

    None where they need not be equal: a family with a norm after attention, or a run that edits attn_out
    itself. A trace that did not keep attn_out is run again, for this layer alone.

    Raises:
        NotCaptured: the trace has no patterns of this layer.
    """
    edited = any(
        isinstance(edit, Patch | Steer) and (edit.point, edit.layer) == ("attn_out", layer)
        for edit in run.trace.interventions
    )
    if edited or run.model.family.post_attention_norm is not None:
        return None
    total = sum(torch.from_numpy(head_stages(run, layer, head).result) for head in range(run.spec.n_heads))
    bias = run.model.adapter.output_projection(layer)[1]
    if bias is not None:
        total = total + bias.float().cpu()
    return float((total - torch.from_numpy(_attn_out(run, layer))).abs().max())


def _attn_out(run: OpenRun, layer: int) -> np.ndarray:
    trace = run.trace
    if ("attn_out", layer) not in trace.kept:
        trace = run.model.trace(
            [token.id for token in trace.tokens],
            points=("attn_out",),
            layers=(layer,),
            positions=trace.positions,
            interventions=trace.interventions,
            exact=trace.exact,
        )
    return trace.get("attn_out", layer)


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A float32 copy in main memory."""
    return np.array(tensor.detach().to("cpu", torch.float32).numpy())
