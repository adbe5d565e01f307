"""The tokenizer inside a GGUF file, built from the file's own fields and nothing that lies beside it.

Byte-level ones ("gpt2") merge by a list, after the text was cut by a named rule. SentencePiece's ("llama")
merge the pair that makes the token with the highest score: as a list of merges, that is every pair of tokens
that makes a third, in the order of the third's score.

Source: llama.cpp, src/llama-vocab.cpp, which tests/parity/test_gguf_tokenizers.py compares with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.gguf_file import SAFETENSORS, GgufFile, read_gguf
from model_runtime.loading.gguf_rules import RULES, Rule

SPACE = "\u2581"  # SentencePiece's mark of a space
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # kinds of tokens (tokenizer.ggml.token_type)
# Fields of a tokenizer that are read, and those that mean nothing for how a text is read: other roles of
# tokens (for completing code, for turns of a conversation) and other programs' copies.
KNOWN = re.compile(
    r"ggml\.(model|pre|tokens|token_type|scores|merges|token_type_count|suppress_tokens"
    r"|add_(bos|eos|sep)_token|add_space_prefix|remove_extra_whitespaces|precompiled_charsmap"
    r"|[a-z_]+_token_ids?)|chat_templates?|chat_template\..*|huggingface\.json|rwkv\.world"
)
_NAMES = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
_SENTENCEPIECE_IDS = {"bos": 1, "eos": 2, "unknown": 0}  # where a file does not say


def gguf_tokenizer(source: Path | GgufFile) -> Any:
    """The tokenizer inside a GGUF file, as the library's fast tokenizer.

    Raises:
        UnsupportedModel: the file has none, or one of a kind or with a rule that is not known here.
    """
    file = source if isinstance(source, GgufFile) else read_gguf(source)
    tokens, kind = _tokens(file), str(file.settings.get("tokenizer.ggml.model", ""))
    if kind == "gpt2":
        rule = _rule(file)
        tokenizer, adds_bos = _byte_level(file, tokens, rule), _adds_bos(file, rule)
    elif kind == "llama":
        tokenizer, adds_bos = _sentencepiece(file, tokens), True
    else:
        raise UnsupportedModel(
            f"{file.path.name} holds a tokenizer of the kind {kind[:40]!r}; the kinds that are read are gpt2 "
            "(byte-level) and llama (SentencePiece).",
            SAFETENSORS,
        )
    _add_tokens(file, tokenizer, tokens)
    ids = {name: _id(file, name, tokens) for name in _NAMES}
    before = ids["bos"] if _flag(file, "add_bos_token", adds_bos) else None
    after = ids["eos"] if _flag(file, "add_eos_token", False) else None
    _put_around(tokenizer, tokens, before, after)
    return _wrapped(file, tokenizer, {name: tokens[one] for name, one in ids.items() if one is not None})


def _tokens(file: GgufFile) -> tuple[str, ...]:
    tokens = file.settings.get("tokenizer.ggml.tokens")
    table = file.tensors.get("token_embd.weight")
    if not isinstance(tokens, tuple) or not tokens:
        raise UnsupportedModel(f"{file.path.name} holds no tokenizer.", SAFETENSORS)
    if len(set(tokens)) != len(tokens):
        raise UnsupportedModel(f"The tokenizer in {file.path.name} has a token twice.", SAFETENSORS)
    if table is not None and len(tokens) > table.shape[0]:
        raise UnsupportedModel(
            f"{file.path.name} names {len(tokens):,} tokens; its table has {table.shape[0]:,} rows.",
            "Fetch the model again.",
        )
    switches = ("tokenizer.ggml.remove_extra_whitespaces", "tokenizer.ggml.add_sep_token")
    for key, value in file.settings.items():
        space, _, name = key.partition(".")
        if space == "tokenizer" and (not KNOWN.fullmatch(name) or (key in switches and value is not False)):
            raise UnsupportedModel(
                f"{file.path.name} states {key[:80]}, which is not understood here; without it its tokenizer "
                "would read texts otherwise.",
                SAFETENSORS,
            )
    charsmap = file.settings.get("tokenizer.ggml.precompiled_charsmap")
    if isinstance(charsmap, np.ndarray) and charsmap.size:
        raise UnsupportedModel(
            f"{file.path.name} rewrites the characters of a text by a table of its own "
            "(tokenizer.ggml.precompiled_charsmap), which is not read here.",
            SAFETENSORS,
        )
    return tokens


def _rule(file: GgufFile) -> Rule:
    """The rule by which the file's tokenizer cuts a text."""
    name = file.settings.get("tokenizer.ggml.pre")
    if name is None:
        raise UnsupportedModel(
            f"{file.path.name} does not say by which rule its tokenizer splits text (tokenizer.ggml.pre is "
            "missing, as in files made before May 2024).",
            SAFETENSORS,
        )
    if name not in RULES:
        raise UnsupportedModel(
            f"The tokenizer in {file.path.name} splits text by the rule {str(name)[:40]!r}, which is not "
            "known here.",
            SAFETENSORS,
        )
    return RULES[str(name)]


