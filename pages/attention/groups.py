"""Shared keys: grouped-query attention, how much alike the heads of a group read, and the memory it saves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from model_runtime.attention import cost as attention_cost
from model_runtime.attention import formulas as attention_formulas
from model_runtime.attention import layer_rows
from pages.shared.escape import counted, plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column
from pages.shared.settings import url_state as state
from viz.attention.cache_sizes import (
    CacheSizes,
    cache_sentence,
    cache_sizes_figure,
    cache_sizes_record,
    tops_of,
)
from viz.attention.groups import (
    GroupOverlap,
    group_overlap_figure,
    group_overlap_record,
    key_groups_figure,
    key_groups_record,
    overlap_sentence,
    schemes_of,
)
from viz.style import in_bytes, share


def figure_of_groups(side: Side) -> None:
    """Who shares with whom; a click on a query head chooses it."""
    spec = side.spec
    record = key_groups_record(spec.n_heads, spec.n_kv_heads, side.head)
    click = live_figure(
        key_groups_figure(record),
        key=side.key_figure("groups"),
        provenance=side.origin("computed", as_it_is=True),
        clickable=side.clickable,
    )
    if click is not None and isinstance(click.customdata, int):
        state.set(head=click.customdata)
        st.rerun()


def groups_words(side: Side) -> None:
    """What is shared here, in words."""
    spec = side.spec
    own = next(scheme for scheme in schemes_of(spec.n_heads, spec.n_kv_heads) if scheme.own)
    if own.per_group == 1:
        st.markdown(
            f"{plain(spec.name)} has plain **multi-head attention**: each of its {spec.n_heads} query "
            f"heads has its own key and value head, and nothing is shared."
        )
        return
    kv = own.kv_of(side.head)
    others = [h for h in range(spec.n_heads) if own.kv_of(h) == kv and h != side.head]
    st.markdown(
        f"H{side.head} shares key and value head {kv} with {_listed([f'H{h}' for h in others])}. Its "
        f"queries are its own."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def overlap_of(side: Side) -> GroupOverlap:
    """How much alike the heads of the layer read."""
    measured = side.run.measure(layer_rows.head_overlap, layer=side.layer)
    return group_overlap_record(measured, side.spec.n_kv_heads, layer=side.layer, head=side.head)


def figure_of_overlap(side: Side, record: GroupOverlap) -> None:
    """Pairs of heads; a click chooses the head of the row."""
    click = live_figure(
        group_overlap_figure(record),
        key=side.key_figure("overlap"),
        provenance=side.origin(),
        clickable=side.clickable,
    )
    if click is not None and isinstance(click.point, tuple):
        state.set(head=click.point[0])
        st.rerun()


def overlap_words(side: Side, record: GroupOverlap) -> None:
    st.markdown(plain(overlap_sentence(record)))
    over = counted(record.n_queries, "token")
    spaced = ", evenly spaced," if record.n_queries < len(side.texts) - 1 else ""
    st.caption(
        f"Overlap of two heads: of what they read beyond the first token, the part that both read, over "
        f"{over}"
        f"{spaced} of the prompt; 100\u00a0% would be equal patterns, 0\u00a0% no key in common. The first "
        "token is "
        f"left out (it gets {share(record.first_share)} in this layer on average): all heads would look "
        f"alike for it. Frames: heads that share keys."
    )


def lengths_of(side: Side) -> tuple[tuple[str, int], ...]:
    """Amounts of text: one token, this prompt, all that the model reads."""
    n, most = len(side.texts), side.spec.n_ctx
    return (("1 token", 1), (f"this prompt ({n:,})", n), (f"the full context ({most:,})", most))


def sizes_of(side: Side, tops: Sequence[int] | None = None) -> CacheSizes:
    """Bytes of the cache for each scheme."""
    spec, lengths = side.spec, lengths_of(side)
    n_bytes = {
        (scheme.n_kv_heads, n): attention_cost.cache_bytes(spec, n, scheme.n_kv_heads)
        for scheme in schemes_of(spec.n_heads, spec.n_kv_heads)
        for _, n in lengths
    }
    return cache_sizes_record(n_bytes, spec.n_heads, spec.n_kv_heads, lengths, spec.dtype, tops)


def figure_of_cache(side: Side, record: CacheSizes) -> None:
    live_figure(
        cache_sizes_figure(record),
        key=side.key_figure("cache"),
        provenance=side.run.origin("computed", as_it_is=True),
    )


def cache_words(side: Side, record: CacheSizes) -> None:
    """The finding, and the formula with its numbers."""
    spec = side.spec
    st.markdown(plain(cache_sentence(record)))
    item = attention_cost.cache_bytes(spec, 1) // (2 * spec.n_layers * spec.n_kv_heads * spec.d_head)
    st.caption(
        f"2 (key and value) × {spec.n_layers} layers × {spec.n_kv_heads} heads × {spec.d_head} numbers × "
        f"{item} bytes ({spec.dtype}) = {attention_cost.cache_bytes(spec, 1):,} bytes a token."
    )


def sizes_table(sides: Sequence[Side]) -> None:
    """The attention matrices of GPT-3 beside those of the loaded models."""
    st.subheader("How large the matrices are", anchor=False)
    models = [attention_formulas.projection_sizes(side.spec) for side in sides]
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
        "A head's value map takes a vector of the stream, of $d_\\mathrm{model}$ numbers, to another. "
        "Written as one matrix it would have $d_\\mathrm{model} \\times d_\\mathrm{model}$ weights in every "
        "head; as two thin ones it has far fewer. GPT-3 from Brown et al. 2020, biases left out."
    )


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _product(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} × {shape[1]:,} = {shape[0] * shape[1]:,}"


def _factored(sizes: attention_formulas.ProjectionSizes) -> str:
    return f"2 × {sizes.d_model:,} × {sizes.d_head:,} = {2 * sizes.d_model * sizes.d_head:,}"


def mathematics(side: Side) -> str:
    """The sharing and the cache with this model's numbers."""
    spec = side.spec
    group = spec.n_heads // spec.n_kv_heads
    one = attention_cost.cache_bytes(spec, 1)
    n = len(side.texts)
    return (
        "Query head $h$ reads key and value head $g(h)$:\n\n"
        r"$$g(h) = \left\lfloor \frac{h}{n_\mathrm{heads} / n_\mathrm{kv}} \right\rfloor, \qquad "
        r"p^{(h)} = \mathrm{softmax}\!\left(\frac{Q^{(h)} K^{(g(h))\top}}{\sqrt{d_\mathrm{head}}} + "
        r"M\right)$$"
        f"\n\nHere $g({side.head}) = \\lfloor {side.head} / {group} \\rfloor = "
        f"{side.head // group}$. The cache keeps one key and one value per layer, kv head and token:\n\n"
        r"$$\mathrm{bytes}(n) = 2 \cdot n_\mathrm{layers} \cdot n_\mathrm{kv} \cdot d_\mathrm{head} \cdot "
        r"b \cdot n$$"
        f"\n\n$$\\mathrm{{bytes}}(1) = {one:,}, \\qquad "
        f"\\mathrm{{bytes}}({n}) = {attention_cost.cache_bytes(spec, n):,}$$"
        f"\n\n({in_bytes(one)} and {in_bytes(attention_cost.cache_bytes(spec, n))}; layers with a sliding "
        f"window keep the window only.)"
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    overlaps = [overlap_of(side) for side in sides]
    tops = tops_of(*(sizes_of(side).n_bytes for side in sides))
    caches = [sizes_of(side, tops) for side in sides]
    if len(sides) == 1:
        left, right = st.columns([3, 2])
        with left:
            figure_of_groups(sides[0])
            groups_words(sides[0])
        with right:
            figure_of_overlap(sides[0], overlaps[0])
        overlap_words(sides[0], overlaps[0])
        st.subheader("What the cache weighs", anchor=False)
        figure_of_cache(sides[0], caches[0])
        cache_words(sides[0], caches[0])
    else:
        for place, side, overlap, cache in zip(st.columns(2), sides, overlaps, caches, strict=True):
            with column(place, side):
                figure_of_groups(side)
                groups_words(side)
                figure_of_overlap(side, overlap)
                overlap_words(side, overlap)
                figure_of_cache(side, cache)
                cache_words(side, cache)
    sizes_table(sides)
    return Lesson(
        mathematics=partial(mathematics, sides[0]), code=(attention_cost.cache_bytes, layer_rows.overlap_of)
    )
