"""Packed weights of a run: the controls, and what the runtime found out about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from model_runtime.errors import SettingError
from model_runtime.numbers import quantization_effects
from model_runtime.numbers.quantization import QuantScheme
from model_runtime.numbers.quantization_effects import SCHEMES, CloseLook, LayerErrors, QuantEffect
from pages.numbers.matrices import choose_named, nearest_name
from pages.shared.escape import nth
from pages.shared.frame import errors as messages
from pages.shared.frame.sides import Drawing
from pages.shared.run import measurements, runtime
from pages.shared.settings import url_state as state
from viz.numbers.quant_schemes import group_words

KINDS = {"absmax": "absmax", "zero_point": "zero point"}
GROUPS = {"tensor": "tensor", "channel": "channel", "128": "128", "64": "64", "32": "32"}
SCOPES = {"layer": "this layer", "model": "whole model"}
_WORST_CASE = SCHEMES.index(QuantScheme(4, "absmax", "tensor"))


@dataclass(frozen=True, eq=False)
class Side:
    """A run, its layer's errors under all schemes, and what the packed model says (None: no memory)."""

    drawing: Drawing
    errors: LayerErrors
    effect: QuantEffect | None


def controls() -> None:
    """Bits, kind, group, and what is quantized."""
    with st.container(horizontal=True, gap="medium"):
        st.segmented_control("Bits", ["8", "4"], required=True, width="content", **state.bound("bits"))
        st.segmented_control(
            "Grid",
            [*KINDS],
            format_func=KINDS.__getitem__,
            required=True,
            width="content",
            help="absmax: from minus the largest weight to plus the largest. Zero point: from the least to "
            "the largest weight, shifted by a whole number of steps.",
            **state.bound("kind"),
        )
        st.segmented_control(
            "One scale for",
            [*GROUPS],
            format_func=GROUPS.__getitem__,
            required=True,
            width="content",
            help="Which weights share a scale: the whole tensor, one output's row (channel), or 128, 64 or "
            "32 neighbours of a row.",
            **state.bound("group"),
        )
        st.segmented_control(
            "Quantize",
            [*SCOPES],
            format_func=SCOPES.__getitem__,
            required=True,
            width="content",
            help="The matrices of the selected layer, or of all layers. Norms, biases, routers, embedding "
            "and head stay as they are.",
            **state.bound("scope"),
        )


def scheme_of_controls() -> QuantScheme:
    return QuantScheme(int(state.get("bits")), state.get("kind"), state.get("group"))


def scheme_words(scheme: QuantScheme) -> str:
    return f"{scheme.bits} bits, {KINDS[scheme.kind]}, {group_words(scheme.group)}"


def errors_of(drawing: Drawing) -> LayerErrors:
    """All schemes on the layer's matrices, once for all visitors."""
    model, layer = runtime.model_for(drawing.run), drawing.layer
    return runtime.computed(
        drawing.run,
        ("quant errors", layer),
        lambda: quantization_effects.layer_errors(model, layer),
        words=f"Packing layer {layer} of {model.spec.name} in {len(SCHEMES)} ways",
        slow=True,
    )


def side_of(drawing: Drawing, scheme: QuantScheme) -> Side | None:
    """What is known about a run's packed weights; None, and the reason on the page, where nothing can be."""
    layers = (drawing.layer,) if state.get("scope") == "layer" else None
    try:
        errors = errors_of(drawing)
    except SettingError as error:
        messages.explain(error)
        return None
    try:
        effect = measurements.quantized_for(drawing.run, scheme, layers)
    except SettingError as error:
        messages.explain(error)
        effect = None
    return Side(drawing, errors, effect)


def whole_of(side: Side) -> tuple[float, float] | None:
    """Bits per weight and error of the whole model, where it is packed; else None."""
    if state.get("scope") == "layer" or side.effect is None:
        return None
    report = side.effect.report
    return 8 * report.bytes_after / report.n_weights, report.error


def look_of(side: Side, scheme: QuantScheme, name: str) -> CloseLook:
    model, layer = runtime.model_for(side.drawing.run), side.drawing.layer
    return runtime.computed(
        side.drawing.run,
        ("quant look", layer, name, scheme),
        lambda: quantization_effects.close_look(model, layer, name, scheme),
        words=f"Rounding {name}",
        slow=True,
    )


def sampled(step: int) -> dict[str, str]:
    """For a figure's caption: which rows were measured, where not all were."""
    return {"measured on": f"every {nth(step)} row"} if step > 1 else {}


def default_matrix(side: Side) -> str:
    """The matrix that one scale a tensor hurts most: outliers show best there."""
    return side.errors.names[int(np.argmax(side.errors.errors[_WORST_CASE]))]


def matrix_names(sides: Sequence[Side]) -> list[str]:
    """The matrix looked at closely in each run; the control is the current run's."""
    names = [choose_named("matrix", "Matrix", sides[0].errors.names, default_matrix(sides[0]))]
    for side in sides[1:]:
        names.append(nearest_name("matrix", side.errors.names, default_matrix(side)))
    return names
