"""One word in several sentences: how its vectors part from layer to layer.

A token's embedding knows nothing of the sentence. Layer by layer attention writes the sentence into it, and
the same word in another sentence becomes another vector. The cosine between two of them says how far they
have parted, but only beside a baseline: in many models the vectors of any two tokens point much the same
way (Ethayarajh 2019, arXiv:1909.00512, "anisotropy").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from model_runtime.errors import PromptError
from model_runtime.interventions import Intervention
from model_runtime.model import Model
from model_runtime.records import Occurrence, SensePaths, Senses
from model_runtime.run import Turn
from model_runtime.trace import Trace
from model_runtime.vectors.projection import pca, unit_length

MOST_SENTENCES = 5
MOST_OTHERS = 64  # other tokens of a sentence that the baseline reads
POINTS = ("embed", "resid_post")  # of a trace: the stream at all depths


def has_word(sentence: str, word: str) -> bool:
    """Whether `find_word` would find the word there."""
    return bool(word.strip()) and re.search(_as_word(word.strip()), sentence, re.IGNORECASE) is not None


def _as_word(word: str) -> str:
    return rf"(?<!\w){re.escape(word)}(?!\w)"


def find_word(model: Model, sentence: str, word: str) -> Occurrence:
    """The last occurrence of `word` in `sentence`, as a whole word, capitals or not, and its tokens.

    Raises:
        PromptError: the word or the sentence is blank, or the word does not stand there.
    """
    word = word.strip()
    if not word:
        raise PromptError("No word is given.", "Type the word to look for.")
    found = [*re.finditer(_as_word(word), sentence, re.IGNORECASE)]
    if not found:
        raise PromptError(
            f"The word “{word}” does not stand in the sentence “{sentence.strip()}”.",
            "Write it into the sentence as a word of its own, or choose another word.",
        )
    start, end = found[-1].span()
    places = model.tokens.encode_with_places(sentence)
    positions = tuple(
        position for position, place in enumerate(places) if _touches(place.characters, start, end)
    )
    if not positions:
        raise PromptError(
            f"The tokenizer of {model.spec.name} does not say where its tokens stand in a sentence.",
            "Choose a model with a fast tokenizer.",
        )
    tokens = tuple(model.token(places[position].token_id) for position in positions)
    return Occurrence(sentence, sentence[start:end], len(found), positions, tokens)


def _touches(characters: tuple[int, int] | None, start: int, end: int) -> bool:
    """Whether a token has a character of the word. (A space before it may belong to its first token.)"""
    return characters is not None and max(characters[0], start) < min(characters[1], end)


def senses(
    model: Model,
    occurrences: tuple[Occurrence, ...],
    edits: tuple[tuple[Intervention, ...], ...],
    turn: Turn = nullcontext,
    traces: Sequence[Trace] = (),
) -> Senses:
    """Compare one word's vectors, sentence by sentence and depth by depth.

    Args:
        edits: made while a sentence is read, for each sentence.
        turn: entered around each forward pass.
        traces: of the sentences, with `POINTS`, where they are at hand.

    Raises:
        PromptError: fewer than two sentences, or more than `MOST_SENTENCES`.
    """
    check_number(len(occurrences))
    read = list(traces)
    for found, made in [] if read else zip(occurrences, edits, strict=True):
        with turn():
            read.append(model.trace(found.sentence, interventions=made, points=POINTS))
    streams = [stream(trace) for trace in read]  # [depth, pos, d_model] each
    own = [found.position for found in occurrences]
    # [sentence, depth, d_model]
    vectors = np.stack([one[:, at] for one, at in zip(streams, own, strict=True)])
    pairs = tuple((one, other) for other in range(len(own)) for one in range(other))
    units = unit_length(vectors.astype(np.float64))
    cosines = np.stack([(units[one] * units[other]).sum(axis=-1) for one, other in pairs])  # [pair, depth]
    ids = [model.prompt_ids(found.sentence) for found in occurrences]
    unrelated = unrelated_cosines(occurrences, ids, streams)  # [depth, pair of tokens]
    mean, low, high = None, None, None
    if unrelated.shape[1]:
        mean = unrelated.mean(axis=1).astype(np.float32)
        low, high = np.quantile(unrelated, (0.05, 0.95), axis=1).astype(np.float32)
    return Senses(
        occurrences=occurrences,
        vectors=vectors,
        pairs=pairs,
        cosines=cosines.astype(np.float32),
        baseline=mean,
        low=low,
        high=high,
        n_unrelated=unrelated.shape[1],
    )


def check_number(n_sentences: int) -> None:
    """Refuse fewer than two sentences and more than `MOST_SENTENCES` with a `PromptError`."""
    if not 2 <= n_sentences <= MOST_SENTENCES:
        said = "1 sentence" if n_sentences == 1 else f"{n_sentences} sentences"
        raise PromptError(
            f"{said} cannot be compared.", f"Give 2 to {MOST_SENTENCES}, each on a line of its own."
        )


def stream(trace: Trace) -> np.ndarray:
    """The stream of a text from the embedding on, float32 [depth, pos, d_model]."""
    return np.concatenate([trace.get("embed")[None], trace.get("resid_post")])


def unrelated_cosines(
    occurrences: Sequence[Occurrence], ids: Sequence[Sequence[int]], streams: Sequence[np.ndarray]
) -> np.ndarray:
    """Cosines of tokens that have nothing in common, [depth, pair]; see `Senses`. ids: [sentence][pos]."""
    kept = [other_positions(found, len(own)) for found, own in zip(occurrences, ids, strict=True)]
    tokens = [np.array(own, dtype=np.int64)[some] for own, some in zip(ids, kept, strict=True)]
    units = [unit_length(one[:, some].astype(np.float64)) for one, some in zip(streams, kept, strict=True)]
    found = []
    for other in range(len(kept)):
        for one in range(other):
            unequal = tokens[one][:, None] != tokens[other][None, :]  # [pos, pos]
            cosines = units[one] @ units[other].transpose(0, 2, 1)  # [depth, pos, pos]
            found.append(cosines[:, unequal])
    return np.concatenate(found, axis=1)


def other_positions(occurrence: Occurrence, n_tokens: int) -> list[int]:
    """Positions that the baseline reads: neither the word's nor the first, evenly spaced in a long text."""
    free = [position for position in range(1, n_tokens) if position not in occurrence.positions]
    if len(free) <= MOST_OTHERS:
        return free
    return [free[round(at)] for at in np.linspace(0, len(free) - 1, MOST_OTHERS)]


def sense_paths(found: Senses, unit: bool = True, apart: bool = False) -> SensePaths:
    """The vectors of all sentences and depths in one plane (PCA).

    Args:
        unit: scale every vector to length 1 first. Without it the growth of the stream fills the picture.
        apart: take away, at each depth, the mean over the sentences. What all have in common moves the
            most from block to block; what is left is where they part.
    """
    vectors = found.vectors.astype(np.float64)
    points = unit_length(vectors) if unit else vectors
    if apart:
        points = points - points.mean(axis=0)
    coordinates, explained = pca(points.reshape(-1, points.shape[-1]), 2)  # [sentence * depth, axis]
    shape = (*points.shape[:2], 2)
    return SensePaths(coordinates.reshape(shape).astype(np.float32), explained, unit, apart)
