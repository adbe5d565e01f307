"""The matrix or tensor that is looked at closely: the control, and the nearest that another run has."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shared.escape import quoted
from pages.shared.settings import url_state as state


def choose_named(setting: str, label: str, names: Sequence[str], default: str) -> str:
    """A list to choose a name from; one that is not there gives way to the default, and is named."""
    asked = state.get(setting)
    if asked not in names:
        if asked:
            st.warning(f"{label} {quoted(asked, 40)} does not exist here; {quoted(default)} is shown.")
        state.open_with(**{setting: default})
    st.selectbox(label, list(names), width=360, **state.bound(setting))
    return str(state.get(setting))


def nearest_name(setting: str, names: Sequence[str], default: str) -> str:
    """What a pinned run shows: the chosen name if its model has it."""
    asked = state.get(setting)
    return asked if asked in names else default
