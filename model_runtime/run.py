"""A run, opened once: a model, the tokens it reads, the edits, and what one forward pass left behind.

    run = open_run(model, "The quick brown fox")
    stages = head_stages(run, layer=3, head=5)

What the runtime measures takes such a run first, or the model alone where the text does not matter, then
plain, hashable arguments, and gives a record that knows its `nbytes`. So a measurement can be kept under its
name and arguments, and run in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, overload

from model_runtime.interventions import Intervention, as_interventions
from model_runtime.model import Model, Prompt
from model_runtime.records import ModelSpec, Token
from model_runtime.trace import Trace

Value = TypeVar("Value")


class once(Generic[Value]):  # used like `property`
    """A property that is computed when first asked for and then stands in its object.

    functools.cached_property holds one lock for all objects of a class while it computes (Python 3.11): a
    visitor's forward would keep all others from their own, and two that wait for each other wait for ever.
    Here two threads may compute the same value, which does no harm.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type) -> once[Value]: ...
    @overload
    def __get__(self, owner: object, kind: type) -> Value: ...
    def __get__(self, owner: object, kind: type) -> once[Value] | Value:
        if owner is None:
            return self
        value = vars(owner)[self.name] = self.compute(owner)
        return value


# What a measurement may be lent: see `pages.shared.run.opened`.
Turn = Callable[[], AbstractContextManager[None]]  # entered around a forward pass, so that others get theirs
ModelIn = Callable[[str], Model]  # the run's model in a dtype ("float16")


@dataclass(frozen=True, eq=False)
class OpenRun:
    """What a measurement looks at. Tokens and trace are made when they are first asked for."""

    model: Model
    prompt: Prompt  # text, or token ids taken as they are
    interventions: tuple[Intervention, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """The model's shape."""
        return self.model.spec

    @once
    def tokens(self) -> tuple[Token, ...]:
        """What the model reads, a beginning token included where there is one."""
        return tuple(map(self.model.token, self.ids))

    @once
    def ids(self) -> tuple[int, ...]:
        """The tokens' ids."""
        return self.model.prompt_ids(self.prompt)

    @once
    def trace(self) -> Trace:
        """One forward pass with the default points, under the edits."""
        return self.traced()

    def traced(self, **request: Any) -> Trace:
        """A pass over the prompt under the edits, with the points that `request` names.

        Args:
            request: arguments of `Model.trace`: points, layers, positions, exact, logits_at.

        Raises:
            PointUnavailable: the model does not have a point.
        """
        return self.model.trace(self.prompt, interventions=self.interventions, **request)

    def under(self, edits: tuple[Intervention, ...]) -> OpenRun:
        """The same prompt under other edits, in the place of this run's."""
        return replace(self, interventions=edits)


def open_run(
    model: Model, prompt: Prompt, interventions: Intervention | Sequence[Intervention] = ()
) -> OpenRun:
    """A text (or token ids), read by a model under edits.

    Raises:
        PromptError: the prompt is blank, too long, or holds an id that the model does not have.
    """
    run = OpenRun(model, prompt, as_interventions(interventions))
    assert run.tokens
    return run
