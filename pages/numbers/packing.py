"""Packed weights of a run: the controls, and what the runtime found out about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from model_runtime.errors import NotFinite, SettingError
from model_runtime.finite import finite
from model_runtime.numbers import quantization_effects
from model_runtime.numbers.quantization import QuantScheme
from model_runtime.numbers.quantization_effects import SCHEMES, LayerErrors, QuantEffect
from model_runtime.records.weights import CloseLook
from pages.numbers.matrices import choose_named, nearest_name
from pages.shared.escape import nth
from pages.shared.figure.provenance import Provenance
from pages.shared.frame import errors as messages
from pages.shared.frame.sides import Side
from pages.shared.settings import url_state as state
from viz.numbers.quant_schemes import KINDS, group_words

GROUPS = {"tensor": "tensor", "channel": "channel", "128": "128", "64": "64", "32": "32"}
SCOPES = {"layer": "this layer", "model": "whole model"}
# setting, label, choices, help
_CONTROLS = (
    ("bits", "Bits", {"8": "8", "4": "4"}, None),
    (
        "kind",
        "Grid",
        KINDS,
        "absmax: from minus the largest weight to plus the largest. Zero point: from the least to "
        "the largest weight, shifted by a whole number of steps.",
    ),
    (
        "group",
        "One scale for",
        GROUPS,
        "Which weights share a scale: the whole tensor, one output's row (channel), or 128, 64 or "
        "32 neighbours of a row.",
    ),
    (
        "scope",
        "Quantize",
        SCOPES,
        "The matrices of the selected layer, or of all layers. Norms, biases, routers, embedding "
        "and head stay as they are.",
    ),
)


@dataclass(frozen=True, eq=False)
class Quantized:
    """A run, its layer's errors under all schemes, and what the packed model says (None: no memory,
    a prompt that cannot be read, or logits that are no numbers)."""

    side: Side
    scheme: QuantScheme
    errors: LayerErrors
    effect: QuantEffect | None

    @property
    def whole(self) -> tuple[float, float] | None:
        """Bits per weight and error of the whole model, where it is packed; else None."""
        return (
            None
            if one_layer() or self.effect is None
            else (self.effect.report.bits, self.effect.report.error)
        )

    @property
    def default_matrix(self) -> str:
        """The matrix that one scale a tensor hurts most: outliers show best there."""
        worst_case = SCHEMES.index(QuantScheme(4, "absmax", "tensor"))
        return self.errors.names[int(self.errors.errors[worst_case].argmax())]

    @property
    def matrix(self) -> str:
        """The matrix looked at closely: the chosen one if this run's layer has it."""
        return nearest_name("matrix", self.errors.names, self.default_matrix)

    def look(self) -> CloseLook:
        """At its matrix under the scheme."""
        return self.side.run.measure(
            quantization_effects.close_look,
            f"Rounding {self.matrix}",
            slow=True,
            layer=self.side.layer,
            name=self.matrix,
            scheme=self.scheme,
        )

    def origin(self, *, layer: bool = True, measured: bool = False, step: int = 1) -> Provenance:
        """Of a figure. `step`: its numbers were measured on every so many rows."""
        rows: dict[str, Any] = {"measured on": f"every {nth(step)} row"} if step > 1 else {}
        return self.side.run.origin(
            "measured" if measured else "computed",
            layer=self.side.layer if layer else None,
            as_it_is=not measured,
            weights=scheme_words(self.scheme),
            **rows,
        )


def one_layer() -> bool:
    """Whether the selected layer alone is packed."""
    return bool(state.get("scope") == "layer")


def controls() -> QuantScheme:
    """Bits, kind, group, and what is quantized."""
    with st.container(horizontal=True, gap="medium"):
        for setting, label, choices, words in _CONTROLS:
            st.segmented_control(
                label,
                [*choices],
                format_func=choices.__getitem__,
                required=True,
                width="content",
                help=words,
                **state.bound(setting),
            )
    return QuantScheme(int(state.get("bits")), state.get("kind"), state.get("group"))


def scheme_words(scheme: QuantScheme) -> str:
    return f"{scheme.bits} bits, {KINDS[scheme.kind]}, {group_words(scheme.group)}"


def quantized_of(side: Side, scheme: QuantScheme) -> Quantized | None:
    """What is known about a run's packed weights; None, and the reason on the page, where nothing can be."""
    layer, name = side.layer, side.spec.name
    packing = f"Packing layer {layer} of {name} in {len(SCHEMES)} ways"
    try:
        errors = side.run.measure(quantization_effects.layer_errors, packing, slow=True, layer=layer)
    except SettingError as error:
        messages.explain(error)
        return None
    if side.run.unread is not None:
        messages.missing(
            "What the packed model says next is left out, because the prompt is not read.",
            "Type a prompt to see it; what packing does to the weights is below.",
        )
        return Quantized(side, scheme, errors, None)
    what = f"layer {layer}" if one_layer() else "all layers"
    try:
        effect = side.run.measure(
            quantization_effects.effect_of,
            f"Packing {what} of {name} in {scheme.bits} bits and running the prompt",
            slow=True,
            scheme=scheme,
            layers=(layer,) if one_layer() else None,
        )
        finite(effect.logits, f"the next token's logits after packing {what}")
    except SettingError as error:
        messages.explain(error)
        effect = None
    except NotFinite as error:
        messages.missing(error.what, "Choose more bits, or what packing does to the weights below.")
        effect = None
    return Quantized(side, scheme, errors, effect)


def choose_matrix(all_quantized: Sequence[Quantized]) -> None:
    """The control of the matrix looked at closely: the current run's."""
    first = all_quantized[0]
    choose_named("matrix", "Matrix", first.errors.names, first.default_matrix)
