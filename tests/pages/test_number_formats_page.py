"""The Number formats page under AppTest: any number, flipped bits, weights of any model, a pinned run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.numbers import bits
from pages.shared.figure.live_figure import Click
from tests.pages.test_home_and_attention import HOSTILE, figures, open_page, pinned, said

NUMBERS = "numbers/formats.py"
FIGURES = {
    "bits": ["bits"],
    "spacing": ["number-line", "spacing"],
    "weights": ["weight-sizes", "round-trip"],
    "quant": ["quant-schemes", "quant-next", "quant-places", "quant-grid"],
    "blocks": ["gguf-block"],
}


def part(model: str, name: str, **link: str) -> AppTest:
    return open_page(model, NUMBERS, **{"formats": name, "prompt": "hello", **link})


def title(app: AppTest, key: str) -> str:
    return json.loads(figures(app)[key]["figure"])["layout"]["title"]["text"]


@pytest.mark.parametrize("name", ["bits", "spacing"])
@pytest.mark.parametrize("link", [{"prompt": " "}, {"prompt": "x" * 65}, {"model": "nothing"}])
def test_parts_of_numbers_alone_need_no_run(tiny: str, name: str, link: dict[str, str]) -> None:
    app = part(tiny, name, **link) if "prompt" in link else part("nothing", name)
    assert [*figures(app)] == FIGURES[name]
    assert not app.exception
    assert not app.error
    assert app.info[0].value.endswith("This part needs neither prompt nor model.")


@pytest.mark.parametrize(
    "number", ["0.1", "65520", "-0", "1e-8", "5*2^-149", "1/3", "3e38", "1e300", "-1e-300"]
)
@pytest.mark.parametrize("name", ["bits", "spacing"])
def test_any_number_draws(tiny: str, name: str, number: str) -> None:
    app = part(tiny, name, number=number)
    assert not app.exception
    assert [*figures(app)] == FIGURES[name]


@pytest.mark.parametrize("number", ["NaN", "inf", "-inf"])
def test_what_has_no_neighbours_says_so(tiny: str, number: str) -> None:
    assert [*figures(part(tiny, "bits", number=number))] == ["bits"]
    app = part(tiny, "spacing", number=number)
    assert [*figures(app)] == ["spacing"]
    assert "have no neighbours" in app.info[0].value


@pytest.mark.parametrize("number", ["", "  ", "abc", HOSTILE[:60], "1e99999", "1e301", "2^-1100"])
def test_what_is_no_number_keeps_the_last_picture_and_says_why(tiny: str, number: str) -> None:
    app = part(tiny, "bits", number=number)
    assert not app.exception
    assert [*figures(app)] == ["bits"]
    assert app.warning


def test_an_exact_number_and_one_that_is_too_large(tiny: str) -> None:
    assert title(part(tiny, "bits", number="65504"), "bits").startswith("65,504 is too large for fp8 e5m2")
    assert "fp16 and fp8 e5m2" in title(part(tiny, "bits", number="65520"), "bits")
    assert title(part(tiny, "bits", number="0.5"), "bits") == "0.5 is exact in every format"


def test_a_flipped_bit_changes_the_number(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: dict[str, object] = {}
    monkeypatch.setattr(bits.state, "get", lambda key: "1")
    monkeypatch.setattr(bits.state, "set", lambda **values: changed.update(values))
    bits.flip(Click(0, 0, 0, 0, ["fp16", 0]))
    assert changed["number"] == "-1"
    bits.flip(Click(2, 0, 0, 0, ["fp16", 6]))  # the first significand bit
    assert changed["number"] == "1.5"
    bits.flip(Click(0, 0, 0, 0, None))
    assert changed["number"] == "1.5"


@pytest.mark.parametrize("model", ["llama", "gpt2"])
def test_weights_of_the_loaded_model(tiny: str, model: str) -> None:
    app = part(str(Path(tiny).parent / model), "weights")
    assert [*figures(app)] == FIGURES["weights"]
    assert "Outside the normal range" in said(app)


def test_two_models_on_one_scale(tiny: str) -> None:
    app = part(tiny, "weights", pin=pinned(str(Path(tiny).parent / "gpt2")))
    drawn = figures(app)
    one, other = (
        json.loads(drawn[f"weight-sizes-{side}"]["figure"])["data"][0] for side in ("current", "pinned")
    )
    assert one["zmax"] == other["zmax"]
    assert "round-trip-pinned" in drawn


def test_the_closed_lines_have_the_numbers_and_the_code(tiny: str) -> None:
    codes = {
        "bits": "def encode",
        "spacing": "def gap_at",
        "weights": "def round_trip",
        "quant": "def quantize",
        "blocks": "def decode_block",
    }
    for name, code in codes.items():
        app = part(tiny, name, number="0.1")
        for line in ("The mathematics", "The code"):
            app.session_state[f"gf.details.{line}"] = True
        app.run()
        assert not app.exception
        assert any(code in block.value for block in app.code)


def test_nonsense_in_the_link_falls_back(tiny: str) -> None:
    app = part(tiny, "nonsense", zoom="fp7", number="x" * 500)
    assert not app.exception
    assert [*figures(app)] == ["bits"]


def test_a_block_that_is_not_there_is_told(tiny: str) -> None:
    app = part(tiny, "blocks", block_row="99999", block="99999")
    assert not app.exception
    told = " ".join(warning.value for warning in app.warning)
    assert "Row 99,999 does not exist here" in told
    assert "Block 99,999 does not exist here" in told
