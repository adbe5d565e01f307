"""What every head is worth: each switched off in turn, some layers at a time, and drawn as they come.

The work is cut into parts of a few layers, each kept for all visitors under its own key. The fragment here
makes one part at a time and draws what there is, so that the overview fills while one looks at it, and who
stops or leaves loses nothing that is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import streamlit as st

from model_runtime.attention.worth import head_worth
from model_runtime.records import HeadWorth
from model_runtime.records.counts import counted
from pages.attention.head_kinds import choose_head
from pages.attention.head_switch import effect_of, heads_off, next_token
from pages.shared.escape import plain
from pages.shared.figure.live_figure import Click, live_figure
from pages.shared.frame.page import showing_errors
from pages.shared.frame.sides import Side, sides
from pages.shared.run.opened import PageRun
from pages.shared.run.waiting import bar_words, duration
from pages.shared.settings import url_state as state
from pages.shared.settings.table import TOP_CANDIDATE
from viz.attention.head_grid import HeadGrid, head_grid_figure
from viz.attention.heads import WORTH
from viz.attention.worth import effect_words, worth_of_layers, worth_record, worth_top
from viz.style import quoted

PICTURES = 10  # parts of a sweep
UNASKED_SECONDS = 30.0  # what is expected to take longer waits for a button
_PAUSE = 0.05  # seconds from one part to the next
_GOES = "gf.worth.goes"  # (settings of the run, token, whether its sweep goes on)
_BEGAN = "gf.worth.began"  # (settings of the run, token, when, share done then)
_CHOSEN = "gf.worth.chosen"  # a head was chosen in the fragment


def asks(run: PageRun) -> str:
    """What the measure answers here, with the token by its name."""
    which = "likeliest" if next_token(run) == int(run.logits.argmax()) else "chosen"
    return (
        f"{WORTH.name}: how much the {which} next token, {plain(_named(run))}, loses at the end of the "
        "prompt when the head is off; below 0 it gains. Choose another token on the Next token page."
    )


def back_to_likeliest(run: PageRun) -> None:
    """Where another next token was chosen: the way back."""
    if next_token(run) != int(run.logits.argmax()):
        st.button(
            "Take the likeliest next token",
            key="gf.worth.likeliest",
            on_click=state.set,
            kwargs={"candidate": TOP_CANDIDATE},
        )


def _named(run: PageRun) -> str:
    return quoted(run.text_of(next_token(run)))


def parts_of(n_layers: int) -> list[tuple[int, ...]]:
    """The layers of each part, from the last one up: its heads take least, so the first picture comes soon.

    >>> parts_of(3)
    [(2,), (1,), (0,)]
    """
    size = -(-n_layers // PICTURES)
    return [tuple(range(max(end - size, 0), end)) for end in range(n_layers, 0, -size)]


def worth_so_far(run: PageRun) -> HeadWorth | None:
    """What is measured of the run's sweep; never waits."""
    token, spec = next_token(run), run.spec
    kept = (run.known(head_worth, token=token, layers=layers) for layers in parts_of(spec.n_layers))
    return worth_of_layers([part for part in kept if part is not None], spec.n_layers, spec.n_heads)


def is_done(run: PageRun) -> bool:
    """Whether the whole sweep is measured."""
    token = next_token(run)
    return all(
        run.known(head_worth, token=token, layers=layers) is not None
        for layers in parts_of(run.spec.n_layers)
    )


def whole_worth(run: PageRun) -> HeadWorth:
    """The whole sweep, made now: for two runs that stand side by side on one scale."""
    spec, token = run.spec, next_token(run)
    found = [_part(run, token, layers, _words(run)) for layers in parts_of(spec.n_layers)]
    worth = worth_of_layers(found, spec.n_layers, spec.n_heads)
    assert worth is not None
    return worth


def _part(run: PageRun, token: int, layers: tuple[int, ...], words: str) -> HeadWorth:
    return run.measure(head_worth, words, dear=True, token=token, layers=layers)


def _words(run: PageRun) -> str:
    return f"Switching {counted(run.spec.n_layers * run.spec.n_heads, 'head')} off, one at a time"


def worth_overview(side: Side, worth: HeadWorth, top: float) -> HeadGrid:
    """Draw a whole sweep; a click chooses a head."""
    return _draw(side, worth, top, on_click=choose_head)


