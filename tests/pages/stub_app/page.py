"""Names the runs and the selection; fails on the prompt "boom" and at temperature 99, as a figure might."""

import streamlit as st

from model_runtime.errors import SamplingError
from pages.shared.frame.page import end_page, showing_errors, start_page

sides = start_page()
with showing_errors():
    for side in sides:
        run = side.run.settings
        if run.prompt == "boom" or run.sampling.temperature == 99:
            raise SamplingError("Nothing is left to draw from.", "Raise top-p.")
        st.text(f"drawn: {run.prompt}")
    first = sides[0]
    st.text(f"selected: {first.layer} {first.head} {first.query} of {len(first.run.tokens)}")
end_page()
