"""The router: reads the URL, then runs the page it names. `app.py` serves it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared.frame import contents
from pages.shared.run import heavy
from pages.shared.server import widget_values
from pages.shared.settings import url_state

UNKNOWN = "gf.unknown"  # name of the page that a visitor asked for and that is none
ASSETS = Path(__file__).resolve().parents[1] / "assets"
widget_values.install()  # before the first widget reads what a browser sent for it

st.set_page_config(page_title="Glassformer", page_icon=str(ASSETS / "icon.svg"), layout="wide")
st.logo(str(ASSETS / "wordmark.svg"), icon_image=str(ASSETS / "icon.svg"))


def unknown_page() -> str:
    """The name in the address where no page has it, also while its page is run again; "" for all others."""
    context = get_script_run_ctx()
    asked = (context.pages_manager.intended_page_name or "") if context is not None else ""
    asked = asked.replace("/", "-").strip()  # of no other kind are a page's names to Streamlit
    if asked and asked not in {entry.url for entry in contents.PAGES}:
        st.session_state[UNKNOWN] = asked
    name: str = st.session_state.get(UNKNOWN, "")
    return name


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
if unknown := unknown_page():
    # Streamlit would open the first page under a dialog of its own.
    sections[contents.PAGES[0].section].append(
        st.Page("start/unknown.py", title="No such page", url_path=unknown, visibility="hidden")
    )
page = st.navigation(sections)
url_state.read(page.url_path or contents.PAGES[0].url)
# Projector-sized text needs a wider sidebar; the width is taken when the page is opened.
st.set_page_config(initial_sidebar_state=420 if url_state.get("text") == "large" else 320)
page.run()
