"""Server of `figures_page`, with the routes and compression of the real app."""

import streamlit as st

from app import spare_the_collector
from pages.shared.server import server

spare_the_collector()
app = st.App("figures_page.py", routes=server.routes(), middleware=server.middleware())
