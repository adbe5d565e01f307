"""GGUF blocks under AppTest: the model's own file, weights packed here, places that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from transformers import LlamaConfig, LlamaForCausalLM

from pages.numbers import gguf_blocks as blocks
from pages.shared.figure.live_figure import Click
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said
from tests.pages.test_number_formats_page import NUMBERS
from tests.tiny_checkpoints import byte_tokenizer, save
from tests.tiny_models import tiny_model

DEFAULT = "smollm2-135m-instruct"


def part(model: str, **link: str) -> AppTest:
    return open_page(model, NUMBERS, **{"formats": "blocks", "prompt": "hello", **link})


def alt(app: AppTest, key: str = "gguf-block") -> str:
    return figures(app)[key]["alt"]


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def test_a_block_of_the_model_s_own_file() -> None:
    app = part(DEFAULT, layer="24", weight="5")
    assert alt(app).startswith("A Q4_1 block: 20 bytes, 8B 25 C8 B2")
    assert "byte 9, low half, code 10: 0.0216522 × 10 − 0.211914 = 0.00461" in alt(app)
    assert "and 1010 is the code **q = 10**" in said(app)
    assert "Read from the model's own file" in captions(app)
    assert figures(app)["gguf-block"]["badge"]["kind"] == "measured"


def test_the_embedding_of_the_file_is_kept_in_the_other_kind() -> None:
    app = part(DEFAULT, tensor="token_embd.weight", block_row="15688", weight="21")
    assert alt(app).startswith("A Q8_0 block: 34 bytes")
    assert "(233 − 256: the byte has a sign)" in said(app)
    assert "L24" not in figures(app)["gguf-block"]["badge"]["text"]


def test_a_place_that_is_not_there_becomes_the_nearest() -> None:
    app = part(DEFAULT, tensor="ffn_down.weight", block_row="99999999999", block="777", weight="900")
    assert "Tensor ffn\\_down" in figures(app)["gguf-block"]["caption"].replace("_", "\\_")
    assert "row 575, block 47" in figures(app)["gguf-block"]["caption"]
    assert "Weight 31 is in" in alt(app)
    app = part(DEFAULT, tensor=HOSTILE, block_row="x", block="-4", weight="", block_kind="q2_k")
    assert "row 0, block 0" in figures(app)["gguf-block"]["caption"]
    assert any("does not exist here" in box.value for box in app.warning)


@pytest.mark.parametrize("kind", ["q4_1", "q8_0"])
@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_weights_of_other_models_are_packed_here(tiny: str, model: str, kind: str) -> None:
    app = part(str(Path(tiny).parent / model), block_kind=kind, block_row="9", weight="31")
    assert alt(app).startswith(f"A {kind.upper()} block")
    assert "was not loaded from a GGUF file" in captions(app)
    assert "(128 bytes as loaded)" in captions(app)
    assert figures(app)["gguf-block"]["badge"]["kind"] == "computed"
    options = app.selectbox(key="gf.widget.matrix").options
    # Only rows of 32 and more: in these models the MLP's second matrix, however it is kept.
    assert options == (["mlp.down_proj.weight"] if model == "llama" else ["mlp.c_proj.weight"])


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss"])
def test_experts_rows_are_counted_through(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf_model, _ = tiny_model(family)
    hf_model.save_pretrained(tmp_path / family)
    byte_tokenizer().save_pretrained(tmp_path / family)
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(tmp_path))
    app = part(str(tmp_path / family), block_row="99999", matrix="mlp.experts.gate_up_proj")
    assert "row 383, block 0" in figures(app)["gguf-block"]["caption"]  # 4 experts of 2 x 48 rows


def test_a_model_without_a_row_of_32_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = LlamaConfig(
        vocab_size=256, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
    )
    folder = save(tmp_path / "small", LlamaForCausalLM(config).eval())
    monkeypatch.setenv("GLASSFORMER_ALLOW", str(tmp_path))
    app = part(str(folder))
    assert not figures(app)
    assert "has 32 weights, so there is no block" in app.info[0].value


def test_a_pinned_run_beside_it(tiny: str) -> None:
    app = part(tiny, pin=pinned(DEFAULT), block_row="3", block="5")
    drawn = figures(app)
    assert [*drawn] == ["gguf-block-current", "gguf-block-pinned"]
    assert "row 3, block 0" in drawn["gguf-block-current"]["caption"]
    assert "Tensor attn_q.weight, row 3, block 0" in drawn["gguf-block-pinned"]["caption"]
    # The current model's matrix has fewer rows: the pinned one shows the nearest it has.
    other = figures(part(DEFAULT, pin=pinned(tiny), block_row="500", block="5"))
    assert "row 500, block 5" in other["gguf-block-current"]["caption"]
    assert "row 15, block 0" in other["gguf-block-pinned"]["caption"]


def test_a_click_chooses_a_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, object] = {}
    monkeypatch.setattr(blocks.state, "set", lambda **values: changed.update(values))
    for odd in (None, 32, -1, "3", [3]):
        blocks.choose_weight(Click(0, 0, 0, 0, odd))
    assert changed == {}
    blocks.choose_weight(Click(3, 0, 0, 0, 21))
    assert changed == {"weight": 21}
