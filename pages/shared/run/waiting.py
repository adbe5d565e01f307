"""Waiting: in which line, what a page shows meanwhile, and how work ends that nobody waits for any more.

A visitor who closes the tab or uses a control is gone from the script run that waits; Streamlit ends that run
at its next look at the page or its state. So who waits looks now and then (`rest`), and so does who works,
between two steps, unless somebody else waits for the same value (`attended`).
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from model_runtime import steps
from model_runtime.capture.trace_cache import PAUSE, HasBytes, TraceCache
from model_runtime.errors import GlassformerError
from model_runtime.loading.device import give_memory_back
from viz.text import in_percent

SHOW_AFTER_SECONDS = 0.3
TRIM_AFTER_SECONDS = 1.0  # what takes longer has used much memory
BAR_AFTER_SECONDS = 2.0  # what ends sooner shows no bar
_STOPPED = "gf.stopped"  # hashes of the keys of what this visitor stopped
Value = TypeVar("Value", bound=HasBytes)


class Stopped(GlassformerError):
    """The visitor stopped this work; it is not begun again until they say so (`go_on`)."""

    def __init__(self, words: str, key: Hashable) -> None:
        self.key = key
        super().__init__(f"Stopped before it was done: {words[:1].lower()}{words[1:]}.")


def leave() -> None:
    """Ends this run of the script, by Streamlit's own means, where its visitor has gone on."""
    if get_script_run_ctx(suppress_warning=True) is not None:
        _ = _STOPPED in st.session_state  # any look at the state is a place where Streamlit may end a run


def rest() -> None:
    """A look, while waiting for another thread, at whether to go on; raises where not."""
    if steps.listener() is None:
        leave()
    else:
        steps.step()


def attended(memory: TraceCache, key: Hashable, make: Callable[[], Value]) -> Callable[[], Value]:
    """`make`, ended at its next step once neither this thread's visitor nor anybody else waits for `key`."""
    above = steps.listener()

    def told(done: float | None) -> None:
        if done is not None:
            memory.tell(key, done)
        if not memory.waiting(key):
            leave() if above is None else above(None)

    def made() -> Value:
        began = time.monotonic()
        try:
            with steps.listening(told):
                return make()
        finally:
            if above is None and time.monotonic() - began > TRIM_AFTER_SECONDS:
                give_memory_back()

    return made


class Turns:
    """Lets at most `places` work at a time and says how many are waiting. Quick work, which is over in a
    moment, has `places` of its own: it never stands behind long work."""

    def __init__(self, places: int) -> None:
        self.places = threading.BoundedSemaphore(places)
        self.quick = threading.BoundedSemaphore(places)
        self.lock = threading.Lock()
        self.waiting = {self.places: 0, self.quick: 0}
        self.mine = threading.local()

    def mine_now(self) -> bool:
        """Whether this thread has a turn."""
        return getattr(self.mine, "taken", False)

    @contextmanager
    def take(self, quick: bool = False) -> Iterator[None]:
        """One turn; waits in line, and says so on the page, while all places are taken.

        Work inside a turn that asks for one (a trace with other points) has it: it would wait for itself.
        """
        if self.mine_now():
            yield
            return
        places = self.quick if quick else self.places
        rest()  # who is gone takes no turn
        if not places.acquire(blocking=False):
            self._wait(places)
        self.mine.taken = True
        try:
            yield
        finally:
            self.mine.taken = False
            places.release()

    def _wait(self, places: threading.BoundedSemaphore) -> None:
        with self.lock:
            self.waiting[places] += 1
            ahead = self.waiting[places]
        try:
            others = "one other run is" if ahead == 1 else f"{ahead} other runs are"
            with working(f"Waiting for a turn: {others} before this one"):
                while not places.acquire(timeout=PAUSE):
                    rest()
        finally:
            with self.lock:
                self.waiting[places] -= 1


@contextmanager
def working(
    words: str, done: Callable[[], float | None] = lambda: None, stop: Hashable | None = None
) -> Iterator[None]:
    """Show `words` and the elapsed time while the block runs, from 0.3 s on.

    Nothing outside a page; nothing for "", where the page itself shows how far it is.

    Args:
        done: how much of the work is done, 0 to 1. Where that is known, long work gets a bar.
        stop: the key of the work: the bar has a button that ends it.
    """
    if not words or get_script_run_ctx() is None:
        yield
        return
    over = threading.Event()

    def show() -> None:
        with st.spinner(words, show_time=True):
            ended = over.wait(BAR_AFTER_SECONDS)
            while not ended and done() is None:
                ended = over.wait(0.5)
        if not ended:
            _bar(words, done, over, stop)

    # The copied context carries the container that is open here ("with st.sidebar") into the thread.
    timer = threading.Timer(SHOW_AFTER_SECONDS, contextvars.copy_context().run, args=(show,))
    timer.daemon = True
    add_script_run_ctx(timer)
    timer.start()
    try:
        yield
    finally:
        over.set()
        timer.cancel()
        timer.join()


def _bar(words: str, done: Callable[[], float | None], over: threading.Event, stop: Hashable | None) -> None:
    """A bar with the time left, as measured since it is there, until the work is over."""
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0)
        if stop is not None:
            st.button("Stop", key=f"gf.stop.{hash(stop)}", on_click=_note_stop, args=(hash(stop),))
    began, at_first = time.monotonic(), done() or 0.0
    while True:
        share = done() or at_first
        bar.progress(share, text=bar_words(words, share, share - at_first, time.monotonic() - began))
        if over.wait(0.5):
            break
    place.empty()


def bar_words(words: str, share: float, gained: float, seconds: float) -> str:
    """What stands over a bar. The time left follows from what was `gained` of the work in so many seconds.

    >>> bar_words("Placing points", 0.25, 0.2, 8.0)
    'Placing points: 25\\xa0%, about 30 s left'
    >>> bar_words("Placing points", 0.05, 0.0, 0.5)
    'Placing points: 5\\xa0%'
    """
    left = "" if gained <= 0 or seconds < 1 else f", about {duration(seconds * (1 - share) / gained)} left"
    return f"{words}: {in_percent(round(share, 2))}{left}"


def duration(seconds: float) -> str:
    """
    >>> duration(3.2), duration(200)
    ('3 s', '3 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def _note_stop(key: int) -> None:
    st.session_state[_STOPPED] = (*st.session_state.get(_STOPPED, ()), key)[-16:]


def is_stopped(key: Hashable) -> bool:
    """Whether this visitor stopped the work under this key."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and hash(key) in st.session_state.get(_STOPPED, ())


def go_on(key: Hashable) -> None:
    """Let the stopped work be done after all."""
    st.session_state[_STOPPED] = tuple(one for one in st.session_state.get(_STOPPED, ()) if one != hash(key))
