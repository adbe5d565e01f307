"""A model's tokenizer, read from the files of its folder as they are.

What a file says is what is read. The library's own way (`AutoTokenizer`) takes a class from the config and
builds the steps anew from the vocabulary alone, which gives other ids than the file for several classes. So
tokenizer.json is read by the package that wrote it (`tokenizers`), tokenizer.model is compared with the
package that wrote it (`sentencepiece`), and only folders that have neither, such as those with vocab.json and
merges.txt, are left to the library: there the class is part of what the files say.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from model_runtime.errors import UnsupportedModel
from model_runtime.loading.checkpoint import Checkpoint, read_json
from model_runtime.loading.gguf_tokenizer import gguf_tokenizer
from model_runtime.loading.sentencepiece_file import SENTENCEPIECE_FILE, adds_around, read_sentencepiece
from model_runtime.loading.tokenizer_sizes import MIB, check_growth, check_size
from model_runtime.tokenizer import is_panic

TOKENIZER_FILE = "tokenizer.json"
OLD_FILES = ("vocab.json", "merges.txt", "vocab.txt", "tiktoken.model")
MOST_SETTINGS = 16 * MIB  # bytes of tokenizer_config.json and its like
MOST_IDS = 2**31  # ids above are not read as numbers of rows anywhere
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_AROUND = ("add_bos_token", "add_eos_token")
# Where classes, templates and rebuilt steps have differed from the file: compared at every load.
AWKWARD = (
    "the quick brown fox",
    " leading, trailing  and   several    spaces ",
    "in 2023 there were 650841823 stars; 12 34 567",
    "it's HE'LL we've\u2019s",
    "漢字かな 한국어 中文",
    "👩‍👩‍👧‍👦 👍🏽 🇺🇦",
    "עברית العربية \u202eright to left",
    "lines\n\n\nand\r\n\ttabs\t\t",
    "\x00 \x07\x1b \ufeff\u200b\u00a0",
    "e\u0301 e\u0302\u0323 ﬁ ½ ①",
    "<s></s><unk><pad>[PAD] <|endoftext|> <0x41>",
    "a" * 300 + " " * 40 + "=" * 70,
)


def read_tokenizer(checkpoint: Checkpoint, name: str) -> Any:
    """The model's fast tokenizer: tokenizer.json before tokenizer.model before older files.

    What is put around a text (a beginning token) is what tokenizer.json says in its post-processor, as
    `tokenizers` reads it. Its tokenizer_config.json may state `add_bos_token` or `add_eos_token` too, and
    transformers 5.23 then replaces the post-processor by its own; here the file of the tokenizer wins, and
    `Tokens.at_odds` says where the two differ.

    Args:
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: there is none that can be read, or what was built of it reads otherwise than it.
    """
    folder = checkpoint.folder
    if checkpoint.gguf is not None:
        return _library_tokenizer(checkpoint, name)
    for file in (TOKENIZER_FILE, SENTENCEPIECE_FILE, *OLD_FILES):
        if (folder / file).is_file():
            check_size(checkpoint, folder / file, name)
    if (folder / TOKENIZER_FILE).is_file():
        return _wrapped(_pipeline(folder / TOKENIZER_FILE, name), folder, name)
    if (folder / SENTENCEPIECE_FILE).is_file():
        settings = _settings(folder, name)
        around = adds_around(settings, checkpoint.config)
        return _wrapped(
            read_sentencepiece(folder / SENTENCEPIECE_FILE, around, AWKWARD, name), folder, name, names=False
        )
    return _library_tokenizer(checkpoint, name)


def _pipeline(file: Path, name: str) -> Any:
    """The tokenizer of a tokenizer.json, after its sizes were checked. It cuts and pads no text."""
    from tokenizers import Tokenizer

    described = read_json(file, file.stat().st_size)  # what it may have was checked
    check_growth(described, name)
    _check_ids(described, file, name)
    del described
    try:
        pipeline = Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises bare Exceptions, in words about its own types
        raise UnsupportedModel(
            f"{file.name} of {name} is damaged, or describes a tokenizer of a kind that is not known here.",
            "Fetch the model's tokenizer.json again.",
        ) from error
    # Settings for batches of training: they would cut a long text, or fill up a short one, without a word.
    pipeline.no_truncation()
    pipeline.no_padding()
    return pipeline


def _check_ids(described: dict[str, Any], file: Path, name: str) -> None:
    """Refuse ids that no table has. Vocabularies are {piece: id}, or a list where the id is the place."""
    model, added = described.get("model"), described.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    if isinstance(added, list):
        ids += [token.get("id") for token in added if isinstance(token, dict)]
    if wrong := [one for one in ids if not isinstance(one, int) or not 0 <= one < MOST_IDS]:
        raise UnsupportedModel(
            f"{file.name} of {name} gives an entry the id {str(wrong[0])[:40]}, which no table has.",
            "Fetch the model's tokenizer.json again.",
        )


def _wrapped(pipeline: Any, folder: Path, name: str, *, names: bool = True) -> Any:
    """A pipeline as the library's fast tokenizer, with the settings that stand beside it.

    The library's class would add tokens and replace steps while it is made, so it is made of an empty one and
    given the pipeline afterwards.

    Args:
        names: whether the name of a special token, typed in a text, is read as that token.
    """
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    settings = _settings(folder, name)
    roles = {role: text for role in _ROLES if (text := _content(settings.get(role))) is not None}
    longest, template = settings.get("model_max_length"), settings.get("chat_template")
    more: dict[str, Any] = {}
    if isinstance(longest, int | float) and math.isfinite(longest):  # Python reads an "Infinity" too
        more["model_max_length"] = int(longest)
    if isinstance(template, str | list):
        more["chat_template"] = template
    known = {role: text for role, text in roles.items() if pipeline.token_to_id(text) is not None}
    try:
        tokenizer: Any = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(models.BPE()), split_special_tokens=not names, **known, **more
        )
        tokenizer._tokenizer = pipeline
        if names:  # of a tokenizer.json: of the other files, what is stated here is what is done
            flags = {key: settings.get(key) for key in _AROUND}
            tokenizer.stated_around = {key: flag for key, flag in flags.items() if isinstance(flag, bool)}
        same = all(tokenizer(text)["input_ids"] == pipeline.encode(text).ids for text in _readable(pipeline))
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise _unreadable(name, folder) from error
    if not same:
        raise UnsupportedModel(
            f"The tokenizer of {name} gives other numbers here than its own file says.",
            "Please report it with the model's name; nothing of it is shown, because it would not be true.",
        )
    return tokenizer


def _readable(pipeline: Any) -> list[str]:
    """Awkward texts that the tokenizer reads at all: some tables have no entry for unknown characters."""
    texts = []
    for text in AWKWARD:
        try:
            pipeline.encode(text)
        except Exception:
            continue
        texts.append(text)
    return texts


def _settings(folder: Path, name: str) -> dict[str, Any]:
    """Special tokens and chat template: special_tokens_map.json, then what tokenizer_config.json says."""
    settings: dict[str, Any] = {}
    for file in (folder / "special_tokens_map.json", folder / "tokenizer_config.json"):
        if file.is_file():
            stated = read_json(file, MOST_SETTINGS)
            settings |= {key: value for key, value in stated.items() if value is not None}
    template = folder / "chat_template.jinja"
    if template.is_file() and template.stat().st_size <= MOST_SETTINGS:
        settings["chat_template"] = template.read_text(encoding="utf-8", errors="replace")
    return settings


def _content(token: Any) -> str | None:
    """The text of a special token, which is written alone or as an object with its flags."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) and text else None


def _library_tokenizer(checkpoint: Checkpoint, name: str) -> Any:
    """The tokenizer of a GGUF file, or of older files, as the library reads them."""
    from transformers import AutoTokenizer

    folder = checkpoint.folder
    try:
        if checkpoint.gguf is not None:
            return gguf_tokenizer(checkpoint.gguf_file or folder / checkpoint.gguf)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except UnsupportedModel:
        raise
    except Exception as error:  # the tokenizer library raises bare Exceptions for files it cannot parse
        raise _unreadable(name, folder) from error
    if not tokenizer.is_fast:
        raise UnsupportedModel(
            f"{name} has only a slow tokenizer ({type(tokenizer).__name__}), without byte offsets.",
            "Add the model's tokenizer.json.",
        )
    return tokenizer


def _unreadable(name: str, folder: Path) -> UnsupportedModel:
    has = any((folder / file).is_file() for file in (TOKENIZER_FILE, SENTENCEPIECE_FILE, *OLD_FILES))
    return UnsupportedModel(
        f"{name} has no tokenizer that can be read"
        + (": its files are damaged or do not belong together." if has else "."),
        "Put the model's tokenizer files (tokenizer.json, tokenizer_config.json) into its folder.",
    )
