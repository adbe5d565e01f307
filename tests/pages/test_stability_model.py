"""The whole-model part of Stability under AppTest: three formats, a gain that breaks one, two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.precision_texts import FormatText, Parting, PrecisionTexts
from model_runtime.records import Token
from pages.numbers import precision_sides, precisions
from pages.numbers.precision_words import parting_words, text_table
from pages.shared.live_figure import Click
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said

PAGE = "numbers/stability.py"
FIGURES = ["largest", "stream-errors", "next-in-formats", "lost-values"]
TOO_MUCH = "16"


def part(model: str, **link: str) -> AppTest:
    return open_page(model, PAGE, **{"stability": "model", **link})


def warnings(app: AppTest) -> str:
    return "\n".join(box.value for box in app.warning)


@pytest.mark.parametrize("model", ["llama", "gpt2"])
@pytest.mark.parametrize("prompt", ["hello hello", "x", HOSTILE])
def test_any_prompt_draws_in_three_formats(tiny: str, model: str, prompt: str) -> None:
    app = part(str(Path(tiny).parent / model), prompt=prompt)
    assert not app.exception
    drawn = figures(app)
    assert set(FIGURES[:3]) <= set(drawn)
    assert "fp32, bf16, fp16" in drawn["largest"]["caption"]
    assert "**bf16" in said(app)
    assert "**fp16" in said(app)
    assert not warnings(app)


def test_a_gain_breaks_fp16_and_the_page_goes_on(tiny: str) -> None:
    # The tiny model adds so little that the gain alone is not enough: an edit of the run helps.
    app = part(tiny, swell=TOO_MUCH, swell_at="selected", layer="0", edits="m0*100000")
    assert not app.exception
    assert [*figures(app)] == FIGURES
    assert "**fp16 breaks in layer 0, in what the MLP adds:**" in said(app)
    assert "**No token is drawn in fp16.**" in warnings(app)
    assert "there is no distribution" in warnings(app)
    assert "fp16 writes nothing" in said(app)
    title = json.loads(figures(app)["next-in-formats"]["figure"])["layout"]["title"]["text"]
    assert title.startswith("fp16 has no distribution left")
    assert "MLP of layer 0 times 65536" in figures(app)["largest"]["caption"].replace(",", "")
    # The next visitor, without a gain, finds the model as it was.
    calm = part(tiny, layer="0")
    assert not warnings(calm)
    assert "breaks in layer" not in said(calm)


def test_a_click_selects_the_layer_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[dict[str, object]] = []
    monkeypatch.setattr(precisions.state, "set", lambda **values: changed.append(values))
    for customdata in (1, [0], -1, None, "2", True, [[3]]):
        precisions.choose_layer(Click(0, 1, 1, 1, customdata))
    assert changed == [{"layer": 1}, {"layer": 0}]


def test_two_runs_on_equal_axes(tiny: str) -> None:
    app = part(tiny, pin=pinned(str(Path(tiny).parent / "gpt2")))
    assert not app.exception
    drawn = figures(app)
    for name, axis in (("largest", "yaxis"), ("stream-errors", "yaxis"), ("next-in-formats", "xaxis")):
        one, other = (
            json.loads(drawn[f"{name}-{side}"]["figure"])["layout"] for side in ("current", "pinned")
        )
        assert one[axis]["range"] == other[axis]["range"]


def test_a_format_that_does_not_run_is_told(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(run: object) -> object:
        def model_of(dtype: str) -> object:
            if dtype == "float16":
                raise RuntimeError("\"addmm\" not implemented for 'Half'")
            return precision_sides.runtime.model_for(precision_sides.replace(run, dtype=dtype))

        return model_of

    monkeypatch.setattr(precision_sides, "model_of", lacking)
    app = part(tiny, prompt="not in fp16")
    assert not app.exception
    assert "does not run in fp16" in app.info[0].value
    assert "stream-errors" in figures(app)


def test_a_large_model_writes_on_a_button(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "AT_ONCE", 0)
    app = part(tiny, prompt="on a button")
    assert "no difference" not in said(app)
    app.button(key="gf.precisions.write.").click().run()
    assert not app.exception
    assert "| fp32 |" in said(app)


def test_the_closed_lines_have_the_numbers_and_the_code(tiny: str) -> None:
    app = part(tiny)
    for line in ("The mathematics", "The code"):
        app.session_state[f"gf.details.{line}"] = True
    app.run()
    assert not app.exception
    assert any("def compare_precisions" in block.value for block in app.code)
    assert "65{,}504" in said(app)


def test_nonsense_in_the_link_falls_back(tiny: str) -> None:
    app = part(tiny, swell="many", swell_at="<b>", layer="9999")
    assert not app.exception
    assert set(FIGURES[:3]) <= set(figures(app))


def test_texts_that_part_say_where_and_hide_nothing() -> None:
    """Bold from where they part; token text is no markup."""
    tokens = [Token(i, text, text.encode()) for i, text in enumerate((" a", "|<b>", "*c*"))]
    fp32 = FormatText("fp32", (tokens[0], tokens[1]), "", None)
    parting = Parting(1, tokens[1], tokens[2], (0.5, 0.4), (0.3, 0.6))
    bf16 = FormatText("bf16", (tokens[0], tokens[2]), "", parting)
    table = text_table(PrecisionTexts((fp32, bf16), {}))
    assert table.splitlines()[-1] == r"| bf16 | ·a **\*c\*** |"
    assert r"\|\<b\>" in table
    said = parting_words(bf16, fp32)
    assert said.startswith("**bf16 parts from fp32 at new token 2:** `*c*` instead of `|<b>`.")
    assert "40.0\xa0% and 50.0\xa0%; in bf16 60.0\xa0% and 30.0\xa0%" in said
    tie = FormatText("bf16", bf16.tokens, "", Parting(1, tokens[1], tokens[2], (0.5, 0.4), (0.4, 0.4)))
    assert "a tie" in parting_words(tie, fp32)
    assert parting_words(fp32, fp32) == "**fp32**: no difference in 2 tokens."
