"""The router: reads the URL, then runs the page it names. `app.py` serves it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.shared.frame import contents
from pages.shared.run import heavy
from pages.shared.server import widget_values
from pages.shared.settings import url_state

ASSETS = Path(__file__).resolve().parents[1] / "assets"
widget_values.install()  # before the first widget reads what a browser sent for it

st.set_page_config(page_title="Glassformer", page_icon=str(ASSETS / "icon.svg"), layout="wide")
st.logo(str(ASSETS / "wordmark.svg"), icon_image=str(ASSETS / "icon.svg"))

if not heavy.is_loaded():
    with st.spinner("Starting: loading PyTorch and transformers", show_time=True):
        heavy.load()

sections: dict[str, list[st.Page]] = {}
for entry in contents.PAGES:
    sections.setdefault(entry.section, []).append(
        st.Page(
            entry.file,
            title=entry.title,
            url_path=entry.url,
            default=entry is contents.PAGES[0],
            help=entry.says,
        )
    )
page = st.navigation(sections)
url_state.read(page.url_path or contents.PAGES[0].url)
# Projector-sized text needs a wider sidebar; the width is taken when the page is opened.
st.set_page_config(initial_sidebar_state=420 if url_state.get("text") == "large" else 320)
page.run()
