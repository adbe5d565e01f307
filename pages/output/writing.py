"""Text that the model writes on the next-token page: one continuation as it comes, and five to compare.

Tokens are taken one by one in the script's own thread and put into the session as they come, so that Stop, a
moved control or a closed tab ends the work within a token and what was written stays on screen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from model_runtime.errors import PromptError
from model_runtime.limits import Limits, check_new_tokens
from model_runtime.sampling.generation import GeneratedToken, Generation, generate_many
from model_runtime.sampling.settings import SamplingSettings
from pages.output.choice import Choice, plain_sampling
from pages.shared.frame.generated_html import STYLE, rows, written
from pages.shared.run import runtime
from pages.shared.run.opened import PageRun
from pages.shared.run.runs import Run, sampling_words
from pages.shared.settings import url_state as state
from pages.shared.settings.table import MOST_PROMPT_CHARACTERS

TEMPERATURES = (0.0, 0.2, 0.8, 1.2, 10.0)
COMPARED_TOKENS = 15
SHOW_EVERY = 0.1  # seconds; a token a message would cost more than the token
_TEXT, _COMPARED, _WANTED = "gf.next.text", "gf.next.compared", "gf.next.wanted"
_KEPT_COMPARISONS = 4


@dataclass
class Text:
    """One text being written, or written."""

    run: Run
    tokens: list[GeneratedToken] = field(default_factory=list)
    seconds_to_first: float | None = None
    tokens_per_second: float | None = None
    ended: str | None = None  # why; None while it is written

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)

    def take(self, token: GeneratedToken, generation: Generation) -> None:
        summary = generation.summary()
        self.tokens.append(token)
        self.seconds_to_first, self.tokens_per_second = summary.seconds_to_first, summary.tokens_per_second
        self.ended = summary.stopped


def _want(what: str) -> None:
    st.session_state[_WANTED] = what


def wanted(what: str) -> bool:
    """Whether a button of this run asked for `what`: told once, so that no later rerun starts it again."""
    if st.session_state.get(_WANTED) != what:
        return False
    del st.session_state[_WANTED]
    return True


def text_section(choice: Choice) -> None:
    """Generate, Stop, the tokens as they come, and the way on from them. In the main script, not a fragment.

    Raises:
        GlassformerError: more tokens than allowed, or a step that leaves nothing.
    """
    start = wanted("text")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "New tokens, at most",
            1,
            400,
            step=10,
            width=190,
            **state.bound("max_new_tokens"),
            help="Writing ends there, at the model's own end of text, or when you stop it.",
        )
        st.number_input("Seed", 0, 2**53 - 1, step=1, width=150, **state.bound("seed", "write"))
        st.button("Generate", type="primary", on_click=_want, args=("text",), key="gf.next.generate")
        stop_place = st.empty()
    st.caption(
        "Below each token: the probability it was drawn with · its number in the model (1 is the likeliest)."
    )
    speed, place = st.empty(), st.empty()
    if start:
        stop_place.button("Stop", key="gf.next.stop")
        _write(choice, place, speed)
        stop_place.empty()
    text = st.session_state.get(_TEXT)
    if not isinstance(text, Text) or _source(text.run) != _source(choice.run.settings):
        return
    _show(text, place, speed)
    if text.tokens:
        _way_on(text, choice.run)


def _write(choice: Choice, place: Any, speed: Any) -> None:
    run = choice.run.settings
    check_room(choice.run, run.sampling.max_new_tokens)
    generation = choice.run.model.generate(run.prompt, run.sampling, run.edits)
    text = st.session_state[_TEXT] = Text(run)
    shown = 0.0
    speed.caption("Reading the prompt …")
    try:
        for token in in_turns(generation):
            text.take(token, generation)
            if time.monotonic() - shown > SHOW_EVERY:
                _show(text, place, speed)
                shown = time.monotonic()
    finally:
        # Also when Stop, another control or a closed tab ends this run of the script.
        generation.close()
        text.ended = text.ended or generation.stopped


def check_room(run: PageRun, n_new: int) -> None:
    """Raises `SettingError` where so many new tokens do not fit behind the prompt."""
    check_new_tokens(n_new, len(run.tokens), run.spec.n_ctx, Limits.from_environment())


def in_turns(generation: Generation) -> Iterator[GeneratedToken]:
    """The tokens of a generation, each taken in its turn among all visitors' forward passes."""
    while True:
        with runtime.turns().take(quick=True):
            token = next(generation, None)
        if token is None:
            return
        yield token


def _show(text: Text, place: Any, speed: Any) -> None:
    speed.caption(speed_words(text))
    place.html(STYLE + written(text.tokens))


