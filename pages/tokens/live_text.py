"""The text box on top of the Tokens page: cut while one types, the app's prompt when one stops.

What is being typed is a draft of this visitor's session. While it differs from the prompt only this page's
tokenizers see it; no model runs. When typing rests it becomes the prompt, if the model can take it; else it
stays where it is, still cut, and a sentence says why. A prompt changed elsewhere (an example, Back)
shows up in the box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st

from model_runtime.errors import GlassformerError, PromptError
from pages.shared.escape import counted
from pages.shared.figure import scripts
from pages.shared.frame.page import LAST_GOOD
from pages.shared.run import runtime
from pages.shared.run.runs import current_run
from pages.shared.settings import url_state as state
from pages.shared.settings.kinds import as_number, clean
from pages.shared.settings.table import DEFAULT_PROMPT, MOST_PROMPT_CHARACTERS

MOST_CHARACTERS = 20_000
KEY = "gf.live-text"
_DRAFT = "gf.draft"
_COMPONENT = scripts.component("live_text")


@dataclass(frozen=True)
class Draft:
    """What stands in the box, and what the server knows of it.

    `prompt` is the app's prompt when the draft was last in step with it; `version` counts the times that the
    server put a text into the box, `seq` the reports that came from it.
    """

    text: str  # at most MOST_CHARACTERS of it
    prompt: str
    length: int  # characters in the box
    caret: int | None = None  # characters before the cursor, once something was typed
    version: int = 0
    seq: int = 0
    done: bool = False  # typing has stopped, and the text is not the prompt yet


def drafted(draft: Draft | None, prompt: str) -> Draft:
    """The draft to show under this prompt: the old one, or the prompt where that was changed elsewhere.

    >>> typed = Draft("ab", prompt="a", length=2, version=3, seq=5)
    >>> drafted(typed, "a") == typed, drafted(typed, "new").text, drafted(typed, "new").version
    (True, 'new', 4)
    """
    if draft is not None and draft.prompt == prompt:
        return draft
    version, seq = (draft.version + 1, draft.seq) if draft is not None else (0, 0)
    return Draft(prompt, prompt, len(prompt), version=version, seq=seq)


def reported(draft: Draft, report: object) -> Draft:
    """The draft after a report of the box. What comes over the wire is anybody's: what is no report of ours,
    or one that a later one overtook, changes nothing.

    >>> reported(Draft("a", "a", 1), {"seq": 1, "text": "ab", "length": 2, "caret": 2, "done": True}).text
    'ab'
    """
    if not isinstance(report, Mapping):
        return draft
    text = report.get("text")
    seq, length, caret = (as_number(report.get(name)) for name in ("seq", "length", "caret"))
    if not isinstance(text, str) or seq is None or not draft.seq < seq < 2**53:
        return draft
    text = clean(text[:MOST_CHARACTERS])
    return replace(
        draft,
        text=text,
        seq=int(seq),
        length=max(len(text), int(min(length or 0, 2**53))),
        caret=int(min(max(caret or 0, 0), len(text))),
        done=report.get("done") is True,
    )


def live_text() -> Draft:
    """Draw the box. Ends in `st.rerun()` where the text has become the prompt of the app."""
    draft = drafted(st.session_state.get(_DRAFT), state.get("prompt"))
    refusal = "" if draft.text == draft.prompt and draft.length == len(draft.text) else why_not(draft)
    if draft.done and not refusal:
        st.session_state[_DRAFT] = replace(draft, prompt=draft.text, done=False)
        if draft.text != draft.prompt:
            state.forget_refused()
            state.set(prompt=draft.text)
            st.rerun()
    st.session_state[_DRAFT] = draft = replace(draft, done=False)
    _COMPONENT(
        key=KEY,
        data={
            "key": "tokens",
            "label": "Your text",
            "text": draft.text,
            "version": draft.version,
            "seq": draft.seq,
            "most": MOST_CHARACTERS,
            "says": _says(draft, refusal),
            "refusal": refusal,
        },
        on_typed_change=_typed,
    )
    return draft


def draft_what_is_no_prompt() -> None:
    """A link's text that is too long for a prompt, or blank, stands in the box and is cut; the prompt stays.

    To be called before the page is opened, which such a prompt would close.
    """
    prompt = state.get("prompt")
    if state.refused("prompt"):
        return
    try:
        runtime.tokens_for(current_run())
    except PromptError:
        kept = st.session_state.get(LAST_GOOD)
        before = kept.prompt if kept is not None else DEFAULT_PROMPT
        st.session_state[_DRAFT] = replace(drafted(st.session_state.get(_DRAFT), prompt), prompt=before)
        state.open_with(prompt=before)
    except GlassformerError:
        pass  # the model's trouble, which the page tells


def caret_byte() -> int | None:
    """Where somebody typed last, as a byte offset of the draft; None before the first key."""
    draft = st.session_state.get(_DRAFT)
    if draft is None or draft.caret is None:
        return None
    return len(draft.text[: draft.caret].encode())


def _typed() -> None:
    draft = drafted(st.session_state.get(_DRAFT), state.get("prompt"))
    st.session_state[_DRAFT] = reported(draft, st.session_state[KEY].typed)


def _says(draft: Draft, refusal: str) -> str:
    size = counted(draft.length, "character")
    if draft.text == draft.prompt and not refusal:
        return f"{size}. This is the prompt of all pages; it is cut while you type."
    if refusal:
        return f"{size}."
    return f"{size}. It becomes the prompt of all pages when you stop typing, or with Ctrl+Enter."


def why_not(draft: Draft) -> str:
    """Why the text cannot be the prompt, and what to do, as one plain sentence; "" if it can."""
    still = "The text here is cut all the same; the other pages keep the prompt they have."
    if draft.length > MOST_CHARACTERS:
        more = draft.length - MOST_CHARACTERS
        return (
            f"{draft.length:,} characters; at most {MOST_CHARACTERS:,} are cut, so the last {more:,} are "
            f"left out here. For a prompt, shorten the text to {MOST_PROMPT_CHARACTERS:,} or fewer."
        )
    try:
        if len(draft.text) > MOST_PROMPT_CHARACTERS:
            raise PromptError(
                f"{len(draft.text):,} characters; a prompt has at most {MOST_PROMPT_CHARACTERS:,}.",
                f"Shorten it by {len(draft.text) - MOST_PROMPT_CHARACTERS:,} or more.",
            )
        runtime.tokens_for(replace(current_run(), prompt=draft.text))
    except GlassformerError as error:
        return f"Not the prompt: {error.what} {error.remedy} {still}"
    return ""
