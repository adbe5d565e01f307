"""Which query heads share keys and values, how much alike they read, and what the shared cache weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records import HeadOverlap
from viz import style

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@dataclass(frozen=True)
class Scheme:
    """One way to share: `n_heads` query heads over `n_kv_heads` key and value heads, in equal groups."""

    name: str
    n_heads: int
    n_kv_heads: int
    own: bool  # the loaded model's

    @property
    def per_group(self) -> int:
        return self.n_heads // self.n_kv_heads

    def kv_of(self, head: int) -> int:
        """The key and value head that a query head reads."""
        return head // self.per_group


@dataclass(frozen=True)
class KeyGroups:
    """The schemes that are drawn below each other, and the chosen query head."""

    schemes: tuple[Scheme, ...]
    head: int

    @property
    def own(self) -> Scheme:
        return next(scheme for scheme in self.schemes if scheme.own)


@dataclass(frozen=True)
class GroupOverlap:
    """How much alike heads read beyond the first token, 0 to 1, within groups and between them.

    None where there is no such pair, or where two heads read nothing but the first token.
    """

    layer: int
    head: int
    scheme: Scheme
    overlap: tuple[tuple[float | None, ...], ...]  # [head][head]
    n_queries: int
    first_share: float  # of the layer's attention that the first token gets
    within: float | None
    between: float | None


@dataclass(frozen=True)
class CacheSizes:
    """Bytes of the cache for each scheme (rows) and each amount of text (columns)."""

    schemes: tuple[Scheme, ...]
    lengths: tuple[tuple[str, int], ...]  # (words, tokens)
    n_bytes: tuple[tuple[int, ...], ...]  # [scheme][length]
    tops: tuple[int, ...]  # end of each column's axis
    dtype: str


def schemes_of(n_heads: int, n_kv_heads: int) -> tuple[Scheme, ...]:
    """Multi-head, the model's own, multi-query; the model's own is one of them where it is.

    >>> [(scheme.name, scheme.n_kv_heads, scheme.own) for scheme in schemes_of(9, 3)]
    [('Multi-head', 9, False), ('Grouped-query', 3, True), ('Multi-query', 1, False)]
    >>> [(scheme.name, scheme.own) for scheme in schemes_of(4, 4)]
    [('Multi-head', True), ('Multi-query', False)]
    """
    counts = sorted({n_heads, n_kv_heads, 1}, reverse=True)
    names = {1: "Multi-query", n_heads: "Multi-head"}
    return tuple(
        Scheme(names.get(count, "Grouped-query"), n_heads, count, count == n_kv_heads) for count in counts
    )


def key_groups_record(n_heads: int, n_kv_heads: int, head: int) -> KeyGroups:
    """Values -> what will be drawn."""
    return KeyGroups(schemes_of(n_heads, n_kv_heads), head)


def group_overlap_record(measured: HeadOverlap, n_kv_heads: int, *, layer: int, head: int) -> GroupOverlap:
    """Values -> what will be drawn. Pairs of different heads only are averaged."""
    overlap, n_heads = measured.overlap, len(measured.overlap)
    scheme = next(scheme for scheme in schemes_of(n_heads, n_kv_heads) if scheme.own)
    group = np.array([scheme.kv_of(one) for one in range(n_heads)])
    same = group[:, None] == group[None, :]
    pairs = ~np.eye(n_heads, dtype=bool)
    return GroupOverlap(
        layer,
        head,
        scheme,
        tuple(tuple(float(v) if np.isfinite(v) else None for v in line) for line in overlap),
        measured.n_queries,
        measured.first_share,
        within=_mean(overlap, same & pairs),
        between=_mean(overlap, ~same),
    )


def _mean(values: np.ndarray, where: np.ndarray) -> float | None:
    known = values[where & np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None


def overlap_sentence(record: GroupOverlap) -> str:
    """Whether heads of one group read alike, in plain text."""
    if record.within is None and record.between is None:
        return "There is nothing to compare: one head only, or a prompt of one token."
    if record.within is None:
        return f"No two heads share keys; two heads overlap by {style.share(record.between or 0)} on average."
    inside = f"Two heads that share keys overlap by {style.share(record.within)} on average"
    if record.between is None:
        return f"{inside}: all heads share one key and value head."
    apart = record.within - record.between
    verdict = "about equally" if abs(apart) < 0.03 else "more" if apart > 0 else "less"
    outside = f"two that do not by {style.share(record.between)}"
    return f"{inside}, {outside}: heads of one group read {verdict} alike."


def cache_sizes_record(
    n_bytes: Mapping[tuple[int, int], int],  # (n_kv_heads, tokens) -> bytes
    n_heads: int,
    n_kv_heads: int,
    lengths: Sequence[tuple[str, int]],
    dtype: str,
    tops: Sequence[int] | None = None,
) -> CacheSizes:
    """Values -> what will be drawn. `tops` are the ends of the axes, shared by compared runs."""
    schemes = schemes_of(n_heads, n_kv_heads)
    table = tuple(tuple(n_bytes[scheme.n_kv_heads, n] for _, n in lengths) for scheme in schemes)
    return CacheSizes(schemes, tuple(lengths), table, tuple(tops or tops_of(table)), dtype)


def tops_of(*tables: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The largest of each column over all tables."""
    lines = [line for table in tables for line in table]
    return tuple(max(column) for column in zip(*lines, strict=True))


def in_bytes(n_bytes: float) -> str:
    """Bytes as a person reads them, in thousands.

    >>> in_bytes(512), in_bytes(46_080), in_bytes(188_743_680)
    ('512\\xa0bytes', '46.1\\xa0kB', '189\\xa0MB')
    """
    for unit, size in _UNITS:
        if n_bytes >= size:
            return style.three_digits(n_bytes / size, unit)
    return style.three_digits(n_bytes, "bytes")


def cache_sentence(record: CacheSizes) -> str:
    """What sharing saves, in plain text."""
    at = next(i for i, scheme in enumerate(record.schemes) if scheme.own)
    own, most = record.schemes[at], record.schemes[0]
    sizes = ", ".join(
        f"{in_bytes(size)} for {words}"
        for (words, _), size in zip(record.lengths, record.n_bytes[at], strict=True)
    )
    if own.n_kv_heads == own.n_heads:
        heads = f"{own.n_heads} key and value heads"
        return f"This model has plain multi-head attention: {heads}. Its cache takes {sizes}."
    return (
        f"With {own.n_kv_heads} key and value heads for {own.n_heads} query heads the cache takes {sizes}: "
        f"{most.n_kv_heads / own.n_kv_heads:.3g} times less than multi-head attention."
    )
