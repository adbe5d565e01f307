"""A server for the figure frame alone, as `app.py` is one for the whole app. No model in it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.shared.server import server

HERE = Path(__file__).parent
app = st.App(
    str(HERE / "figures_page.py"), routes=server.routes(extra=HERE / "js"), middleware=server.middleware()
)
