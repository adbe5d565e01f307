"""What a part finds for each side, or why it finds nothing; and where the side's figures stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.errors import GlassformerError
from pages.shared.frame.errors import explain, missing
from pages.shared.frame.sides import Side, column, places
from pages.shared.run.opened import NotRead

Found = TypeVar("Found")
Places = list[DeltaGenerator]


def found_by(sides: Sequence[Side], find: Callable[[Side], Found]) -> list[tuple[DeltaGenerator, Found]]:
    """What `find` gives for each side, with the side's place on the page to draw it in."""
    found = []
    for place, side in zip(places(sides), sides, strict=True):
        with column(place, side, prompt=False):
            inside = st.container()
            with inside:
                try:
                    found.append((inside, find(side)))
                except NotRead as error:  # a box above says why
                    missing(error.what, error.remedy)
                except GlassformerError as error:
                    explain(error)
    return found


def beside(side: Side, widths: int | Sequence[int], gap: Literal["small", "medium"] = "medium") -> Places:
    """Places beside each other; below each other where two runs share the page."""
    n = widths if isinstance(widths, int) else len(widths)
    return [st.container() for _ in range(n)] if side.name else st.columns(widths, gap=gap)
