"""One word in several sentences: cosines by depth beside a baseline, and the paths of its vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_runtime.records import SensePaths, Senses
from viz import style

LONGEST_SENTENCE = 34  # characters of a sentence in a picture


@dataclass(frozen=True)
class SenseCurves:
    """Cosines [pair][depth]; depth 0 is the embedding, depth l + 1 the output of block l.

    baseline, low, high: of unrelated tokens by depth, empty where there are none. same_token: for each pair,
    whether both occurrences end in the same token. bottom: end of the axis, shared by compared runs.
    """

    word: str
    sentences: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    cosines: tuple[tuple[float, ...], ...]
    same_token: tuple[bool, ...]
    baseline: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n_unrelated: int
    depth: int  # selected
    bottom: float

    @property
    def n_depths(self) -> int:
        return len(self.cosines[0])

    @property
    def farthest(self) -> int:
        """The pair that is least alike at the selected depth."""
        return min(range(len(self.pairs)), key=lambda pair: self.cosines[pair][self.depth])


@dataclass(frozen=True)
class SensePath:
    """Paths in a plane, (x, y) [sentence][depth], and how they were made."""

    word: str
    sentences: tuple[str, ...]
    places: tuple[tuple[tuple[float, float], ...], ...]
    made: SensePaths
    depth: int  # selected

    @property
    def n_depths(self) -> int:
        return len(self.places[0])


def sense_curves_record(found: Senses, word: str, depth: int) -> SenseCurves:
    """What was measured -> what is drawn."""

    def values(array: np.ndarray | None) -> tuple[float, ...]:
        return () if array is None else tuple(float(value) for value in array)

    last = [occurrence.tokens[-1].id for occurrence in found.occurrences]
    cosines = tuple(values(row) for row in found.cosines)
    low = values(found.low)
    least = min(value for row in (*cosines, low) for value in row)
    return SenseCurves(
        word=word.strip(),
        sentences=tuple(occurrence.sentence for occurrence in found.occurrences),
        pairs=found.pairs,
        cosines=cosines,
        same_token=tuple(last[one] == last[other] for one, other in found.pairs),
        baseline=values(found.baseline),
        low=low,
        high=values(found.high),
        n_unrelated=found.n_unrelated,
        depth=min(depth, len(cosines[0]) - 1),
        bottom=min(0.0, least),
    )


def sense_path_record(paths: SensePaths, found: Senses, word: str, depth: int) -> SensePath:
    """What was measured -> what is drawn."""
    places = tuple(tuple((float(x), float(y)) for x, y in path) for path in paths.coordinates)
    sentences = tuple(occurrence.sentence for occurrence in found.occurrences)
    return SensePath(word.strip(), sentences, places, paths, min(depth, len(places[0]) - 1))


def depth_words(depth: int) -> str:
    """A depth of the stream in words.

    >>> depth_words(0), depth_words(3)
    ('embedding', 'after block 2')
    """
    return "embedding" if depth == 0 else f"after block {depth - 1}"


def pair_words(pair: tuple[int, int]) -> str:
    """Two sentences by their numbers on screen, which count from 1.

    >>> pair_words((0, 2))
    '1 and 3'
    """
    return f"{pair[0] + 1} and {pair[1] + 1}"


def cosines_sentence(record: SenseCurves) -> str:
    """The cosines at the selected depth beside the baseline, as plain text."""
    depth = record.depth
    each = "; ".join(
        f"{pair_words(pair)}: {style.three_digits(row[depth])}"
        for pair, row in zip(record.pairs, record.cosines, strict=True)
    )
    where = "At the embedding" if depth == 0 else f"After block {depth - 1}"
    said = f"{where}, sentences {each}."
    if not record.baseline:
        return f"{said} These sentences have no other tokens to compare with."
    mean, low, high = (
        style.three_digits(values[depth]) for values in (record.baseline, record.low, record.high)
    )
    said += f" Two unrelated tokens: {mean} on average, nine of ten pairs between {low} and {high}."
    return f"{said} {verdict(record)}"


def verdict(record: SenseCurves) -> str:
    """Whether the least alike pair is more alike than unrelated tokens are, as plain text."""
    at = record.farthest
    pair, cosine = pair_words(record.pairs[at]), record.cosines[at][record.depth]
    if cosine > record.high[record.depth]:
        return f"So even {pair}, the least alike, are more alike than unrelated tokens."
    if cosine >= record.low[record.depth]:
        return f"So {pair} are here no more alike than many tokens that have nothing in common."
    return f"So {pair} are here less alike than nearly all unrelated tokens."


def embedding_sentence(record: SenseCurves) -> str:
    """Why the curves begin where they do, as plain text."""
    if all(record.same_token):
        return (
            "The word is the same token everywhere, so all begin as the same row of the embedding table: "
            "cosine 1."
        )
    odd = [pair_words(pair) for pair, same in zip(record.pairs, record.same_token, strict=True) if not same]
    return (
        f"Sentences {', '.join(odd)} do not end the word in the same token (a capital, a space before it or "
        "another ending makes another token), so their cosine is not 1 even at the embedding."
    )
