"""The parts "map" and "senses" of the Embeddings page under AppTest: any points, any method, bad links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said, single

EMBEDDINGS = "vectors/embeddings.py"


def part(tiny: str, name: str, **link: str) -> AppTest:
    return open_page(tiny, EMBEDDINGS, space=name, **{"layer": "1", "head": "0", **link})


def told(app: AppTest) -> str:
    """What stands there, as a reader sees it: without markdown's backslashes."""
    return said(app).replace("\\", "")


def wrong(app: AppTest) -> str:
    return "\n".join(element.value for element in app.warning).replace("\\", "")


@pytest.mark.parametrize("prompt", ["hello hello", HOSTILE, "a" * 64, "ab"])
@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("points", ["words", "prompt", "vocabulary"])
def test_any_points_by_any_method(tiny: str, points: str, method: str, prompt: str) -> None:
    app = part(tiny, "map", points=points, method=method, prompt=prompt, top="50", depth="2")
    if points == "prompt" and prompt in ("a" * 64, "ab") and not figures(app):
        assert wrong(app)
        return
    assert [*figures(app)] == ["projection-2d"]
    for message in figures(app).values():
        assert "<img" not in message["figure"]
        assert "\\u003cimg" not in message["figure"]
    assert "nearest" in told(app)


@pytest.mark.parametrize("axes", ["2", "3"])
def test_a_gpt2_and_a_pinned_llama_stand_side_by_side_on_one_scale(tiny: str, axes: str) -> None:
    gpt2 = str(Path(tiny).parent / "gpt2")
    app = part(gpt2, "map", pin=pinned(tiny), axes=axes)
    one, other = (
        json.loads(figures(app)[f"projection-{axes}d-{side}"]["figure"]) for side in ("current", "pinned")
    )
    for axis in ("xaxis", "yaxis"):
        places = (
            (one["layout"], other["layout"])
            if axes == "2"
            else (one["layout"]["scene"], other["layout"]["scene"])
        )
        assert places[0][axis]["range"] == places[1][axis]["range"]
    assert "the same in both runs" in told(app)


def test_runs_of_other_prompts_have_other_points(tiny: str) -> None:
    app = part(tiny, "map", points="prompt", pin=pinned(tiny, prompt="goodbye you"))
    assert "The two runs draw different points" in told(app)


def test_words_are_read_from_the_link_and_split_ones_are_named(tiny: str) -> None:
    app = part(tiny, "map", groups="first: ab, cd, ab\nsecond: ef, gh", point="3")
    figure = json.loads(figures(app)["projection-2d"]["figure"])
    names = [trace["name"] for trace in figure["data"] if trace.get("customdata") is not None]
    assert names == ["first", "second"]
    captions = "\n".join(caption.value for caption in app.caption)
    assert "`ab` (3)" in captions  # the space before it and two letters
    assert "Came more than once, drawn once: `ab`" in captions
    assert "Nearest to “gh”" in told(app)


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ({"groups": " : "}, "There are no words."),
        ({"groups": "a: x"}, "One point has nothing to be compared with."),
        ({"groups": "a: x y z", "method": "tsne"}, "t-SNE needs at least 4 points; here are 3."),
        ({"groups": "a: x y z", "method": "umap"}, "UMAP needs at least 6 points; here are 3."),
        ({"points": "prompt", "prompt": "aaaa"}, "vectors are the same"),
        ({"points": "prompt", "prompt": "x"}, "One point has nothing to be compared with."),
        ({"method": "axis", "left": " "}, "The left end of the axis has no word."),
        ({"method": "axis", "left": "x", "right": "x"}, "Both ends of the axis are the same vector."),
        ({"method": "axis", "points": "prompt"}, "is no token of the points drawn"),
    ],
)
def test_what_cannot_be_projected_says_why(tiny: str, link: dict[str, str], message: str) -> None:
    app = part(tiny, "map", **link)
    assert message in wrong(app)
    assert not figures(app)


def test_fewer_points_than_asked_for_is_said(tiny: str) -> None:
    app = part(tiny, "map", groups="a: u v w x y z", method="tsne", perplexity="30")
    captions = "\n".join(caption.value for caption in app.caption)
    assert "Perplexity 30 asks for more neighbours than 6 points have; 1.67 is used." in captions
    assert "With 6 points there are 5 neighbours to count, not 10." in captions
    assert "There are only 6 points" in told(app)


def test_a_click_on_a_prompt_s_token_selects_it_everywhere(tiny: str) -> None:
    app = part(tiny, "map", points="prompt", token="4", first="1")
    assert "Nearest to “o”" in told(app)
    assert single(app, "point") == "0"
    # The first token is left out, so it cannot be the selected one.
    assert "Choose a point" in told(part(tiny, "map", points="prompt", token="0"))


