"""Beyond the trained length: loss and entropy by position, measured on a long text."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from model_runtime.interventions import Intervention, RopeScaling
from model_runtime.loading.catalogue import row_of
from model_runtime.positions import length
from pages.shared.escape import plain
from pages.shared.figure.live_figure import live_figure
from pages.shared.frame.page import View
from pages.shared.frame.parts import Lesson
from pages.shared.frame.sides import Drawing, column
from pages.shared.run import measurements, runtime
from pages.shared.settings import url_state as state
from pages.shared.settings.edit_codes import fitting
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
QUESTION = (
    "A rotation has an angle for every position, also for those never trained. Will the loss beyond the "
    "context stay as it was, creep up, or jump?"
)
ANSWER = (
    "Just beyond the context often nothing shows: the text's own ups and downs are larger. Further out, "
    "queries and keys meet at distances and angles that no weight was ever trained on (slow pairs reach "
    "angles they never had), and the loss may climb. How soon and how far is the model's own: choose “twice "
    "as far” and read it off the curve. Dividing all positions by two (linear interpolation) keeps the "
    "angles among the known ones, at the price of neighbours that stand closer than in training. NTK scaling "
    "slows mostly the slow pairs. Without any further training both can cost some loss inside the context."
)
SOURCES = """
- Press et al. 2022, [Train short, test long](https://arxiv.org/abs/2108.12409), figure 1: loss beyond the
  trained length under four schemes.
- Chen et al. 2023, [Extending context window of large language models via positional
  interpolation](https://arxiv.org/abs/2306.15595).
- Peng et al. 2023, [YaRN](https://arxiv.org/abs/2309.00071), 3.1: NTK-aware scaling.
- The texts are bundled: Shakespeare and the King James Bible (public domain), and Python's standard library
  (PSF licence).
"""


@dataclass(frozen=True, eq=False)
class Side:
    """One run's side: what is to be read, and what has been."""

    drawing: Drawing
    text: str
    ids: tuple[int, ...]
    readings: tuple[tuple[str, Any], ...]  # (curve's name, LengthReading) of those that are there


def edits_of(drawing: Drawing, extra: tuple[Intervention, ...]) -> tuple[Intervention, ...]:
    """The run's own edits, those of one curve on top."""
    return (*fitting(drawing.run.edits, drawing.spec(), len(drawing.texts)), *extra)


def ids_of(drawing: Drawing, text: str, far: str) -> tuple[int, ...]:
    """What is read: as far as was asked, as the model can, and as the text has tokens."""
    model = runtime.model_for(drawing.run)
    most = min(length.furthest(model), round(TIMES[far] * model.spec.n_ctx), length.MOST_TOKENS)
    return tuple(model.tokens.encode(length.long_text(text))[:most])


def expected_seconds(drawing: Drawing, n: int) -> float:
    """A rough guess from the speed of the prompt's own forward."""
    spec, seconds, read = drawing.spec(), drawing.trace().seconds, len(drawing.texts)
    # A short prompt says little: most of its time is not arithmetic.
    speed = 2 * spec.n_params * read / seconds if read >= 64 and seconds > 0 else _SPEED
    return 2 * spec.n_params * work(n, spec.d_model) / speed


def work(n: int, d_model: int) -> float:
    """n tokens in units of the work of a first token: each later one also reads those before it.

    Per layer about 12 d^2 multiply-adds in the matrices, and 2 p d in attention at position p.
    """
    return n + n * n / (12 * d_model)


def controls(drawing: Drawing) -> tuple[str, str]:
    """The text and how far."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        st.selectbox("Text", [*TEXTS], format_func=TEXTS.__getitem__, **state.bound("story"))
    model = runtime.model_for(drawing.run)
    with right:
        if not length.why_it_ends(model):
            st.segmented_control(
                f"How far (context: {model.spec.n_ctx:,} tokens)",
                [*FAR],
                format_func=FAR.__getitem__,
                required=True,
                **state.bound("far"),
            )
    return state.get("story"), state.get("far")


def side_of(drawing: Drawing, text: str, far: str) -> Side:
    """What has been read of this text already; a small model reads it now."""
    ids = ids_of(drawing, text, far)
    rotates = drawing.spec().positions == "rope"
    quick = expected_seconds(drawing, len(ids)) < AT_ONCE
    readings = []
    for name, extra in CURVES if rotates else CURVES[:1]:
        edits = edits_of(drawing, extra)
        found = measurements.known_length(drawing.run, text, len(ids), edits)
        if found is None and quick:
            found = measurements.length_for(drawing.run, text, ids, edits, lambda done, n, seconds: None)
        if found is not None:
            readings.append((name, found))
    return Side(drawing, text, ids, tuple(readings))


def buttons(side: Side) -> None:
    """A button for each curve that is not there yet; a press reads the text, with a bar and a stop."""
    there = [name for name, _ in side.readings]
    missing = [curve for curve in CURVES if curve[0] not in there]
    if side.drawing.spec().positions != "rope":
        missing = [curve for curve in missing if not curve[1]]
    if not missing:
        return
    seconds = expected_seconds(side.drawing, len(side.ids))
    if not there:
        st.markdown(
            f"{plain(side.drawing.spec().name)} reads {len(side.ids):,} tokens for this picture, and nobody "
            f"has asked for it yet. On this machine that takes roughly {_duration(seconds)}; then it is kept "
            f"for everybody."
        )
    pressed = None
    with st.container(horizontal=True, gap="small"):
        for number, (name, extra) in enumerate(missing):
            if st.button(
                f"Read, {name} (roughly {_duration(seconds)})",
                key=f"gf.length.{side.drawing.slug}.{name}",
                type="primary" if not there and number == 0 else "secondary",
            ):
                pressed = extra
    if pressed is not None:
        read(side, pressed)


def read(side: Side, extra: tuple[Intervention, ...]) -> None:
    """Read the text now. Any other control, or Stop, ends it: each chunk looks for that."""
    bar = st.progress(0.0, text=f"0 of {len(side.ids):,} tokens")
    st.button("Stop", key=f"gf.length.stop.{side.drawing.slug}")
    d_model = side.drawing.spec().d_model

    def show(done: int, n: int, seconds: float) -> None:
        left = seconds * (work(n, d_model) / work(done, d_model) - 1)
        bar.progress(done / n, text=f"{done:,} of {n:,} tokens, about {_duration(left)} left")

    measurements.length_for(side.drawing.run, side.text, side.ids, edits_of(side.drawing, extra), show)
    st.rerun()


def _duration(seconds: float) -> str:
    """
    >>> _duration(3.2), _duration(200)
    ('3 s', '3 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def record_of(side: Side) -> LengthCurves | None:
    """What is drawn of a run, or None while nothing has been read."""
    if not side.readings:
        return None
    spec = side.drawing.spec()
    return length_record(
        [(name, reading.loss, reading.entropy) for name, reading in side.readings], spec.n_ctx, spec.d_vocab
    )


def figure(side: Side, record: LengthCurves) -> None:
    live_figure(
        length_figure(record),
        key=side.drawing.key_figure("length"),
        provenance=replace(
            runtime.provenance_of(
                side.drawing.run,
                text=TEXTS[side.text],
                tokens=f"{record.n_tokens:,}",
                smoothing=f"means over {record.width} positions",
            ),
            prompt=None,
        ),
    )


def words(side: Side, record: LengthCurves | None) -> None:
    """The numbers, and why it ends where it does."""
    model = runtime.model_for(side.drawing.run)
    if record is not None:
        for curve in record.curves:
            st.markdown(f"- {plain(curve_sentence(record, curve))}")
    why = length.why_it_ends(model)
    if why:
        st.markdown(f"**It ends there.** {plain(why)}")
    elif record is not None and not record.goes_beyond and record.n_tokens < record.n_ctx:
        st.markdown(
            f"This text has {record.n_tokens:,} tokens; the context of {record.n_ctx:,} is longer, so "
            f"nothing lies beyond it here."
        )
    if record is not None:
        st.caption(
            f"Loss: −ln of the probability of the token that really came. Entropy: how open the model was. "
            f"Both in nats, means over {record.width} positions side by side. One text, read once: the "
            f"wiggles are the text's, a lasting change is the model's."
        )


def mathematics(side: Side, record: LengthCurves | None) -> str:
    """Loss, entropy, and the two scalings with the numbers of this model."""
    spec = side.drawing.spec()
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
        f"for $s = 2$, $d = {d}$ by a factor of {2 ** (d / (d - 2)) if d > 2 else 2:.3f}."
    )


def draw(view: View, drawings: Sequence[Drawing]) -> Lesson:
    """Draw the part."""
    text, far = controls(drawings[0])
    sides = [side_of(drawing, text, far) for drawing in drawings]
    records = [record_of(side) for side in sides]
    top = max((record.top for record in records if record is not None), default=0.0)
    records = [None if record is None else replace(record, top=top) for record in records]
    if len(sides) == 1:
        left, right = st.columns([2, 1], gap="medium")
        _one(sides[0], records[0], left, right)
    else:
        for place, side, record in zip(st.columns(len(sides), gap="medium"), sides, records, strict=True):
            with column(place, side.drawing):
                _one(side, record, st.container(), st.container())
    return Lesson(
        QUESTION,
        ANSWER,
        mathematics=lambda: mathematics(sides[0], records[0]),
        code=lambda: "\n\n".join(
            inspect.getsource(function) for function in (length.loss_by_position, length._nats)
        ),
        sources=SOURCES,
    )


def _one(side: Side, record: LengthCurves | None, left: Any, right: Any) -> None:
    """One run: figure and words, and the buttons below them (a press reads and runs the page again)."""
    with left:
        if record is not None:
            figure(side, record)
    with right:
        words(side, record)
    with left:
        buttons(side)
        if record is None:
            preview(side)


def preview(side: Side) -> None:
    """Until the run's own model is read: the small bundled model, which can be read at once."""
    if row_of(PREVIEW) is None or side.drawing.run.model == PREVIEW:
        return
    run = replace(side.drawing.run, model=PREVIEW, dtype="auto", edits=())
    other = side_of(replace(side.drawing, run=run, layer=0, head=0), side.text, state.get("far"))
    record = record_of(other)
    if record is None:
        return
    spec = other.drawing.spec()
    st.markdown(
        f"Meanwhile, **{plain(spec.name)}**: its context is {spec.n_ctx:,} tokens, so it is read at once."
    )
    figure(other, record)
    for curve in record.curves:
        st.markdown(f"- {plain(curve_sentence(record, curve))}")
