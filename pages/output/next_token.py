"""Next token: the tokens of the prompt, until the page is built."""

import streamlit as st

from pages.shared.page import end_page, showing_errors, start_page
from pages.shared.words import quoted

view = start_page("Output", "Next token", "How logits become probabilities, and probabilities a choice.")
with showing_errors():
    st.markdown(" ".join(quoted(token.text) for token in view.tokens))
end_page()
