"""How byte-level tokenizers in GGUF files cut a text before any merge is tried: llama.cpp's rules by name.

A file names its rule in `tokenizer.ggml.pre`. With another rule the same text gives other tokens, so a name
that is not here is refused. tests/parity/test_gguf_tokenizers.py compares each with llama.cpp.

Source: llama.cpp, src/llama-vocab.cpp (llama_vocab::impl::load and llm_tokenizer_bpe).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
# GPT-2's own. Its "\s+" at the end takes what no other part does (Radford et al. 2019, encoder.py).
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LLAMA3 = f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}{{1,3}}|{_SIGNS}|{_ENDS}"
_QWEN2 = f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}|{_SIGNS}|{_ENDS}"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_START = r"[^\r\n\p{L}\p{N}]?"


def _cased(contractions: str) -> str:
    """Words that begin with capitals, then words of capitals."""
    return f"{_START}{_UPPER}*{_LOWER}+{contractions}|{_START}{_UPPER}+{_LOWER}*{contractions}"


_SIGNS_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
_GPT4O = f"{_cased(_CONTRACTIONS + '?')}|\\p{{N}}{{1,3}}|{_SIGNS_SLASH}|{_ENDS}"
_TEKKEN = f"{_cased('')}|\\p{{N}}|{_SIGNS_SLASH}|{_ENDS}"


@dataclass(frozen=True)
class Rule:
    """One way to cut a text: patterns, each applied to the pieces that the one before left."""

    patterns: tuple[str, ...]
    whole_words: bool = False  # a piece that is a token is taken as it is, without merges
    adds_bos: bool = False  # where the file does not say


_PLAIN = Rule((_GPT2,))
_DIGITS = Rule((r"\p{N}", _GPT2))
_OF_LLAMA3 = Rule((_LLAMA3,), whole_words=True, adds_bos=True)
_OF_QWEN2 = Rule((_QWEN2,))

RULES: dict[str, Rule] = {
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "exaone4", "trillion"), _PLAIN),
    **dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS
    ),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"), _OF_LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe"), Rule((_LLAMA3,))),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"), _OF_QWEN2),
    "gpt-4o": Rule((_GPT4O,)),
    "tekken": replace(_OF_LLAMA3, patterns=(_TEKKEN,)),
}
