"""What a projection draws: groups of words, the tokens of a prompt at some depth, or much of a vocabulary."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_runtime.errors import PromptError, SettingError
from model_runtime.interventions import Intervention
from model_runtime.model import Model
from model_runtime.records import Token
from model_runtime.trace import Trace
from model_runtime.vectors.embeddings import embedding_rows, embedding_table, word_tokens

MOST_GROUPS = 8  # one colour each
MOST_WORDS = 300
KINDS = ("begins a word", "inside a word", "number", "sign or space", "part of a character")


@dataclass(frozen=True)
class PointRequest:
    """Everything that decides the points of a model. `kind` says which of the other fields are read."""

    kind: str  # "words", "prompt" or "vocabulary"
    groups: str = ""  # the words, as `parse_groups` reads them
    top: int = 0  # entries of the vocabulary
    prompt: str = ""
    edits: tuple[Intervention, ...] = ()  # made while the prompt is read
    depth: int = 0  # 0: embedding; l + 1: after block l
    first: bool = True  # with the prompt's first token


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points to project, in a fixed order.

    vectors: float32 [point, d_model]. labels: a word, or a token's text. tokens: what each point is made of
    (several for a word that the tokenizer splits: their mean). groups: number of each point's group in
    `group_names`.
    """

    vectors: np.ndarray
    labels: tuple[str, ...]
    tokens: tuple[tuple[Token, ...], ...]
    groups: tuple[int, ...]
    group_names: tuple[str, ...]
    repeated: tuple[str, ...] = ()  # words that came twice; each is one point

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes + 200 * len(self.labels)

    @property
    def split(self) -> tuple[str, ...]:
        """Words of several tokens."""
        return tuple(label for label, tokens in zip(self.labels, self.tokens, strict=True) if len(tokens) > 1)


