"""The embedding table: one row a token, what lies near a row, and arithmetic with words.

    token_row(model, 504).by_cosine.ids
    analogy(model, "king", "man", "woman").without.ids  # king - man + woman

Everything is float32, whatever the model's own number format, and over the whole vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_runtime.errors import PromptError
from model_runtime.finite import finite
from model_runtime.model import Model
from model_runtime.records import Token

MOST_WORDS = 24
LONGEST_WORD = 60  # characters


@dataclass(frozen=True)
class Ranked:
    """Tokens, the nearest first. values: cosine (larger is nearer) or Euclid's distance (smaller is)."""

    by: str
    ids: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def nbytes(self) -> int:
        return 16 * len(self.ids)


@dataclass(frozen=True, eq=False)
class WordVector:
    """A word and the mean of its tokens' rows, float32 [d_model]."""

    word: str
    tokens: tuple[Token, ...]
    vector: np.ndarray


@dataclass(frozen=True, eq=False)
class TokenRow:
    """How a token is read, what lies near it, and how it is written.

    values: its row of the input embedding, float32 [d_model]; head: of the language-model head, likewise.
    """

    token_id: int
    values: np.ndarray
    longer_than: float  # share of all rows that are shorter
    one_hot_difference: float
    by_cosine: Ranked  # without the token itself, as in `by_distance`
    by_distance: Ranked
    tied: bool  # the head uses the input embedding itself
    head: np.ndarray
    head_cosine: float  # of both rows

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.head.nbytes + self.by_cosine.nbytes + self.by_distance.nbytes


def embedding_table(model: Model) -> torch.Tensor:
    """The input embedding as the model has it, [d_vocab, d_model]."""
    weight: torch.Tensor = model.hf_model.get_input_embeddings().weight
    return weight.detach()


def embedding_rows(model: Model, ids: Sequence[int]) -> np.ndarray:
    """Rows of the input embedding, float32 [row, d_model]."""
    table = embedding_table(model)
    return np.array(table[torch.tensor(list(ids), device=table.device)].float().cpu().numpy())


def token_row(model: Model, token_id: int, k: int = 10, norms: np.ndarray | None = None) -> TokenRow:
    """Look a token up, and search the `k` rows nearest to its own by either measure.

    Args:
        norms: `table_norms` of the model, where they are at hand.

    Raises:
        PromptError: there is no such row.
    """
    values = embedding_row(model, token_id)
    norms = table_norms(model) if norms is None else norms
    by_cosine, by_distance = (
        nearest(model, values, norms, by, k, [token_id]) for by in ("cosine", "euclidean")
    )
    output: Any = model.hf_model.get_output_embeddings()
    head = np.array(output.weight[token_id].detach().float().cpu().numpy())
    return TokenRow(
        token_id,
        values,
        longer_than=float((norms < norms[token_id]).mean()),
        one_hot_difference=one_hot_difference(model, token_id),
        by_cosine=by_cosine,
        by_distance=by_distance,
        tied=output.weight.data_ptr() == embedding_table(model).data_ptr(),
        head=head,
        head_cosine=cosine(head, values),
    )


def embedding_row(model: Model, token_id: int) -> np.ndarray:
    """One row of the input embedding, float32 [d_model]: what the model reads where this token stands.

    Raises:
        PromptError: there is no such row; the text has the error that PyTorch gives for it.
    """
    n_rows = model.spec.d_vocab
    if not 0 <= token_id < n_rows:
        raise PromptError(
            f"There is no row {token_id:,}: the table has rows 0 to {n_rows - 1:,}. "
            f"{lookup_error(model, token_id)}",
            f"Give an id from 0 to {n_rows - 1:,}.",
        )
    return embedding_rows(model, [token_id])[0]


def embedding_scale(model: Model) -> float:
    """What the model multiplies its rows by before the first block: 1, but sqrt(d_model) in Gemma."""
    return float(getattr(model.hf_model.get_input_embeddings(), "embed_scale", 1.0))


def lookup_error(model: Model, token_id: int) -> str:
    """What PyTorch says when asked for a row outside the table, as a sentence."""
    shape = (model.spec.d_vocab, 1)
    try:
        # A table as long as the model's, one number wide: on a GPU the real one would end the process.
        torch.nn.functional.embedding(torch.tensor([token_id]), torch.zeros(shape))
    except (IndexError, RuntimeError, ValueError) as error:  # ValueError: beyond 64 bits
        words = str(error).strip().splitlines()[0]
        return f"Asked for it, PyTorch raises {type(error).__name__}: {words}."
    raise AssertionError(f"row {token_id} of {shape} was found")


def one_hot_difference(model: Model, token_id: int) -> float:
    """Largest difference of the row and a one-hot vector times the table: 0, since all other terms are 0."""
    table = embedding_table(model).float()
    one_hot = torch.zeros(1, len(table), device=table.device)
    one_hot[0, token_id] = 1.0
    return float((one_hot @ table - table[token_id]).abs().max())


def table_norms(model: Model) -> np.ndarray:
    """Length of every row of the input embedding, float32 [d_vocab].

    Raises:
        NotFinite: a row is too large to be squared, or holds what is no number.
    """
    lengths = embedding_table(model).float().norm(dim=1).cpu().numpy()
    return finite(np.array(lengths), "the lengths of the table's rows")