def speed_words(text: Text) -> str:
    """ "40 tokens · first after 0.21 s · 19.8 tokens/s · ended: max new tokens · temperature 0.8, seed 0" """
    n = len(text.tokens)
    parts = [f"{n} token" if n == 1 else f"{n} tokens"]
    if text.seconds_to_first is not None:
        parts.append(f"first after {text.seconds_to_first:.2f} s")
    if text.tokens_per_second is not None:
        parts.append(f"{text.tokens_per_second:.1f} tokens/s")
    if text.ended is not None:
        parts.append(f"ended: {text.ended}")
    settings = [f"{name} {value}" for name, value in sampling_words(text.run.sampling).items()]
    return " · ".join([*parts, ", ".join([*settings, f"seed {text.run.sampling.seed}"])])


def _way_on(text: Text, run: PageRun) -> None:
    """Take the written text over into the prompt; where it is read as other tokens then, that is said."""
    prompt = text.run.prompt + "".join(token.text for token in text.tokens if not token.token.special)
    fits = len(prompt) <= MOST_PROMPT_CHARACTERS
    st.button(
        "Continue from here: make it the prompt",
        on_click=_take_over,
        args=(text.run.prompt, prompt),
        key="gf.next.continue",
        disabled=not fits,
        help=None if fits else f"A prompt has at most {MOST_PROMPT_CHARACTERS:,} characters.",
    )
    written = (*run.ids, *(token.token.id for token in text.tokens if not token.token.special))
    if fits and not reads_as(run, prompt, written):
        st.caption("As a prompt, this text is cut into other tokens than those that were written.")


def reads_as(run: PageRun, prompt: str, ids: tuple[int, ...]) -> bool:
    """Whether a text is read as these tokens."""
    try:
        return run.model.tokens.encode(prompt) == ids
    except PromptError:
        return False


def _take_over(before: str, prompt: str) -> None:
    remember(before, prompt)
    state.set(prompt=prompt, candidate=-1)


_STEPS_BACK = "gf.next.steps_back"


def remember(before: str, after: str) -> None:
    """Note that this page changed the prompt, for Undo."""
    st.session_state.setdefault(_STEPS_BACK, []).append((before, after))


def step_back(prompt: str) -> str | None:
    """The prompt before this page changed it to `prompt`, if it did."""
    steps = st.session_state.get(_STEPS_BACK, [])
    return steps[-1][0] if steps and steps[-1][1] == prompt else None


def undo(prompt: str) -> None:
    """Take the last change of the prompt back."""
    before = step_back(prompt)
    if before is not None:
        st.session_state[_STEPS_BACK].pop()
        state.set(prompt=before, candidate=-1)


def _source(run: Run) -> Run:
    """What a text continues: the run without its sampling."""
    return replace(run, sampling=SamplingSettings())


# The same prompt at five temperatures


def comparison_section(choice: Choice) -> None:
    """A continuation at each temperature, written on demand and kept for its recipe.

    Raises:
        GlassformerError: a step cannot be computed.
    """
    run = choice.run.settings
    recipe = (_source(run), run.sampling.seed)
    kept: dict[Any, list[Text]] = st.session_state.setdefault(_COMPARED, {})
    start = wanted("comparison")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Write {COMPARED_TOKENS} tokens at each temperature",
            on_click=_want,
            args=("comparison",),
            key="gf.next.compare",
            disabled=recipe in kept and all(text.ended for text in kept[recipe]),
        )
        stop_place = st.empty()
    place = st.empty()
    if start:
        stop_place.button("Stop", key="gf.next.stop_compare")
        kept.pop(recipe, None)
        while len(kept) >= _KEPT_COMPARISONS:
            kept.pop(next(iter(kept)))
        kept[recipe] = [Text(replace(run, sampling=sampling)) for sampling in _compared(choice)]
        _write_all(choice, kept[recipe], place)
        stop_place.empty()
    if recipe in kept:
        place.html(STYLE + _comparison(kept[recipe]))


def _compared(choice: Choice) -> list[SamplingSettings]:
    seed = choice.sampling.seed
    return [
        plain_sampling(temperature=temperature, seed=seed, max_new_tokens=COMPARED_TOKENS)
        for temperature in TEMPERATURES
    ]


def _write_all(choice: Choice, texts: Sequence[Text], place: Any) -> None:
    run = choice.run.settings
    check_room(choice.run, COMPARED_TOKENS)
    samplings = [text.run.sampling for text in texts]
    generations = generate_many(choice.run.model, run.prompt, samplings, run.edits)
    shown = 0.0
    try:
        for text, generation in zip(texts, generations, strict=True):
            for token in in_turns(generation):
                text.take(token, generation)
                if time.monotonic() - shown > SHOW_EVERY:
                    place.html(STYLE + _comparison(texts))
                    shown = time.monotonic()
    finally:
        for generation in generations:
            generation.close()


def _comparison(texts: Sequence[Text]) -> str:
    return rows(
        [
            (
                f"temperature {text.run.sampling.temperature:g}",
                written(text.tokens, numbers=False) if text.tokens else "…",
            )
            for text in texts
        ]
    )
