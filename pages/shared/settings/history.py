"""One entry in the browser's history for each thing a visitor did, so that Back undoes one thing.

Streamlit pushes an entry whenever the URL's parameters change. Opening a page would then leave two (the bare
address, and the one with the settings written into it), and a dragged slider dozens. The browser is told
to replace the entry in these two cases.
"""

from __future__ import annotations

from pages.shared.figure import scripts

_component = scripts.inline_component("history")


def one_entry_a_change() -> None:
    """Teach the browser; draws nothing."""
    _component(key="gf.history", width="content")
