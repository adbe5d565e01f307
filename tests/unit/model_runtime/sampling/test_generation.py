"""The generation loop on tiny random models: equal texts, exact pieces, and nothing left behind."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from model_runtime.capture import context
from model_runtime.errors import PromptError, SamplingError
from model_runtime.interventions import ScaleHead
from model_runtime.model import Model
from model_runtime.records import Token
from model_runtime.sampling.generation import (
    ASKED,
    CONTEXT_FULL,
    END_OF_TEXT,
    FAILED,
    MAX_NEW_TOKENS,
    GeneratedToken,
    generate,
    generate_many,
)
from model_runtime.sampling.settings import SamplingSettings
from model_runtime.sampling.steps import draw, request_generator, sampling_steps
from model_runtime.sampling.text_stream import TextStream
from tests.tiny_models import build_model, tiny_tokenizer

PROMPT = "the quick brown fox"
WARM = SamplingSettings(temperature=1.2, top_p=0.95, seed=5, max_new_tokens=24)


def make(case: str = "llama", end: int | None = None) -> Model:
    hf_model = build_model(case)
    hf_model.generation_config.eos_token_id = -1 if end is None else end  # -1: no token ends the text
    return Model(hf_model, tiny_tokenizer(), model_id=case, name=case, revision="local")


@pytest.fixture(scope="module")
def model() -> Model:
    return make()


def bare(tokens: list[GeneratedToken]) -> list[GeneratedToken]:
    """Records without their times."""
    return [dataclasses.replace(token, seconds_since_start=0.0) for token in tokens]


def test_records_say_how_each_token_was_chosen(model: Model) -> None:
    tokens = list(generate(model, PROMPT, WARM))
    assert [token.index for token in tokens] == list(range(24))
    assert [token.stopped for token in tokens] == [None] * 23 + [MAX_NEW_TOKENS]
    rng, ids = request_generator(WARM.seed), list(model.prompt_ids(PROMPT))
    n_prompt = len(ids)
    for token in tokens:
        # Without the cache: the whole text read anew for each token.
        logits = model.trace(ids, points=()).next_token_logits()
        report = sampling_steps(logits, ids, ids[n_prompt:], WARM)
        assert token.token.id == draw(report.final.probabilities, rng)
        assert token.probability == pytest.approx(report.final.probabilities[token.token.id], rel=1e-4)
        assert token.model_probability == pytest.approx(report.base.probabilities[token.token.id], rel=1e-4)
        assert token.rank == report.rank(token.token.id)
        assert token.n_kept == report.final.n_kept
        assert token.entropy == pytest.approx(report.final.entropy, rel=1e-4)
        assert token.model_entropy == pytest.approx(report.base.entropy, rel=1e-4)
        ids.append(token.token.id)
    times = [token.seconds_since_start for token in tokens]
    assert all(earlier < later for earlier, later in itertools.pairwise([0.0, *times]))


def test_penalties_see_the_generated_tokens(model: Model) -> None:
    strong = SamplingSettings(temperature=0.0, presence_penalty=100.0, max_new_tokens=40)
    ids = [token.token.id for token in generate(model, PROMPT, strong)]
    assert len(set(ids)) == len(ids)


def test_same_seed_same_text_other_seed_other_text(model: Model) -> None:
    first = bare(list(generate(model, PROMPT, WARM)))
    assert bare(list(generate(model, PROMPT, WARM))) == first
    assert bare(list(generate(model, PROMPT, dataclasses.replace(WARM, seed=6)))) != first


def test_sixteen_threads_give_what_one_gives(model: Model) -> None:
    requests = [
        (
            f"{PROMPT} {'jumps over ' * (n % 5)}",
            dataclasses.replace(WARM, seed=n, temperature=0.5 + n / 10),
            (ScaleHead(1, n % 4),) if n % 3 == 0 else (),
        )
        for n in range(16)
    ]

    def text(request: tuple[str, SamplingSettings, tuple[ScaleHead, ...]]) -> list[GeneratedToken]:
        return bare(list(generate(model, *request)))

    alone = [text(request) for request in requests]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(text, requests * 3))
    assert together == alone * 3
    assert len({str(tokens) for tokens in alone}) == 16


def test_texts_in_turns_in_one_thread_do_not_mix(model: Model) -> None:
    settings = [dataclasses.replace(WARM, seed=seed) for seed in range(4)]
    alone = [bare(list(generate(model, PROMPT, sampling))) for sampling in settings]
    in_turns = zip(*(generate(model, PROMPT, sampling) for sampling in settings), strict=True)
    assert [bare(list(tokens)) for tokens in zip(*in_turns, strict=True)] == alone


@pytest.mark.parametrize("case", ["llama", "mistral", "gpt2", "gemma2"])
def test_many_continuations_equal_single_ones_and_read_the_prompt_once(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(case)
    settings = [dataclasses.replace(WARM, temperature=t) for t in (0.0, 0.2, 0.8, 1.2, 10.0)]
    alone = [bare(list(generate(model, PROMPT, sampling))) for sampling in settings]
    read = []
    step = model.step

    def counting(ids, state=None, interventions=()):  # type: ignore[no-untyped-def]
        read.append(len(ids))
        return step(ids, state, interventions)

    monkeypatch.setattr(model, "step", counting)
    together = generate_many(model, PROMPT, settings)
    # The first in turns with the second, then the others one by one, in threads.
    first_two = list(zip(together[0], together[1], strict=True))
    with ThreadPoolExecutor(3) as pool:
        rest = list(pool.map(list, together[2:]))
    assert [bare(list(tokens)) for tokens in zip(*first_two, strict=True)] == alone[:2]
    assert [bare(tokens) for tokens in rest] == alone[2:]
    assert [n for n in read if n > 1] == [len(model.prompt_ids(PROMPT))]


def test_interventions_hold_for_the_whole_text(model: Model) -> None:
    greedy = SamplingSettings(temperature=0.0, max_new_tokens=12)
    edits = tuple(ScaleHead(layer, head) for layer in range(3) for head in range(4))
    ids = list(model.prompt_ids(PROMPT))
    for token in generate(model, PROMPT, greedy, edits):
        logits = model.trace(ids, points=(), interventions=edits).next_token_logits()
        assert token.token.id == int(np.argmax(logits))
        ids.append(token.token.id)
    plain = [token.token.id for token in generate(model, PROMPT, greedy)]
    assert ids[-12:] != plain


def test_stops_at_the_end_token() -> None:
    greedy = SamplingSettings(temperature=0.0, max_new_tokens=30)
    ids = [token.token.id for token in generate(make(), PROMPT, greedy)]
    end = ids[4]
    tokens = list(generate(make(end=end), PROMPT, greedy))
    assert [token.token.id for token in tokens] == ids[: ids.index(end) + 1]
    assert tokens[-1].stopped == END_OF_TEXT


def test_stops_where_the_context_is_full(model: Model) -> None:
    n_ctx = model.spec.n_ctx
    generation = generate(model, [5] * (n_ctx - 3), SamplingSettings(max_new_tokens=50))
    assert [token.stopped for token in generation] == [None, None, CONTEXT_FULL]
    assert [token.stopped for token in generate(model, [5] * n_ctx)] == [CONTEXT_FULL]
    with pytest.raises(PromptError, match=f"at most {n_ctx}"):
        generate(model, [5] * (n_ctx + 1))


def test_stops_when_asked_and_frees_the_cache(model: Model) -> None:
    asked = iter([False, False, False, True])
    generation = generate(model, PROMPT, WARM, stop=lambda: next(asked))
    first = next(generation)
    assert generation._state is not None
    cache = weakref.ref(generation._state.cache)
    rest = list(generation)
    assert (len(rest), rest[-1].stopped, generation.stopped) == (2, None, ASKED)
    assert list(generation) == []
    gc.collect()
    assert cache() is None
    summary = generation.summary()
    assert (summary.n_tokens, summary.stopped) == (3, ASKED)
    assert summary.text.startswith("".join(token.text for token in [first, *rest]))
    assert summary.seconds_to_first == first.seconds_since_start
    seconds = rest[-1].seconds_since_start - first.seconds_since_start
    assert summary.tokens_per_second == pytest.approx(2 / seconds)


def test_dropping_or_closing_it_frees_the_cache(model: Model) -> None:
    generation = generate(model, PROMPT, WARM)
    next(generation)
    assert generation._state is not None
    cache = weakref.ref(generation._state.cache)
    generation.close()
    gc.collect()
    assert cache() is None
    assert list(generation) == []
    assert generation.stopped == ASKED


def test_nothing_is_set_between_two_tokens(model: Model) -> None:
    generation = generate(model, PROMPT, WARM)
    for _ in range(3):
        next(generation)
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert context.current() is None


def test_an_error_ends_the_text(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    generation = generate(model, PROMPT, WARM)
    next(generation)
    broken = (np.full(model.spec.d_vocab, np.nan, dtype=np.float32), generation._state)
    with monkeypatch.context() as patch:
        patch.setattr(model, "step", lambda *_: broken)
        with pytest.raises(SamplingError, match="not finite"):
            next(generation)
    assert generation.stopped == FAILED
    assert list(generation) == []


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_an_empty_prompt_is_refused_at_once(model: Model, prompt: str) -> None:
    with pytest.raises(PromptError):
        generate(model, prompt)


@pytest.mark.parametrize("case", ["llama", "gpt2"])
def test_pieces_join_to_the_exact_text(case: str) -> None:
    """A random byte-level model writes broken characters in plenty; the hot one even more."""
    model = make(case)
    partial = 0
    for seed in range(6):
        tokens = list(
            generate(model, PROMPT, SamplingSettings(temperature=2.0, seed=seed, max_new_tokens=60))
        )
        ids = [token.token.id for token in tokens]
        expected = tiny_tokenizer().decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert "".join(token.text for token in tokens) == expected
        partial += sum(not token.text and not token.token.special for token in tokens)
    assert partial > 0


@pytest.mark.parametrize(
    "text", ["naïve café", "日本語テキスト", "👩‍👩‍👧 🏳️‍🌈", "שלום عالم", "\u200bzero\u200dwidth\x07"]
)
def test_characters_split_over_tokens_come_whole(text: str) -> None:
    data = text.encode()
    for width in (1, 2, 3, 5):
        stream = TextStream()
        pieces = [stream.feed(Token(0, "", data[at : at + width])) for at in range(0, len(data), width)]
        assert "".join(pieces) == text
        assert "�" not in "".join(pieces)
        assert stream.close() == ""


# Tables whose tokens are not joined byte to byte: the text is what the tokenizer's own decoder writes

PIECES = ["[UNK]", "the", "cat", "sat", "##s", "ting", "."]


def in_words(kind: str) -> PreTrainedTokenizerFast:
    """A table of words, one of WordPiece, and one that marks the ends of words."""
    table: dict[str, int] = {piece: at for at, piece in enumerate(PIECES)}
    if kind == "words":
        backend = Tokenizer(models.WordLevel(table, unk_token="[UNK]"))
    elif kind == "wordpiece":
        backend = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))
        backend.decoder = decoders.WordPiece()
    else:
        table = {"[UNK]": 0} | {f"{piece}</w>": at + 1 for at, piece in enumerate("abcd")} | {"a": 5, "b": 6}
        backend = Tokenizer(models.BPE(table, [], unk_token="[UNK]", end_of_word_suffix="</w>"))
        backend.decoder = decoders.BPEDecoder("</w>")
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")


@pytest.mark.parametrize("kind", ["words", "wordpiece", "ends"])
def test_running_text_is_what_the_tokenizers_own_decoder_writes(kind: str) -> None:
    tokenizer = in_words(kind)
    hf_model = build_model("llama")
    hf_model.generation_config.eos_token_id = -1
    model = Model(hf_model, tokenizer, model_id=kind, name=kind, revision="local")
    own: Tokenizer = tokenizer.backend_tokenizer
    stream, ids, text = model.text_stream((1, 2)), [1, 2], ""
    for token_id in (3, 4, 5, 2, 6, 1):
        ids.append(token_id)
        text += stream.feed(model.token(token_id))
        assert own.decode([1, 2]) + text + stream.close() == own.decode(ids)
    assert model.tokens.text(ids) == own.decode(ids)
    for new in (1, 2, 3):  # a token that is appended as text is read back as that token
        prompt = own.decode([1, 2]) + model.text_stream((1, 2)).feed(model.token(new))
        assert model.tokens.encode(prompt) == (1, 2, new)


def test_marks_that_say_how_pieces_join_are_no_bytes_of_theirs() -> None:
    model = Model(build_model("llama"), in_words("wordpiece"), model_id="w", name="w", revision="local")
    assert [(model.token(at).text, model.token(at).bytes) for at in (1, 4)] == [
        ("the", b"the"),
        ("##s", b"s"),
    ]
    assert (model.token(0).unknown, model.token(0).bytes) == (True, b"")
