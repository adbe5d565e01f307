"""Interventions as compact text, so that a link carries them: `h3.5*0` cuts head 5 of layer 3.

| code | edit |
|---|---|
| `h3.5*0`, `h3.5*0@1.2` | scale a head (at positions 1 and 2 only) |
| `m3*0` | scale what a layer's MLP adds |
| `n3.700*2` | scale a neuron |
| `x3.5*0`, `x3.5*0r` | scale an expert (renormalise the others) |
| `f3.1.5`, `f3.1.5=0.5:0.5@2` | force experts 1 and 5 (with weights) |
| `c3.5.8.2`, `c3.a.8.2` | cut the edge from query 8 to key 2 in head 5 (in all heads) |
| `base500000`, `offset7`, `linear*2`, `ntk*2`, `nopos` | RoPE base, offset, scaling; positions off |

Several edits are joined with `_`. Patches and steering vectors hold as many numbers as the model is
wide: they have no code and do not fit in a link.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from model_runtime.errors import InterventionError
from model_runtime.interventions import (
    CutEdge,
    ForceExperts,
    Intervention,
    PositionsOff,
    RopeBase,
    RopeOffset,
    RopeScaling,
    ScaleExpert,
    ScaleHead,
    ScaleMLP,
    ScaleNeuron,
)
from model_runtime.records import ModelSpec
from viz.style import round_number

MOST_EDITS = 64
LARGEST_FACTOR = 1e6
_INDEX = r"([0-9]{1,7})"
_INDICES = r"[0-9]{1,7}(?:\.[0-9]{1,7}){0,63}"
_NUMBER = r"(-?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(?:e[+-]?[0-9]{1,3})?)"
_AT = rf"(?:@({_INDICES}))?"
_PATTERNS = {
    "head": re.compile(rf"h{_INDEX}\.{_INDEX}\*{_NUMBER}{_AT}"),
    "mlp": re.compile(rf"m{_INDEX}\*{_NUMBER}{_AT}"),
    "neuron": re.compile(rf"n{_INDEX}\.{_INDEX}\*{_NUMBER}{_AT}"),
    "expert": re.compile(rf"x{_INDEX}\.{_INDEX}\*{_NUMBER}(r?)"),
    "force": re.compile(rf"f{_INDEX}\.({_INDICES})(?:=([0-9.e:+-]{{1,400}}))?{_AT}"),
    "cut": re.compile(rf"c{_INDEX}\.(a|[0-9]{{1,7}})\.{_INDEX}\.{_INDEX}"),
    "base": re.compile(rf"base{_NUMBER}"),
    "offset": re.compile(r"offset(-?[0-9]{1,7})"),
    "scaling": re.compile(rf"(linear|ntk)\*{_NUMBER}"),
    "nopos": re.compile(r"nopos"),
}


def format_edit(edit: Intervention) -> str:
    """The code of one edit.

    >>> format_edit(ScaleHead(3, 5))
    'h3.5*0'

    Raises:
        ValueError: the edit holds vectors and has no code.
    """
    match edit:
        case ScaleHead(layer, head, factor, positions):
            return f"h{layer}.{head}*{_number(factor)}{_at(positions)}"
        case ScaleMLP(layer, factor, positions):
            return f"m{layer}*{_number(factor)}{_at(positions)}"
        case ScaleNeuron(layer, neuron, factor, positions):
            return f"n{layer}.{neuron}*{_number(factor)}{_at(positions)}"
        case ScaleExpert(layer, expert, factor, renormalise):
            return f"x{layer}.{expert}*{_number(factor)}{'r' if renormalise else ''}"
        case ForceExperts(layer, experts, weights, positions):
            shares = "=" + ":".join(_number(weight) for weight in weights) if weights else ""
            return f"f{layer}.{_dots(experts)}{shares}{_at(positions)}"
        case CutEdge(layer, head, query_pos, key_pos):
            return f"c{layer}.{'a' if head is None else head}.{query_pos}.{key_pos}"
        case RopeBase(base):
            return f"base{_number(base)}"
        case RopeOffset(offset):
            return f"offset{offset}"
        case RopeScaling(kind, factor):
            return f"{kind}*{_number(factor)}"
        case PositionsOff():
            return "nopos"
    raise ValueError(f"{type(edit).__name__} holds vectors and does not fit in a link.")


def parse_edit(code: str) -> Intervention | None:
    """The edit that `code` stands for, or None where it stands for none (never raises).

    >>> parse_edit("h3.5*0")
    ScaleHead(layer=3, head=5, factor=0.0, positions=None)
    """
    for name, pattern in _PATTERNS.items():
        found = pattern.fullmatch(code)
        if found:
            try:
                return _edit_of(name, found.groups())
            except InterventionError:
                return None
    return None


def _edit_of(name: str, parts: tuple[str | None, ...]) -> Intervention | None:
    """The record behind a matched code; None where a number is out of all reason."""
    words = [part or "" for part in parts]
    if name == "nopos":
        return PositionsOff()
    if name == "offset":
        return RopeOffset(int(words[0]))
    if name == "cut":
        head = None if words[1] == "a" else int(words[1])
        return CutEdge(int(words[0]), head, int(words[2]), int(words[3]))
    if name == "force":
        weights = _weights(words[2])
        experts = _positions(words[1]) or ()
        if weights is None or (weights and len(weights) != len(experts)):
            return None
        return ForceExperts(int(words[0]), experts, weights or None, _positions(words[3]))
    factor = float(words[{"head": 2, "mlp": 1, "neuron": 2, "expert": 2, "base": 0, "scaling": 1}[name]])
    if abs(factor) > (1e12 if name == "base" else LARGEST_FACTOR):
        return None
    match name:
        case "head":
            return ScaleHead(int(words[0]), int(words[1]), factor, _positions(words[3]))
        case "mlp":
            return ScaleMLP(int(words[0]), factor, _positions(words[2]))
        case "neuron":
            return ScaleNeuron(int(words[0]), int(words[1]), factor, _positions(words[3]))
        case "expert":
            return ScaleExpert(int(words[0]), int(words[1]), factor, words[3] == "r")
        case "base":
            return RopeBase(factor)
    return RopeScaling(words[0], factor)


def parse_edits(text: str) -> tuple[Intervention, ...]:
    """All edits of a link, in order, each once; what is no code is left out."""
    edits = [parse_edit(code) for code in text[:4000].split("_")]
    return tuple(dict.fromkeys(edit for edit in edits if edit is not None))[:MOST_EDITS]


def unread(text: str) -> list[str]:
    """The codes of a link that `parse_edits` leaves out: no edits, or too many of them."""
    codes = [code for code in text.split("_") if code]
    kept = {*parse_edits(text)}
    return [code for code in codes if parse_edit(code[:4000]) not in kept]


def format_edits(edits: Iterable[Intervention]) -> str:
    """The text of several edits, as `parse_edits` reads it."""
    return "_".join(format_edit(edit) for edit in edits)


def describe(edit: Intervention) -> str:
    """The edit in a few words for people: "head 5 of layer 3 off"."""
    match edit:
        case ScaleHead(layer, head, factor, positions):
            return f"head {head} of layer {layer} {_scaled(factor)}{_where(positions)}"
        case ScaleMLP(layer, factor, positions):
            return f"MLP of layer {layer} {_scaled(factor)}{_where(positions)}"
        case ScaleNeuron(layer, neuron, factor, positions):
            return f"neuron {neuron} of layer {layer} {_scaled(factor)}{_where(positions)}"
        case ScaleExpert(layer, expert, factor, renormalise):
            rest = ", the others scaled up" if renormalise else ""
            return f"expert {expert} of layer {layer} {_scaled(factor)}{rest}"
        case ForceExperts(layer, experts, weights, positions):
            shares = f" with weights {', '.join(map(round_number, weights))}" if weights else ""
            asked = f"{'expert' if len(experts) == 1 else 'experts'} {', '.join(map(str, experts))}"
            return f"layer {layer} routed to {asked}{shares}{_where(positions)}"
        case CutEdge(layer, head, query_pos, key_pos):
            heads = "all heads" if head is None else f"head {head}"
            return f"token {query_pos} may not read token {key_pos} in {heads} of layer {layer}"
        case RopeBase(base):
            return f"RoPE base {base:,.0f}"
        case RopeOffset(offset):
            return f"positions moved by {offset}"
        case RopeScaling(kind, factor):
            return f"context stretched {round_number(factor)} times ({kind})"
        case PositionsOff():
            return "positions off"
    return type(edit).__name__


def misfit(edit: Intervention, spec: ModelSpec, n_tokens: int) -> str | None:
    """Why `edit` cannot be made on a model of this shape and a prompt of this length, in a few words.

    None where it can, as far as shape and length tell; the runtime checks the rest by itself.
    """
    for name, count in (("layer", spec.n_layers), ("head", spec.n_heads), ("expert", spec.n_experts)):
        index = getattr(edit, name, None)
        if index is not None and index >= count:
            return _ends(name, count)
    if isinstance(edit, ScaleExpert | ForceExperts) and (wrong := _misrouted(edit, spec)):
        return wrong
    if isinstance(edit, ScaleNeuron):
        if spec.layers[edit.layer].sparse:
            return "that layer has experts instead of one MLP"
        if edit.neuron >= spec.d_mlp:
            return _ends("neuron", spec.d_mlp)
    if isinstance(edit, CutEdge) and edit.key_pos > edit.query_pos:
        return "no token reads a later one"
    if isinstance(edit, RopeBase | RopeOffset | RopeScaling) and spec.positions != "rope":
        return "this model has no rotary positions"
    positions = getattr(edit, "positions", None) or ()
    furthest = max(*positions, getattr(edit, "query_pos", 0), getattr(edit, "key_pos", 0))
    return f"the prompt ends at token {n_tokens - 1}" if furthest >= n_tokens else None


def _misrouted(edit: ScaleExpert | ForceExperts, spec: ModelSpec) -> str | None:
    """Why a layer of this model cannot route as an edit says."""
    forced = edit.experts if isinstance(edit, ForceExperts) else ()
    if not spec.n_experts or any(expert >= spec.n_experts for expert in forced):
        return _ends("expert", spec.n_experts)
    if not spec.layers[edit.layer].sparse:
        return "that layer has no experts"
    if isinstance(edit, ScaleExpert):
        return None
    k = spec.experts_per_token
    if len(set(forced)) != k or len(forced) != k:
        return f"its routers choose {k} different {'experts' if k > 1 else 'expert'} for a token"
    if edit.weights is not None and not sum(edit.weights) > 0:
        return "the experts' weights must add up to more than 0"
    return None


def fitting(edits: Iterable[Intervention], spec: ModelSpec, n_tokens: int) -> tuple[Intervention, ...]:
    """Those of `edits` that this model and prompt can take."""
    return tuple(edit for edit in edits if misfit(edit, spec, n_tokens) is None)


def _ends(name: str, count: int) -> str:
    return f"this model has no {name}s" if count == 0 else f"its {name}s end at {count - 1}"


def _number(value: float) -> str:
    return f"{value:.9g}".replace("e+", "e")


def _dots(indices: Iterable[int]) -> str:
    return ".".join(map(str, indices))


def _at(positions: tuple[int, ...] | None) -> str:
    return "" if positions is None else f"@{_dots(positions)}"


def _positions(text: str) -> tuple[int, ...] | None:
    return tuple(map(int, text.split("."))) if text else None


def _weights(text: str) -> tuple[float, ...] | None:
    """The numbers of `0.5:0.5`; an empty tuple for no text; None where one is no sensible weight."""
    if not text:
        return ()
    try:
        weights = tuple(map(float, text.split(":")))
    except ValueError:
        return None
    return weights if all(math.isfinite(w) and abs(w) <= LARGEST_FACTOR for w in weights) else None


def _scaled(factor: float) -> str:
    return "off" if factor == 0 else f"times {round_number(factor)}"


def _where(positions: tuple[int, ...] | None) -> str:
    return "" if positions is None else f" at token {', '.join(map(str, positions))}"
