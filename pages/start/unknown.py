"""What stands at an address that no page has: that it is none, and the list of those that there are."""

from __future__ import annotations

from difflib import get_close_matches

import streamlit as st

from pages.shared.escape import quoted
from pages.shared.frame import contents
from pages.shared.settings import history, url_state

asked = url_state.page()
near = get_close_matches(asked.lower(), [entry.url for entry in contents.PAGES], n=1)

history.one_entry_a_change()
st.title("There is no such page", anchor=False)
st.markdown(
    f"No page of this app is called {quoted(asked)}. Choose one of these; the link's settings are kept."
)
for entry in contents.PAGES:
    with st.container(gap=None):
        label = f"**{entry.title}** (did you mean this one?)" if entry.url in near else entry.title
        st.page_link(entry.file, label=label)
        st.caption(entry.says)
