"""The whole-model part of Stability under AppTest: three formats, a gain that breaks one, two runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model_runtime.interventions import ScaleMLP
from model_runtime.model import Model
from model_runtime.numbers.inner_precision import InnerPrecision
from model_runtime.numbers.precision_texts import FormatText, Parting, PrecisionTexts, compare_texts
from model_runtime.numbers.precisions import INFINITE, NAN, STREAM, FormatReading, PrecisionReport
from model_runtime.records import Token
from model_runtime.sampling.settings import SamplingSettings
from pages.numbers import precisions
from pages.numbers.precision_words import absent_words, broken_words, parting_words, text_table
from pages.numbers.precisions import cancelled_words
from pages.shared.figure.live_figure import Click
from pages.shared.run import runtime
from pages.shared.run.opened import opened
from pages.shared.run.runs import Run
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said
from tests.pages.watched_turns import watch, watch_turns

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
    fail_in_fp16(monkeypatch, RuntimeError("\"addmm\" not implemented for 'Half'"))
    app = part(tiny, prompt="not in fp16")
    assert not app.exception
    assert "does not run in fp16" in app.info[0].value
    assert "stream-errors" in figures(app)


def fail_in_fp16(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    model_for = runtime.model_for

    def failing(run: Run) -> Any:
        if run.dtype == "float16":
            raise error
        return model_for(run)

    monkeypatch.setattr(runtime, "model_for", failing)


def test_short_memory_is_said_and_kept_for_nobody(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_in_fp16(patch, RuntimeError("can't allocate memory: you tried to allocate 9 bytes"))
        app = part(tiny, prompt="no memory left")
        assert not app.exception
        assert "not enough memory to run the model in fp16" in "".join(box.value for box in app.error)
        assert not figures(app)
    app = part(tiny, prompt="no memory left")
    assert "fp32, bf16, fp16" in figures(app)["largest"]["caption"]


def run_of(model: str, prompt: str = "hello", dtype: str = "auto", edits: tuple[Any, ...] = ()) -> Run:
    return Run(model, dtype, prompt, edits, SamplingSettings())


def test_each_format_is_loaded_once_and_fp32_is_the_run_s_own(tiny: str) -> None:
    model = str(Path(tiny).parent / "gpt2")
    part(model, prompt="loaded once", swell="3")
    shelf = runtime._models()
    held = [dtype for dtype in ("auto", "float32", "bfloat16", "float16") if shelf.holds(model, dtype)]
    assert held == ["auto", "bfloat16", "float16"]
    run = run_of(model)
    assert runtime.in_dtype(run, "float32") is run
    assert runtime.in_dtype(run, "float16") == replace(run, dtype="float16")
    half = run_of(model, dtype="float16")
    assert runtime.in_dtype(half, "float16") == half
    assert runtime.in_dtype(half, "float32") == replace(run, dtype="float32")


def test_every_forward_takes_a_turn(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, taken = run_of(tiny, "every forward"), watch_turns(monkeypatch)
    calls = watch(monkeypatch, Model, "forward", taken)
    precisions.report_of(opened(run))
    assert len(taken.counted) == len(calls) == 3
    texts = precisions.texts_of(opened(run)).texts
    assert len(taken.counted) == len(calls) == 3 + sum(len(text.tokens) for text in texts)


@pytest.mark.parametrize("value", ["report", "texts"])
def test_all_that_decides_a_value_is_in_its_key(
    tiny: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(run: Run) -> Any:
        if value == "texts":
            found = precisions.texts_of(opened(run))
            known = precisions.exact(opened(run)).known(compare_texts, n_tokens=precisions.N_TOKENS)
            assert known is found
            return [[token.id for token in text.tokens] for text in found.texts]
        return [reading.logits.tolist() for reading in precisions.report_of(opened(run)).readings]

    run = run_of(tiny, "in its key")
    first = numbers(run)
    others = [
        replace(run, prompt="in another key"),
        replace(run, edits=(ScaleMLP(0, -300.0),)),
        replace(run, model=str(Path(tiny).parent / "gpt2")),
    ]
    assert all(numbers(other) != first for other in others)
    assert numbers(replace(run, dtype="bfloat16")) == first  # all formats are compared whatever the run's is
    if value == "texts":
        monkeypatch.setattr(precisions, "N_TOKENS", 2)
        assert [len(ids) for ids in numbers(run)] == [2, 2, 2]


def test_a_table_of_zeros_measures_nothing_and_is_left_out(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime._cache.clear()  # another test may have measured this model
    nothing = InnerPrecision(0, np.nan, np.nan, np.nan, None)
    monkeypatch.setattr(precisions, "inner_precision", lambda model: nothing)
    model = str(Path(tiny).parent / "gpt2")
    app = part(model, prompt="a table of zeros")
    assert not app.exception
    assert "means here, measured" not in said(app)


def test_a_break_in_the_last_layer_spreads_no_further() -> None:
    def reading(layer: int) -> FormatReading:
        counts = {name: np.zeros((2 + (name == STREAM), 5), np.int64) for name in ("mlp_out", STREAM)}
        counts["mlp_out"][layer, INFINITE] = 1
        sizes = {name: np.full(3, 64) for name in counts}
        finite = np.array([4, *([4] * layer), *([3] * (2 - layer))])
        return FormatReading("fp16", {}, counts, sizes, np.zeros((3, 3)), finite, np.zeros(4))

    last, earlier = broken_words(reading(1), 4), broken_words(reading(0), 4)
    assert "attention hands it on" in earlier
    assert "one layer later it is" in earlier
    assert last.endswith("That is 1 of 4 tokens. A norm divides ∞ by ∞, which is no number.")


def test_nothing_is_said_of_an_mlp_that_is_not_seen(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrecisionReport, "added", None)
    app = part(tiny, prompt="not to be seen")
    assert not app.exception
    assert "that the MLP of layer" not in said(app)
    app = part(tiny, prompt="not to be seen", swell="2")
    assert "What the MLP of layer 0 adds is multiplied by 4" in said(app)


def test_what_does_not_occur_is_a_sentence() -> None:
    counts = np.zeros((2, 5), np.int64)
    assert absent_words([counts]) == "No infinity and no NaN in any format. "
    infinite, both = counts.copy(), counts.copy()
    infinite[0, INFINITE] = both[0, INFINITE] = both[1, NAN] = 1
    assert absent_words([counts, infinite]) == "No NaN in any format. "
    assert absent_words([both]) == ""


def test_a_text_that_goes_on_is_not_the_same() -> None:
    tokens = tuple(Token(i, text, text.encode()) for i, text in enumerate(("a", "b", "c")))
    fp32, bf16 = (
        FormatText("fp32", tokens[:1], "No distribution.", None),
        FormatText("bf16", tokens, "", None),
    )
    assert text_table(PrecisionTexts((fp32, bf16), {})).splitlines()[-1] == "| bf16 | a │ **bc** |"
    assert parting_words(bf16, fp32) == "**bf16** goes on where fp32 stops."
    assert parting_words(fp32, fp32) == "**fp32 stops after 1 new token:** No distribution."
    same = FormatText("fp16", tokens[:1], "", None)
    assert text_table(PrecisionTexts((same, same), {})).splitlines()[-1] == "| fp16 | the same |"


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
    assert any("def count_lost" in block.value for block in app.code)
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
    assert table.splitlines()[-1] == r"| bf16 | ·a │ **\*c\*** |"
    assert r"\|\<b\>" in table
    said = parting_words(bf16, fp32)
    assert said.startswith("**bf16 parts from fp32 at new token 2:** `*c*` instead of `|<b>`.")
    assert "40.0\xa0% and 50.0\xa0%; in bf16 60.0\xa0% and 30.0\xa0%" in said
    tie = FormatText("bf16", bf16.tokens, "", Parting(1, tokens[1], tokens[2], (0.5, 0.4), (0.4, 0.4)))
    assert "a tie" in parting_words(tie, fp32)
    assert parting_words(fp32, fp32) == "**fp32**: no difference in 2 tokens."


@pytest.mark.parametrize(
    ("cancelled", "zeros", "words"),
    [
        (0, 3, "All 3 zeros were too small."),
        (17, 17, "None of the 17 zeros was too small: rounded numbers cancelled."),
        (1, 1, "The one zero was not too small: rounded numbers cancelled."),
        (0, 1, "The one zero was too small."),
        (1, 17, "1 of the 17 zeros was not too small: rounded numbers cancelled."),
        (2, 1700, "2 of the 1,700 zeros were not too small: rounded numbers cancelled."),
    ],
)
def test_zeros_are_counted_as_people_count(cancelled: int, zeros: int, words: str) -> None:
    assert cancelled_words(cancelled, zeros) == words
