"""What the stages of one head say in words: the chosen cell's way, and what the head adds."""

from __future__ import annotations

from viz import style
from viz.attention.stages.record import HeadStagesRecord
from viz.equations import worked


def title(record: HeadStagesRecord, line_break: str = " ") -> str:
    """The finding, as plotly draws it: the chosen cell from dot product to probability."""
    query, key = (style.label(record.tokens[at]) for at in (record.query, record.key))
    if record.is_difference:
        return f"<b>Current less pinned</b>, matrix by matrix:{line_break}{_change(record)}"
    read = "itself" if record.query == record.key else f"<b>“{key}”</b>"
    return f"<b>“{query}”</b> reads {read}:{line_break}{_way(record)}"


def _way(record: HeadStagesRecord) -> str:
    path = record.path
    steps = []
    if record.scaling != 1:
        line = worked(path.scaled, lambda dot: dot * record.scaling, path.dot)
        steps += [line.operand(path.dot), f"{'' if line.exact else '≈ '}{style.three_digits(path.scaled)}"]
    else:
        steps.append(style.three_digits(path.dot))
    if path.capped is not None:
        steps.append(style.three_digits(path.capped))
    if not path.visible:
        steps.append("masked: −∞")
    return f"{' → '.join(steps)} → <b>{style.share(path.probability)}</b>"


def _change(record: HeadStagesRecord) -> str:
    points = 100 * record.path.probability
    sign = "+" if points > 0 else ""
    return f"the chosen probability differs by <b>{sign}{style.three_digits(points)} points</b>"


def alt(record: HeadStagesRecord) -> str:
    """The whole figure in words, with every matrix's shape and ends."""
    query, key = (style.quoted(record.tokens[at]) for at in (record.query, record.key))
    what = "Differences (current less pinned) of the stages" if record.is_difference else "Stages"
    listed = "; ".join(
        f"{stage.title} {stage.shape[0]:,} by {stage.shape[1]:,}, {style.three_digits(stage.low)} to "
        f"{style.three_digits(stage.high)}"
        for stage in record.stages
    )
    return (
        f"{what} of layer {record.layer}, head {record.head}: {listed}. Selected: query {record.query} "
        f"{query}, key {record.key} {key}: dot product "
        f"{style.three_digits(record.path.dot)}, scaled {style.three_digits(record.path.scaled)}, "
        f"probability {style.share(record.path.probability)}."
    )


def block_sentence(record: HeadStagesRecord) -> str:
    """How the matrices were made to fit the screen, or nothing."""
    rows = record.stage("q").row_block
    wide = record.stage("result").column_block
    said = []
    if rows > 1:
        said.append(
            f"{len(record.tokens):,} tokens are more than these matrices have rows for, so a row stands for "
            f"{rows} tokens and a cell shows the largest value by size among those it stands for"
        )
    if wide > 1:
        dims = record.stage("result").shape[1]
        said.append(
            f"the last matrix has {dims:,} columns, more than it has pixels for: each cell shows the largest "
            f"by size of {wide}"
        )
    return f"{_upper('; '.join(said))}. Least and largest values are exact." if said else ""


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def length_sentence(record: HeadStagesRecord, added: float, stream: float) -> str:
    """How much the head adds at the selected token, against the stream it adds to."""
    if added == 0:
        return f"Here the head adds nothing to the stream, whose length is {style.three_digits(stream)}."
    share = f" ({style.share(added / stream)} of it)" if stream > 0 else ""
    return (
        f"Times this head's output matrix that becomes {record.w_o_shape[1]:,} numbers: a vector of length "
        f"{style.three_digits(added)}, added to a stream of length {style.three_digits(stream)}{share}."
    )


def group_sentence(head: int, kv_head: int, group: tuple[int, ...]) -> str:
    """Which keys and values this head reads, where heads share them; else nothing."""
    if len(group) < 2:
        return ""
    others = ", ".join(f"H{other}" for other in group if other != head)
    return (
        f"k and v are those of key and value head {kv_head}, which H{head} shares with {others} "
        "(grouped-query attention)."
    )


def torch_sentence(n_values: int, largest_error: float, dtype: str) -> str:
    """The check against torch."""
    return (
        "The same q, k and v through torch's scaled_dot_product_attention: largest difference "
        f"{style.three_digits(largest_error)} over {n_values:,} numbers, all heads of this layer ({dtype})."
    )


def heads_sentence(n_heads: int, largest_error: float) -> str:
    """The check of all heads' results against what the layer added."""
    return (
        f"All {n_heads} heads' results added up (and the output bias, where there is one) against what "
        f"attention added to the stream: largest difference {style.three_digits(largest_error)}."
    )


NO_SUM = (
    "The heads are not added up here: this model puts a norm after attention, or an edit changes what "
    "attention adds, so the heads' results need not sum to it."
)


def how_to_read(record: HeadStagesRecord) -> str:
    """The marks of the figure in one line of markdown."""
    shares = "" if record.is_difference else " Blue: probability, from 0 to 1."
    return (
        f"Solid frame: the query ({record.query}). Dotted frame: the key ({record.key}). Orange is above 0, "
        f"purple below, each matrix on its own scale; its least and largest value stand under it.{shares}"
    )
