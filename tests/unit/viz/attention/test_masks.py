"""Masks as grids, patterns under other masks, and what would move."""

from __future__ import annotations

import numpy as np
import pytest

from viz.attention.masks import (
    MaskChange,
    change_words,
    counts_words,
    mask_change,
    mask_grid_record,
    mask_grids_figure,
    strongest_words,
)
from viz.attention.pattern import attention_pattern_record
from viz.attention.pattern_map import masked_pattern_figure

CAUSAL = np.tril(np.ones((3, 3), dtype=bool))
FULL = np.ones((3, 3), dtype=bool)
MEASURED = np.array([[1, 0, 0], [0.25, 0.75, 0], [0.5, 0.25, 0.25]], dtype=np.float32)
OTHER = np.array([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.5, 0.25, 0.25]], dtype=np.float32)
TOKENS = ["a", " b", " c"]
HOSTILE = "<img src=x onerror=alert(1)>$x$%{z}"


def test_a_grid_counts_its_cells() -> None:
    grid = mask_grid_record(CAUSAL, TOKENS, TOKENS, "Causal", selected=1)
    assert grid.cells == ((True, False, False), (True, True, False), (True, True, True))
    assert (grid.n_visible, grid.n_all, grid.block) == (6, 9, 1)
    assert counts_words([grid]) == "Of 9 pairs of tokens these may be read: causal 6."


def test_many_tokens_become_blocks_with_exact_counts() -> None:
    n = 70
    grid = mask_grid_record(np.tril(np.ones((n, n), dtype=bool)), ["t"] * n, ["t"] * n, "Causal", selected=69)
    assert (grid.block, len(grid.cells), grid.n_visible) == (3, 24, n * (n + 1) // 2)
    assert grid.cells[0] == (True, *[False] * 23)
    outline = mask_grids_figure([grid]).figure.layout.shapes[0]
    assert (outline.y0, outline.y1) == (22.5, 23.5)


def test_what_moves_without_the_mask() -> None:
    change = mask_change(MEASURED, OTHER, CAUSAL, FULL, selected=1)
    assert change == MaskChange(0.0, pytest.approx(0.2), None, pytest.approx((0.5 + 0.2) / 2))
    words = change_words(change, "bidirectional", " b", window=2)
    assert words == (
        "If it could look there, “·b” would give 20.0\xa0% of its attention to later tokens; the tokens that "
        "could, 35.0\xa0% on average."
    )


def test_a_token_to_which_a_mask_opens_nothing() -> None:
    change = mask_change(MEASURED, OTHER, CAUSAL, FULL, selected=2)
    assert change.gained_selected == 0
    assert change_words(change, "bidirectional", " c", window=2) == (
        "For “·c” this mask opens nothing that it would read. The tokens for which it does would give "
        "35.0\xa0% of their attention to later tokens on average."
    )


def test_what_a_window_takes_away() -> None:
    window = CAUSAL & ~np.tril(FULL, k=-2)
    change = mask_change(MEASURED, OTHER, CAUSAL, window, selected=2)
    assert change == MaskChange(0.5, 0.0, 0.5, None)
    assert "really gives 50.0\xa0% to tokens further back than 2 tokens" in change_words(
        change, "window", "c", 2
    )


def test_the_own_mask_moves_nothing_and_says_so() -> None:
    change = mask_change(MEASURED, MEASURED, CAUSAL, CAUSAL, selected=2)
    assert change == MaskChange(0.0, 0.0, None, None)
    assert "the same map" in change_words(change, "causal", "c", 2)


def test_a_map_has_every_visible_cell_and_its_frame_reaches_as_far() -> None:
    place = {"layer": 1, "head": 0, "selected": 1}
    causal = attention_pattern_record(MEASURED, TOKENS, **place, visible=CAUSAL)
    full = attention_pattern_record(OTHER, TOKENS, **place, visible=FULL)
    assert causal.cells == ((1.0, None, None), (0.25, 0.75, None), (0.5, 0.25, 0.25))
    assert full.cells[0] == (0.5, 0.25, 0.25)
    assert full.row == tuple(float(np.float32(p)) for p in (0.2, 0.6, 0.2))
    assert strongest_words(full) == "itself 60.0\xa0%, “a” (0) 20.0\xa0%, “·c” (2) 20.0\xa0%"
    drawn = masked_pattern_figure(full, "Bidirectional", as_measured=False)
    frame = drawn.figure.layout.shapes[0]
    assert (frame.x0, frame.x1) == (-0.5, 2.5)
    heatmap = drawn.figure.data[0]
    assert (heatmap.zmin, heatmap.zmax) == (0, 1)
    assert "would read <b>itself</b>" in drawn.figure.layout.title.text
    assert drawn.alt.startswith("Computed, layer 1, head 0")
    frame = masked_pattern_figure(causal, "As measured", as_measured=True).figure.layout.shapes[0]
    assert (frame.x0, frame.x1) == (-0.5, 1.5)


def test_long_maps_are_blocks_of_the_largest() -> None:
    n = 300
    pattern = np.zeros((n, n), dtype=np.float32)
    pattern[0, 299] = 0.9
    full = np.ones((n, n), dtype=bool)
    record = attention_pattern_record(pattern, ["t"] * n, layer=0, head=0, selected=0, visible=full)
    assert (record.block, len(record.cells)) == (3, 100)
    assert record.cells[0][99] == pytest.approx(0.9)
    assert record.query_at((0, 99)) == 0


def test_grids_stand_apart_and_the_chosen_one_is_bold() -> None:
    grids = [mask_grid_record(mask, TOKENS, TOKENS, name) for mask, name in ((CAUSAL, "A"), (FULL, "B"))]
    drawn = mask_grids_figure(grids, chosen=1)
    assert [note.text for note in drawn.figure.layout.annotations] == ["A<br>6 of 9", "<b>B</b><br>9 of 9"]
    assert drawn.figure.layout.xaxis.domain[1] < drawn.figure.layout.xaxis2.domain[0]
    assert len(drawn.table["mask"]) == 15
    assert drawn.alt == "A: 6 of 9 cells may be read; B: 9 of 9 cells may be read."


def test_hostile_text_stays_text() -> None:
    grid = mask_grid_record(CAUSAL, [HOSTILE] * 3, [HOSTILE] * 3, "Causal")
    assert "<img" not in mask_grids_figure([grid], names=True).figure.to_json()
    record = attention_pattern_record(MEASURED, [HOSTILE] * 3, layer=0, head=0, selected=1)
    assert "<img" not in masked_pattern_figure(record, "Causal", as_measured=True).figure.to_json()


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 by 2"):
        mask_grid_record(CAUSAL, TOKENS, TOKENS[:2], "Causal")
    with pytest.raises(ValueError, match="for 2 tokens"):
        attention_pattern_record(MEASURED, TOKENS[:2], layer=0, head=0, selected=0, visible=CAUSAL)
