"""The parts "table" and "words" of Embeddings under AppTest: any token, any words, a pinned run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said, single

EMBEDDINGS = "vectors/embeddings.py"
TABLE = ["row", "near-cosine", "near-euclidean"]
WORDS = ["similarity", "analogy-without", "analogy-own"]


def part(model: str, name: str, **link: str) -> AppTest:
    return open_page(model, EMBEDDINGS, **{"space": name, "prompt": "hello", **link})


def title(app: AppTest, key: str) -> str:
    return json.loads(figures(app)[key]["figure"])["layout"]["title"]["text"]


@pytest.mark.parametrize("row", ["", "5", "0", "hello", " ", HOSTILE[:60], "😀", "مرحبا", "--5", "+-5", "²"])
@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_any_token_has_its_row(tiny: str, model: str, row: str) -> None:
    app = part(str(Path(tiny).parent / model), "table", row=row)
    assert not app.exception
    assert not app.error
    assert [*figures(app)][:3] == TABLE
    assert "one-hot vector times the table" in said(app)


@pytest.mark.parametrize("row", ["999999", "-1", "20,000"])
def test_a_row_outside_the_table_is_said_and_shown_as_the_real_error(tiny: str, row: str) -> None:
    app = part(tiny, "table", row=row)
    assert not app.exception
    assert "IndexError" in app.warning[0].value.replace("\\", "")
    assert not figures(app)
    app.text_input(key="gf.widget.row").set_value("3").run()
    assert [*figures(app)][:3] == TABLE


@pytest.mark.parametrize("row", ["9223372036854775808", "-9999999999999999999", "9" * 60])
def test_a_row_beyond_64_bits_is_said_in_words(tiny: str, row: str) -> None:
    app = part(tiny, "table", row=row)
    assert not app.exception
    assert "There is no row" in app.warning[0].value
    assert not figures(app)


def test_the_selected_token_is_looked_up(tiny: str) -> None:
    assert title(part(tiny, "table", token="1"), "row").startswith("“e” is row ")
    assert title(part(tiny, "table", token="1", row="7"), "row").split(":")[0].endswith("is row 7")


def test_tied_and_untied_heads(tiny: str) -> None:
    assert "**tied** embeddings" in said(part(str(Path(tiny).parent / "gpt2"), "table"))
    untied = part(tiny, "table")
    assert ("head-row" in figures(untied)) == ("**untied**" in said(untied))


@pytest.mark.parametrize("words", ["man, woman", "a,b,c,a", "😀, </script>, مرحبا", "x" * 60 + ", y"])
@pytest.mark.parametrize("lead", ["0", "1"])
def test_any_words_draw(tiny: str, words: str, lead: str) -> None:
    app = part(tiny, "words", words=words, lead=lead)
    assert not app.exception
    assert not app.error
    assert [*figures(app)] == WORDS
    assert "The space matters" in said(app)


@pytest.mark.parametrize(
    "words", ["", "  ", "one", ",,,", ", ".join(f"w{i}" for i in range(200)), "x" * 61 + ",y"]
)
def test_words_that_cannot_be_used_are_explained_and_the_sum_stays(tiny: str, words: str) -> None:
    app = part(tiny, "words", words=words)
    assert not app.exception
    assert app.warning
    assert [*figures(app)] == WORDS[1:]


def test_a_sum_that_is_none_is_explained(tiny: str) -> None:
    app = part(tiny, "words", sum="king and queen")
    assert "a - b + c" in app.warning[0].value.replace("\\", "")
    assert [*figures(app)] == WORDS[:1]


def test_an_example_is_taken(tiny: str) -> None:
    app = part(tiny, "words")
    app.button(key="gf.sum.walked - walk + go").click().run()
    assert single(app, "sum") == "walked - walk + go"


def test_two_runs_share_the_scale_of_their_rows(tiny: str) -> None:
    drawn = figures(part(tiny, "table", pin=pinned(str(Path(tiny).parent / "gpt2"))))
    one, other = (json.loads(drawn[f"row-{side}"]["figure"])["data"][0] for side in ("current", "pinned"))
    assert one["zmax"] == other["zmax"]
    assert "similarity-pinned" in figures(part(tiny, "words", pin=pinned(str(Path(tiny).parent / "gpt2"))))


def test_the_closed_lines(tiny: str) -> None:
    for name, code in (("table", "def nearest"), ("words", "def analogy")):
        app = part(tiny, name)
        for line in ("The mathematics", "The code"):
            app.session_state[f"gf.details.{line}"] = True
        app.run()
        assert not app.exception
        assert any(code in block.value for block in app.code)
