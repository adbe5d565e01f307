"""Badge, caption and file name say the same thing, completely, and are safe whatever the prompt."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pages.shared.figure.provenance import Provenance, badge_text, caption, file_name

FULL = Provenance(
    "measured", model="SmolLM2-135M-Instruct", revision="sha256:" + "ab" * 32, dtype="float32", device="cpu",
    prompt="The quick\nbrown fox", layer=14, head=3, seed=7, extra={"temperature": 0.8, "top-p": 0.95},
)  # fmt: skip


def test_everything_that_would_let_a_reader_repeat_it() -> None:
    assert badge_text(FULL) == "measured · SmolLM2-135M-Instruct · fp32 · L14 H3 · seed 7"
    assert caption(FULL) == (
        "Measured on SmolLM2-135M-Instruct (revision sha256:abababababab), float32 on cpu. "
        "Prompt: “The quick↵brown fox”. Layer 14, head 3. Seed 7. Temperature 0.8, top-p 0.95."
    )
    assert file_name("pattern", FULL, "svg") == (
        "pattern_smollm2-135m-instruct_abababa_fp32_l14_h3_seed7_the-quick-brown-fox.svg"
    )


def test_a_dtype_that_holds_quantized_weights_says_so_but_not_in_the_file_s_name() -> None:
    packed = replace(FULL, stored_bits=4)
    assert (
        badge_text(packed) == "measured · SmolLM2-135M-Instruct · fp32 from 4-bit weights · L14 H3 · seed 7"
    )
    assert ", float32 from 4-bit weights on cpu. Prompt" in caption(packed)
    assert file_name("pattern", packed, "svg") == file_name("pattern", FULL, "svg")
    assert "4-bit" in caption(replace(FULL, compared_with=packed))
    assert (
        badge_text(Provenance("computed", model="m", stored_bits=4)) == "computed · m"
    )  # no dtype, no weights


def test_layer_and_head_zero_are_said() -> None:
    first = Provenance("measured", model="m", layer=0, head=0, seed=0)
    assert badge_text(first) == "measured · m · L0 H0 · seed 0"
    assert caption(first) == "Measured on m. Layer 0, head 0. Seed 0."
    assert file_name("p", first, "png") == "p_m_l0_h0_seed0.png"


@pytest.mark.parametrize(
    ("kind", "opening"),
    [
        ("measured", "Every number was read"),
        ("computed", "Computed."),
        ("illustration", "A drawing of the idea"),
    ],
)
def test_without_a_model_the_kind_is_still_said(kind: str, opening: str) -> None:
    assert badge_text(Provenance(kind)) == kind
    assert caption(Provenance(kind)).startswith(opening)
    assert file_name("", Provenance(kind), "csv") == "figure.csv"


def test_an_illustration_never_claims_to_be_measured() -> None:
    assert caption(Provenance("illustration", model="m")).startswith(
        "Illustration, not measured; drawn for m."
    )


def test_a_pinned_run_is_named() -> None:
    both = replace(
        FULL, compared_with=Provenance("measured", model="gpt2-mini", dtype="float16", prompt="Hi")
    )
    assert caption(both).endswith("Compared with: Measured on gpt2-mini, float16. Prompt: “Hi”.")
    assert file_name("pattern", both, "pdf").endswith("_vs-gpt2-mini_the-quick-brown-fox.pdf")


@pytest.mark.parametrize(
    "nasty", ["../../etc/passwd", 'a"b\r\nSet-Cookie: x', "con<>:|?*", "名前", "x" * 500, "\u202egnp.exe", ""]
)
def test_file_names_are_safe(nasty: str) -> None:
    name = file_name(
        nasty, Provenance("measured", model=nasty, compared_with=Provenance("measured", model=nasty)), "png"
    )
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*\.png", name)
    assert ".." not in name
    assert len(name) <= 124


def test_long_prompts_are_shortened_and_nothing_hides() -> None:
    words = caption(Provenance("measured", model="m", prompt="a\u202eb " + "z" * 2000))
    assert len(words) < 200
    assert "⟨U+202E⟩" in words


def test_an_edited_model_is_never_shown_as_the_model_itself() -> None:
    edited = replace(FULL, edits="head 0 of layer 16 off", extra={})
    assert badge_text(edited).startswith("measured · edited · SmolLM2")
    assert caption(edited).endswith("Seed 7. Edited: head 0 of layer 16 off.")
    assert "_seed7_edited_" in file_name("p", edited, "png")
