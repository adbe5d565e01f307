"""Which experts a model uses for which kind of text, measured on the bundled held-out text.

Four kinds of text that were kept out of the mini models' training (`assets/heldout`): plays, scripture,
Python code, arithmetic. Any model with routers can be measured on them.

As much text of each: EXCERPTS excerpts of EXCERPT_TOKENS tokens, evenly spread over the file. Even and odd
excerpts make two halves, and the divergence between the halves of one kind says how much of the divergence
between two kinds would be there by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from model_runtime.errors import GlassformerError, PointUnavailable
from model_runtime.finite import finite
from model_runtime.model import Model
from model_runtime.moe.load import js_divergence, shares
from model_runtime.moe.routing import sparse_layers
from model_runtime.run import Turn
from model_runtime.steps import part

HELDOUT = Path(__file__).resolve().parents[2] / "assets" / "heldout"
DOMAINS = ("plays", "scripture", "python", "arithmetic")
EXCERPTS, EXCERPT_TOKENS = 8, 128
_LONGEST_TOKEN = 8  # characters a token at most on average: how much of a file is read for an excerpt


class TextMissing(GlassformerError):
    """The bundled text is not there."""


@dataclass(frozen=True, eq=False)
class DomainRouting:
    """Every choice that the routers made on the held-out text. Nothing in it changes.

    Attributes:
        domains: names, in the order of the numbers in `domain`.
        layers: the layers with routers.
        ids: token read, int64 [token]; tokens of all domains one after the other.
        domain, half: of each token, int8 [token].
        indices: experts chosen, int16 [layer, token, k].
    """

    domains: tuple[str, ...]
    layers: tuple[int, ...]
    n_experts: int
    ids: np.ndarray
    domain: np.ndarray
    half: np.ndarray
    indices: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.ids.nbytes + self.domain.nbytes + self.half.nbytes + self.indices.nbytes

    @property
    def n_tokens(self) -> tuple[int, ...]:
        """Tokens of each domain."""
        return tuple(np.bincount(self.domain, minlength=len(self.domains)).tolist())


@dataclass(frozen=True)
class DomainDivergence:
    """Jensen-Shannon divergence in bits, 0 (equal) to 1 (no expert in common).

    Both are between two halves, so that the same number of tokens stands on either side: the less text, the
    larger the divergence that chance alone makes.
    """

    pairs: tuple[tuple[int, int], ...]  # numbers of domains
    between: np.ndarray  # float64 [layer, pair], mean over the four pairs of halves
    within: np.ndarray  # float64 [layer, domain], between the halves of one domain


@dataclass(frozen=True)
class TypicalToken:
    """A token that an expert takes more often than the text has it."""

    id: int
    seen: int  # in the text
    taken: int  # of these, by the expert
    share_of_expert: float  # of the expert's tokens
    share_of_text: float

    @property
    def times(self) -> float:
        """How many times its share of the text its share of the expert's tokens is."""
        return self.share_of_expert / self.share_of_text


def read_heldout(folder: Path = HELDOUT) -> dict[str, str]:
    """The bundled held-out text, by domain.

    Raises:
        TextMissing: a file is not there.
    """
    texts = {}
    for domain in DOMAINS:
        file = folder / f"{domain}.txt"
        if not file.is_file():
            raise TextMissing(
                f"The held-out text {file.name} is missing.", "It comes with the app, in assets/heldout."
            )
        texts[domain] = file.read_text(encoding="utf-8")
    return texts


def domain_routing(
    model: Model,
    texts: Mapping[str, str] | None = None,
    excerpts: int = EXCERPTS,
    turn: Turn = nullcontext,
) -> DomainRouting:
    """Run the model over excerpts of each text and keep what its routers chose.

    Args:
        texts: by name of the domain; None: the bundled ones.
        excerpts: of each, of EXCERPT_TOKENS tokens or as many as the model reads or the text has.
        turn: entered around each forward pass.

    Raises:
        PointUnavailable: the model has no router.
        TextMissing: a bundled text is not there.
        NotFinite: the model's numbers end on one of them.
    """
    texts = read_heldout() if texts is None else texts
    layers = sparse_layers(model)
    if not layers:
        raise PointUnavailable(f"{model.spec.name} has no experts: it is dense.", "Choose another model.")
    ids: list[int] = []
    places: list[tuple[int, int]] = []
    chosen: list[np.ndarray] = []
    for number, (title, text) in enumerate(texts.items()):
        for excerpt in range(excerpts):
            read = _excerpt_ids(model, text, excerpt, excerpts)
            with turn(), part(number * excerpts + excerpt, len(texts) * excerpts):
                trace = model.trace(read, points=("router_indices",), layers=layers)
            finite(trace.next_token_logits(), f"the logits after an excerpt of {title}")
            chosen.append(trace.get("router_indices").astype(np.int16))
            ids += read
            places += [(number, excerpt % 2)] * len(read)
    domain, half = np.array(places, dtype=np.int8).T
    return DomainRouting(
        tuple(texts),
        layers,
        model.spec.n_experts,
        np.array(ids, dtype=np.int64),
        domain.copy(),
        half.copy(),
        np.concatenate(chosen, axis=1),
    )


