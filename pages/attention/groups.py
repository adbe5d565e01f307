"""Shared keys: grouped-query attention, how much alike the heads of a group read, and the memory it saves."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import streamlit as st

from model_runtime.attention import cost as attention_cost
from model_runtime.attention import formulas as attention_formulas
from model_runtime.attention import layer_rows
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import runtime
from pages.shared.settings import url_state as state
from viz.attention.cache_sizes import cache_sizes_figure
from viz.attention.key_groups import (
    CacheSizes,
    GroupOverlap,
    cache_sentence,
    cache_sizes_record,
    group_overlap_record,
    in_bytes,
    key_groups_record,
    overlap_sentence,
    schemes_of,
    tops_of,
)
from viz.attention.key_groups_figure import group_overlap_figure, key_groups_figure
from viz.style import share

QUESTION = (
    "Heads of one group share their keys and values, but each has its own queries. Will two heads of one "
    "group read nearly the same tokens, or can they differ as much as any two heads? Guess, then look at "
    "the frames on the diagonal, and try other layers."
)
ANSWER = (
    "Often they differ nearly as much as heads of different groups: what is asked for (the query) decides "
    "more than what is offered (the key). That is why sharing keys costs little quality and saves much "
    "memory, which is what Ainslie et al. (2023) found."
)
SOURCES = """
- Shazeer 2019, [Fast transformer decoding: one write-head is all you need](https://arxiv.org/abs/1911.02150):
  multi-query attention.
- Ainslie et al. 2023, [GQA: training generalized multi-query transformer models][gqa]: grouped-query
  attention.
- Brown et al. 2020, [Language models are few-shot learners](https://arxiv.org/abs/2005.14165), table 2.1: the
  sizes of GPT-3.
- Jiang et al. 2023, [Mistral 7B](https://arxiv.org/abs/2310.06825): with a sliding window the cache holds the
  window only; where a layer has one, it is counted like that.

[gqa]: https://arxiv.org/abs/2305.13245
"""


def figure_of_groups(drawing: Drawing) -> None:
    """Who shares with whom; a click on a query head chooses it."""
    spec = drawing.spec()
    record = key_groups_record(spec.n_heads, spec.n_kv_heads, drawing.head)
    click = live_figure(
        key_groups_figure(record),
        key=drawing.key_figure("groups"),
        provenance=runtime.provenance_of(drawing.run, "computed", layer=drawing.layer, head=drawing.head),
        clickable=drawing.clickable,
    )
    if click is not None and isinstance(click.customdata, int):
        state.set(head=click.customdata)
        st.rerun()


def groups_words(drawing: Drawing) -> None:
    """What is shared here, in words."""
    spec = drawing.spec()
    own = next(scheme for scheme in schemes_of(spec.n_heads, spec.n_kv_heads) if scheme.own)
    if own.per_group == 1:
        st.markdown(
            f"{plain(spec.name)} has plain **multi-head attention**: each of its {spec.n_heads} query "
            f"heads has its own key and value head, and nothing is shared."
        )
        return
    kv = own.kv_of(drawing.head)
    others = [h for h in range(spec.n_heads) if own.kv_of(h) == kv and h != drawing.head]
    st.markdown(
        f"H{drawing.head} shares key and value head {kv} with {_listed([f'H{h}' for h in others])}. Its "
        f"queries are its own."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def overlap_of(drawing: Drawing) -> GroupOverlap:
    """How much alike the heads of the layer read."""
    layer = drawing.layer
    measured = runtime.derived(
        drawing.run, ("head_overlap", layer), lambda trace: layer_rows.head_overlap(trace, layer)
    )
    return group_overlap_record(
        measured.overlap,
        measured.n_queries,
        drawing.spec().n_kv_heads,
        layer=layer,
        head=drawing.head,
        first_share=measured.first_share,
    )


def figure_of_overlap(drawing: Drawing, record: GroupOverlap) -> None:
    """Pairs of heads; a click chooses the head of the row."""
    click = live_figure(
        group_overlap_figure(record),
        key=drawing.key_figure("overlap"),
        provenance=drawing.origin(),
        clickable=drawing.clickable,
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(head=click.point[0])
        st.rerun()


def overlap_words(drawing: Drawing, record: GroupOverlap) -> None:
    st.markdown(plain(overlap_sentence(record)))
    over = counted(record.n_queries, "token")
    spaced = ", evenly spaced," if record.n_queries < len(drawing.texts) - 1 else ""
    st.caption(
        f"Overlap of two heads: of what they read beyond the first token, the part that both read, over "
        f"{over}"
        f"{spaced} of the prompt; 100 % would be equal patterns, 0 % no key in common. The first token is "
        f"left out (it gets {share(record.first_share)} in this layer on average): all heads would look "
        f"alike for it. Frames: heads that share keys."
    )


def lengths_of(drawing: Drawing) -> tuple[tuple[str, int], ...]:
    """Amounts of text: one token, this prompt, all that the model reads."""
    n, most = len(drawing.texts), drawing.spec().n_ctx
    return (("1 token", 1), (f"this prompt ({n:,})", n), (f"the full context ({most:,})", most))


def sizes_of(drawing: Drawing, tops: Sequence[int] | None = None) -> CacheSizes:
    """Bytes of the cache for each scheme."""
    spec, lengths = drawing.spec(), lengths_of(drawing)
    n_bytes = {
        (scheme.n_kv_heads, n): attention_cost.cache_bytes(spec, n, scheme.n_kv_heads)
        for scheme in schemes_of(spec.n_heads, spec.n_kv_heads)
        for _, n in lengths
    }
    return cache_sizes_record(n_bytes, spec.n_heads, spec.n_kv_heads, lengths, spec.dtype, tops)


def figure_of_cache(drawing: Drawing, record: CacheSizes) -> None:
    live_figure(
        cache_sizes_figure(record),
        key=drawing.key_figure("cache"),
        provenance=runtime.provenance_of(drawing.run, "computed"),
    )


def cache_words(drawing: Drawing, record: CacheSizes) -> None:
    """The finding, and the formula with its numbers."""
    spec = drawing.spec()
    st.markdown(plain(cache_sentence(record)))
    item = attention_cost.cache_bytes(spec, 1) // (2 * spec.n_layers * spec.n_kv_heads * spec.d_head)
    st.caption(
        f"2 (key and value) × {spec.n_layers} layers × {spec.n_kv_heads} heads × {spec.d_head} numbers × "
        f"{item} bytes ({spec.dtype}) = {attention_cost.cache_bytes(spec, 1):,} bytes a token."
    )


def sizes_table(drawings: Sequence[Drawing]) -> None:
    """The attention matrices of GPT-3 beside those of the loaded models."""
    st.subheader("How large the matrices are", anchor=False)
    models = [attention_formulas.projection_sizes(drawing.spec()) for drawing in drawings]
    columns = [attention_formulas.GPT3, *dict.fromkeys(models)]
    st.markdown(
        "\n".join(
            [
                f"| | {' | '.join(plain(sizes.name) for sizes in columns)} |",
                f"|---|{'---:|' * len(columns)}",
                _line("one head's $W_q$ (and $W_k$)", [_product(s.head_shapes["W_q"]) for s in columns]),
                _line("all heads' $W_q$", [_product(s.shapes["W_q"]) for s in columns]),
                _line("all heads' $W_k$ (and $W_v$)", [_product(s.shapes["W_k"]) for s in columns]),
                _line(
                    "value map of one head, not factored", [_product((s.d_model, s.d_model)) for s in columns]
                ),
                _line("the same as $W_v W_o$", [_factored(s) for s in columns]),
                _line("all four matrices, all layers", [f"{s.total:,}" for s in columns]),
            ]
        )
    )
    st.caption(
        "A head's value map takes a vector of d_model numbers to another. Written as one matrix it would "
        "have d_model × d_model weights in every head; as two thin ones it has far fewer. GPT-3 from Brown "
        "et al. 2020, biases left out."
    )


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _product(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} × {shape[1]:,} = {shape[0] * shape[1]:,}"


def _factored(sizes: attention_formulas.ProjectionSizes) -> str:
    return f"2 × {sizes.d_model:,} × {sizes.d_head:,} = {2 * sizes.d_model * sizes.d_head:,}"


def mathematics(drawing: Drawing) -> str:
    """The sharing and the cache with this model's numbers."""
    spec = drawing.spec()
    group = spec.n_heads // spec.n_kv_heads
    one = attention_cost.cache_bytes(spec, 1)
    n = len(drawing.texts)
    return (
        "Query head $h$ reads key and value head $g(h)$:\n\n"
        r"$$g(h) = \left\lfloor \frac{h}{n_\mathrm{heads} / n_\mathrm{kv}} \right\rfloor, \qquad "
        r"p^{(h)} = \mathrm{softmax}\!\left(\frac{Q^{(h)} K^{(g(h))\top}}{\sqrt{d_\mathrm{head}}} + "
        r"M\right)$$"
        f"\n\nHere $g({drawing.head}) = \\lfloor {drawing.head} / {group} \\rfloor = "
        f"{drawing.head // group}$. The cache keeps one key and one value per layer, kv head and token:\n\n"
        r"$$\mathrm{bytes}(n) = 2 \cdot n_\mathrm{layers} \cdot n_\mathrm{kv} \cdot d_\mathrm{head} \cdot "
        r"b \cdot n$$"
        f"\n\n$$\\mathrm{{bytes}}(1) = {one:,}, \\qquad "
        f"\\mathrm{{bytes}}({n}) = {attention_cost.cache_bytes(spec, n):,}$$"
        f"\n\n({in_bytes(one)} and {in_bytes(attention_cost.cache_bytes(spec, n))}; layers with a sliding "
        f"window keep the window only.)"
    )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    overlaps = [overlap_of(drawing) for drawing in drawings]
    tops = tops_of(*(sizes_of(drawing).n_bytes for drawing in drawings))
    caches = [sizes_of(drawing, tops) for drawing in drawings]
    if len(drawings) == 1:
        left, right = st.columns([3, 2])
        with left:
            figure_of_groups(drawings[0])
            groups_words(drawings[0])
        with right:
            figure_of_overlap(drawings[0], overlaps[0])
        overlap_words(drawings[0], overlaps[0])
        st.subheader("What the cache weighs", anchor=False)
        figure_of_cache(drawings[0], caches[0])
        cache_words(drawings[0], caches[0])
    else:
        for place, drawing, overlap, cache in zip(st.columns(2), drawings, overlaps, caches, strict=True):
            with column(place, drawing):
                figure_of_groups(drawing)
                groups_words(drawing)
                figure_of_overlap(drawing, overlap)
                overlap_words(drawing, overlap)
                figure_of_cache(drawing, cache)
                cache_words(drawing, cache)
    sizes_table(drawings)
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(drawings[0]),
        code=lambda: (
            f"{inspect.getsource(attention_cost.cache_bytes)}\n\n{inspect.getsource(layer_rows.overlap_of)}"
        ),
        sources=SOURCES,
    )
