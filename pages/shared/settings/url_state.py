"""The settings of this visitor, kept in the session and in the URL.

Order in a script run: `read()` in the router before any widget, `fit_to()` once model and prompt are
known, `write()` after the sidebar and again after a page's (or fragment's) own controls. Widgets take
`**bound("layer")`: a key, and a callback that carries the new value into the table.

The values live in a plain dict of the session; the URL is a copy of it. A URL that differs from the copy
was typed, pasted, or reached with Back, and is read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shared.settings import table as settings
from pages.shared.settings.kinds import Refused
from pages.shared.settings.table import SETTINGS, Limits

_VALUES = "gf.values"
_WRITTEN = "gf.written"  # (time, parameters) of our last writes, the newest last
_CHOSEN = "gf.chosen"  # keys that a link, a widget or a click has set
_TOUCHED = "gf.touched"  # a widget of this script run changed a value
_NOTICES = "gf.notices"
_REFUSED = "gf.refused."  # + key: text that was too long and still stands in its box
_WIDGET = "gf.widget."  # + key: what the widget of a setting holds
_PAGE = "gf.page"
_APART = "gf.apart"  # settings in which the pinned run differs, as the bar last said
_LINK = "gf.link"  # key: text that the last link gave for a setting, for `notices`
_TWICE = "gf.twice"
# A click may set out from the browser before our last URL has reached it. Its older URL is no Back.
_LATE_SECONDS = 1.0
_REMEMBERED = 20


def values() -> dict[str, Any]:
    """All settings of this visitor."""
    if _VALUES not in st.session_state:
        st.session_state[_VALUES] = settings.defaults()
    return st.session_state[_VALUES]


def get(key: str) -> Any:
    """The value of one setting, always an allowed one."""
    return values()[key]


def chosen(key: str) -> bool:
    """Whether a link, a widget or a click has set this; else a page may open on a better value."""
    return key in st.session_state.get(_CHOSEN, ())


def _choose(*keys: str) -> None:
    st.session_state[_CHOSEN] = {*st.session_state.get(_CHOSEN, ()), *keys}


def set(**changes: Any) -> None:
    """Change settings, each fitted to what its row allows. Follow with `st.rerun()` outside callbacks.

    Text over its limit is not taken: the old value stays, and `notices` says why.
    """
    current = values()
    notes: list[str] = []
    for key, value in changes.items():
        try:
            current[key] = SETTINGS[key].fit(value)
            _choose(key)
        except Refused as refused:
            notes.append(str(refused))
            st.session_state[f"{_REFUSED}{key}"] = value
    st.session_state[_NOTICES] = notes
    _forget_link()
    st.session_state[_TOUCHED] = True


def open_with(**changes: Any) -> None:
    """Better values than the defaults, found out about this run; from then on they count as chosen."""
    values().update({key: SETTINGS[key].fit(value) for key, value in changes.items()})
    _choose(*changes)


def bound(key: str, part: str = "") -> dict[str, Any]:
    """Arguments that tie a widget to a setting: `st.slider("Layer", 0, 29, **bound("layer"))`.

    `part` tells apart two widgets of one setting on one page.
    """
    name = f"{_WIDGET}{key}{part}"
    now = st.session_state.get(name)
    if isinstance(now, str) and now in (get(key), st.session_state.get(f"{_REFUSED}{key}")):
        # An assignment would make the browser replace what is being typed, and refused text is left in its
        # box to be shortened.
        return {"key": name, "on_change": _take, "args": (key, name)}
    # Assigned at every run: a widget whose bounds changed with the model is a new one to Streamlit and
    # would otherwise start at its least value.
    st.session_state[name] = get(key)
    return {"key": name, "on_change": _take, "args": (key, name)}


def forget_refused() -> None:
    """Let go of refused text that still stands in its box."""
    _forget_all(_REFUSED)


def _forget_all(prefix: str) -> None:
    for name in [name for name in st.session_state if str(name).startswith(prefix)]:
        del st.session_state[name]


def _take(key: str, name: str) -> None:
    """A widget changed: carry its value into the table."""
    st.session_state.pop(f"{_REFUSED}{key}", None)
    set(**{key: st.session_state[name]})


def read(page: str) -> None:
    """Take over a URL that is not ours: a link, an edited address, Back or Forward.

    Args:
        page: the page about to be shown; rows of other pages are not written while it is.
    """
    if st.session_state.get(_PAGE, page) != page:
        st.session_state[_NOTICES] = []
        _forget_link()
        # A page's widgets are new ones to Streamlit, under the keys of the last page's: what those held says
        # nothing of the new ones, which stand empty until `bound` puts the value in.
        _forget_all(_WIDGET)
        forget_refused()
    st.session_state[_PAGE] = page
    touched = st.session_state.pop(_TOUCHED, False)
    link = st.query_params.to_dict()
    if not link or touched or _is_ours(link):
        return
    found, notices = settings.read_link(link, page)
    values().update(found)
    _choose(*found)
    twice = [key for key in found if len(st.query_params.get_all(key)) > 1]
    st.session_state[_NOTICES] = [
        *notices,
        *settings.lost_edits(link.get("edits", "")),
        *settings.replaced_in_pin(link.get("pin", "")),
    ]
    st.session_state[_LINK], st.session_state[_TWICE] = {key: link[key] for key in found}, twice


def _forget_link() -> None:
    for name in (_LINK, _TWICE):
        st.session_state.pop(name, None)


def _is_ours(link: Mapping[str, str]) -> bool:
    """Whether `link` is the URL we wrote last, or one so recent that the browser may not have moved on."""
    written = st.session_state.get(_WRITTEN, [])
    if written and written[-1][1] == link:
        return True
    oldest = time.monotonic() - _LATE_SECONDS
    return any(when >= oldest and parameters == link for when, parameters in written)


def fit_to(limits: Limits) -> None:
    """Clamp what depends on the model or the prompt: layer, head, token, candidate."""
    fitted = settings.fit_to(values(), limits)
    # A number that nobody chose waits for a longer prompt.
    values().update({key: value for key, value in fitted.items() if not SETTINGS[key].counts or chosen(key)})


def write() -> None:
    """Put the settings into the URL, if they are not there yet.

    In a fragment whose controls made the pinned run equal or unequal in a setting, the whole page runs again.
    """
    st.session_state.pop(_TOUCHED, None)
    link = settings.write_link(values(), st.session_state.get(_PAGE))
    if link != st.query_params.to_dict():
        st.query_params.from_dict(link)
    written = st.session_state.setdefault(_WRITTEN, [])
    if not written or written[-1][1] != link:
        written.append((time.monotonic(), link))
        del written[:-_REMEMBERED]
    if _in_fragment() and _APART in st.session_state and st.session_state[_APART] != _apart():
        st.rerun()  # the bar, which a fragment does not draw, says otherwise


def say_apart() -> None:
    """To be called where the bar says in what the pinned run differs; see `write`."""
    st.session_state[_APART] = _apart()


def _apart() -> tuple[str, ...]:
    pinned = settings.read_pin(get("pin"))
    return () if pinned is None else tuple(key for key, value in pinned.items() if value != get(key))


def _in_fragment() -> bool:
    """Whether only a fragment is run, and not the page."""
    context = get_script_run_ctx()
    return context is not None and bool(context.fragment_ids_this_run)


def page() -> str:
    """The path of the page on screen."""
    return st.session_state.get(_PAGE, "")


def link(page: str | None = None) -> dict[str, str]:
    """The parameters that show this view on `page` (None: the page on screen)."""
    return settings.write_link(values(), page or st.session_state.get(_PAGE))


def notices() -> list[str]:
    """What of the last link or change was not taken as it came, in sentences, until the next change.

    To be asked after `fit_to`: what was taken instead depends on the model and the prompt.
    """
    told = st.session_state.get(_NOTICES, [])
    said = {
        key: text for key, text in st.session_state.get(_LINK, {}).items() if settings.of_page(key, page())
    }
    return [*told, *settings.replaced(said, values(), st.session_state.get(_TWICE, ()))]


def refused(key: str) -> bool:
    """Whether text over its limit stands in the box of this setting."""
    return f"{_REFUSED}{key}" in st.session_state


def selected_token(n_tokens: int) -> int:
    """Position of the selected token: the last one until somebody chooses another."""
    token = get("token")
    return n_tokens - 1 if token == settings.LAST_TOKEN else min(token, n_tokens - 1)
