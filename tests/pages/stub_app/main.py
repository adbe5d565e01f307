"""The router with pages that only name what they would draw: the shell by itself."""

import streamlit as st

from pages.shared.frame import contents
from pages.shared.settings import url_state

page = st.navigation(
    [
        st.Page(entry.file, title=entry.title, url_path=entry.url, default=entry is contents.PAGES[0])
        for entry in contents.PAGES
    ]
)
url_state.read(page.url_path or contents.PAGES[0].url)
page.run()
