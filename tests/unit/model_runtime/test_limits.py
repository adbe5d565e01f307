"""Limits name both numbers, and the environment moves them."""

import pytest

from model_runtime.errors import ModelTooLarge, PromptError, SettingError
from model_runtime.limits import (
    GIB,
    MIB,
    Limits,
    check_model_fits,
    check_new_tokens,
    check_prompt_length,
)


def test_prompt_length_against_limit_and_context() -> None:
    check_prompt_length(1024, 8192, Limits())
    check_prompt_length(5000, 8192)
    with pytest.raises(PromptError, match=r"1,025 tokens; this app traces at most 1,024.*by 1 token "):
        check_prompt_length(1025, 8192, Limits())
    with pytest.raises(PromptError, match=r"70 tokens; this model reads at most 64.*by 6"):
        check_prompt_length(70, 64, Limits())
    with pytest.raises(PromptError, match="empty"):
        check_prompt_length(0, 64)


def test_new_tokens_against_limit_and_room() -> None:
    check_new_tokens(512, 10, 8192, Limits())
    with pytest.raises(SettingError, match=r"513 new tokens.*at most 512"):
        check_new_tokens(513, 10, 8192, Limits())
    with pytest.raises(SettingError, match=r"60 new tokens.*context of 64 tokens has room for 54"):
        check_new_tokens(60, 10, 64, Limits())


def test_environment_moves_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Limits.from_environment() == Limits()
    monkeypatch.setenv("GLASSFORMER_MAX_PROMPT_TOKENS", "2048")
    assert Limits.from_environment() == Limits(max_prompt_tokens=2048)
    for wrong in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv("GLASSFORMER_MAX_PROMPT_TOKENS", wrong)
        with pytest.raises(SettingError, match=f"'max_prompt_tokens' of this server is '{wrong}'"):
            Limits.from_environment()


def test_model_against_memory() -> None:
    check_model_fits(GIB, GIB + GIB // 10 + 256 * MIB, "memory", "float32", "Big")
    with pytest.raises(
        ModelTooLarge, match=r"Big.*float32 take 1\.00 GiB.*1\.35 GiB; 1\.34 GiB of memory is free"
    ):
        check_model_fits(GIB, GIB + GIB // 10 + 246 * MIB, "memory", "float32", "Big")


@pytest.mark.parametrize(
    ("dtype", "free", "suggested"),
    [("float32", GIB, True), ("float32", GIB // 2, False), ("bfloat16", GIB, False)],
)
def test_half_precision_is_suggested_only_where_it_helps(dtype: str, free: int, suggested: bool) -> None:
    with pytest.raises(ModelTooLarge) as refusal:
        check_model_fits(GIB, free, "memory", dtype, "Big")
    assert refusal.value.short_by == GIB + GIB // 10 + 256 * MIB - free
    assert ("number format bfloat16" in refusal.value.remedy) == suggested


def test_one_thing_has_no_plural() -> None:
    with pytest.raises(PromptError, match=r"Shorten it by 1 token or more\."):
        check_prompt_length(1_025, 4_096, Limits())
    with pytest.raises(PromptError, match=r"Shorten it by 2 tokens or more\."):
        check_prompt_length(1_026, 4_096, Limits())
