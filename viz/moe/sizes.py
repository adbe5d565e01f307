"""Total against active parameters, memory against work, and the calculator: records and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from viz import style


@dataclass(frozen=True)
class SizeRow:
    """One model."""

    name: str
    total: int  # parameters
    active: int  # parameters used for one token
    work: int  # multiplications for one token
    n_experts: int  # 0: dense
    k: int
    own: bool  # loaded, not published

    @property
    def active_share(self) -> float:
        return self.active / self.total


@dataclass(frozen=True)
class SizesRecord:
    """Loaded models and published ones, the smallest first."""

    rows: tuple[SizeRow, ...]

    @property
    def own(self) -> tuple[SizeRow, ...]:
        return tuple(row for row in self.rows if row.own)


@dataclass(frozen=True)
class CalculatorRecord:
    """What a model is, and what it would be with other experts."""

    name: str
    n_experts: int
    k: int
    d_ff: int
    total: int
    active: int
    work: int
    now: SizeRow


def sizes_record(rows: Sequence[SizeRow]) -> SizesRecord:
    """Values -> what will be drawn; equal rows once."""
    return SizesRecord(tuple(sorted(dict.fromkeys(rows), key=lambda row: row.total)))


def kind_of(row: SizeRow) -> str:
    """ "8 experts, top-2" or "dense"."""
    return f"{row.n_experts:,} experts, top-{row.k}" if row.n_experts else "dense"


def sizes_sentence(row: SizeRow) -> str:
    """One model's two numbers, in plain text."""
    if not row.n_experts:
        return (
            f"{row.name} is dense: all {style.in_words(row.total)} parameters are used for every token. "
            f"Total = active."
        )
    return (
        f"{row.name} ({kind_of(row)}) keeps {style.in_words(row.total)} parameters in memory and uses "
        f"{style.in_words(row.active)} of them ({style.share(row.active_share)}) for a token."
    )


def work_sentence(row: SizeRow) -> str:
    """What memory and work are, in plain text."""
    times = style.three_digits(row.total / row.active)
    said = f"One token takes {style.in_words(row.work)} multiplications"
    if not row.n_experts:
        return f"{said}, about one for every parameter."
    return f"{said}; a dense model of the same work would need about {times} times less memory."


def calculator_title(record: CalculatorRecord) -> str:
    """The finding: how much more memory, how much more work."""
    return (
        f"{experts_words(record.n_experts, record.k)}, width {record.d_ff:,}: "
        f"{style.three_digits(record.total / record.now.total)} × the memory, "
        f"{style.three_digits(record.work / record.now.work)} × the work"
    )


def experts_words(n_experts: int, k: int) -> str:
    """
    >>> experts_words(8, 2), experts_words(1, 1)
    ('8 experts, top-2', 'One MLP')
    """
    return f"{n_experts:,} experts, top-{k}" if n_experts > 1 else "One MLP"
