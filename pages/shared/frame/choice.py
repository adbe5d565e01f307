"""The control that chooses a part of a page."""

from __future__ import annotations

import streamlit as st

from pages.shared.frame import contents, lessons
from pages.shared.frame.contents import Part
from pages.shared.frame.examples import looks_at
from pages.shared.settings import url_state as state


def choose(label: str = "Part of this page", look: str = "") -> Part:
    """The control that chooses a part of the page on screen, and the sentence that says what to look for:
    `look` where that is not the part's own."""
    entry = contents.entry_of(state.page())
    by_key = {part.key: part for part in entry.parts}
    st.segmented_control(
        label,
        [*by_key],
        format_func=lambda key: by_key[key].title,
        required=True,
        label_visibility="collapsed",
        **state.bound(entry.setting),
    )
    part = by_key[state.get(entry.setting)]
    with st.container(key="gf-look"):
        st.markdown(look or lessons.on_one_line(lessons.sections(entry.url, part.key)["Look for"]))
        tell_example()
    return part


def tell_example() -> None:
    """What to look at, while the page shows an example of the gallery."""
    if look := looks_at(state.page(), state.values()):
        st.markdown(f"**In this example:** {look}")
