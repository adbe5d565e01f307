"""From prompt to next token: the tokens of the prompt, until the page is built."""

import streamlit as st

from pages.shared.page import end_page, showing_errors, start_page
from pages.shared.words import quoted

view = start_page("Start", "From prompt to next token", "The prompt goes in as tokens and comes out as a guess at the next one.")
with showing_errors():
    st.markdown(" ".join(quoted(token.text) for token in view.tokens))
end_page()