def nearest(
    model: Model,
    vector: np.ndarray,
    norms: np.ndarray,
    by: str = "cosine",
    k: int = 10,
    skip: Sequence[int] = (),
) -> Ranked:
    """The rows nearest to a vector [d_model] in the whole vocabulary, nearest first.

    Args:
        norms: lengths of all rows, [d_vocab] (`table_norms`).
        by: "cosine" compares directions, "euclidean" also lengths.
        skip: ids that are left out, such as the vector's own.

    Rows of zeros have no direction and are left out by cosine.
    """
    assert by in ("cosine", "euclidean"), by
    table = embedding_table(model).float()  # [d_vocab, d_model]
    dots = (table @ torch.tensor(vector, dtype=table.dtype, device=table.device)).cpu().numpy()  # [d_vocab]
    size = float(np.linalg.norm(vector.astype(np.float64)))
    if by == "cosine":
        lengths = norms * np.float32(size)
        with np.errstate(invalid="ignore", divide="ignore"):
            order = np.where(lengths > 0, dots / lengths, -np.inf)
    else:
        # |a - b|^2 = |a|^2 - 2 a.b + |b|^2; rounding can leave a little below 0.
        order = -np.sqrt(np.maximum(norms.astype(np.float64) ** 2 - 2.0 * dots + size**2, 0.0))
    order[list(skip)] = -np.inf
    k = min(k, int(np.isfinite(order).sum()))
    top = np.argpartition(-order, k - 1)[:k] if k else np.empty(0, dtype=int)
    top = top[np.argsort(-order[top], kind="stable")]  # [k]: the largest k, sorted
    values = order[top] if by == "cosine" else -order[top]
    return Ranked(by, tuple(top.tolist()), tuple(float(value) for value in values))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors; NaN where one is all zeros."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else float("nan")


def parse_words(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(words, those that came twice) of a list with commas or line breaks.

    Raises:
        PromptError: fewer than two words, too many, or one that is too long.

    >>> parse_words("cat, dog\\n cat")
    (('cat', 'dog'), ('cat',))
    """
    found = [word.strip() for line in text.splitlines() for word in line.split(",")]
    found = [word for word in found if word]
    words = tuple(dict.fromkeys(found))
    if len(words) < 2:
        raise PromptError(
            "There are fewer than two different words." if found else "There are no words.",
            "Write at least two words with commas between them, such as “man, woman, apple”.",
        )
    if len(words) > MOST_WORDS:
        raise PromptError(f"{len(words)} words are too many.", f"At most {MOST_WORDS} are allowed.")
    if too_long := [word for word in words if len(word) > LONGEST_WORD]:
        raise PromptError(
            f"One word has {len(too_long[0])} characters.", f"At most {LONGEST_WORD} are allowed."
        )
    return words, tuple(dict.fromkeys(word for word in found if found.count(word) > 1))


def word_tokens(model: Model, word: str, space: bool) -> tuple[Token, ...]:
    """The tokens of a word alone, without what the tokenizer adds to a text."""
    places = model.tokens.encode_with_places(f" {word}" if space else word)
    found = tuple(model.token(place.token_id) for place in places if not place.added)
    if not found:
        raise PromptError(f"The tokenizer makes no token of “{word}”.", "Choose another word.")
    return found


def word_vector(model: Model, word: str, space: bool = True) -> WordVector:
    """A word as one vector: the row of its token, or the mean of the rows of its tokens.

    Args:
        space: with a space before it, as in the middle of a sentence: often another token.
    """
    tokens = word_tokens(model, word, space)
    return WordVector(word, tokens, embedding_rows(model, [t.id for t in tokens]).mean(axis=0))


def similarities(words: Sequence[WordVector]) -> np.ndarray:
    """Cosine of every two words, float64 [word, word]."""
    return np.array([[cosine(one.vector, other.vector) for other in words] for one in words])


@dataclass(frozen=True)
class Analogy:
    """a - b + c: what lies nearest to the sum, without the three words' own tokens and with them.

    parallel: cosine of (a - b) and (d - c), where d is the nearest without them.
    """

    words: tuple[str, str, str]
    without: Ranked
    with_own: Ranked
    parallel: float

    @property
    def nbytes(self) -> int:
        return self.without.nbytes + self.with_own.nbytes


def analogy(
    model: Model,
    a: str,
    b: str,
    c: str,
    space: bool = True,
    k: int = 10,
    norms: np.ndarray | None = None,  # `table_norms` of the model, where they are at hand
) -> Analogy:
    """a - b + c by cosine over the whole vocabulary (Mikolov et al. 2013, arXiv:1301.3781, section 4)."""
    one, other, third = (word_vector(model, word, space) for word in (a, b, c))
    total = one.vector - other.vector + third.vector  # [d_model]
    norms = table_norms(model) if norms is None else norms  # [d_vocab]
    own = sorted({token.id for word in (one, other, third) for token in word.tokens})
    without = nearest(model, total, norms, "cosine", k, own)
    found = embedding_rows(model, without.ids[:1])[0] if without.ids else total
    parallel = cosine(one.vector - other.vector, found - third.vector)
    return Analogy((a, b, c), without, nearest(model, total, norms, "cosine", k), parallel)


def parse_analogy(text: str) -> tuple[str, str, str]:
    """The three words of "a - b + c".

    Raises:
        PromptError: it has another form.

    >>> parse_analogy("king - man + woman")
    ('king', 'man', 'woman')
    """
    first, minus, rest = text.replace("\u2212", "-").partition(" - ")
    second, plus, third = rest.partition(" + ")
    words = tuple(word.strip() for word in (first, second, third))
    if not minus or not plus or not all(words) or max(map(len, words)) > LONGEST_WORD:
        raise PromptError(
            "This is not of the form a - b + c.", "Write three words, such as “king - man + woman”."
        )
    return words[0], words[1], words[2]
