"""A run with values that are not finite: said once on every page, and no part is built on such a value."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model_runtime.errors import NotFinite
from model_runtime.finite import Finiteness
from pages.shared.escape import plain, quoted
from pages.shared.frame.contents import Part
from pages.shared.frame.sides import Side
from pages.shared.run.opened import PageRun


def tell(side: Side) -> None:
    """Where a run's numbers end, what that means and what to do, in a box; nothing where all are finite."""
    run = side.run
    if run.unread is not None:
        return
    found = run.finiteness
    if found.first is not None:
        name = "this run" if side.clickable else "the pinned run"
        lines = _where(found, run, name), _means(found), _way_on(run)
        st.warning("  \n".join(lines), title="Not all are numbers")


def _where(found: Finiteness, run: PageRun, name: str) -> str:
    first, n = found.first, len(run.tokens)
    assert first is not None
    place = first.what if first.layer is None else f"{first.what} in layer {first.layer}"
    if first.what == "the logits":
        return f"In {name} {found.logits:,} of {found.d_vocab:,} logits are infinite or not a number (NaN)."
    if first.too_large:
        return (
            f"In {name} numbers become so large that their squares have no place in float32, which ends at "
            f"3.4 × 10³⁸. The first are in {place}, at token {first.position} "
            f"{quoted(run.texts[first.position])}; {first.n_positions:,} of {n:,} tokens have them there."
        )
    return (
        f"In {name} numbers become infinite (∞) or no number (NaN). The first are in {place}, at token "
        f"{first.position} {quoted(run.texts[first.position])}; {first.n_positions:,} of {n:,} tokens have "
        "them there."
    )


def _means(found: Finiteness) -> str:
    assert found.first is not None
    if found.first.too_large:
        flat = "The logits of the next token are what is left then, and no finding. " if found.logits else ""
        return (
            "The norm behind them divides by the root of these squares: it gives zeros or no number (NaN), "
            f"whatever came in. {flat}Parts that would compare such values are left out; what comes before "
            "them is measured as ever."
        )
    lost = f"{found.logits:,} of {found.d_vocab:,} logits of the next token are no numbers: it has no "
    return (
        "∞ lies beyond the largest number of the format; ∞ divided by ∞ is no number, and what is computed "
        f"with one becomes one. {lost + 'probabilities. ' if found.logits else ''}Parts that would compare "
        "such values are left out; what comes before them is measured as ever."
    )


def _way_on(run: PageRun) -> str:
    if run.interventions:
        return (
            "Undo the edit that does it (✕ on top of the page), or choose a wider number format under *More*."
        )
    if run.spec.dtype == "float16":
        return "Choose float32 or bfloat16 as the number format under *More*: they reach further."
    return (
        f"The file of {plain(run.spec.name)} itself leads there: choose another model or another copy of it."
    )


def whole(found: Finiteness) -> None:
    """Let pass a run that is finite throughout.

    Raises:
        NotFinite: it is not.
    """
    if found.first is not None:
        are = "too large to be squared" if found.first.too_large else "infinite or not a number"
        raise NotFinite(
            f"This picture compares values that are {are} here: nothing true can be drawn of them.",
            "The box above says where they come from and what to do.",
        )


def check(part: Part, sides: Sequence[Side]) -> None:
    """Let pass the parts whose values are finite in all runs that are drawn.

    Raises:
        NotFinite: a part would be built on a value that is not.
    """
    if part.reads == "nothing":
        return
    for side in sides:
        if side.run.unread is not None:
            continue  # nothing of a run is drawn
        found = side.run.finiteness
        if part.reads == "layer" and not found.spoils(side.layer):
            continue
        if part.reads == "model" and found.first is not None:
            found = side.run.under(()).finiteness
        whole(found)
