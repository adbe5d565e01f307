"""Mixture of experts: which experts a router asks for each token, and what they do."""

from __future__ import annotations

from pages.moe.dense import DENSE_LOOK, dense_state, tell_of_dense_runs
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import choose, show
from pages.shared.settings import url_state as state

# Parts that have something to say about a dense model too.
ALSO_DENSE = ("sizes",)

sides = start_page()
with showing_errors():
    dense = state.get("moe") not in ALSO_DENSE and not any(side.spec.n_experts for side in sides)
    part = choose(look=DENSE_LOOK if dense else "")
    if part.key in ALSO_DENSE:
        show(part, sides)
    elif dense:
        dense_state(sides[0].spec)
    else:
        tell_of_dense_runs(sides)
        show(part, sides)
end_page()