def test_the_own_axis_and_the_search(tiny: str) -> None:
    app = part(tiny, "map", method="axis", left="a", right="b", find="cat")
    assert "On the way from “a” (0) to “b” (1)" in told(app)
    assert "Found and ringed: “cat”" in told(app)
    assert "Own axis" in told(app)


@pytest.mark.parametrize(
    "link",
    [
        {"points": "nonsense", "method": "<b>", "axes": "9", "by": "x", "top": "-3", "point": "99999"},
        {"depth": "77", "points": "prompt", "perplexity": "nan", "near": "1e9", "shake": "-1"},
        {"groups": "</script>: <img src=x onerror=a()>, $x$, %{y}, \u202ea", "find": "<img"},
    ],
)
def test_hostile_links_fall_back(tiny: str, link: dict[str, str]) -> None:
    app = part(tiny, "map", **link)
    assert [*figures(app)] == ["projection-2d"]
    assert "<img" not in figures(app)["projection-2d"]["figure"]


def test_the_mole_parts_from_its_embedding(tiny: str) -> None:
    app = part(tiny, "senses")
    assert [*figures(app)] == ["sense-curves", "sense-paths", "sense-parting"]
    assert "After block 1, sentences 1 and 2: " in told(app)
    assert "Two unrelated tokens: " in told(app)
    assert "1. American shrew mole (token 18: `m` + `o` + `l` + `e`, the last of 4 tokens)" in told(app)
    assert figures(app)["sense-curves"]["badge"]["kind"] == "measured"


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ({"sentences": "\n".join(["a mole"] * 6)}, "6 sentences cannot be compared."),
        ({"sentences": f"a mole\n{'x' * 70} mole"}, "75 tokens"),
    ],
)
def test_sentences_that_cannot_be_compared_say_why(tiny: str, link: dict[str, str], message: str) -> None:
    app = part(tiny, "senses", **link)
    assert message in wrong(app)
    assert not figures(app)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"sentences": "a mole\nno such animal"}, "`mole` stands in 1 sentence above"),
        ({"sentences": "a mole"}, "`mole` stands in 1 sentence above"),
        ({"sentences": ""}, "`mole` stands in 0 sentences above"),
        ({"word": " "}, "No word is given, so it stands in 0 sentences above"),
    ],
)
def test_a_word_that_stands_nowhere_is_a_hint_over_the_worked_example(
    tiny: str, link: dict[str, str], words: str
) -> None:
    app = part(tiny, "senses", **link)
    assert not wrong(app)
    assert app.info[0].value == (f"{words}: a comparison takes two or more. Shown is `mole` in 3 sentences.")
    assert "American shrew mole" in told(app)
    assert figures(app)


def test_while_the_word_changes_the_last_picture_stays(tiny: str) -> None:
    app = part(tiny, "senses", word="bank", sentences="a bank here\nthe other bank\nno such house")
    assert app.info[0].value == "`bank` does not stand in 1 sentence: left out."
    app.text_input(key="gf.widget.word").set_value("ban").run()
    assert not wrong(app)
    assert "Shown is `bank` in 2 sentences." in app.info[0].value
    assert "a bank here" in told(app)


def test_other_words_are_a_button_away(tiny: str) -> None:
    app = part(tiny, "senses")
    app.button(key="gf.senses.bank").click().run()
    assert not app.exception
    assert "river" in told(app)
    assert single(app, "word") == "bank"


def test_hostile_sentences_are_text(tiny: str) -> None:
    app = part(tiny, "senses", sentences="<img src=x> mole $x$\n\u202e mole, Mole", word="mole")
    for message in figures(app).values():
        assert "<img" not in message["figure"]
    assert "2 times" in told(app)


def test_two_models_senses_share_an_axis_and_a_table(tiny: str) -> None:
    gpt2 = str(Path(tiny).parent / "gpt2")
    app = part(gpt2, "senses", pin=pinned(tiny, edits="h0.0*0"))
    one, other = (
        json.loads(figures(app)[f"sense-curves-{side}"]["figure"]) for side in ("current", "pinned")
    )
    assert one["layout"]["yaxis"]["range"] == other["layout"]["yaxis"]["range"]
    assert "| sentences | place | current | pinned | difference |" in said(app)


@pytest.mark.parametrize("name", ["map", "senses"])
def test_mathematics_and_code_have_the_numbers(tiny: str, name: str) -> None:
    app = part(tiny, name)
    app.session_state["gf.details.The mathematics"] = True
    app.session_state["gf.details.The code"] = True
    app.run()
    assert not app.exception
    assert "$$" in said(app)
    assert "def " in app.code[0].value