def parse_groups(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Groups of words, one a line: a name, a colon, and words with commas or spaces between them.

    Raises:
        PromptError: no words, or more groups or words than are allowed.

    >>> parse_groups("pets: cat, dog\\nNew York, Paris")
    (('pets', ('cat', 'dog')), ('Group 2', ('New York', 'Paris')))
    """
    groups: list[tuple[str, tuple[str, ...]]] = []
    for line in text.splitlines():
        name, colon, rest = line.rpartition(":")
        words = re.split(r"[,،、，]" if re.search(r"[,،、，]", rest) else r"\s+", rest)
        found = tuple(word.strip() for word in words if word.strip())
        if found:
            groups.append((name.strip() if colon and name.strip() else f"Group {len(groups) + 1}", found))
    n_words = sum(len(words) for _, words in groups)
    if not groups:
        raise PromptError("There are no words.", "Write a group a line, such as “animals: cat, dog, horse”.")
    if len(groups) > MOST_GROUPS or n_words > MOST_WORDS:
        raise PromptError(
            f"{len(groups)} groups with {n_words} words are too many.",
            f"At most {MOST_GROUPS} groups with {MOST_WORDS} words in all are allowed.",
        )
    return tuple(groups)


def points_of(model: Model, request: PointRequest, trace: Trace | None = None) -> PointSet:
    """The points that are asked for.

    Args:
        trace: of the prompt under its edits, where it is at hand.

    Raises:
        PromptError: no words, or a prompt that cannot be read.
    """
    if request.kind == "words":
        return word_points(model, parse_groups(request.groups))
    if request.kind == "vocabulary":
        return vocabulary_points(model, request.top)
    trace = trace or model.trace(request.prompt, interventions=request.edits)
    return prompt_points(trace, request.depth, request.first)


def ends_of(
    model: Model, request: PointRequest, points: PointSet, ends: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of an own axis, [d_model] each: a prompt's own tokens, else words of the embedding.

    Raises:
        PromptError: a blank end, or a token that the prompt does not have.
    """
    found = []
    for side, word in zip(("left", "right"), ends, strict=True):
        if not word:
            raise PromptError(f"The {side} end of the axis has no word.", "Type one.")
        if request.kind != "prompt":
            found.append(word_points(model, (("", (word,)),)).vectors[0])
            continue
        at = [i for i, label in enumerate(points.labels) if label.strip().lower() == word.lower()]
        if not at:
            raise PromptError(
                f"“{word}” is no token of the points drawn, so the axis has no {side} end.",
                "Take two tokens of the prompt.",
            )
        found.append(points.vectors[at[0]])
    return found[0], found[1]


def word_points(model: Model, groups: Sequence[tuple[str, Sequence[str]]], space: bool = True) -> PointSet:
    """Words as points of the input embedding; a word of several tokens is the mean of its rows.

    Args:
        space: put a space before each word, as in the middle of a sentence: often another token.
    """
    labels: dict[str, int] = {}
    repeated = []
    for number, (_, words) in enumerate(groups):
        for word in words:
            if word in labels:
                repeated.append(word)
            else:
                labels[word] = number
    tokens = tuple(word_tokens(model, word, space) for word in labels)
    vectors = np.stack([embedding_rows(model, [t.id for t in some]).mean(axis=0) for some in tokens])
    names = tuple(name for name, _ in groups)
    return PointSet(
        vectors, tuple(labels), tokens, tuple(labels.values()), names, tuple(dict.fromkeys(repeated))
    )


def prompt_points(trace: Trace, depth: int, first: bool = True) -> PointSet:
    """The tokens of a prompt as points: their embeddings (depth 0), or the stream after block `depth - 1`.

    Args:
        first: with the first token, whose vector grows so long in the middle layers of many models that
            nothing else is to be seen (Sun et al. 2024, arXiv:2402.17762, "massive activations").
    """
    stream, start = stream_at(trace, depth), 0 if first else 1
    tokens = tuple((token,) for token in trace.tokens[start:])
    labels = tuple(token.text for (token,) in tokens)
    return PointSet(stream[start:], labels, tokens, (0,) * len(labels), ("prompt",))


def stream_at(trace: Trace, depth: int) -> np.ndarray:
    """A prompt's vectors at one depth, float32 [pos, d_model]."""
    return trace.get("embed") if depth == 0 else trace.get("resid_post", layer=depth - 1)


def first_and_rest(trace: Trace, depth: int) -> tuple[float, float]:
    """At one depth the length of the first token's vector, and the mean length of the others."""
    lengths = np.linalg.norm(stream_at(trace, depth).astype(np.float64), axis=-1)
    return float(lengths[0]), float(lengths[1:].mean())


def vocabulary_points(model: Model, n: int) -> PointSet:
    """The first `n` entries of the vocabulary, special ones left out; in the order of their numbers."""
    found: list[Token] = []
    for token_id in range(len(embedding_table(model))):
        token = model.token(token_id)
        if not token.special:
            found.append(token)
        if len(found) == n:
            break
    if not found:
        raise SettingError("This vocabulary has only special tokens.", "Choose other points.")
    kinds = tuple(KINDS.index(kind_of(token)) for token in found)
    vectors = embedding_rows(model, [token.id for token in found])
    return PointSet(vectors, tuple(t.text for t in found), tuple((t,) for t in found), kinds, KINDS)


def kind_of(token: Token) -> str:
    """One of `KINDS`, by the token's own characters.

    >>> [kind_of(Token(0, text, text.encode())) for text in (" the", "ing", " 12", "\\n\\n")]
    ['begins a word', 'inside a word', 'number', 'sign or space']
    """
    text = token.text
    bare = text.strip()
    if "\ufffd" in text:
        return KINDS[4]
    if bare and bare.isnumeric():
        return KINDS[2]
    if any(character.isalpha() for character in bare):
        return KINDS[0] if text[:1].isspace() else KINDS[1]
    return KINDS[3]


def tokenizer_kind(tokenizer: Any) -> str | None:
    """The way in which a tokenizer learned its entries: "BPE", "Unigram", ...; None where it does not say."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else json.loads(backend.to_str())["model"].get("type")
