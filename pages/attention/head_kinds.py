"""The kinds of heads found on a prompt: how many, the clearest few, and where to see absent ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from model_runtime.errors import GlassformerError
from model_runtime.records import HeadMeasures
from pages.shared.escape import counted, quoted
from pages.shared.figure.live_figure import Click
from pages.shared.frame.examples import EXAMPLES, OPENING, Example
from pages.shared.frame.opening import measures_for
from pages.shared.frame.sides import Side
from pages.shared.run import runs
from pages.shared.run.opened import opened
from pages.shared.settings import url_state as state
from viz.attention.heads import MEASURES, KindFound, kinds_found, strongest, values_of

MOST_NAMED = 4  # heads of a kind
COLUMNS = {"normal": 3, "large": 2}  # by text size
_BY_MEASURE = {example.settings["measure"]: example for example in EXAMPLES if "measure" in example.settings}


def example_of(measure: str) -> Example:
    """The example that shows the heads of a measure."""
    return _BY_MEASURE[measure]


def list_of_kinds(sides: Sequence[Side], several: Sequence[HeadMeasures]) -> None:
    """The list for each run; where it is the current one, every head named is a button."""
    st.subheader("Kinds of heads on this prompt", anchor=False)
    st.markdown(
        f"The same {counted(several[0].entropy.size, 'head')}, sorted by what they do here. A head can be "
        "of several kinds, and of another kind on another prompt. Choose one to see it."
    )
    cards = [
        (side, measures, found)
        for kinds in zip(*(kinds_found(measures) for measures in several), strict=True)
        for side, measures, found in zip(sides, several, kinds, strict=True)
    ]
    width = len(sides) if len(sides) > 1 else COLUMNS[state.get("text")]
    for start in range(0, len(cards), width):
        for place, card in zip(st.columns(width), cards[start : start + width], strict=False):
            with place.container(border=True, height="stretch"):
                _kind(*card)


def _kind(side: Side, measures: HeadMeasures, found: KindFound) -> None:
    kind, n_heads = found.kind, measures.entropy.size
    if not found.heads:
        count = "cannot be told" if not found.tells else "none here"
    else:
        count = f"{len(found.heads):,} of {counted(n_heads, 'head')}"
        if len(found.heads) > MOST_NAMED:
            count += f", the strongest {MOST_NAMED} named"
    run = f" · {side.name.lower()}" if side.name else ""
    st.markdown(f"**{kind.title}**{run} · {count}")
    st.caption(
        f"{kind.does[0].upper()}{kind.does[1:]}: {kind.rule} ({kind.source}).{_basis(measures, found)}"
    )
    if found.heads:
        _heads(side, found)
    else:
        _absent(side, measures, found)


def _basis(measures: HeadMeasures, found: KindFound) -> str:
    """How much of the prompt the finding stands on, where that is little."""
    if found.kind.key not in ("induction", "duplicate") or not found.tells:
        return ""
    return f" Judged by {counted(measures.n_repeated, 'token')} that came before."


def _heads(side: Side, found: KindFound) -> None:
    written = MEASURES[found.kind.key].written
    names = {(layer, head): f"L{layer} H{head} · {written(v)}" for layer, head, v in found.heads[:MOST_NAMED]}
    if not side.clickable:
        st.markdown(", ".join(names.values()))
        return
    key = f"gf.kind.{found.kind.key}"
    chosen = (side.layer, side.head)
    st.session_state[key] = chosen if chosen in names else None
    st.pills(
        f"The clearest: {found.kind.title}",
        [*names],
        format_func=names.__getitem__,
        label_visibility="collapsed",
        key=key,
        on_change=_choose,
        args=(key, found.kind.key),
    )


def _choose(key: str, measure: str) -> None:
    place = st.session_state[key]
    if place is not None:  # a second click on the chosen one lets it go: it stays chosen
        state.set(layer=place[0], head=place[1], measure=measure)


def _absent(side: Side, measures: HeadMeasures, found: KindFound) -> None:
    """Why there is none, and the way to a prompt that has some."""
    st.markdown(_reason(measures, found))
    if side.clickable:
        example_button(found.kind.key, "kinds")


def _reason(measures: HeadMeasures, found: KindFound) -> str:
    if not found.tells:
        repeats = found.kind.key in ("induction", "duplicate")
        return "No token of this prompt comes twice." if repeats else "The prompt is too short."
    values = values_of(measures, found.kind.key)
    best = strongest(values)
    assert best is not None
    value = float(values[best])
    if found.kind.key == "distance":
        return "Every head of this model looks further back on this prompt."
    return f"No head of this model does it here: the most is L{best[0]} H{best[1]} with " + (
        f"{MEASURES[found.kind.key].written(value)}."
    )


def example_button(measure: str, place: str, label: str = "") -> None:
    """A button that opens the example of a measure, on the head that shows it most clearly in this model."""
    example = example_of(measure)
    st.button(
        label or f"{OPENING}{example.sees}",
        key=f"gf.example.{place}.{measure}",
        width="stretch",
        help=quoted(example.prompt, 120),
        on_click=_open,
        args=(example, measure),
    )


def _open(example: Example, measure: str) -> None:
    """Take the example's prompt, and the head that is clearest there in this model."""
    place = {key: example.settings[key] for key in ("layer", "head")}
    try:
        run = opened(replace(runs.current_run(), prompt=example.prompt, edits=()))
        found = next(kind for kind in kinds_found(measures_for(run)) if kind.kind.key == measure)
    except GlassformerError:  # the page will say it
        found = None
    if found is not None and found.heads:
        place = {"layer": found.heads[0][0], "head": found.heads[0][1]}
    state.forget_refused()
    state.set(**{**example.opens, "model": state.get("model"), **place})


def choose_head(click: Click) -> None:
    """Take the head of a clicked cell."""
    if isinstance(click.point, tuple):
        state.set(layer=click.point[0], head=click.point[1])
