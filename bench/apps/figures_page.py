"""`?figures=5`: that many attention patterns of one traced prompt, all following one plain slider."""

import streamlit as st

from pages.shared.figure.live_figure import live_figure
from pages.shared.run.opened import opened
from pages.shared.run.runs import run_of
from pages.shared.settings.table import defaults
from viz.attention.pattern import attention_pattern_record
from viz.attention.pattern_map import attention_pattern_figure

st.set_page_config(layout="wide")
run = opened(run_of(defaults()))
trace = run.trace
layer = st.slider("Layer", 0, trace.spec.n_layers - 1, 0)
for head in range(int(st.query_params.get("figures", "1"))):
    record = attention_pattern_record(
        trace.get("pattern", layer=layer, head=head),
        token_texts=[token.text for token in trace.tokens],
        selected=len(trace.tokens) - 1,
        layer=layer,
        head=head,
    )
    live_figure(
        attention_pattern_figure(record),
        key=f"pattern-{head}",
        provenance=run.origin(layer=layer, head=head),
    )
