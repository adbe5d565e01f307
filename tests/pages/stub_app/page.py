"""Names the runs and the selection; fails on the prompt "boom" and at temperature 99, as a figure might."""

import streamlit as st

from model_runtime.errors import SamplingError
from pages.shared.frame.page import end_page, showing_errors, start_page

view = start_page("Stub", "Stub", "A page without a figure.")
with showing_errors():
    for run in view.runs:
        if run.prompt == "boom" or run.sampling.temperature == 99:
            raise SamplingError("Nothing is left to draw from.", "Raise top-p.")
        st.text(f"drawn: {run.prompt}")
    st.text(f"selected: {view.layer} {view.head} {view.token} of {len(view.tokens)}")
end_page()
