"""The router: reads the URL, then runs the page it names. `app.py` serves it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.shared import contents, url_state

ICON = Path(__file__).resolve().parents[1] / "assets" / "icon.svg"

st.set_page_config(page_title="Glassformer", page_icon=str(ICON), layout="wide", initial_sidebar_state="auto")

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
page.run()
