"""Next token: logits to probabilities to choice, over the whole vocabulary."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import streamlit as st

from model_runtime.errors import NotFinite
from model_runtime.sampling import twin
from model_runtime.sampling.steps import draws
from pages.output import writing
from pages.output.choice import Choice, appended, choice_of, plain_sampling, report_of
from pages.output.choice_words import facts, final_fraction, model_fraction, verdict
from pages.output.sampling_controls import more_settings, sliders
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.choice import tell_example
from pages.shared.frame.page import end_page, showing_errors, start_page
from pages.shared.frame.parts import Lesson, end_part
from pages.shared.frame.sides import sides
from pages.shared.run.runs import sampling_words
from pages.shared.settings import url_state as state
from viz.distribution_bars import distribution_bars_figure
from viz.output.draws import draws_figure, draws_record
from viz.output.next_token.browser import with_sliders
from viz.output.next_token.figure import next_token_figure
from viz.output.next_token.record import next_token_record
from viz.output.temperatures import temperatures_record
from viz.style import share, shorten, visible

COLUMNS = (
    "**left**: tokens that can still be drawn. **cut**: the probability that a step takes away. "
    "**nats**: the uncertainty (entropy), 0 where one token is certain. **≈ choices**: how many equally "
    "likely tokens would be as uncertain."
)


def pipeline(choice: Choice) -> None:
    """The main figure. A click selects a candidate."""
    pinned = choice.pinned
    record = next_token_record(
        choice.report,
        choice.shown,
        choice.text,
        choice.selected,
        pinned.shares if pinned else None,
        pinned.words if pinned else None,
    )
    moving = with_sliders(
        next_token_figure(record),
        record,
        choice.report.base.scores,
        dataclasses.asdict(choice.sampling),
        list(choice.run.ids),
    )
    click = live_figure(
        moving,
        key="next-token",
        provenance=choice.run.origin(
            compared_with=pinned.run if pinned else None, **sampling_words(choice.sampling)
        ),
        clickable=True,
        sliders=sliders(choice),
        on_slide=lambda values: state.set(**values),
        slide_on_release=True,
    )
    st.caption(COLUMNS)
    if click is not None and click.number is not None:
        state.set(candidate=click.number)
        st.rerun()


def candidate(choice: Choice) -> None:
    """The selected candidate: its fate, its fraction, and the way on."""
    ids = sorted({*choice.shown, choice.selected}, key=choice.report.rank)

    shares = choice.report.base.probabilities
    names = {-1: f"the likeliest: {visible(choice.text(ids[0]))}"}
    for token_id in ids:
        text, rank = shorten(visible(choice.text(token_id))), choice.report.rank(token_id)
        names[token_id] = f"{rank:,}  {text}  {share(float(shares[token_id]))}"
    st.selectbox("Candidate", [-1, *ids], format_func=names.__getitem__, **state.bound("candidate"))
    on = ", ".join(f"{step} {value}" for step, value in sampling_words(choice.sampling).items())
    # The picture moves during a drag, these words only at its end.
    st.caption(f"As of the sliders' last release: {on or 'no step on'}.")
    st.markdown(verdict(choice))
    st.caption(facts(choice))
    _append_buttons(choice)
    st.latex(model_fraction(choice))
    final = final_fraction(choice)
    if final is not None:
        st.latex(final)
    if choice.report.rank(choice.selected) == 1:
        st.caption("The likeliest token has the top score, so its $e^0$ is 1. Another candidate shows more.")
    if choice.pinned is not None and choice.pinned.variation is not None:
        st.markdown(
            f"The two runs must differ in at least **{share(choice.pinned.variation)}** of their draws "
            "(total variation distance)."
        )


def _append_buttons(choice: Choice) -> None:
    after = appended(choice)
    prompt = choice.run.settings.prompt
    before = writing.step_back(prompt)
    with st.container(horizontal=True):
        if st.button(
            "Append to the prompt", type="primary", disabled=after.prompt is None, key="gf.next.append"
        ):
            writing.remember(prompt, str(after.prompt))
            state.set(prompt=after.prompt, candidate=-1)
            st.rerun()
        if before is not None and st.button("Undo", key="gf.next.undo"):
            writing.undo(prompt)
            st.rerun()
    if after.note:
        st.caption(after.note)


def draws_section(choice: Choice) -> None:
    """Draws from the final distribution, over what they should give."""
    sampling = choice.sampling
    counts = draws(choice.report, state.get("draws"), sampling.seed)
    record = draws_record(choice.report.final.probabilities, counts, sampling.seed, choice.text)
    figure, words = st.columns([7, 3], gap="medium")
    with figure:
        live_figure(
            draws_figure(record),
            key="draws",
            provenance=choice.run.origin(seed=sampling.seed, draws=record.n, **sampling_words(sampling)),
        )
    with words:
        st.markdown(record.words)
        with st.container(horizontal=True):
            st.number_input("Draws", 10, 10_000, step=100, width=130, **state.bound("draws"))
            st.number_input("Seed", 0, 2**53 - 1, step=1, width=130, **state.bound("seed"))
        st.caption(
            "One seed, one series of random numbers: the same link gives the same draws. The first is the "
            "token that Generate chooses first."
        )


@st.fragment
def moving_part() -> None:
    """What follows the sliders: redrawn alone, while the rest of the page rests."""
    with showing_errors():
        choice = choice_of(sides())
        figure, words = st.columns([7, 3], gap="medium")
        with figure:
            pipeline(choice)
        with words:
            more_settings(choice)
            candidate(choice)
        st.subheader("Draws over the theory", anchor=False)
        draws_section(choice)
    state.write()


def temperatures(choice: Choice) -> None:
    """The same prompt at five temperatures, nothing else on."""
    reports = [
        (temperature, report_of(choice.run, plain_sampling(temperature=temperature)))
        for temperature in writing.TEMPERATURES
    ]
    shown = [int(token_id) for token_id in reports[0][1].top(10)]
    live_figure(
        distribution_bars_figure(temperatures_record(reports, shown, choice.text)),
        key="temperatures",
        provenance=choice.run.origin(temperatures="0, 0.2, 0.8, 1.2, 10, no other step"),
    )
    writing.comparison_section(choice)


start_page()
tell_example()
moving_part()
with showing_errors(), suppress(NotFinite):  # said above already
    now = choice_of(sides())
    st.subheader("Write on", anchor=False)
    writing.text_section(now)
    st.subheader("One prompt, five temperatures", anchor=False)
    temperatures(now)
end_part(Lesson(code=(twin,)))
end_page()
