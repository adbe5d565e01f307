"""Figures of the Tokens page's parts: merges as bricks, training, another tokenizer's numbers."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from viz import style
from viz.tokens.bpe import (
    N_ONCE,
    PairCounts,
    TrainingCurve,
    curve_alt,
    curve_title,
    pair_counts_figure,
    pair_counts_record,
    pairs_title,
    training_curve_figure,
    training_curve_record,
)
from viz.tokens.foreign import MOST_ROWS, Swap, Swaps, swaps_figure, swaps_record, swaps_title
from viz.tokens.foreign_surprise import (
    Reading,
    reading_of,
    surprises_figure,
    surprises_record,
    surprises_title,
)
from viz.tokens.merges import (
    NARROW,
    Brick,
    MergeTree,
    merge_tree_figure,
    merge_tree_record,
    sentence,
    steps_table,
    stop_sentence,
)

HOSTILE = "<img src=x>$a$\u202e"
# " verdant" as SmolLM2's tokenizer cuts it: " ver", "d", "ant".
VERDANT = [bytes([byte]) for byte in b" verdant"]
VERDANT_MERGES = [(7, 2), (24, 4), (79, 1), (151, 3), (2051, 0)]


def verdant(chosen: int = 0) -> MergeTree:
    return merge_tree_record(VERDANT, VERDANT_MERGES, chosen=chosen, n_merges=48_900)


def test_merges_become_bricks_by_hand() -> None:
    tree = merge_tree_record([b"a", b"n", b"t"], [(24, 0), (151, 0)], chosen=0, n_merges=200)
    assert tree == MergeTree(
        bricks=(
            Brick(b"a", 0, 0, 1, None, 0, b"", 0),
            Brick(b"n", 1, 0, 1, None, 0, b"", 0),
            Brick(b"t", 2, 0, 2, None, 0, b"", 0),
            Brick(b"an", 0, 1, 2, 24, 1, b"a", 0),
            Brick(b"ant", 0, 2, 2, 151, 2, b"an", 0),
        ),
        tokens=(b"ant",),
        chosen=0,
        n_merges=200,
        height=2,
    )


def test_a_word_of_several_tokens_keeps_each_ones_merges_apart() -> None:
    tree = verdant(chosen=2)
    assert tree.tokens == (b" ver", b"d", b"ant")
    assert tree.edges() == (4, 5)
    assert [(brick.piece, brick.rank) for brick in tree.own()] == [(b"an", 24), (b"ant", 151)]
    assert {brick.piece for brick in tree.bricks if brick.token == 1} == {b"d"}


def test_at_every_height_the_bricks_of_a_token_cover_its_bytes_once() -> None:
    tree = verdant()
    for level in range(tree.height + 1):
        covered = [
            byte
            for brick in tree.bricks
            if brick.level <= level < max(brick.top, brick.level + 1)
            for byte in range(brick.start, brick.start + len(brick.piece))
        ]
        assert len(covered) == len(set(covered))
        if level == 0:
            assert sorted(covered) == list(range(tree.n_bytes))


def test_the_words_say_which_merges_and_where_they_stop() -> None:
    tree = verdant()
    assert sentence(tree) == (
        "“·ver” is made of 4 bytes in 3 merges. The earliest learned of them is “er” (merge 8 of 48,900), "
        "the latest “·ver” (merge 2,052 of 48,900)."
    )
    assert "3 tokens" in stop_sentence(tree)
    assert stop_sentence(tree).endswith("no merge of “·ver” + “d”.")
    assert stop_sentence(verdant(1)).endswith("no merge of “·ver” + “d” and none of “d” + “ant”.")
    assert sentence(verdant(1)) == "“d” is 1 byte, and no merge takes it in."
    assert stop_sentence(merge_tree_record([b"a", b"n"], [(0, 0)], chosen=0, n_merges=1)) == ""
    assert steps_table(tree)["Left"] == ["e", "v", "·"]
    assert steps_table(tree)["Makes"] == ["er", "ver", "·ver"]
    assert steps_table(verdant(1)) == {}


def test_bytes_that_are_no_character_are_shown_as_numbers() -> None:
    pieces = [bytes([byte]) for byte in "é你".encode()]
    tree = merge_tree_record(pieces, [(3, 2)], chosen=2, n_merges=9)
    drawn = merge_tree_figure(tree)
    assert tree.tokens[2] == b"\xe4\xbd"
    assert "⟨E4-BD⟩" in drawn.alt
    characters = next(trace for trace in drawn.figure.data if trace.name == "characters")
    assert list(characters.x) == pytest.approx([1.92, 2.92])
    assert "é" in characters.hovertext[0]


def test_the_chosen_token_is_drawn_apart_and_a_click_knows_the_token() -> None:
    drawn = merge_tree_figure(verdant(2))
    chosen, rest = drawn.figure.data
    assert (chosen.name, rest.name) == ("chosen token", "rest of the word")
    assert {row[0] for row in chosen.customdata} == {2}
    assert {row[0] for row in rest.customdata} == {0, 1}
    assert len(drawn.figure.layout.shapes) == 2
    assert len(drawn.table["piece"]) == len(verdant().bricks)


@pytest.mark.parametrize("n_bytes", [2, 8, 20, 60])
def test_texts_fit_their_bricks_on_a_phone_too(n_bytes: int) -> None:
    pieces = [b"a"] * n_bytes
    tree = merge_tree_record(pieces, [(12_345, 0)] * (n_bytes - 1), chosen=0, n_merges=50_000)
    narrow = merge_tree_figure(tree).narrow_figure
    assert narrow is not None
    (trace,) = narrow.data
    cell = min(NARROW / n_bytes, 110)
    for text, width in zip(trace.text, trace.x, strict=True):
        longest = max(len(line) for line in text.split("<br>"))
        assert longest * 0.6 * trace.textfont.size <= (width + 0.08) * cell


def test_the_top_pairs_and_their_ties() -> None:
    top = [((b"t", b"h"), 3), ((b"h", b"e"), 3), ((b" ", b"t"), 1)]
    record = pair_counts_record(top, step=2, end=5)
    assert record == PairCounts(2, (("t", "h"), ("h", "e"), ("·", "t")), (3, 3, 1), 5)
    assert pairs_title(record) == "Joined next: the first met of 2 pairs, 3 times each"
    assert "at least 2" in pairs_title(pair_counts_record(top[:2], step=0))
    assert "most often, 3 times" in pairs_title(pair_counts_record(top[::2], step=0))
    bars = pair_counts_figure(record).figure.data[0]
    assert list(bars.marker.color) == [style.LIGHT.accent, style.LIGHT.cut, style.LIGHT.cut]
    assert bars.text[0] == "3 · next"


def test_pairs_that_stand_together_once_are_not_joined_next() -> None:
    once = pair_counts_record([((b"a", bytes([n])), 1) for n in range(98, 110)], step=3)
    assert len(once.pairs) == N_ONCE
    assert pairs_title(once) == "No two neighbours stand together twice"
    assert style.LIGHT.accent not in pair_counts_figure(once).figure.data[0].marker.color


def test_the_curve_knows_where_joining_stops_being_of_use() -> None:
    steps = [(3, 9, 257), (2, 7, 258), (1, 6, 259), (1, 5, 260)]
    record = training_curve_record((12, 256), steps, step=2, other=3, other_name="M")
    assert record == TrainingCurve(
        n_pieces=(12, 9, 7, 6, 5),
        n_vocab=(256, 257, 258, 259, 260),
        step=2,
        n_useful=2,
        other=3,
        other_name="M",
        ends=(4, 12, 260),
    )
    assert curve_title(record) == "<b>2 entries more</b>, the text 41.7\xa0% shorter"
    assert "After merge 2 no two neighbours stand together twice" in curve_alt(record)
    drawn = training_curve_figure(record)
    now = [trace for trace in drawn.figure.data if trace.name.endswith("now")]
    assert [(trace.x[0], trace.y[0]) for trace in now] == [(2, 7), (2, 258)]
    assert any(shape.type == "rect" and shape.x0 == 2 for shape in drawn.figure.layout.shapes)


def test_curves_side_by_side_have_one_scale() -> None:
    one = training_curve_record((12, 256), [(2, 9, 257)], step=0, other=3, other_name="M")
    other = training_curve_record((30, 256), [(2, 9, 257)] * 3, step=0, other=40, other_name="M")
    assert one.on_axes_of([one, other]).ends == other.on_axes_of([one, other]).ends == (3, 40, 257)


def swaps(read: list[str | None]) -> Swaps:
    pieces, ids = ["a", " the", HOSTILE], [64, 262, 60_000]
    return swaps_record(pieces, ids, read, tokenizer="GPT-2", model="M", d_vocab=49_152)


def test_the_same_number_in_two_tables() -> None:
    record = swaps(["P", " the", None])
    assert record.rows[1:] == (Swap(" the", 262, " the"), Swap(HOSTILE, 60_000, None))
    assert (record.n_same, record.n_outside, record.last_id) == (1, 1, 49_151)
    assert swaps_title(record) == "<b>1 of 3</b> numbers mean the same; 1 has no row"
    assert swaps_title(swaps(["a", " the", HOSTILE])) == "<b>Every number</b> means the same piece"
    drawn = swaps_figure(record)
    gone = drawn.figure.data[-1]
    assert (list(gone.y), list(gone.text), gone.marker.pattern.shape) == ([2], ["no such row"], "/")
    assert list(drawn.figure.data[2].text) == ["\u2068P\u2069", "\u2068·the\u2069 ="]
    assert "beyond its table, which ends at 49,151" in drawn.alt
    assert "<img" not in drawn.figure.to_json().replace("\\u003c", "<")


def test_a_long_text_draws_some_rows_and_keeps_all_in_the_table() -> None:
    n_rows = 3 * MOST_ROWS
    record = swaps_record(
        ["a"] * n_rows, range(n_rows), ["b"] * n_rows, tokenizer="T", model="M", d_vocab=9_999
    )
    drawn = swaps_figure(record)
    assert len(drawn.figure.data[0].y) == MOST_ROWS
    assert len(drawn.table["number"]) == n_rows


def test_surprise_of_two_readings_on_one_scale() -> None:
    own = reading_of("own", ["a", "b", "c"], np.array([np.nan, 1.0, 2.0], dtype=np.float32))
    foreign = reading_of("foreign", ["x", None, "y"], np.array([np.nan, np.nan, 12.25], dtype=np.float32))
    assert own == Reading("own", ("a", "b", "c"), (None, 1.0, 2.0), (False, False, False))
    assert (own.mean, foreign.mean) == (1.5, 12.25)
    assert foreign.outside == (False, True, False)
    record = surprises_record(own, foreign, d_vocab=100)
    assert (record.end, record.blind) == (12.25, math.log(100))
    assert surprises_title(record) == "<b>1.50</b> nats a token become <b>12.3</b>"
    figure = surprises_figure(record).figure
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    assert [trace.name for trace in figure.data] == ["own", "foreign", "no such row"]
    assert list(figure.layout.xaxis2.ticktext)[1] == "no row"


def test_a_single_token_has_no_surprise() -> None:
    alone = reading_of("own", ["a"], np.array([np.nan], dtype=np.float32))
    record = surprises_record(alone, alone, d_vocab=10)
    assert alone.mean is None
    assert surprises_title(record) == "Surprise, token by token"
    assert surprises_figure(record).alt.count("no value") == 2


def test_the_drawn_levels_of_neighbours_meet() -> None:
    """A brick ends where the merge that takes it in begins."""
    tree = verdant()
    by_piece = {(brick.start, brick.piece): brick for brick in tree.bricks}
    for brick in tree.bricks:
        if brick.left:
            right = brick.piece[len(brick.left) :]
            parts = (by_piece[brick.start, brick.left], by_piece[brick.start + len(brick.left), right])
            assert {part.top for part in parts} == {brick.level}
    assert all(one.order <= other.order for one, other in pairwise(tree.own()))
