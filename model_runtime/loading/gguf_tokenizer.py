"""The tokenizer inside a GGUF file, with its own splitting rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_runtime.errors import UnsupportedModel

GPT2_RULES = ("gpt-2", "gpt2", "mpt", "olmo", "jais")  # names of GPT-2's own rule
DIGIT_RULES = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone")


def gguf_tokenizer(source: Path) -> Any:
    """The tokenizer inside a GGUF file, with the splitting rule that the file names in `tokenizer.ggml.pre`.

    The rule cuts text before any merge is tried; with another one the same text gives other tokens. The
    library knows some rules and silently takes GPT-2's for the rest. For "smollm" and its like the rule
    is: digits are split off one by one, then comes GPT-2's, so that two spaces before a digit stay one
    token (llama.cpp, src/llama-vocab.cpp).

    Raises:
        UnsupportedModel: a byte-level tokenizer with a rule that neither the library nor this function knows.
    """
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoTokenizer
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    tokenizer: Any = AutoTokenizer.from_pretrained(
        str(source.parent), gguf_file=source.name, local_files_only=True, trust_remote_code=False
    )
    reader = GGUFReader(source)
    kind, rule = (_text_field(reader, f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if kind != "gpt2" or rule is None or rule in GPT2_RULES or rule in GGUF_PRE_TOKENIZER_SPLITS:
        return tokenizer
    if rule not in DIGIT_RULES:
        raise UnsupportedModel(
            f"The tokenizer in {source.name} splits text by the rule {rule!r}, which is not known here.",
            "Use the model's safetensors files, which bring their own tokenizer.",
        )
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


def _text_field(reader: Any, key: str) -> str | None:
    field = reader.get_field(key)
    return None if field is None else str(field.contents())
