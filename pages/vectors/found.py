"""What a part finds for each side; where it finds nothing, the reason stands in the side's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.errors import GlassformerError
from pages.shared.frame.errors import explain
from pages.shared.frame.sides import Side, column, places

Found = TypeVar("Found")


def found_by(sides: Sequence[Side], find: Callable[[Side], Found]) -> list[tuple[DeltaGenerator, Found]]:
    """What `find` gives for each side, with the side's place on the page to draw it in."""
    found = []
    for place, side in zip(places(sides), sides, strict=True):
        with column(place, side, prompt=False):
            inside = st.container()
            with inside:
                try:
                    found.append((inside, find(side)))
                except GlassformerError as error:
                    explain(error)
    return found
