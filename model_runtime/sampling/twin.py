"""The choice of the next token in fifty lines, made to be read: what `sampling.sampling_steps` does, without
its records, its exact float32 thresholds and its speed. A test holds the two together."""

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits to probabilities: e^(z - max) / sum. Subtracting the largest only prevents overflow."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def with_temperature(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Below 1 differences grow, above 1 they shrink; at 0 only the largest logit is left."""
    if temperature == 0:
        return np.where(np.arange(logits.size) == logits.argmax(), logits, -np.inf)
    return logits / temperature


def top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Keep the k likeliest tokens: a cut logit is -inf, its probability e^-inf = 0."""
    kth = np.sort(logits)[-k]
    return np.where(logits >= kth, logits, -np.inf)


def top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Keep the likeliest tokens until they have probability p together."""
    probabilities = softmax(logits)
    order = np.argsort(-probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]  # what likelier tokens already have
    kept = order[before < p]
    return np.where(np.isin(np.arange(logits.size), kept), logits, -np.inf)


def min_p(logits: np.ndarray, share: float) -> np.ndarray:
    """Keep tokens with at least this share of the likeliest token's probability."""
    probabilities = softmax(logits)
    return np.where(probabilities >= share * probabilities.max(), logits, -np.inf)


def next_token(logits: np.ndarray, temperature: float, k: int, p: float, share: float, seed: int) -> int:
    """Logits, temperature, three filters, and one draw."""
    logits = with_temperature(logits.astype(np.float64), temperature)
    logits = top_k(logits, k) if k else logits
    logits = top_p(logits, p) if p < 1 else logits
    logits = min_p(logits, share) if share else logits
    dart = np.random.Generator(np.random.PCG64(seed)).random()  # one number from 0 to 1
    return int(np.searchsorted(np.cumsum(softmax(logits)), dart, side="right"))
