"""Attention: the tokens of the prompt, until the page is built."""

import streamlit as st

from pages.shared.page import end_page, showing_errors, start_page
from pages.shared.words import quoted

view = start_page("Attention", "Attention", "Which earlier tokens each head reads from.")
with showing_errors():
    st.markdown(" ".join(quoted(token.text) for token in view.tokens))
end_page()
