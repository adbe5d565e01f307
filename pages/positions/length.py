"""Beyond the trained length: loss and entropy by position, measured on a long text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model_runtime.finite import finite
from model_runtime.interventions import Intervention, RopeScaling
from model_runtime.loading.catalogue import row_of
from model_runtime.positions import length
from model_runtime.records.counts import counted
from pages.shared.escape import plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Side, column, places
from pages.shared.settings import url_state as state
from pages.shared.settings.table import DEFAULT_PROMPT
from viz.positions.length import LengthCurves, curve_sentence, length_figure, length_record
from viz.style import three_digits

TEXTS = {
    "plays": "The Tempest, first half",
    "scripture": "Ruth, Jonah, Philippians, James",
    "python": "Python's textwrap, shlex ...",
}
FAR = {"context": "to its end", "quarter": "a quarter beyond", "double": "twice as far"}
TIMES = {"context": 1.0, "quarter": 1.25, "double": 2.0}
AT_ONCE = 3.0  # seconds: what is expected to take less is read without asking
_SPEED = 60e9  # additions and multiplications a second, where no trace is long enough to tell
PREVIEW = "mixtral-mini"  # small enough to be read at once, until somebody has read the run's own model
CURVES: tuple[tuple[str, tuple[Intervention, ...]], ...] = (
    ("as it is", ()),
    ("linear, 2 times", (RopeScaling("linear", 2.0),)),
    ("NTK, 2 times", (RopeScaling("ntk", 2.0),)),
)


@dataclass(frozen=True, eq=False)
class Reading:
    """What of a text one run is to read, and what has been read."""

    side: Side
    text: str
    ids: tuple[int, ...]
    found: tuple[tuple[str, length.LengthReading], ...]  # by curve, those that are there

    @property
    def missing(self) -> list[tuple[str, tuple[Intervention, ...]]]:
        there = [name for name, _ in self.found]
        return [curve for curve in curves_of(self.side) if curve[0] not in there]


def curves_of(side: Side) -> tuple[tuple[str, tuple[Intervention, ...]], ...]:
    """A rotation can be scaled, a learned table cannot."""
    return CURVES if side.spec.positions == "rope" else CURVES[:1]


def ids_of(side: Side, text: str, far: str) -> tuple[int, ...]:
    """What is read: as far as was asked, as the model can, and as the text has tokens."""
    most = min(length.furthest(side.model), round(TIMES[far] * side.spec.n_ctx), length.MOST_TOKENS)
    return tuple(side.model.tokens.encode(length.long_text(text))[:most])


def expected_seconds(side: Side, n: int) -> float:
    """A rough guess from the speed of the prompt's own forward, where there is one."""
    spec = side.spec
    seconds, read = (side.trace.seconds, len(side.texts)) if side.run.unread is None else (0.0, 0)
    # A short prompt says little: most of its time is not arithmetic.
    speed = 2 * spec.n_params * read / seconds if read >= 64 and seconds > 0 else _SPEED
    return 2 * spec.n_params * work(n, spec.d_model) / speed


def work(n: int, d_model: int) -> float:
    """n tokens in units of the work of a first token: each later one also reads those before it.

    Per layer about 12 d^2 multiply-adds in the matrices, and 2 p d in attention at position p.
    """
    return n + n * n / (12 * d_model)