def _draw(side: Side, worth: HeadWorth | None, top: float, on_click: Callable[[Click], None]) -> HeadGrid:
    run, spec = side.run, side.spec
    if worth is None:
        nothing = np.full((spec.n_layers, spec.n_heads), np.nan)
        worth = HeadWorth(tuple(range(spec.n_layers)), next_token(run), np.nan, nothing)
    record = worth_record(
        worth,
        run.text_of(worth.token),
        layer=side.layer,
        head=side.head,
        top=top,
        off=heads_off(run),
    )
    live_figure(
        head_grid_figure(record),
        key=side.key_figure("heads"),
        provenance=side.origin(token=_named(run)),
        clickable=side.clickable,
        on_click=on_click,
        leads_to=side.key_figure("pattern"),
    )
    return record


def fill(side: Side) -> None:
    """The overview of a sweep that is not done: drawn as it goes on, or with the button that lets it."""
    if _goes(side.run):
        _filling()
        return
    worth = worth_so_far(side.run)
    _draw(side, worth, _top(worth), choose_head)
    left = _seconds(side.run)
    st.button(
        f"{_words(side.run)}, about {duration(left)}" if worth is None else "Go on",
        key="gf.worth.go",
        width="stretch",
        on_click=_let,
        args=(True,),
    )


@st.fragment(run_every=_PAUSE)
def _filling() -> None:
    """The picture of all there is, and one more part; when that was the last, the page is drawn with it."""
    if st.session_state.pop(_CHOSEN, False):
        st.rerun()
    side = sides()[0]
    run = side.run
    with showing_errors():
        token, parts = next_token(run), parts_of(run.spec.n_layers)
        known = {layers: run.known(head_worth, token=token, layers=layers) for layers in parts}
        missing = [layers for layers, found in known.items() if found is None]
        worth = worth_so_far(run)
        # Drawn before the work: what stands for long in a run of the script without being drawn, fades.
        _draw(side, worth, _top(worth), _choose_while_filling)
        with st.container(horizontal=True, vertical_alignment="center"):
            done = 1 - len(missing) / len(parts)
            st.progress(done, text=bar_words(_words(run), done, *_since(run, done)))
            st.button("Stop", key="gf.worth.stop", on_click=_let, args=(False,))
        if missing:
            _part(run, token, missing[0], "")
        if len(missing) < 2:
            st.rerun()


def _choose_while_filling(click: Click) -> None:
    """A fragment draws only itself again: the rest of the page must hear of the head too."""
    choose_head(click)
    st.session_state[_CHOSEN] = True


def _top(worth: HeadWorth | None) -> float:
    """End of the scale: the largest change so far."""
    return 1.0 if worth is None else worth_top(worth.change)


def _seconds(run: PageRun) -> float:
    """Roughly how long the whole sweep takes: half a forward for each head."""
    return run.forward_seconds * run.spec.n_layers * run.spec.n_heads / 2


def _goes(run: PageRun) -> bool:
    told = st.session_state.get(_GOES)
    if told is not None and told[:2] == (run.settings, next_token(run)):
        return bool(told[2])
    return _seconds(run) <= UNASKED_SECONDS


def _let(goes: bool) -> None:
    """Let the sweep on screen go on, or stop it."""
    run = sides()[0].run
    st.session_state[_GOES] = (run.settings, next_token(run), goes)
    st.session_state.pop(_BEGAN, None)
    st.session_state[_CHOSEN] = not goes  # the button stands in the fragment, whose clock is the page's


def _since(run: PageRun, done: float) -> tuple[float, float]:
    """What was gained of the work since it began here, and in how many seconds."""
    what, now = (run.settings, next_token(run)), time.monotonic()
    began = st.session_state.get(_BEGAN)
    if began is None or began[:2] != what:
        began = st.session_state[_BEGAN] = (*what, now, done)
    return done - began[3], now - began[2]


def worth_words(side: Side, worth: HeadWorth | None) -> None:
    """The chosen head's two facts; nothing while it is not measured."""
    if worth is None or not np.isfinite(after := float(worth.after[side.layer, side.head])):
        return
    before, without = float(np.exp(worth.before)), float(np.exp(after))
    found = effect_of(side.run, side.layer, side.head, worth.token, before, without)
    st.markdown(plain(effect_words(found)))
