"""A loaded model that can be traced: the hooks are on it, the weights are untouched."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from model_runtime.capture.adapter import Adapter, model_spec
from model_runtime.capture.availability import default_points, reasons_of
from model_runtime.capture.context import Run, active
from model_runtime.capture.hooks import KEYS, install
from model_runtime.capture.planner import Planner
from model_runtime.capture.request import (
    Indices,
    LogitsAt,
    TraceRequest,
    check_complete,
    checked_request,
    whole_numbers,
)
from model_runtime.capture.rotary import read_anew
from model_runtime.capture.together import Together
from model_runtime.errors import PromptError
from model_runtime.interventions import Intervention, as_interventions
from model_runtime.limits import check_prompt_length
from model_runtime.records import Token
from model_runtime.sampling.generation import DecodeState, Generation, generate
from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.text_stream import DecodedStream, TextStream
from model_runtime.tokenizer import Tokens
from model_runtime.trace import Trace

Prompt = str | Sequence[int]


class Model:
    """A Hugging Face causal language model with our hooks, safe to share between threads.

    Raises:
        UnsupportedModel: the family is not in the table of `families`, or this variant of it is not.

    Attributes:
        hf_model: the module underneath, in eval mode, weights untouched.
        spec: its shape.
        planner: turns interventions into edits at the hooks.
        family: its row in the families table.
        default_points: what `trace` keeps if not told otherwise.
    """

    def __init__(
        self,
        hf_model: Any,
        tokenizer: Any,
        *,
        model_id: str,
        name: str,
        revision: str,
        stored_bits: int = 0,
    ) -> None:
        self.adapter = Adapter(hf_model)
        self.hf_model = hf_model.eval()
        self.tokenizer = tokenizer
        self.family = self.adapter.family
        self.spec = model_spec(
            self.adapter, model_id=model_id, name=name, revision=revision, stored_bits=stored_bits
        )
        rows = int(hf_model.get_input_embeddings().weight.shape[0])
        self.tokens = Tokens(tokenizer, min(rows, self.spec.d_vocab))
        self.reasons = reasons_of(self.adapter)
        self.default_points = default_points(self.adapter, self.reasons)
        self.planner = Planner(self.adapter, self.spec)
        hf_model.set_attn_implementation(KEYS[self.family.attention_kernel])
        install(self.adapter)

    def __repr__(self) -> str:
        spec = self.spec
        return (
            f"Model({spec.name}, {self.family.title}, {spec.n_layers} layers, {spec.dtype} on {spec.device})"
        )

    @property
    def device(self) -> torch.device:
        return next(self.hf_model.parameters()).device

    def with_weights(self, weights: Mapping[str, torch.Tensor], label: str) -> Model:
        """A model of its own with some weights replaced; all others are shared, and this one stays as it is.

        Args:
            weights: by the names of `hf_model.named_parameters()`; of the same shapes.
            label: added to the revision, so that traces of the two are never taken for each other.
        """
        shared = {id(tensor): tensor for tensor in (*self.hf_model.parameters(), *self.hf_model.buffers())}
        hf_model = copy.deepcopy(self.hf_model, shared)
        for name, value in weights.items():
            path, _, last = name.rpartition(".")
            module = hf_model.get_submodule(path)
            assert value.shape == module._parameters[last].shape, (name, value.shape)
            module._parameters[last] = torch.nn.Parameter(value, requires_grad=False)
        twin = copy.copy(self)
        twin.hf_model, twin.adapter = hf_model, Adapter(hf_model)
        twin.spec = replace(self.spec, revision=f"{self.spec.revision} + {label}")
        twin.planner = Planner(twin.adapter, twin.spec)
        return twin

    # Text

    def tokenize(self, text: str) -> tuple[Token, ...]:
        """The tokens of a text as the model would read them, a beginning token included where there is one.

        Raises:
            PromptError: as `Tokens.encode`: empty, blank, nothing that the table has, a token without a row.
        """
        return tuple(self.tokens.token(token_id) for token_id in self.tokens.encode(text))

    def token(self, token_id: int) -> Token:
        """One entry of the vocabulary."""
        return self.tokens.token(token_id)

    def text_stream(self, before: Sequence[int]) -> TextStream | DecodedStream:
        """Turns tokens that continue those with the ids `before` into text, one after the other."""
        return TextStream() if self.tokens.joins_bytes else DecodedStream(self.tokens.text, before)

    def prompt_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Token ids of a text or of given ids, checked against the vocabulary and the context length.

        Raises:
            PromptError: empty, blank, an id the model does not have, or too long (both numbers are named).
        """
        ids = self.tokens.encode(prompt) if isinstance(prompt, str) else self.checked_ids(prompt)
        check_prompt_length(len(ids), self.spec.n_ctx)
        return ids

    def checked_ids(self, given: Any) -> tuple[int, ...]:
        """Token ids that exist, at least one; anything else is refused before it reaches the model."""
        try:
            if isinstance(given, str | bytes | bytearray):
                raise TypeError
            ids = whole_numbers(given)
        except TypeError:
            raise PromptError(
                f"A prompt of type {type(given).__name__} cannot be read.",
                "Give a text, or one list of token ids (whole numbers).",
            ) from None
        if not ids:
            raise PromptError("The prompt has no tokens.", "Type at least one word.")
        if wrong := [i for i in ids if not 0 <= i < self.spec.d_vocab]:
            raise PromptError(
                f"Token id {wrong[0]} does not exist.",
                f"{self.spec.name} has ids 0 to {self.spec.d_vocab - 1}.",
            )
        return ids

    # Tracing

    def trace(
        self,
        prompt: Prompt,
        points: str | Iterable[str] | None = None,
        layers: Indices | None = None,
        positions: Indices | None = None,
        interventions: Intervention | Iterable[Intervention] = (),
        exact: bool = False,
        logits_at: LogitsAt = "last",
    ) -> Trace:
        """Run one forward pass and keep what was asked for.

        In every dtype the logits are, to the bit, those of transformers' own call on the same ids, of a
        model as `from_pretrained` gives it: with `logits_to_keep=1` for "last", with none for "all". The rows
        of the two may differ from each other in the last bits, and so may those of chosen positions and of a
        cached decode (`step`).

        Args:
            prompt: text, or token ids taken as they are.
            points: names of the table in `points`; None keeps `default_points`. Any of "pattern",
                "attn_scores", "sink_weight", "rot_q", "rot_k" and "v" gives them all.
            layers, positions: keep only these; None keeps all.
            interventions: edits of this pass alone; values are those after the edit.
            exact: use the family's eager attention instead of its default kernel.
            logits_at: "last", "all", or token positions.

        Where several points, layers, positions or edits can be given, a single one may stand alone.

        Raises:
            PromptError: see `prompt_ids`.
            PointUnavailable: a point, layer or position that does not exist here.
            SettingError: an argument of the wrong type, or no position at all.
            InterventionError: an edit of something that does not exist here.
        """
        request = self._request(prompt, points, layers, positions, interventions, exact, logits_at)
        run, seconds = self._observed(request)
        return Trace(
            spec=self.spec,
            tokens=tuple(self.tokens.token(token_id) for token_id in request.ids),
            added=self.tokens.added if isinstance(prompt, str) else (),
            points=request.points,
            layers=request.layers,
            positions=request.positions,
            logits_positions=request.logits_positions,
            interventions=request.interventions,
            exact=exact,
            seconds=seconds,
            recipe=self._recipe(request),
            kept=run.kept,
            calls=run.calls,
            reasons=self.reasons,
        )

    def _observed(self, request: TraceRequest) -> tuple[Run, float]:
        """The run of one forward pass with all that was asked for in it, and the forward's seconds."""
        positions = request.positions
        run = Run(
            self.adapter,
            self.planner.plan(request.interventions, len(request.ids)),
            points=request.points,
            layers=request.layers,
            positions=None if positions is None else torch.tensor(positions, device=self.device),
            exact=request.exact,
        )
        start = time.perf_counter()
        run.kept["logits", None], _ = self.forward(request.ids, run, request.logits_positions)
        seconds = time.perf_counter() - start
        run.finish()
        check_complete(self.spec, self.reasons, request, run.kept, run.calls)
        return run, seconds

    def trace_recipe(
        self,
        prompt: Prompt,
        points: str | Iterable[str] | None = None,
        layers: Indices | None = None,
        positions: Indices | None = None,
        interventions: Intervention | Iterable[Intervention] = (),
        exact: bool = False,
        logits_at: LogitsAt = "last",
    ) -> Hashable:
        """The `recipe` that `trace` with these arguments would have, without running it: a cache key."""
        return self._recipe(self._request(prompt, points, layers, positions, interventions, exact, logits_at))

    def _request(self, prompt: Prompt, *wanted: Any) -> TraceRequest:
        return checked_request(self.spec, self.reasons, self.default_points, self.prompt_ids(prompt), *wanted)

    def _recipe(self, request: TraceRequest) -> Hashable:
        spec = self.spec
        return (spec.model_id, spec.revision, spec.dtype, spec.device, request)

    def step(
        self,
        ids: Sequence[int],
        state: DecodeState | None = None,
        interventions: Intervention | Iterable[Intervention] = (),
    ) -> tuple[np.ndarray, DecodeState]:
        """Read more tokens and give the logits for the next one: one step of generating text.

        Begin with the prompt's ids and no state; go on with the new token's id and the state that came
        back (the old one is used up). Interventions are given at the beginning and hold for the whole text.

        Returns:
            logits float32 [d_vocab], and the state to go on with.

        Raises:
            PromptError: no ids, ids that do not exist, or a text longer than the model reads.
            InterventionError: an edit of something that does not exist here.
        """
        ids = self.checked_ids(ids)
        check_prompt_length(len(ids) + (len(state.ids) if state else 0), self.spec.n_ctx)
        if state is None:
            plan = self.planner.plan(as_interventions(interventions), None)
            state = DecodeState((), DynamicCache(config=self.hf_model.config), plan)
        if self._rotation_changes(state, len(ids)):
            ids = state.ids + ids
            state = DecodeState((), DynamicCache(config=self.hf_model.config), state.plan)
        run = Run(self.adapter, state.plan, offset=len(state.ids))
        logits, cache = self.forward(ids, run, (len(ids) - 1,), state.cache)
        return logits[-1].float().numpy(), DecodeState(state.ids + ids, cache, state.plan)

    def _rotation_changes(self, state: DecodeState, n_new: int) -> bool:
        """Whether the cached keys are turned by other frequencies than the longer text has."""
        parameters, rope = self.adapter.rope_parameters(0), state.plan.rope
        if parameters is None or not state.ids or (rope is not None and rope.off):
            return False
        before = len(state.ids) + (rope.offset if rope else 0)
        trained = int(self.adapter.config.max_position_embeddings)
        return read_anew(parameters, trained, before, before + n_new)

    def checked_interventions(
        self, interventions: Intervention | Iterable[Intervention]
    ) -> tuple[Intervention, ...]:
        """The edits, checked against this model and its longest text: what generation may still reach.

        Raises:
            InterventionError: an edit of something that does not exist here.
        """
        edits = as_interventions(interventions)
        self.planner.plan(edits, None)
        return edits

    def generate(
        self,
        prompt: Prompt,
        sampling: SamplingSettings | None = None,
        interventions: Intervention | Iterable[Intervention] = (),
        stop: Callable[[], bool] | None = None,
    ) -> Generation:
        """Generate text, one record per token; see `generation.generate`."""
        return generate(self, prompt, sampling, interventions, stop)

    def forward(
        self,
        ids: Sequence[int],
        run: Run,
        rows: tuple[int, ...],
        cache: Any = None,
        *,
        looks_ahead: bool = False,
    ) -> tuple[torch.Tensor, Any]:
        """One forward of the tokens `ids` after what the cache holds: logits [row, d_vocab] and the cache.

        Nothing is checked: for experiments that `trace` and `step` refuse (`order`, `length`).

        Args:
            rows: which of the new tokens' logits are computed, counted from 0.
            looks_ahead: without any mask, so that every token sees every other (no cache then).
        """
        logits, cache = self._forward([list(ids)], run, rows, cache, looks_ahead)
        return logits[0], cache

    def forward_together(
        self, texts: Sequence[Sequence[int]], runs: Sequence[Run], looks_ahead: Sequence[bool]
    ) -> None:
        """One forward of several texts of equally many tokens, each with its run, which keeps its own
        last row of logits; equal to one forward each up to rounding (see `together`). Nothing is checked.

        Args:
            looks_ahead: for each text, as in `forward`.
        """
        rows = (len(texts[0]) - 1,)
        logits, _ = self._forward(
            [list(ids) for ids in texts], Together(runs, looks_ahead), rows, None, False
        )
        for run, own in zip(runs, logits, strict=True):
            run.kept["logits", None] = own
            run.finish()

    def next_logits(self, ids: Sequence[int], run: Run, copies: int) -> torch.Tensor:
        """One forward of a batch of equal texts, which `run` edits row by row: logits [copy, d_vocab].

        Nothing is checked: for measurements that try many edits of one text (`worth`).
        """
        logits, _ = self._forward([list(ids)] * copies, run, (len(ids) - 1,), None, False)
        return logits[:, 0]

    def _forward(
        self, texts: list[list[int]], run: Run, rows: tuple[int, ...], cache: Any, looks_ahead: bool
    ) -> tuple[torch.Tensor, Any]:
        """Logits [text, row, d_vocab] and the cache; see `forward`."""
        n = len(texts[0])
        keep: int | torch.Tensor
        # The last row by index too, not as a slice: a slice is a view with odd strides, and for weights that
        # need no gradient torch then takes another product: ten times slower in half precision on a CPU, and
        # with other last bits than an untouched model's, whose weights do need one.
        keep = 0 if rows == tuple(range(n)) else torch.tensor(rows, device=self.device)
        inputs = torch.tensor(texts, device=self.device)
        # A mask of ones: without one, unusual positions would be read as several packed texts.
        mask = torch.ones((len(texts), run.offset + n), dtype=torch.long, device=self.device)
        more: dict[str, Any] = {}
        if looks_ahead:
            # A finished mask of four axes is taken as it is: nothing is added to any score.
            mask = torch.zeros((1, 1, n, n), dtype=getattr(torch, self.spec.dtype), device=self.device)
            more["position_ids"] = torch.arange(n, device=self.device)[None]
        with torch.no_grad(), active(run) if run.has_work else nullcontext():
            output = self.hf_model(
                input_ids=inputs,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=keep,
                **more,
            )
        # On a GPU this also waits for the forward to end, so that its duration is the real one.
        return output.logits.cpu(), output.past_key_values