def controls(side: Side) -> tuple[str, str]:
    """The text and how far."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.selectbox("Text", [*TEXTS], format_func=TEXTS.__getitem__, **state.bound("story"))
    with right:
        if not length.why_it_ends(side.model):
            st.segmented_control(
                f"How far (context: {side.spec.n_ctx:,} tokens)",
                [*FAR],
                format_func=FAR.__getitem__,
                required=True,
                **state.bound("far"),
            )
    return state.get("story"), state.get("far")


def reading_of(side: Side, text: str, far: str) -> Reading:
    """What has been read of this text already; a small model reads it now."""
    ids = ids_of(side, text, far)
    quick = expected_seconds(side, len(ids)) < AT_ONCE
    found = []
    for name, extra in curves_of(side):
        edits = (*side.run.settings.edits, *extra)
        one = side.run.known(length.loss_by_position, ids=ids, interventions=edits)
        if one is None and quick:
            one = side.run.measure(length.loss_by_position, "", dear=True, ids=ids, interventions=edits)
        if one is not None:
            found.append((name, one))
    return Reading(side, text, ids, tuple(found))


def buttons(reading: Reading) -> None:
    """A button for each curve that is not there yet; a press reads the text, with a bar and a stop."""
    side, missing = reading.side, reading.missing
    if not missing:
        return
    seconds = expected_seconds(side, len(reading.ids))
    if not reading.found:
        st.markdown(
            f"{plain(side.spec.name)} reads {counted(len(reading.ids), 'token')} for this picture, and "
            f"nobody has asked for it yet. On this machine that takes roughly {_duration(seconds)}; then it "
            f"is kept for everybody."
        )
    pressed = None
    with st.container(horizontal=True, gap="small"):
        for number, (name, extra) in enumerate(missing):
            if st.button(
                f"Read, {name} (roughly {_duration(seconds)})",
                key=f"gf.length.{side.slug}.{name}",
                type="primary" if not reading.found and number == 0 else "secondary",
            ):
                pressed = extra
    if pressed is not None:
        read(reading, pressed)


def read(reading: Reading, extra: tuple[Intervention, ...]) -> None:
    """Read the text now. Any other control, or Stop, ends it: each chunk looks for that."""
    side = reading.side
    bar = st.progress(0.0, text=f"0 of {counted(len(reading.ids), 'token')}")
    st.button("Stop", key=f"gf.length.stop.{side.slug}")
    d_model = side.spec.d_model

    def show(done: int, n: int, seconds: float) -> None:
        left = seconds * (work(n, d_model) / work(done, d_model) - 1)
        bar.progress(done / n, text=f"{done:,} of {n:,} tokens, about {_duration(left)} left")

    edits = (*side.run.settings.edits, *extra)
    # No words: the bar says how far it is.
    side.run.measure(
        length.loss_by_position, "", dear=True, progress=show, ids=reading.ids, interventions=edits
    )
    st.rerun()


def _duration(seconds: float) -> str:
    """
    >>> _duration(3.2), _duration(200)
    ('3 s', '3 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def record_of(reading: Reading) -> LengthCurves | None:
    """What is drawn of a run, or None while nothing has been read.

    Raises:
        NotFinite: somewhere along the text the model has no distribution.
    """
    if not reading.found:
        return None
    spec = reading.side.spec
    for name, one in reading.found:
        finite(one.loss[1:], f"the loss along this text, {name}")
        finite(one.entropy[1:], f"the entropy along this text, {name}")
    curves = [(name, one.loss, one.entropy) for name, one in reading.found]
    return length_record(curves, spec.n_ctx, spec.d_vocab)


def figure(reading: Reading, record: LengthCurves) -> None:
    origin = reading.side.run.origin(
        text=TEXTS[reading.text],
        tokens=f"{record.n_tokens:,}",
        smoothing=f"means over {record.width} positions",
    )
    live_figure(
        length_figure(record), key=reading.side.key_figure("length"), provenance=replace(origin, prompt=None)
    )


def sentences(record: LengthCurves) -> None:
    for curve in record.curves:
        st.markdown(f"- {plain(curve_sentence(record, curve))}")


def words(reading: Reading, record: LengthCurves | None) -> None:
    """The numbers, and why it ends where it does."""
    if record is not None:
        sentences(record)
    why = length.why_it_ends(reading.side.model)
    if why:
        st.markdown(f"**It ends there.** {plain(why)}")
    elif record is not None and not record.goes_beyond and record.n_tokens < record.n_ctx:
        st.markdown(
            f"This text has {counted(record.n_tokens, 'token')}; the context of {record.n_ctx:,} is longer, "
            f"so nothing lies beyond it here."
        )
    if record is not None:
        st.caption(
            f"Loss: −ln of the probability of the token that really came. Entropy: how open the model was. "
            f"Both in nats, means over {record.width} positions side by side. One text, read once: the "
            f"wiggles are the text's, a lasting change is the model's."
        )


def mathematics(reading: Reading, record: LengthCurves | None) -> str:
    """Loss, entropy, and the two scalings with the numbers of this model."""
    spec = reading.side.spec
    first = "" if record is None else curve_sentence(record, record.curves[0])
    d = spec.d_rotary or 64
    return (
        r"$$\mathrm{loss}(p) = -\ln P(x_p \mid x_{<p}), \qquad H(p) = -\sum_x P(x \mid x_{<p}) \ln P(x \mid "
        r"x_{<p})$$"
        f"\n\nA blind guess among {spec.d_vocab:,} tokens has a loss of "
        f"$\\ln {spec.d_vocab} = {three_digits(math.log(spec.d_vocab))}$ nats. {plain(first)}\n\n"
        "Linear interpolation turns pair $m$ at position $p$ by $(p/s)\\,\\theta_m$, so a text of $s \\cdot "
        f"{spec.n_ctx}$ tokens has the angles of {spec.n_ctx:,}. NTK scaling raises the base instead, "
        r"$\mathrm{base}' = \mathrm{base} \cdot s^{d/(d-2)}$: "
        f"for $s = 2$, $d = {d}$ by a factor of {three_digits(2 ** (d / (d - 2)) if d > 2 else 2)}."
    )


def draw(sides: Sequence[Side]) -> Lesson:
    """Draw the part."""
    text, far = controls(sides[0])
    readings = [reading_of(side, text, far) for side in sides]
    records = [record_of(reading) for reading in readings]
    top = max((record.top for record in records if record is not None), default=0.0)
    records = [None if record is None else replace(record, top=top) for record in records]
    if len(sides) == 1:
        left, right = st.columns([2, 1], gap="medium")
        one_run(readings[0], records[0], left, right)
    else:
        for place, reading, record in zip(places(sides, gap="medium"), readings, records, strict=True):
            with column(place, reading.side):
                one_run(reading, record, st.container(), st.container())
    return Lesson(
        mathematics=lambda: mathematics(readings[0], records[0]),
        code=(length.read_in_chunks, length.loss_and_entropy),
    )


def one_run(
    reading: Reading, record: LengthCurves | None, left: DeltaGenerator, right: DeltaGenerator
) -> None:
    """Figure and words, and the buttons below them (a press reads and runs the page again)."""
    with left:
        if record is not None:
            figure(reading, record)
    with right:
        words(reading, record)
    with left:
        buttons(reading)
        if record is None:
            preview(reading)


def preview(reading: Reading) -> None:
    """Until the run's own model is read: the small bundled model, which can be read at once."""
    run = reading.side.run
    if row_of(PREVIEW) is None or run.settings.model == PREVIEW:
        return
    # The prompt, of which the reading knows nothing, may be longer than the small model takes.
    own = run.changed(model=PREVIEW, dtype="auto", edits=(), prompt=DEFAULT_PROMPT)
    small = replace(reading.side, run=own, layer=0, head=0)
    other = reading_of(small, reading.text, state.get("far"))
    record = record_of(other)
    if record is None:
        return
    spec = small.spec
    st.markdown(
        f"Meanwhile, **{plain(spec.name)}**: its context is {spec.n_ctx:,} tokens, so it is read at once."
    )
    figure(other, record)
    sentences(record)
