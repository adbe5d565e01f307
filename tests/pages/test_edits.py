"""Interventions as text: what is written is read again, and hostile text is no edit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as speed
from hypothesis import strategies as st

from model_runtime.interventions import (
    CutEdge,
    ForceExperts,
    PositionsOff,
    RopeBase,
    RopeOffset,
    RopeScaling,
    ScaleExpert,
    ScaleHead,
    ScaleMLP,
    ScaleNeuron,
    Steer,
)
from model_runtime.records import LayerSpec
from pages.shared.settings.edit_codes import (
    MOST_EDITS,
    describe,
    format_edit,
    format_edits,
    misfit,
    parse_edit,
    parse_edits,
)
from tests.pages.specs import spec_of

CODES = {
    "h3.5*0": ScaleHead(3, 5),
    "h3.5*0.5@1.2": ScaleHead(3, 5, 0.5, (1, 2)),
    "m3*-1": ScaleMLP(3, -1.0),
    "n3.700*2@0": ScaleNeuron(3, 700, 2.0, (0,)),
    "x3.5*0": ScaleExpert(3, 5),
    "x3.5*0r": ScaleExpert(3, 5, 0.0, True),
    "f3.1.5": ForceExperts(3, (1, 5)),
    "f3.1.5=0.25:0.75@2": ForceExperts(3, (1, 5), (0.25, 0.75), (2,)),
    "c3.5.8.2": CutEdge(3, 5, 8, 2),
    "c3.a.8.2": CutEdge(3, None, 8, 2),
    "base500000": RopeBase(500_000.0),
    "offset-7": RopeOffset(-7),
    "linear*2": RopeScaling("linear", 2.0),
    "ntk*1.5": RopeScaling("ntk", 1.5),
    "nopos": PositionsOff(),
}

INDEX = st.integers(0, 9_999_999)
FACTOR = (
    st.floats(-1e6, 1e6, allow_nan=False)
    .map(lambda value: float(f"{value:.6g}"))
    .filter(lambda value: value == 0 or abs(value) > 1e-6)
)
POSITIONS = st.none() | st.lists(INDEX, min_size=1, max_size=5).map(tuple)
EDITS = st.one_of(
    st.builds(ScaleHead, INDEX, INDEX, FACTOR, POSITIONS),
    st.builds(ScaleMLP, INDEX, FACTOR, POSITIONS),
    st.builds(ScaleNeuron, INDEX, INDEX, FACTOR, POSITIONS),
    st.builds(ScaleExpert, INDEX, INDEX, FACTOR, st.booleans()),
    st.builds(CutEdge, INDEX, st.none() | INDEX, INDEX, INDEX),
    st.builds(RopeOffset, st.integers(-9_999_999, 9_999_999)),
    st.builds(PositionsOff),
)


@pytest.mark.parametrize(("code", "edit"), CODES.items())
def test_codes_by_hand(code: str, edit: object) -> None:
    assert parse_edit(code) == edit
    assert format_edit(edit) == code  # type: ignore[arg-type]


@given(st.lists(EDITS, max_size=10, unique=True))
@speed(max_examples=300, deadline=None)
def test_what_is_written_is_read_again(edits: list[ScaleHead]) -> None:
    assert parse_edits(format_edits(edits)) == tuple(edits)


@given(st.one_of(st.text(max_size=40), st.text("hmnxfc0123456789.*@=:_-eranopsbtklif ", max_size=60)))
@speed(max_examples=500, deadline=None)
def test_hostile_text_never_raises_and_stays_canonical(text: str) -> None:
    edits = parse_edits(text)
    assert parse_edits(format_edits(edits)) == edits


@pytest.mark.parametrize(
    "code",
    [
        "",
        "h3.5",
        "h3.5*nan",
        "h3.5*inf",
        "h3.5*1e300",
        "h-1.5*0",
        "h3.5*0@",
        "x3.5*0rr",
        "base-1",
        "base0",
        "base0.5",  # a record that refuses to be made
        "linear*0",
        "f3.1.5=0.5",
        "f3.1=nan",
        "h99999999.1*0",
        "offset1.5",
        "c3.b.1.2",
        "nopos ",
        "h3.5*0\n",
    ],
)
def test_what_is_no_edit(code: str) -> None:
    assert parse_edit(code) is None


def test_a_link_holds_a_bounded_number_of_edits() -> None:
    assert len(parse_edits("_".join(f"m{layer}*0" for layer in range(900)))) == MOST_EDITS


def test_vectors_do_not_fit_in_a_link() -> None:
    with pytest.raises(ValueError, match="Steer"):
        format_edit(Steer("resid_post", 1, (0.0, 1.0)))


def test_an_edit_is_told_in_words() -> None:
    assert describe(ScaleHead(3, 5)) == "head 5 of layer 3 off"
    assert describe(ScaleHead(3, 5, 2.0, (1,))) == "head 5 of layer 3 times 2 at token 1"
    assert describe(ForceExperts(0, (1, 2))) == "layer 0 routed to experts 1, 2"
    forced = [describe(ForceExperts(0, (1, 2), weights, (3,))) for weights in ((0.9, 0.1), (0.1, 0.9))]
    assert forced[0] == "layer 0 routed to experts 1, 2 with weights 0.9, 0.1 at token 3"
    assert forced[0] != forced[1]
    assert describe(CutEdge(3, None, 8, 2)) == "token 8 may not read token 2 in all heads of layer 3"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (ScaleHead(1, 1), None),
        (ScaleHead(2, 0), "its layers end at 1"),
        (ScaleHead(0, 2), "its heads end at 1"),
        (CutEdge(0, None, 1, 0), None),
        (ScaleExpert(0, 0), "this model has no experts"),
        (ForceExperts(0, (0,)), "this model has no experts"),
        (ScaleNeuron(0, 32), "its neurons end at 31"),
        (RopeBase(100.0), None),
        (ScaleHead(0, 0, 0.0, (9,)), None),
        (ScaleHead(0, 0, 0.0, (2, 10)), "the prompt ends at token 9"),
        (CutEdge(0, 0, 10, 1), "the prompt ends at token 9"),
        (CutEdge(0, 0, 3, 4), "no token reads a later one"),
    ],
)
def test_what_does_not_fit_the_model_is_named(edit: ScaleHead, reason: str | None) -> None:
    assert misfit(edit, spec_of(), 10) == reason


MIXED = spec_of(
    n_experts=4,
    experts_per_token=2,
    layers=(LayerSpec(True, None, True, 10_000.0), LayerSpec(True, None, False, 10_000.0)),
)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("f0.1.2", None),
        ("f0.1.2=0.9:0.1", None),
        ("f0.1.2=2:-1", None),
        ("f0.1.2=-1:1", "the experts' weights must add up to more than 0"),
        ("f0.1.2=1e6:-1e6", "the experts' weights must add up to more than 0"),
        ("f0.1.2=0:0", "the experts' weights must add up to more than 0"),
        ("f0.1.2=-1:-1", "the experts' weights must add up to more than 0"),
        ("f0.1", "its routers choose 2 different experts for a token"),
        ("f0.1.1", "its routers choose 2 different experts for a token"),
        ("f0.1.2.3", "its routers choose 2 different experts for a token"),
        ("f0.1.4", "its experts end at 3"),
        ("f1.1.2", "that layer has no experts"),
        ("x1.1*0", "that layer has no experts"),
        ("n0.1*0", "that layer has experts instead of one MLP"),
        ("n1.1*0", None),
    ],
)
def test_what_a_mixture_of_experts_cannot_take_is_named(code: str, reason: str | None) -> None:
    edit = parse_edit(code)
    assert edit is not None
    assert misfit(edit, MIXED, 10) == reason


def test_rotary_edits_need_rotary_positions() -> None:
    assert misfit(RopeOffset(3), spec_of(positions="learned"), 10) == "this model has no rotary positions"
