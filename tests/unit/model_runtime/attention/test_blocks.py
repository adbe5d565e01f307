"""Head measures of long prompts: blocks of queries hold a bounded number of cells, whatever the length."""

from __future__ import annotations

import pytest
import torch

from model_runtime.attention import measures


@pytest.mark.parametrize("n_heads", [1, 9, 32, 64])
@pytest.mark.parametrize("n_tokens", [1, 780, 8_192])
def test_a_block_holds_a_bounded_number_of_cells(n_tokens: int, n_heads: int) -> None:
    queries = list(range(n_tokens))
    blocks = list(measures._blocks(queries, n_heads, torch.device("cpu")))
    assert [row for start, stop in blocks for row in range(start, stop)] == queries
    cells = [n_heads * (stop - start) * stop for start, stop in blocks]  # [head, query_pos, key_pos]
    assert max(cells) <= 2**19  # 2 MB in float32


@pytest.mark.parametrize("n_tokens", [2, 8_192])
def test_one_query_of_very_many_heads_is_a_block(n_tokens: int) -> None:
    queries = list(range(n_tokens - 2, n_tokens))
    blocks = measures._blocks(queries, 1_000, torch.device("cpu"))
    assert [stop - start for start, stop in blocks] == ([2] if n_tokens == 2 else [1, 1])
