"""Typed errors. Each says what came, what is allowed, and what to do; pages show the text as it is."""

from __future__ import annotations


class GlassformerError(Exception):
    """Anything the person in front of the screen can do something about.

    Attributes:
        what: one sentence, what came and why it cannot be used.
        remedy: one sentence, what to do instead.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what} {remedy}".strip())


class PromptError(GlassformerError):
    """The prompt cannot be used: empty, or longer than a limit (both numbers are in the text)."""


class SettingError(GlassformerError):
    """A setting is outside what is allowed."""


class ModelNotFound(GlassformerError):
    """No such catalogue id, folder, or hub repository, or it cannot be reached without network."""


class TokenizerNotFound(GlassformerError):
    """The files of a tokenizer are not installed, or are not the pinned ones."""


class UnsupportedModel(GlassformerError):
    """The model is there, but its family or its files are not supported; the text says what is missing."""


class ModelTooLarge(GlassformerError):
    """The weights do not fit in the memory at hand, or on the disk (both numbers are in the text).

    Attributes:
        short_by: bytes of memory that would have to become free; None where memory is not what is short.
    """

    def __init__(self, what: str, remedy: str = "", short_by: int | None = None) -> None:
        super().__init__(what, remedy)
        self.short_by = short_by


class NotCaptured(GlassformerError):
    """`Trace.get` was asked for something the request did not include; the remedy names the request."""


class PointUnavailable(GlassformerError):
    """The model, or this layer of it, has no such point; the text says why."""


class InterventionError(GlassformerError):
    """An intervention names something that the model does not have."""


class SamplingError(GlassformerError):
    """The distribution cannot be sampled from (NaN, or nothing left)."""


class NotFinite(GlassformerError):
    """A value is infinite or not a number, so nothing can be said about it but that."""
