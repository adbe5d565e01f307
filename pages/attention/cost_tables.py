"""Two tables of the part "cost": layers of three kinds, and the sizes of Infini-attention."""

from __future__ import annotations

import streamlit as st

from model_runtime.attention import cost as attention_cost
from model_runtime.attention import formulas as attention_formulas
from model_runtime.attention import infini
from pages.shared.escape import counted
from pages.shared.frame.sides import Drawing
from viz.attention.key_groups import in_bytes


def layer_table(drawing: Drawing, window: int) -> None:
    """Vaswani's table 1 with this prompt's numbers."""
    n, d = len(drawing.texts), drawing.spec().d_model
    lines = [
        "| layer | operations | sequential steps | longest path |",
        "|---|---:|---:|---:|",
        *(
            f"| {row.name} | {row.operations_formula} = {row.operations:,} "
            f"| {_value(row.sequential_formula, row.sequential)} | {_value(row.path_formula, row.path)} |"
            for row in attention_formulas.layer_types(n, d, window=window)
        ),
    ]
    st.markdown("\n".join(lines))
    cheaper = "fewer" if n < d else "more"
    st.caption(
        f"Computed for n = {n:,} tokens and d = {d:,} numbers a token, convolution of width k = 3, window "
        f"r = {min(window, n):,}; constant factors left out, as in the paper. A recurrent layer must take "
        f"its {n:,} steps one after the other; attention takes one, and here needs {cheaper} operations."
    )


def _value(formula: str, value: int) -> str:
    return str(value) if formula == str(value) else f"{formula} = {value:,}"


def infini_words(drawing: Drawing, window: int) -> None:
    """The parts of Infini-attention with this model's sizes."""
    spec = drawing.spec()
    sizes = infini.infini_sizes(spec, window)
    full = attention_cost.cache_bytes(spec, spec.n_ctx)
    pays = infini.pays_from(spec, window)
    st.markdown(
        "\n".join(
            [
                "| part | holds | size |",
                "|---|---|---:|",
                f"| segment | keys and values of the last {window:,} tokens, exactly | "
                f"{in_bytes(sizes.segment_bytes)} |",
                f"| memory | {spec.d_head} × {spec.d_head} + {spec.d_head} = {sizes.head_numbers:,} "
                f"numbers for each of {sizes.heads:,} key and value heads | {in_bytes(sizes.memory_bytes)} "
                f"|",
                f"| both | whatever the length | {in_bytes(sizes.total_bytes)} |",
                f"| full cache | all {spec.n_ctx:,} tokens, exactly | {in_bytes(full)} |",
            ]
        )
    )
    later = f"From {counted(pays, 'token')} on" if pays else "Never in this model:"
    st.caption(
        f"{later} the full cache is larger than segment and memory. The memory holds sums of keys times "
        f"values, so old text is kept blurred, not word by word. No loaded model has this attention; the "
        f"sizes are those it would have here."
    )
