"""A model whose table has whole words: what the page appends and writes is read back as the same tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.pages.test_home_and_attention import open_page
from tests.pages.test_next_token_app import button, parameter, said

PAGE = "output/next_token.py"


@pytest.fixture
def words(model_folder: Path, tiny: str) -> str:
    """The tiny Llama with a table of the words w0 to w254, whose pieces stand apart in a text."""
    folder = model_folder / "words"
    if not folder.is_dir():
        shutil.copytree(tiny, folder)
        table = {"[UNK]": 255} | {f"w{number}": number for number in range(255)}
        tokenizer = Tokenizer(models.WordLevel(table, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({"unk_token": "[UNK]"}))
    return str(folder)


def test_an_appended_word_stands_apart_and_is_read_as_that_word(words: str) -> None:
    app = open_page(words, PAGE, prompt="w7 w8", candidate="9")
    assert "are cut into other tokens" not in said(app)
    button(app, "Append").click().run()
    assert parameter(app, "prompt") == "w7 w8 w9"


def test_the_token_for_what_is_unknown_is_no_text_to_append(words: str) -> None:
    app = open_page(words, PAGE, prompt="w7 w8", candidate="255")
    assert button(app, "Append").disabled
    assert "stands for all that the table lacks" in said(app)


def test_written_words_become_the_prompt_as_they_were_written(words: str) -> None:
    app = open_page(words, PAGE, prompt="w7 w8", max_new_tokens="3", temperature="0")
    button(app, "Generate").click().run()
    button(app, "Continue from here").click().run()
    written = parameter(app, "prompt").split(" ")
    assert (written[:2], len(written)) == (["w7", "w8"], 5)
    assert all(word.startswith("w") for word in written)