def _adds_bos(file: GgufFile, rule: Rule) -> bool:
    """Whether a beginning token is added where the file does not say.

    Some rules bring one in llama.cpp. Where the beginning token is also the one that ends a text, as in
    GPT-2's tables, the file has to ask for it.
    """
    bos, eos = (file.settings.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos"))
    return rule.adds_bos and bos is not None and bos != eos


def _byte_level(file: GgufFile, tokens: tuple[str, ...], rule: Rule) -> Tokenizer:
    merges = file.settings.get("tokenizer.ggml.merges")
    if not isinstance(merges, tuple):
        raise UnsupportedModel(f"The tokenizer in {file.path.name} has no merges.", SAFETENSORS)
    pairs = []
    for merge in merges:
        cut = merge.find(" ", 1)
        pairs.append((merge[:cut], merge[cut + 1 :]))
    tokenizer = Tokenizer(_bpe(file, tokens, pairs, ignore_merges=rule.whole_words))
    splits = [pre_tokenizers.Split(Regex(one), "isolated") for one in rule.patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(file: GgufFile, tokens: tuple[str, ...]) -> Tokenizer:
    scores = file.settings.get("tokenizer.ggml.scores")
    if not isinstance(scores, np.ndarray) or scores.size != len(tokens) or not np.isfinite(scores).all():
        raise UnsupportedModel(f"The tokenizer in {file.path.name} has no scores.", SAFETENSORS)
    unknown = _id(file, "unknown", tokens)
    tokenizer = Tokenizer(
        _bpe(
            file,
            tokens,
            _pairs(tokens, scores),
            unk_token=None if unknown is None else tokens[unknown],
            byte_fallback=True,
        )
    )
    to_mark = normalizers.Replace(" ", SPACE)
    prefixed = _flag(file, "add_space_prefix", True)
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend(SPACE), to_mark]) if prefixed else to_mark
    )
    steps: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if prefixed else []))
    return tokenizer


def _pairs(tokens: tuple[str, ...], scores: np.ndarray) -> list[tuple[str, str]]:
    """Every pair of tokens that makes a third, the third with the highest score first."""
    known = set(tokens)
    best_first = np.argsort(-scores, kind="stable")
    return [
        (token[:cut], token[cut:])
        for token in (tokens[int(index)] for index in best_first)
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]


def _bpe(
    file: GgufFile, tokens: tuple[str, ...], merges: list[tuple[str, str]], **options: Any
) -> models.BPE:
    try:
        return models.BPE({token: index for index, token in enumerate(tokens)}, merges, **options)
    except Exception as error:  # `tokenizers` raises bare Exceptions
        raise UnsupportedModel(
            f"The tokenizer in {file.path.name} is damaged: its merges make tokens that it does not have.",
            "Fetch the model again.",
        ) from error


def _add_tokens(file: GgufFile, tokenizer: Tokenizer, tokens: tuple[str, ...]) -> None:
    """Tokens that are found whole in a text, before anything else is done to it."""
    kinds = file.settings.get("tokenizer.ggml.token_type")
    if not isinstance(kinds, np.ndarray) or kinds.size != len(tokens):
        raise UnsupportedModel(
            f"The tokenizer in {file.path.name} does not say of what kind its tokens are.", SAFETENSORS
        )
    name = str(file.settings.get("general.name", "")).lower()
    strips = "phi-3" in name or "phi3" in name  # llama.cpp knows these by the model's name
    found = [
        AddedToken(
            tokens[index],
            normalized=False,
            special=bool(kinds[index] != USER_DEFINED),
            rstrip=strips and tokens[index] not in ("<unk>", "<s>", "<|endoftext|>"),
        )
        for index in np.flatnonzero(np.isin(kinds, (UNKNOWN, CONTROL, USER_DEFINED)))
    ]
    tokenizer.add_tokens(found)


def _id(file: GgufFile, name: str, tokens: tuple[str, ...]) -> int | None:
    """The id that the file states for a role, or what SentencePiece's files mean where they do not say."""
    found = file.settings.get(f"tokenizer.ggml.{name}_token_id")
    if found is None and file.settings.get("tokenizer.ggml.model") == "llama":
        found = _SENTENCEPIECE_IDS.get(name)
    return found if isinstance(found, int) and 0 <= found < len(tokens) else None


def _flag(file: GgufFile, name: str, default: bool) -> bool:
    found = file.settings.get(f"tokenizer.ggml.{name}", default)
    return bool(found)


def _put_around(tokenizer: Tokenizer, tokens: tuple[str, ...], before: int | None, after: int | None) -> None:
    """Add the beginning and the end token by the tokenizer itself."""
    first = [] if before is None else [tokens[before]]
    last = [] if after is None else [tokens[after]]
    known = [(tokens[one], one) for one in {before, after} if one is not None]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*first, "$A", *last], pair=[*first, "$A", *last, *first, "$B:1", *last], special_tokens=known
    )


def _wrapped(file: GgufFile, tokenizer: Tokenizer, names: dict[str, str]) -> Any:
    """The library's fast tokenizer around it, with the roles of its tokens and the chat template."""
    from transformers import PreTrainedTokenizerFast

    template = file.settings.get("tokenizer.chat_template")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        clean_up_tokenization_spaces=False,
        chat_template=template if isinstance(template, str) else None,
        **{_NAMES[name]: token for name, token in names.items()},
    )
