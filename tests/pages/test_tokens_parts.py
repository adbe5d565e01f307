"""Three parts of the Tokens page under AppTest: how a token is built, training one, the wrong tokenizer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from model_runtime.loading.convert import find_wheel_file
from model_runtime.tokens.encodings import _FILES

MAIN = Path(__file__).resolve().parents[2] / "pages" / "main.py"
TOKENS = "tokens/tokens.py"
HOSTILE = "</script><img src=x onerror=a()> $a$ \u202e\u200b👩 ש\n\tok"
CODE = re.compile(r"(`+).*?\1")  # what stands in inline code is text
MARKUP = re.compile(r"(?<!\\)<img")
MERGES = [("e", "r"), ("Ġ", "v"), ("Ġv", "er"), ("a", "n"), ("an", "t")]


@pytest.fixture(scope="session")
def merging(model_folder: Path) -> Path:
    """A tiny Llama whose tokenizer has five merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: n for n, piece in enumerate([*alphabet, *("".join(pair) for pair in MERGES)])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )
    folder = model_folder / "merging"
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def real_gpt2_table(model_folder: Path) -> Path:
    """A tiny GPT-2 with random weights and GPT-2's own tokenizer."""
    paths = [find_wheel_file(_FILES[name]) for name in ("vocab.bpe", "encoder.json")]
    merges, vocabulary = (path.read_text(encoding="utf-8") for path in paths if path is not None)
    pairs = [tuple(line.split(" ")) for line in merges.split("\n")[1:] if line.strip()]
    backend = Tokenizer(models.BPE(vocab=json.loads(vocabulary), merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    torch.manual_seed(4)
    config = GPT2Config(vocab_size=50_257, n_embd=8, n_layer=1, n_head=2, n_positions=64)
    folder = model_folder / "gpt2-table"
    GPT2LMHeadModel(config).eval().save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(folder)
    return folder


@pytest.fixture
def model(merging: Path, tiny: str) -> str:
    return str(merging)


def open_part(model: str, part: str, **link: str) -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    for key, value in {"model": model, "prompt": "a verdant ver", "lesson": part, **link}.items():
        app.query_params[key] = value
    app.run()
    app.switch_page(TOKENS).run()
    assert not app.exception
    return app


def components(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.json) for element in app.get("bidi_component") if element.proto.json]


def figures(app: AppTest) -> dict[str, dict[str, Any]]:
    """Key -> what travels to the browser, of every live figure on the page."""
    return {message["key"]: message for message in components(app) if "figure" in message}


def pieces(app: AppTest) -> list[list[Any]]:
    """(text, classes, colour, break) of the drawn pieces."""
    return next(message["pieces"] for message in components(app) if "pieces" in message)


def said(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


def pinned(model: str, **values: str) -> str:
    return json.dumps({"model": model, "prompt": "hello hello", **values})


def test_built_shows_the_merges_of_the_chosen_token_and_its_word(model: str) -> None:
    app = open_part(model, "built", token="3")  # a, " ver", d, "ant", " ver"
    drawn = figures(app)["merges"]
    assert "“ant” is made of 3 bytes in 2 merges" in drawn["alt"]
    assert "merge 5 of 5" in drawn["alt"]
    assert "no merge of “d” + “ant”" in drawn["alt"]
    assert app.table[0].value["Learned as merge"].tolist() == ["4", "5"]


def test_built_follows_the_selection_and_says_why_a_byte_has_no_merges(model: str) -> None:
    app = open_part(model, "built", token="2")
    assert "“d” is 1 byte" in figures(app)["merges"]["alt"]
    assert "It is a single byte" in said(app)
    whole = open_part(model, "built", token="4")
    assert "stays cut" not in figures(whole)["merges"]["alt"]


def test_built_draws_a_pinned_run_beside(model: str) -> None:
    app = open_part(model, "built", token="3", pin=pinned(model, prompt="ver ver ver ver"))
    assert {"merges-current", "merges-pinned"} <= figures(app).keys()
    assert not figures(app)["merges-pinned"]["clickable"]


def test_training_takes_one_merge_at_a_time(model: str) -> None:
    app = open_part(model, "train", merges="0")
    assert "13 pieces" in json.dumps(components(app))
    assert [text for text, *_ in pieces(app)] == [*"a·verdant·ver"]
    assert sum("gf-next" in kinds for _, kinds, *_ in pieces(app)) == 4  # " v" twice
    next(button for button in app.button if button.label == "One merge more").click().run()
    assert not app.exception
    assert app.query_params["merges"] in ("1", ["1"])
    assert "**Merge 1** joins `·` + `v` into `·v`, found 2 times" in said(app)
    assert [text for text, kinds, *_ in pieces(app) if "gf-new" in kinds] == ["·v", "·v"]
    assert "1 entry more" in json.loads(figures(app)["bpe-training"]["figure"])["layout"]["title"]["text"]


def test_training_says_when_nothing_comes_twice_and_stays_within_its_steps(model: str) -> None:
    app = open_part(model, "train", merges="3")  # " v", " ve", " ver": nothing else comes twice
    assert "No two neighbours stand together twice any more" in said(app)
    app = open_part(model, "train", merges="500", cut="text")
    assert "Nothing is left to join" in said(app)
    assert len(pieces(app)) == 1
    assert "pair-counts" not in figures(app)


def test_training_compares_on_one_scale(model: str) -> None:
    app = open_part(model, "train", merges="1", pin=pinned(model))
    layouts = [
        json.loads(figures(app)[f"bpe-training-{run}"]["figure"])["layout"] for run in ("current", "pinned")
    ]
    for axis in ("xaxis", "yaxis", "yaxis2"):
        assert layouts[0][axis]["range"] == layouts[1][axis]["range"]


@pytest.mark.parametrize("fed", ["gpt2", "cl100k", "o200k"])
def test_fed_aligns_numbers_and_tells_what_the_model_refuses(model: str, fed: str) -> None:
    app = open_part(model, "fed", fed=fed, prompt="a verdant ver!")
    drawn = figures(app)
    assert drawn.keys() == {"swaps", "surprise"}
    assert "which ends at 260" in drawn["swaps"]["alt"]
    assert "beyond the table, which ends at 260" in said(app)
    assert app.code[0].value.startswith("Token id ")
    assert "nats a token" in said(app)


def test_fed_says_when_both_tokenizers_are_one(real_gpt2_table: Path, tiny: str) -> None:
    app = open_part(str(real_gpt2_table), "fed", fed="gpt2", prompt="a fluffy blue creature")
    assert "Nothing goes wrong here" in said(app)
    assert "4 tokens of GPT-2; 4 mean the same" in figures(app)["swaps"]["alt"]
    title = json.loads(figures(app)["surprise"]["figure"])["layout"]["title"]["text"]
    assert title == "The same numbers, the same surprise"
    other = open_part(str(real_gpt2_table), "fed", fed="cl100k", prompt="a fluffy blue creature")
    assert "but of other pieces" in said(other)


def test_fed_compares_on_one_scale(model: str) -> None:
    drawn = figures(open_part(model, "fed", pin=pinned(model)))
    layouts = [json.loads(drawn[f"surprise-{run}"]["figure"])["layout"] for run in ("current", "pinned")]
    assert layouts[0]["yaxis"]["range"] == layouts[1]["yaxis"]["range"]


@pytest.mark.parametrize("prompt", ["x", "🙂", HOSTILE, "a" * 64])
@pytest.mark.parametrize("part", ["built", "train", "fed"])
def test_any_prompt_is_drawn_and_none_becomes_markup(tiny: str, part: str, prompt: str) -> None:
    app = open_part(tiny, part, prompt=prompt)
    for message in figures(app).values():
        assert "<img" not in message["figure"]
    for element in [*app.markdown, *app.caption]:
        assert not MARKUP.search(CODE.sub("", element.value))
    if len(prompt.encode()) > 1:
        assert figures(app)


@pytest.mark.parametrize("part", ["built", "train", "fed"])
def test_the_mathematics_and_the_code_are_there(model: str, part: str) -> None:
    app = open_part(model, part, token="3")
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "def " in app.code[-1].value
    assert {"built": r"\arg\min", "train": r"\arg\max", "fed": r"\ln"}[part] in said(app)
