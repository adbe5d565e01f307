"""Points in a plane or in space: what a projection shows and what it keeps, and which points are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_runtime.records import Neighbours, Projection
from viz import style

METHODS = {"pca": "PCA", "axis": "Own axis", "tsne": "t-SNE", "umap": "UMAP"}
DISTANCES = {"cosine": "cosine", "euclidean": "Euclid"}
MOST_NAMES = 70  # in a plane
MOST_NAMES_3D = 40
MOST_HINTS = 400  # points whose hover names their neighbours
N_HINTS = 3
_BOX, _NARROW_BOX = (600.0, 400.0), (270.0, 220.0)  # pixels of the plot that names are laid out for
_LETTER, _LINE = 7.5, 15.0  # pixels of a name
LONGEST_NAME = 16


@dataclass(frozen=True)
class Selected:
    """The selected point and its nearest in the full space, nearest first."""

    index: int
    neighbours: tuple[int, ...]
    distances: tuple[float, ...]  # 1 - cosine, or Euclid's
    near_here: tuple[bool, ...]  # whether a neighbour is among the nearest in the picture, too


@dataclass(frozen=True)
class ProjectionMap:
    """What the picture shows. `places` [axis][point]; `found` are the points that a search found."""

    method: str
    distance: str
    places: tuple[tuple[float, ...], ...]
    labels: tuple[str, ...]
    groups: tuple[int, ...]
    group_names: tuple[str, ...]
    colors: tuple[str, ...] | None  # one a point, instead of one a group
    explained: tuple[float, ...] | None  # share of the variance along each axis
    kept: tuple[float, ...]  # share of neighbours, each point
    k: int  # neighbours counted
    by_chance: float
    hints: tuple[str, ...]  # of the hover; empty where there are too many points
    named: tuple[int, ...]
    named_narrow: tuple[int, ...]  # on a phone
    found: tuple[int, ...]
    selected: Selected | None
    ends: tuple[str, str] | None = None  # of the own axis
    ranges: tuple[tuple[float, float], ...] | None = None  # of the axes, shared by compared runs

    @property
    def mean_kept(self) -> float:
        return sum(self.kept) / len(self.kept)

    @property
    def n_axes(self) -> int:
        return len(self.places)


def projection_record(
    projected: Projection,
    near: Neighbours,
    labels: Sequence[str],
    groups: Sequence[int],
    group_names: Sequence[str],
    *,
    colors: Sequence[str] | None = None,
    selected: int | None = None,
    find: str = "",
    ends: tuple[str, str] | None = None,
) -> ProjectionMap:
    """A projection and the nearest neighbours -> what will be drawn.

    Args:
        selected: index of the selected point.
        find: text to look for among the labels.
    """
    labels = tuple(labels)
    chosen = None if selected is None else _selected(selected, projected, near)
    found = found_points(labels, find)
    coordinates = projected.coordinates.astype(np.float64)
    order = [*([] if chosen is None else [chosen.index, *chosen.neighbours]), *found]
    own = projected.settings.method == "axis"
    named, narrow = (named_points(coordinates, labels, order, box, not own) for box in (_BOX, _NARROW_BOX))
    return ProjectionMap(
        method=projected.settings.method,
        distance=projected.settings.distance,
        places=tuple(tuple(float(place) for place in column) for column in coordinates.T),
        labels=labels,
        groups=tuple(groups),
        group_names=tuple(group_names),
        colors=None if colors is None else tuple(colors),
        explained=projected.explained,
        kept=tuple(float(share) for share in projected.kept),
        k=near.indices.shape[1],
        by_chance=near.by_chance,
        hints=_hints(labels, near.indices),
        named=named,
        named_narrow=narrow,
        found=found,
        selected=chosen,
        ends=ends,
    )


def _selected(index: int, projected: Projection, near: Neighbours) -> Selected:
    drawn = {int(other) for other in projected.drawn[index]}
    neighbours = tuple(int(other) for other in near.indices[index])
    return Selected(
        index,
        neighbours,
        tuple(float(far) for far in near.distances[index]),
        tuple(other in drawn for other in neighbours),
    )


def found_points(labels: Sequence[str], find: str) -> tuple[int, ...]:
    """Points that a search finds: those that say just this, capitals and outer spaces aside; where there are
    none, those that have it in them.

    >>> found_points((" cat", "Cat", "cattle"), "cat"), found_points(("cattle", "dog"), "cat")
    ((0, 1), (0,))
    """
    wanted = find.strip().lower()
    if not wanted:
        return ()
    exact = tuple(at for at, label in enumerate(labels) if label.strip().lower() == wanted)
    return exact or tuple(at for at, label in enumerate(labels) if wanted in label.lower())


def _hints(labels: Sequence[str], indices: np.ndarray) -> tuple[str, ...]:
    if len(labels) > MOST_HINTS:
        return ()
    return tuple(
        ", ".join(style.label(labels[other], LONGEST_NAME) for other in row[:N_HINTS]) for row in indices
    )


def named_points(
    coordinates: np.ndarray,
    labels: Sequence[str],
    first: Sequence[int],
    box: tuple[float, float] = _BOX,
    equal: bool = True,
) -> tuple[int, ...]:
    """The points that get a name: as many as have room, those of `first` before all others.

    In space no room can be reckoned, as the picture turns; there it is a fixed number.

    Args:
        box: pixels of the plot.
        equal: both axes are drawn in one scale.
    """
    n_points, n_axes = coordinates.shape
    # Steps of the golden ratio spread the choice over all points (Knuth, TAOCP 3, 6.4).
    spread = sorted(range(n_points), key=lambda at: at * 0.6180339887 % 1) if n_points > MOST_NAMES else []
    order = [*dict.fromkeys([*first, *(spread or range(n_points))])]
    if n_axes > 2:
        return tuple(sorted(order[: MOST_NAMES_3D if box == _BOX else MOST_NAMES_3D // 2]))
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    scale = np.array(box) / np.where(high > low, high - low, 1.0)
    pixels = (coordinates - low) * (scale.min() if equal else scale)
    taken = np.empty((0, 4))
    named: list[int] = []
    for at in order:
        half = min(len(labels[at]), LONGEST_NAME) * _LETTER / 2 + 2
        x, y = pixels[at]
        room = np.array([x - half, x + half, y, y + _LINE])
        apart = (
            (taken[:, 0] >= room[1])
            | (taken[:, 1] <= room[0])
            | (taken[:, 2] >= room[3])
            | (taken[:, 3] <= room[2])
        )
        if apart.all():
            named.append(at)
            taken = np.vstack((taken, room))
        if len(named) == MOST_NAMES:
            break
    return tuple(sorted(named))


def shared_ranges(records: Sequence[ProjectionMap]) -> tuple[tuple[float, float], ...]:
    """One range an axis for several pictures, so that equal distances are drawn equal."""
    ranges = []
    for axis in range(records[0].n_axes):
        low = min(min(record.places[axis]) for record in records)
        high = max(max(record.places[axis]) for record in records)
        margin = 0.06 * ((high - low) or 1.0)
        ranges.append((low - margin, high + margin))
    return tuple(ranges)


def kept_words(mean_kept: float, by_chance: float, k: int) -> str:
    """What a picture keeps of the neighbours, as a sentence of plain text."""
    if by_chance >= 1:
        return f"There are only {k + 1} points: every other one is a neighbour, and none can be lost."
    return (
        f"Of the {k} nearest neighbours in the full space, {style.share(mean_kept)} are among the {k} "
        f"nearest in the picture (points strewn at random: {style.share(by_chance)})."
    )


def selected_words(record: ProjectionMap) -> str:
    """The selected point and its neighbours, as a sentence of plain text."""
    chosen = record.selected
    if chosen is None:
        return "Choose a point: its nearest neighbours in the full space are joined to it."
    names = ", ".join(
        f"“{_name(record, other)}” ({closeness(record.distance, far)})"
        for other, far in zip(chosen.neighbours, chosen.distances, strict=True)
    )
    here = sum(chosen.near_here)
    what = "cosine" if record.distance == "cosine" else "Euclid's distance"
    return (
        f"Nearest to “{_name(record, chosen.index)}” in the full space, by {what}: {names}. "
        f"{here} of the {len(chosen.neighbours)} are among the nearest in the picture "
        "(full lines; the others are dotted)."
    )


def axis_words(record: ProjectionMap) -> str:
    """Where each group stands on the own axis, left to right, as a sentence of plain text."""
    means = []
    for number, name in enumerate(record.group_names):
        places = [record.places[0][at] for at, group in enumerate(record.groups) if group == number]
        if places:
            means.append((sum(places) / len(places), style.shorten(style.prose(name), LONGEST_NAME)))
    left, right = (style.shorten(style.prose(word), LONGEST_NAME) for word in record.ends or ("", ""))
    each = ", ".join(f"{name} {style.three_digits(mean)}" for mean, name in sorted(means))
    return f"On the way from “{left}” (0) to “{right}” (1), on average: {each}."


def order_words(tokenizer_kind: str | None) -> str:
    """What the order of a tokenizer's ids means, as a sentence.

    No tokenizer keeps how often its entries occur: "most frequent" can only be read off this order.
    """
    if tokenizer_kind == "BPE":
        return (
            "A byte-pair tokenizer numbers its entries in the order in which it learned them: first the "
            "single bytes or characters, then merge by merge the pair that was the most frequent in its "
            "training text at that moment. So low numbers are frequent pieces, but this is not a count of "
            "how often each entry is used: a piece that mostly goes into longer ones keeps its early number."
        )
    if tokenizer_kind == "Unigram":
        return (
            "A unigram tokenizer numbers its entries by their probability in its training text, the "
            "likeliest first, after special and single-byte entries."
        )
    return "This tokenizer does not say what the order of its numbers means: they are taken as they come."


def closeness(distance: str, far: float) -> str:
    """A distance as it is spoken of: the cosine itself, or Euclid's distance.

    >>> closeness("cosine", 0.25), closeness("euclidean", 2)
    ('0.750', '2')
    """
    return style.three_digits(1 - far if distance == "cosine" else far)


def _name(record: ProjectionMap, at: int) -> str:
    return style.shorten(style.visible(record.labels[at]), LONGEST_NAME)


def found_words(record: ProjectionMap, find: str) -> str:
    """What a search found, as a sentence of plain text."""
    n, shown = len(record.found), style.shorten(style.visible(find.strip()), LONGEST_NAME)
    if not n:
        return f"None of the {len(record.labels):,} points is or has “{shown}”."
    names = ", ".join(f"“{_name(record, at)}”" for at in record.found[:6])
    more = f" and {n - 6:,} more" if n > 6 else ""
    return f"Found and ringed: {names}{more}."
