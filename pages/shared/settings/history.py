"""One entry in the browser's history for each thing a visitor did, so that Back undoes one thing.

Streamlit pushes an entry whenever the URL's parameters change. Opening a page would then leave two (the bare
address, and the one with the settings written into it), and a dragged slider dozens. The browser is told
to replace the entry in these two cases.
"""

from __future__ import annotations

import streamlit as st

_JS = """
const DRAG_MS = 600;
const ALWAYS_WRITTEN = "pin";
export default function () {
  if (window.glassformerHistory) return;
  window.glassformerHistory = true;
  const push = window.history.pushState;
  let last = -Infinity;
  window.history.pushState = function (state, title, address) {
    const next = new URL(address, window.location.href);
    const here = new URLSearchParams(window.location.search);
    const samePage = next.pathname === window.location.pathname;
    const now = performance.now();
    const replace = samePage && (!here.has(ALWAYS_WRITTEN) || now - last < DRAG_MS);
    if (samePage) last = now;
    return (replace ? window.history.replaceState : push).call(this, state, title, address);
  };
}
"""
_component = st.components.v2.component("glassformer_history", js=_JS)


def one_entry_a_change() -> None:
    """Teach the browser; draws nothing."""
    _component(key="gf.history", width="content")
