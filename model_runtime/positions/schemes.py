"""Four ways to put order into attention: sinusoidal, learned, rotary and ALiBi, as tables to look at.

| scheme | what it is | where it acts |
|---|---|---|
| sinusoidal (Vaswani et al. 2017, 3.5) | sines and cosines of the position | added to the embedding |
| learned (Radford et al. 2018) | one trained vector a position | added to the embedding |
| rotary (Su et al. 2021, arXiv:2104.09864) | angles, position times frequency | turns q and k |
| ALiBi (Press et al. 2022, arXiv:2108.12409) | a penalty, slope times distance | added to the scores |

`by_distance` measures how far the similarity of two positions depends on their distance alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from model_runtime.capture.adapter import Missing
from model_runtime.capture.request import whole_numbers
from model_runtime.capture.rotary import RopeEdit
from model_runtime.errors import PointUnavailable, SettingError
from model_runtime.interventions import Intervention, as_interventions
from model_runtime.model import Model

BASE = 10_000.0  # of the sinusoids in Vaswani et al. 2017, and of RoPE in Su et al. 2021


@dataclass(frozen=True, eq=False)
class DistanceProfile:
    """Similarity of two positions by their distance, over all pairs i >= j that are so far apart."""

    mean: np.ndarray  # float64 [distance]
    low: np.ndarray
    high: np.ndarray
    explained: float  # share of the variance that the distance alone explains; 1 where all values are equal

    @property
    def spread(self) -> float:
        """The largest difference of two pairs at one distance."""
        return float((self.high - self.low).max())


@dataclass(frozen=True, eq=False)
class TablePca:
    """Principal components of a table of positions."""

    coordinates: np.ndarray  # float32 [pos, component]
    explained: np.ndarray  # float32, share of the variance of *every* component, largest first

    @property
    def nbytes(self) -> int:
        return self.coordinates.nbytes + self.explained.nbytes

    def components_for(self, share: float) -> int:
        """How many components hold this share of the variance."""
        return int(np.searchsorted(np.cumsum(self.explained), share)) + 1


def frequencies(d: int, base: float = 10_000.0) -> np.ndarray:
    """Angle that one position adds, in radians, float64 [pair]: theta_i = base^(-2i/d), i = 0 ... d/2 - 1.

    The same series in sinusoidal encodings and in RoPE.

    >>> frequencies(4).tolist()
    [1.0, 0.01]

    Raises:
        SettingError: d is odd or below 2, or the base is not above 0.
    """
    if d < 2 or d % 2 or not base > 0:
        raise SettingError(
            f"There are no frequencies for d = {d}, base {base}.", "Give an even d and a base."
        )
    return base ** (-np.arange(0, d, 2, dtype=np.float64) / d)


def wavelengths(frequency: np.ndarray) -> np.ndarray:
    """Positions until a pair is back where it started, 2 pi / frequency; infinite where it never moves."""
    with np.errstate(divide="ignore"):
        return np.where(frequency > 0, 2 * np.pi / np.maximum(frequency, 1e-300), np.inf)


def sinusoidal_table(n: int, d: int, base: float = 10_000.0) -> np.ndarray:
    """PE(pos, 2i) = sin(pos / base^(2i/d)), PE(pos, 2i+1) = cos(pos / base^(2i/d)); float32 [pos, d].

    Source: Vaswani et al. 2017, section 3.5.

    >>> sinusoidal_table(2, 4).round(4).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.8414999842643738, 0.5403000116348267, 0.009999999776482582, 1.0]]

    Raises:
        SettingError: as `frequencies`.
    """
    angles = np.arange(n)[:, None] * frequencies(d, base)  # [pos, pair]
    table = np.stack((np.sin(angles), np.cos(angles)), axis=-1)  # [pos, pair, 2]
    return table.reshape(n, d).astype(np.float32)


def rotary_table(n: int, d: int, base: float = 10_000.0) -> np.ndarray:
    """cos of every pair, then sin of every pair, float32 [pos, d]: what turns q and k, by the formula.

    Source: Su et al. 2021 (arXiv:2104.09864), section 3.4.2.
    """
    angles = np.arange(n)[:, None] * frequencies(d, base)  # [pos, pair]
    return np.concatenate((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)


def model_rotary_table(
    model: Model,
    positions: Sequence[int],
    layer: int = 0,
    interventions: Intervention | Iterable[Intervention] = (),
) -> np.ndarray:
    """The same as the loaded model computes it, in its dtype, scaling and edits included: float32 [pos, d].

    Without a forward of the model: its rotary module alone is asked, so any position can be.

    Raises:
        PointUnavailable: the model or this layer does not rotate.
        InterventionError: an edit of something that does not exist here.
    """
    adapter, editor = model.adapter, model.planner.rope_editor
    if editor is None or not adapter.rotates(layer):
        where = "" if editor is None else f" in layer {layer}"
        raise PointUnavailable(f"{model.spec.name} does not rotate{where}.", "Choose another model or layer.")
    edit = model.planner.plan(as_interventions(interventions), None).rope or RopeEdit()
    kinds = () if "rope_type" in adapter.config.rope_parameters else (adapter.layer_type(layer),)
    x = torch.zeros((1, 1, 1), dtype=getattr(torch, model.spec.dtype), device=model.device)
    at = torch.tensor([whole_numbers(positions)], device=model.device)
    with torch.no_grad():
        turned = [one[0].float().cpu() for one in editor.cos_sin(edit, x, at, *kinds)]
    if not adapter.family.rope_half_width:
        turned = [one[:, : one.shape[1] // 2] for one in turned]  # split halves: both are equal
    return torch.cat(turned, dim=1).numpy()


def model_frequencies(
    model: Model, layer: int = 0, interventions: Intervention | Iterable[Intervention] = ()
) -> np.ndarray:
    """Angle that one position adds in the loaded model, radians, float64 [pair], from its own cos and sin.

    Raises:
        PointUnavailable, InterventionError: as `model_rotary_table`.
    """
    table = model_rotary_table(model, (0, 1), layer, interventions)
    return first_turn(*np.split(table, 2, axis=1))


def first_turn(cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """The angle from the first of some neighbouring positions to the second, from cos and sin [pos, pair].

    Returns:
        radians, float64 [pair].
    """
    cos, sin = cos[:2].astype(np.float64), sin[:2].astype(np.float64)
    return np.arctan2(sin[1] * cos[0] - cos[1] * sin[0], cos[1] * cos[0] + sin[1] * sin[0])


def learned_table(model: Model) -> np.ndarray:
    """The learned position embeddings, float32 [pos, d_model], a copy; row p is added at position p.

    OPT keeps two rows in front that no position reads; they are left out.

    Raises:
        PointUnavailable: the model has none; the text says what it has instead.
    """
    role = model.adapter.model_roles["pos_embed"]
    if isinstance(role, Missing):
        raise PointUnavailable(
            f"{model.spec.name} has no table of positions: {role.reason}.", "Choose a GPT-2 or OPT model."
        )
    assert isinstance(role, nn.Embedding)
    offset = int(getattr(role, "offset", 0))
    return np.array(role.weight.detach()[offset:].float().cpu().numpy())


def alibi_slopes(n_heads: int) -> np.ndarray:
    """Slope of each head, float64 [head] (Press et al. 2022, section 3 and their published code).

    For n a power of two the geometric series that starts at 2^(-8/n) and has that ratio. For other n the
    series of the next lower power of two, then every second slope of the next higher one.

    >>> alibi_slopes(8).tolist()
    [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]
    >>> [round(slope, 4) for slope in alibi_slopes(3).tolist()]
    [0.0625, 0.0039, 0.25]

    Raises:
        SettingError: fewer than 1 head or more than 1,024.
    """
    if not 1 <= n_heads <= 1024:
        raise SettingError(f"ALiBi for {n_heads} heads.", "Give a whole number from 1 to 1,024.")
    lower = 2 ** int(np.log2(n_heads))
    series, finer = (2.0 ** (-8.0 * np.arange(1, n + 1) / n) for n in (lower, 2 * lower))  # down to 2^-8
    return np.concatenate((series, finer[::2][: n_heads - lower]))  # [head]


def alibi_table(n: int, n_heads: int) -> np.ndarray:
    """What each head adds to a score by distance, float64 [distance, head]."""
    return -np.arange(n)[:, None] * alibi_slopes(n_heads)


def alibi_bias(n: int, slope: float) -> np.ndarray:
    """What is added to the scores of one head, float32 [query_pos, key_pos]: -slope * (query - key).

    Keys after the query are hidden by the causal mask: -inf.

    >>> alibi_bias(3, 0.5).tolist()
    [[0.0, -inf, -inf], [-0.5, 0.0, -inf], [-1.0, -0.5, 0.0]]
    """
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]  # [query_pos, key_pos]
    return np.where(distance >= 0, slope * -distance, -np.inf).astype(np.float32)


def similarity(table: np.ndarray) -> np.ndarray:
    """Cosine of every two rows, float64 [pos, pos].

    For sinusoids and rotations all rows are equally long, so this is the mean of cos((i - j) theta_m) over
    the pairs m: how well two equal vectors still match after being turned by i and by j.
    """
    rows = table.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)  # [pos, column]
    return unit @ unit.T


def by_distance(values: np.ndarray) -> DistanceProfile:
    """How a [pos, pos] matrix depends on i - j, over the pairs with i >= j.

    >>> profile = by_distance(np.array([[1.0, 9], [0.5, 1.0]]))
    >>> profile.mean.tolist(), profile.explained
    ([1.0, 0.5], 1.0)
    """
    # All pairs at distance 0, at 1, ...: each diagonal is one shorter than the one before.
    diagonals = [np.diagonal(values, -distance).astype(np.float64) for distance in range(len(values))]
    mean = np.array([diagonal.mean() for diagonal in diagonals])
    within = sum(float(np.square(diagonal - m).sum()) for diagonal, m in zip(diagonals, mean, strict=True))
    whole = np.concatenate(diagonals)
    total = float(np.square(whole - whole.mean()).sum())
    return DistanceProfile(
        mean=mean,
        low=np.array([diagonal.min() for diagonal in diagonals]),
        high=np.array([diagonal.max() for diagonal in diagonals]),
        explained=1.0 if total == 0 else 1.0 - within / total,
    )


def learned_pca(model: Model) -> TablePca:
    """Main components of all learned rows of a model.

    Raises:
        PointUnavailable: as `learned_table`.
    """
    return table_pca(learned_table(model))


def table_pca(table: np.ndarray, n_components: int = 3) -> TablePca:
    """Principal components of the rows of a table (Pearson 1901), by singular values; signs are fixed.

    Each component is turned so that its largest loading is positive.
    """
    centred = table.astype(np.float64) - table.mean(axis=0, dtype=np.float64)
    left, sizes, loadings = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(loadings[np.arange(len(loadings)), np.abs(loadings).argmax(axis=1)])
    signs[signs == 0] = 1.0
    coordinates = (left * sizes * signs)[:, :n_components]
    total = float(np.square(sizes).sum())
    explained = np.square(sizes) / total if total else np.zeros_like(sizes)
    return TablePca(coordinates.astype(np.float32), explained.astype(np.float32))
