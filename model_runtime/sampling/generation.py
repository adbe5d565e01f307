"""Generation: our own loop, one record a token, a seed that belongs to the request.

    for token in model.generate("Once upon a time", SamplingSettings(temperature=0.8, top_p=0.9, seed=7)):
        print(token.text, end="")

Each step reads one token with the model's memory of the earlier ones (the KV cache), takes the distribution
of `sampling.final_distribution` and draws with the request's own random numbers: the same seed, settings,
model, device and dtype give the same text, whoever else is generating. A `Generation` belongs to one
thread at a time. Between two tokens nothing of it runs and no torch mode or context is set, so it can be
consumed as slowly as one likes, and dropped at any point.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from model_runtime.capture.planner import Plan
from model_runtime.interventions import Intervention
from model_runtime.records import ModelSpec, Token
from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.steps import draw, final_distribution, request_generator
from model_runtime.sampling.text_stream import DecodedStream, TextStream

END_OF_TEXT = "end of text"  # the model drew its end token, which is the last record
MAX_NEW_TOKENS = "max new tokens"
CONTEXT_FULL = "context full"  # prompt and new tokens fill the model's context
ASKED = "asked to stop"  # `stop()` was true before a step; the record before stays as it was
FAILED = "failed"  # the model raised


@dataclass
class DecodeState:
    """A text being generated: what was read so far and the model's memory of it. One owner, one thread."""

    ids: tuple[int, ...]
    cache: Any
    plan: Plan


Stop = Callable[[], bool]
Begin = Callable[[], tuple[np.ndarray, DecodeState]]


class Writer(Protocol):
    """What writing a text asks of a `Model`, which knows this module and not the other way round."""

    hf_model: Any
    tokenizer: Any
    spec: ModelSpec

    def token(self, token_id: int) -> Token: ...
    def text_stream(self, before: Sequence[int]) -> TextStream | DecodedStream: ...
    def prompt_ids(self, prompt: str | Sequence[int]) -> tuple[int, ...]: ...
    def checked_interventions(
        self, interventions: Intervention | Iterable[Intervention]
    ) -> tuple[Intervention, ...]: ...
    def step(
        self,
        ids: Sequence[int],
        state: DecodeState | None = None,
        interventions: Intervention | Iterable[Intervention] = (),
    ) -> tuple[np.ndarray, DecodeState]: ...


@dataclass(frozen=True)
class GeneratedToken:
    """One token of a generated text and how it was chosen. Probabilities are shares of 1, entropies nats."""

    token: Token
    index: int  # 0 is the first new token
    text: str  # text that is complete with this token; all of them join to the whole text
    probability: float  # in the distribution it was drawn from
    model_probability: float  # in the model's own, before any sampling step
    rank: int  # by the model's own probability; the likeliest is 1
    entropy: float  # of the distribution it was drawn from
    model_entropy: float  # of the model's own
    n_kept: int  # tokens that could have been drawn
    seconds_since_start: float  # from the first request for a token until this one was there
    stopped: str | None  # on the last token: why (END_OF_TEXT, MAX_NEW_TOKENS, CONTEXT_FULL)


@dataclass(frozen=True)
class GenerationSummary:
    """What is to say about a generation, finished or not."""

    text: str
    n_tokens: int
    stopped: str | None  # None while more can come
    seconds_to_first: float | None  # the prompt's forward and the first choice
    tokens_per_second: float | None  # of the tokens after the first, as they were asked for