def _excerpt_ids(model: Model, text: str, number: int, of: int) -> tuple[int, ...]:
    """Token ids of one excerpt, which begins at a line of the text."""
    length = min(EXCERPT_TOKENS, model.spec.n_ctx)
    start = len(text) * number // of
    start = 0 if number == 0 else text.find("\n", start) + 1
    piece = text[start : start + length * _LONGEST_TOKEN].lstrip()
    places = model.tokens.encode_with_places(piece or text[: length * _LONGEST_TOKEN])
    return tuple(place.token_id for place in places[:length])


def domain_counts(record: DomainRouting) -> np.ndarray:
    """Slots of each expert, int64 [half, domain, layer, expert]."""
    n_layers, n_domains, n_experts = len(record.layers), len(record.domains), record.n_experts
    counts = np.zeros((2, n_domains, n_layers, n_experts), dtype=np.int64)
    for half in range(2):
        for domain in range(n_domains):
            here = record.indices[:, (record.half == half) & (record.domain == domain)]
            for layer in range(n_layers):
                counts[half, domain, layer] = np.bincount(here[layer].ravel(), minlength=n_experts)
    return counts


def domain_shares(record: DomainRouting) -> np.ndarray:
    """Share of each domain's slots that each expert gets, float64 [domain, layer, expert]."""
    return shares(domain_counts(record).sum(axis=0))


def domain_divergence(record: DomainRouting) -> DomainDivergence:
    """How far apart the routings of the domains are, and the halves of each."""
    halves = shares(domain_counts(record))  # [half, domain, layer, expert], sum to 1 over the experts
    pairs = tuple(combinations(range(len(record.domains)), 2))
    between = [
        np.mean([js_divergence(halves[i, a], halves[j, b]) for i in range(2) for j in range(2)], axis=0)
        for a, b in pairs
    ]  # of each pair [layer]
    n_layers = len(record.layers)
    return DomainDivergence(
        pairs,
        np.stack(between, axis=1) if between else np.zeros((n_layers, 0)),
        js_divergence(halves[0], halves[1]).T,
    )


def nearest_domain(record: DomainRouting, prompt: np.ndarray) -> np.ndarray:
    """Divergence of a prompt's routing from each domain's, mean over the layers, in bits, float64 [domain].

    Args:
        prompt: slots of each expert on the prompt, [layer, expert].
    """
    return js_divergence(domain_shares(record), shares(prompt)[None]).mean(axis=1)


def typical_tokens(
    record: DomainRouting, layer: int, expert: int, most: int = 12, least_seen: int = 5
) -> list[TypicalToken]:
    """What an expert takes more often than the text has it, the most telling first.

    Ordered by share_of_expert * log2(share_of_expert / share_of_text): the token's part of the
    Kullback-Leibler divergence of the expert's tokens from the text, which weighs how much more often with
    how often at all.

    Args:
        layer: number of the layer in the model.
        least_seen: tokens seen fewer times in all the text are left out.
    """
    takes = (record.indices[record.layers.index(layer)] == expert).any(axis=1)  # bool [token]
    ids, at = np.unique(record.ids, return_inverse=True)  # [different token], [token]
    seen = np.bincount(at)  # how often the text has each different token
    taken = np.bincount(at, weights=takes).astype(np.int64)  # how often the expert took it
    of_expert, of_text = taken / max(takes.sum(), 1), seen / len(record.ids)  # shares of 1
    telling = np.where(
        (seen >= least_seen) & (of_expert > of_text),
        of_expert * np.log2(np.maximum(of_expert, 1e-12) / of_text),  # bits
        0.0,
    )
    best = [i for i in np.argsort(-telling, kind="stable")[:most] if telling[i] > 0]
    return [
        TypicalToken(int(ids[i]), int(seen[i]), int(taken[i]), float(of_expert[i]), float(of_text[i]))
        for i in best
    ]
