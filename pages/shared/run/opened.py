"""A run of the page, opened once, and its measurements: made by whoever asks first, kept for all visitors.

    run = opened(current_run())
    stages = run.measure(head_stages, "Taking the head apart", layer=3, head=5)

The function's name and its arguments are the key, so keys are never typed by hand, and the same call can be
made in another process. What the function takes first says what its answer depends on: `run` (the model, the
prompt and the edits) or `model` (that alone); one that takes neither depends on its arguments only.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np

from model_runtime.capture.trace_cache import HasBytes
from model_runtime.errors import NotFinite, PromptError
from model_runtime.finite import Finiteness, finite, finiteness
from model_runtime.interventions import Intervention
from model_runtime.model import Model
from model_runtime.records import Token
from model_runtime.run import OpenRun, once
from model_runtime.trace import Trace
from pages.shared.escape import token_text
from pages.shared.figure.provenance import Kind, Provenance
from pages.shared.run import runtime
from pages.shared.run.runs import Run, sampling_words
from pages.shared.settings.edit_codes import describe

Value = TypeVar("Value", bound=HasBytes)


class NotRead(PromptError):
    """What is asked for is of a prompt that cannot be read (`PageRun.unread`), in a part that needs none."""


@dataclass(frozen=True, eq=False)
class PageRun(OpenRun):
    """A run as a page holds it, for one script run: never in session state."""

    settings: Run = field(kw_only=True)  # the same run as a record: what bar and controls describe

    @once
    def tokens(self) -> tuple[Token, ...]:
        """What the model reads; refused where the app takes no text so long."""
        return runtime.tokens_for(self.settings)

    @once
    def unread(self) -> PromptError | None:
        """Why the prompt cannot be read; None where it can. Without it there are no tokens and no trace: only
        what is measured of the model alone can be had."""
        try:
            self.tokens  # noqa: B018
        except PromptError as error:
            return error
        return None

    @once
    def texts(self) -> tuple[str, ...]:
        """The tokens' texts, made readable."""
        return tuple(map(token_text, self.tokens))

    @property
    def trace(self) -> Trace:
        """The trace that all pages share, from the shared memory, which alone keeps it."""
        held: weakref.ref[Trace] | None = vars(self).get("_trace")
        found = held() if held is not None else None
        if found is None:
            found = runtime.trace_for(self.settings)
            vars(self)["_trace"] = weakref.ref(found)
        return found

    def traced(self, **request: Any) -> Trace:
        """A trace with other points or positions, from the shared memory; `request` must be hashable."""
        return runtime.trace_for(self.settings, **request)

    @once
    def logits(self) -> np.ndarray:
        """Logits of the next token, float32 [d_vocab], all finite.

        Raises:
            NotFinite: one is not, or the last norm overflowed: there is no distribution then.
        """
        logits = finite(self.trace.next_token_logits(), "the next token's logits")
        if self.finiteness.logits:
            raise NotFinite(
                "The stream is too large for the last norm, which squares it: the logits say nothing.",
                "Undo the edit that makes it so, or choose another copy of the model.",
            )
        return logits

    @once
    def finiteness(self) -> Finiteness:
        """What of the run is finite."""
        return self.measure(finiteness, "Looking for numbers that are not finite")

    @property
    def forward_seconds(self) -> float:
        """Roughly how long one pass over the prompt takes."""
        return runtime.forward_seconds(self.spec, len(self.tokens))

    def text_of(self, token_id: int) -> str:
        """A token of the vocabulary, made readable."""
        return token_text(self.model.token(token_id))

    def under(self, edits: tuple[Intervention, ...]) -> PageRun:
        """The same prompt under other edits, its trace from the shared memory."""
        return self.changed(edits=edits)

    def comparable(self, edits: tuple[Intervention, ...]) -> PageRun:
        """As `under`, for a picture that compares.

        Raises:
            NotFinite: that run has values that nothing can be compared with.
        """
        run = self.under(edits)
        if run.finiteness.first is not None:
            told = "; ".join(map(describe, edits)) or "the model as it is"
            raise NotFinite(
                f"With {told}, values become infinite or not a number: nothing can be compared with them.",
                "Choose another edit, or a number format with a wider range (float32).",
            )
        return run

    def changed(self, **settings: Any) -> PageRun:
        """This run with other settings (model, dtype, prompt, edits, sampling), opened."""
        return opened(replace(self.settings, **settings))

    def in_dtype(self, dtype: str) -> PageRun:
        """This run in a number format; itself where "auto" gave that one: no second copy is loaded."""
        found = runtime.in_dtype(self.settings, dtype)
        return self if found == self.settings else opened(found)

    def origin(
        self,
        kind: Kind = "measured",
        *,
        layer: int | None = None,
        head: int | None = None,
        seed: int | None = None,
        compared_with: PageRun | None = None,
        as_it_is: bool = False,
        **extra: object,
    ) -> Provenance:
        """Where a picture of this run comes from, with its edits; `extra` is what else made it.

        `as_it_is`: of the weights, the tokenizer or the sizes, or run without edits: none shows in it.

        Where `extra` holds the run's sampling settings (`runs.sampling_words`), those of the run compared
        with are told too; all else in `extra` holds for both.
        """
        other = None
        if compared_with is not None:
            mine, theirs = (sampling_words(run.settings.sampling) for run in (self, compared_with))
            sampled = bool(mine) and mine.items() <= extra.items()
            other = compared_with.origin(kind, layer=layer, head=head, seed=seed, as_it_is=as_it_is)
            other = replace(other, extra=theirs) if sampled else other
        spec = self.spec
        return Provenance(
            kind=kind,
            model=spec.name,
            revision=spec.revision,
            dtype=spec.dtype,
            device=spec.device,
            stored_bits=spec.stored_bits,
            prompt=self.settings.prompt if self.unread is None else None,
            layer=layer,
            head=head,
            seed=seed,
            extra=extra,
            compared_with=other,
            edits="" if as_it_is else "; ".join(map(describe, self.interventions)),
        )

    def measure(
        self,
        function: Callable[..., Value],
        words: str = "Computing",
        *,
        slow: bool = False,
        seconds: float | None = None,
        dear: bool = False,
        progress: Callable[..., None] | None = None,
        at_hand: Mapping[str, object] | None = None,
        **arguments: Hashable,
    ) -> Value:
        """What `function` finds. `words` say on the page what is being done, while it takes time.

        Args:
            function: of the runtime: `run` or `model` first, then plain, hashable arguments; gives a record
                with `nbytes`. Arguments named `turn` (a place in the line of forward passes, for a function
                that takes one for each), `model_in` (the run's model in another number format), `any_text`
                (the run's prompt, where any will do) and `progress` are lent and decide nothing.
            slow: seconds of work. It waits in a line of its own, which forward passes pass by, and is `dear`.
            seconds: how long slow work is expected to take; what is over in a moment passes long work by.
            dear: kept apart, so that traces do not push it out.
            progress: told how far it is; what it raises (a page that is run again) ends the work.
            at_hand: what the function would make first out of its other arguments, by its parameters' names:
                lent as well.

        Raises:
            Stopped: this visitor stopped it.
            GlassformerError: as the function.
        """
        asked = inspect.signature(function).parameters
        quick = "run" in asked and self.forward_seconds <= runtime.QUICK_FORWARD_SECONDS
        lent: dict[str, object] = {"turn": partial(runtime.turns().take, quick), "model_in": self.model_in}
        brief = seconds is not None and seconds <= runtime.QUICK_SECONDS
        lent |= {"progress": progress, "any_text": self.prompt, **(at_hand or {})}
        lent = {name: value for name, value in lent.items() if name in asked and value is not None}

        def make() -> Value:
            if "run" in asked and not slow:
                self.trace  # noqa: B018  # before the turn below: it takes one itself
            first = (self,) if "run" in asked else (self.model,) if "model" in asked else ()
            with self._line(asked, slow, brief if slow else quick):
                return function(*first, **arguments, **lent)

        key = self._key(function, arguments)
        return runtime.kept(key, make, words, dear=slow or dear, may_stop=bool(words))

    def known(self, function: Callable[..., Value], **arguments: Hashable) -> Value | None:
        """What `measure` would give, if it is kept; never waits."""
        return cast("Value | None", runtime.peek(self._key(function, arguments)))

    def _key(self, function: Callable[..., Any], arguments: Mapping[str, Hashable]) -> Hashable:
        name = (function.__module__, function.__qualname__, tuple(sorted(arguments.items())))
        asked = inspect.signature(function).parameters
        if "run" in asked:
            return name, runtime.recipe(self.settings, {})
        return (name, runtime.model_key(self.settings)) if "model" in asked else name

    @staticmethod
    def _line(asked: Mapping[str, Any], slow: bool, quick: bool) -> AbstractContextManager[None]:
        """Where the work waits: slow work among its like; what may run the model among forward passes."""
        if slow:
            return runtime.slow_turns().take(quick)
        return runtime.turns().take(quick) if "run" in asked and "turn" not in asked else nullcontext()

    def model_in(self, dtype: str) -> Model:
        """The run's model in a dtype: its own, which need not be loaded again, or one from the shelf."""
        if self.spec.dtype == dtype:
            return self.model
        model: Model = runtime.model_for(replace(self.settings, dtype=dtype))
        return model


def opened(run: Run) -> PageRun:
    """A run with its model, loaded at most once per process.

    Raises:
        GlassformerError: the model is unknown, unsupported, too large, or cannot be reached.
    """
    return PageRun(runtime.model_for(run), run.prompt, run.edits, settings=run)