class Generation(Iterator[GeneratedToken]):
    """An iterator over the tokens of one generated text.

    Attributes:
        stopped: why it ended, None before that. Also set where no record can say it (ASKED, FAILED).
        prompt_ids, generated_ids: token ids read and written so far.
    """

    def __init__(
        self,
        model: Writer,
        prompt_ids: tuple[int, ...],
        sampling: SamplingSettings,
        begin: Begin,
        stop: Stop | None,
    ) -> None:
        self.prompt_ids = prompt_ids
        self.sampling = sampling
        self.generated_ids: list[int] = []
        self.stopped: str | None = None
        self._model = model
        self._begin: Begin | None = begin
        self._state: DecodeState | None = None
        self._stop = stop
        self._end_ids = end_ids(model)
        self._rng = request_generator(sampling.seed)
        self._stream = model.text_stream(prompt_ids)
        self._pieces: list[str] = []
        self._start = 0.0
        self._seconds: list[float] = []

    def __next__(self) -> GeneratedToken:
        if self.stopped is None and self._stop is not None and self._stop():
            self._finish(ASKED)
            # What was cut inside a character belongs to the text, though no token is left to carry it.
            self._pieces.append(self._stream.close())
        if self.stopped is not None:
            raise StopIteration
        try:
            return self._choose(self._logits())
        except BaseException:
            # The model's memory may hold half a step: such a text cannot go on.
            self._finish(FAILED)
            raise

    def _logits(self) -> np.ndarray:
        """The model's logits for the next token. float32 [d_vocab]"""
        if self._begin is not None:
            self._start = time.perf_counter()
            begin, self._begin = self._begin, None
            logits, self._state = begin()
        else:
            logits, self._state = self._model.step(self.generated_ids[-1:], self._state)
        return logits

    def _choose(self, logits: np.ndarray) -> GeneratedToken:
        distribution = final_distribution(logits, self.prompt_ids, self.generated_ids, self.sampling)
        token_id = draw(distribution.probabilities, self._rng)
        token = self._model.token(token_id)
        self.generated_ids.append(token_id)
        stopped = self._reason_to_stop(token_id)
        text = self._stream.feed(token)
        if stopped is not None:
            self._finish(stopped)
            text += self._stream.close()
        self._pieces.append(text)
        self._seconds.append(time.perf_counter() - self._start)
        return GeneratedToken(
            token=token,
            index=len(self.generated_ids) - 1,
            text=text,
            probability=float(distribution.probabilities[token_id]),
            model_probability=float(distribution.model_probabilities[token_id]),
            rank=distribution.rank(token_id),
            entropy=distribution.entropy,
            model_entropy=distribution.model_entropy,
            n_kept=distribution.n_kept,
            seconds_since_start=self._seconds[-1],
            stopped=stopped,
        )

    def _reason_to_stop(self, token_id: int) -> str | None:
        if token_id in self._end_ids:
            return END_OF_TEXT
        if len(self.generated_ids) >= self.sampling.max_new_tokens:
            return MAX_NEW_TOKENS
        if len(self.prompt_ids) + len(self.generated_ids) >= self._model.spec.n_ctx:
            return CONTEXT_FULL
        return None

    def _finish(self, why: str) -> None:
        self.stopped = why
        self._state = self._begin = None  # frees the KV cache

    def close(self) -> None:
        """Give the memory back before the text is finished; nothing more comes after it."""
        if self.stopped is None:
            self._finish(ASKED)
            self._pieces.append(self._stream.close())

    def summary(self) -> GenerationSummary:
        """Text, speed and reason of the end so far."""
        between = self._seconds[-1] - self._seconds[0] if len(self._seconds) > 1 else 0.0
        return GenerationSummary(
            text="".join(self._pieces),
            n_tokens=len(self.generated_ids),
            stopped=self.stopped,
            seconds_to_first=self._seconds[0] if self._seconds else None,
            tokens_per_second=(len(self._seconds) - 1) / between if between > 0 else None,
        )


class _SharedPrompt:
    """One forward of a prompt for several texts: computed by the first, copied for each."""

    def __init__(self, begin: Begin) -> None:
        self._begin: Begin | None = begin
        self._lock = threading.Lock()
        self._done: tuple[np.ndarray, DecodeState] | None = None

    def __call__(self) -> tuple[np.ndarray, DecodeState]:
        with self._lock:
            if self._done is None:
                assert self._begin is not None
                self._done = self._begin()
            logits, state = self._done
            # The copy is the text's own: a cache grows in place. The edits (plan) are shared and read only.
            return logits, DecodeState(state.ids, copy.deepcopy(state.cache), state.plan)


def end_ids(model: Writer) -> frozenset[int]:
    """Ids of the tokens with which the model ends a text: its generation settings', else its tokenizer's."""
    settings = getattr(model.hf_model, "generation_config", None)
    ids = getattr(settings, "eos_token_id", None)
    if ids is None:
        ids = getattr(model.tokenizer, "eos_token_id", None)
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def generate(
    model: Writer,
    prompt: str | Sequence[int],
    sampling: SamplingSettings | None = None,
    interventions: Intervention | Iterable[Intervention] = (),
    stop: Stop | None = None,
) -> Generation:
    """Continue a prompt, token by token, as the iterator is asked for them.

    Args:
        prompt: text, or token ids taken as they are.
        sampling: how tokens are chosen, how many at most, and the seed; None: the model's own distribution.
        interventions: edits that hold for the whole text.
        stop: asked before each step; true ends the text.

    Raises:
        PromptError, InterventionError: at once, a prompt that cannot be read or an edit that cannot be made.
        SamplingError: at the token it concerns.
    """
    return generate_many(model, prompt, [sampling or SamplingSettings()], interventions, stop)[0]


def generate_many(
    model: Writer,
    prompt: str | Sequence[int],
    settings: Sequence[SamplingSettings],
    interventions: Intervention | Iterable[Intervention] = (),
    stop: Stop | None = None,
) -> list[Generation]:
    """Several continuations of one prompt, to compare settings: the prompt is read once.

    Each equals `generate` with its settings, to the bit; consume them one after the other or in turns. Their
    tokens are not decoded as one batch, which would be faster but changes the last digits of the logits and
    with them, now and then, the text. Arguments and errors are those of `generate`.
    """
    ids = model.prompt_ids(prompt)
    edits = model.checked_interventions(interventions)

    def read_prompt() -> tuple[np.ndarray, DecodeState]:
        return model.step(ids, interventions=edits)

    begin = _SharedPrompt(read_prompt) if len(settings) > 1 else read_prompt
    return [Generation(model, ids, sampling, begin, stop) for sampling in settings]
