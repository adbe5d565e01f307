"""Server of `figures_page`, with the routes and compression of the real app."""

import streamlit as st

from pages.shared import server

app = st.App("figures_page.py", routes=server.routes(), middleware=server.middleware())
