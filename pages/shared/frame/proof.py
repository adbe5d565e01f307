"""The self-proof: the runtime checks its own capture on the current prompt, in front of the visitor."""

from __future__ import annotations

import math

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.proof import ProofCheck, self_proof
from pages.shared.escape import plain
from pages.shared.frame import errors
from pages.shared.frame.sides import sides
from pages.shared.run import runtime
from viz.style import three_digits

_ASKED = "gf.proof"
WHY = "Recomputes the captured numbers from one another and shows the largest error."
_TEACHES = """
Every picture here is drawn from values caught inside the model. They can be checked against one another,
because one is computed from the other: the scores after the softmax must be the pattern, the pattern times
the values must be what the head puts out, and so on.

The largest error is seldom 0. Numbers in a computer have few digits (float32 about 7, float16 about 3,
bfloat16 between 2 and 3), and a sum in another order is rounded elsewhere. Choose another number format
under *More* and run the check again: the errors grow, the equations stay true.
"""
# The checks by their formulas, in words.
_WORDS = {
    "softmax of scores = the family's own pattern": "A head's shares of attention follow from its scores",
    "each pattern row (and its sink) sums to 1": "Each token hands out exactly one whole of attention",
    "pattern x v = z": "A head puts out the values it read, in these shares",
    "resid_pre + attn_out + mlp_out = resid_post": "A block adds attention and MLP to the stream, no more",
    "rotated q and k = rot_q and rot_k": "Queries and keys are turned by their position",
    "head of ln_final = logits": "The last stream, compared with every token, gives their scores",
}


def ask() -> None:
    """Open the proof at the next run."""
    st.session_state[_ASKED] = True


def show_if_asked() -> None:
    """The dialog, once, after its button was pressed. Called last, so that the page stands behind it."""
    if st.session_state.get(_ASKED, False):
        _dialog()
        # Only now: a run that is interrupted on the way (a figure reporting itself) opens it at the next.
        st.session_state[_ASKED] = False


@st.dialog("Are these numbers the model's own?", width="large")
def _dialog() -> None:
    st.markdown(_TEACHES)
    run = sides()[0].run
    try:
        with runtime.working("Checking the captured numbers"), runtime.turns().take():
            proof = self_proof(run.model, run.prompt, interventions=run.interventions)
    except GlassformerError as error:
        errors.explain(error)
        return
    st.table(
        {
            "Check": [_WORDS.get(check.name, plain(check.name)) for check in proof.checks],
            "As a formula": [plain(check.name) for check in proof.checks],
            "Largest error": [_error(check) for check in proof.checks],
            "Allowed": [_allowed(check) for check in proof.checks],
            "Outcome": [plain(_outcome(check)) for check in proof.checks],
        },
        hide_index=True,
        alt="The checks of the capture with their largest error",
    )
    spec = run.spec
    where = f"{plain(spec.name)}, {plain(spec.dtype)}, {plain(spec.device)}"
    st.caption(f"On {where}, for the prompt on top.")


def _error(check: ProofCheck) -> str:
    return "–" if check.reason_skipped else three_digits(check.largest_error)


def _allowed(check: ProofCheck) -> str:
    if check.reason_skipped:
        return "–"
    return "exactly 0" if check.tolerance == 0 else three_digits(check.tolerance)


def _outcome(check: ProofCheck) -> str:
    if check.reason_skipped:
        return f"does not apply: {check.reason_skipped}"
    if not math.isfinite(check.largest_error):
        return "cannot be checked: not all of its values are numbers"
    where = f", largest in layer {check.layer}" if check.largest_error and check.layer is not None else ""
    return ("holds" if check.ok else "FAILS") + where
