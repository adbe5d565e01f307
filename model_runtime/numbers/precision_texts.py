"""The likeliest continuation of a prompt in fp32, bf16 and fp16, and the token at which they part."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_runtime.errors import SamplingError
from model_runtime.interventions import Intervention
from model_runtime.model import Model
from model_runtime.numbers.precisions import COMPARED, narrow
from model_runtime.records import Token
from model_runtime.records.distributions import softmax
from model_runtime.records.formats import FORMATS
from model_runtime.records.sized import Sized
from model_runtime.run import ModelIn, OpenRun, Turn
from model_runtime.sampling.arithmetic import checked_scores
from model_runtime.sampling.generation import end_ids
from model_runtime.steps import step
from model_runtime.tokenizer import Tokens


@dataclass(frozen=True)
class Parting:
    """The first new token in which a format differs from fp32; probabilities are shares of 1.

    Both formats had read the same tokens so far, so the two choices can be compared.
    """

    index: int  # 0 is the first new token
    reference: Token  # what fp32 takes
    other: Token  # what this format takes
    in_reference: tuple[float, float]  # probability of the two tokens in fp32
    in_format: tuple[float, float]  # and in this format


@dataclass(frozen=True)
class FormatText:
    """One format's text: always the likeliest token, of equals the one with the lowest id (as `greedy`).

    refusal: why no further token could be chosen (logits that are no numbers), "" where none was refused.
    parting: None where the text is fp32's as far as both go.
    """

    key: str  # of FORMATS
    tokens: tuple[Token, ...]
    refusal: str
    parting: Parting | None


@dataclass(frozen=True)
class PrecisionTexts(Sized):
    """Continuations in several formats, fp32's first; `missing`: format -> why it cannot be had."""

    texts: tuple[FormatText, ...]
    missing: dict[str, str]


def compare_texts(
    run: OpenRun, n_tokens: int, *, model_in: ModelIn, turn: Turn = nullcontext
) -> PrecisionTexts:
    """Continue the prompt by at most `n_tokens` tokens in each format, always the likeliest.

    Args:
        model_in, turn: as in `precisions.compare_precisions`; a turn is taken for each token, and one
            model is held at a time.

    Raises:
        PromptError, InterventionError: as `Model.step`.
        ModelTooLarge: there is not enough memory for the model in one of the formats.
        GlassformerError: the model cannot be had in float32.
    """
    model = model_in(str(FORMATS["fp32"].torch_dtype))
    ids, edits = run.ids, model.checked_interventions(run.interventions)
    written = _Writer(model.tokens, n_tokens, turn)
    written.write(model, ids, edits)
    del model  # before the next one is loaded
    texts = [FormatText("fp32", written.text(), written.refusal, None)]
    missing: dict[str, str] = {}
    for key in COMPARED[1:]:
        with narrow(key, missing):
            other = _Writer(written.tokens, n_tokens, turn)
            other.write(model_in(str(FORMATS[key].torch_dtype)), ids, edits)
            texts.append(FormatText(key, other.text(), other.refusal, _parting(written, other)))
    return PrecisionTexts(tuple(texts), missing)


class _Writer:
    """A greedy loop that keeps the logits of every choice."""

    def __init__(self, tokens: Tokens, n_tokens: int, turn: Turn) -> None:
        self.tokens, self.turn = tokens, turn
        self.n_tokens = n_tokens
        self.logits: list[np.ndarray] = []  # float32 [d_vocab] each
        self.ids: list[int] = []
        self.refusal = ""

    def write(self, model: Model, ids: tuple[int, ...], edits: tuple[Intervention, ...]) -> None:
        ends = end_ids(model)
        most = min(self.n_tokens, model.spec.n_ctx - len(ids))
        state: Any = None
        while len(self.ids) < most and not (self.ids and self.ids[-1] in ends):
            with self.turn():
                if state is None:
                    logits, state = model.step(ids, interventions=edits)
                else:
                    logits, state = model.step(self.ids[-1:], state)
            try:
                scores = checked_scores(logits)
            except SamplingError as error:
                self.refusal = error.what
                return
            self.logits.append(logits)
            step()
            self.ids.append(int(scores.argmax()))

    def text(self) -> tuple[Token, ...]:
        return tuple(self.tokens.token(token_id) for token_id in self.ids)

    def shares(self, index: int, ids: tuple[int, int]) -> tuple[float, float]:
        """Probabilities of two tokens at one choice."""
        one, other = softmax(self.logits[index])[list(ids)].tolist()
        return one, other


def _parting(reference: _Writer, other: _Writer) -> Parting | None:
    for index, pair in enumerate(zip(reference.ids, other.ids, strict=False)):
        if pair[0] != pair[1]:
            tokens = [reference.tokens.token(token_id) for token_id in pair]
            return Parting(
                index, tokens[0], tokens[1], reference.shares(index, pair), other.shares(index, pair)
            )
    return None
