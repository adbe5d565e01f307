"""A tokenizer.model of SentencePiece as a pipeline of `tokenizers`, which must read as SentencePiece does.

The steps follow from the settings in the file (sentencepiece, src/normalizer.cc, sentencepiece_model.proto).
Whether they do what SentencePiece does is not believed but compared, on awkward texts, at every load.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model_runtime.errors import UnsupportedModel

SENTENCEPIECE_FILE = "tokenizer.model"
SPACE = "\u2581"  # stands for a space in every piece
UNIGRAM, BPE = 1, 2  # kinds of model in the file
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # kinds of pieces
# Models whose own code begins every text with <s>, where tokenizer_config.json does not say.
BEGINS = ("LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer")
BEGINNING_TYPES = ("llama", "mistral", "mixtral", "gemma", "gemma2", "gemma3", "gemma3_text")


def adds_around(settings: dict[str, Any], config: dict[str, Any]) -> tuple[bool, bool]:
    """Whether a beginning and an end token are put around a text.

    The file itself does not say: SentencePiece adds none. tokenizer_config.json does; else it is the custom
    of the model's family, whose own code adds the beginning.
    """
    family = str(settings.get("tokenizer_class", "")).removesuffix("Fast")
    begins = family in BEGINS or config.get("model_type") in BEGINNING_TYPES
    return bool(settings.get("add_bos_token", begins)), bool(settings.get("add_eos_token", False))


def read_sentencepiece(file: Path, around: tuple[bool, bool], texts: Sequence[str], name: str) -> Any:
    """The pipeline of a tokenizer.model, compared with SentencePiece itself.

    Args:
        around: from `adds_around`.
        texts: what both are given.
        name: what the model is called in messages.

    Raises:
        UnsupportedModel: it cannot be read, or the two give other ids.
    """
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    proto: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        proto.ParseFromString(file.read_bytes())
        own = SentencePieceProcessor(model_proto=proto.SerializeToString())
        pipeline = _pipeline(proto, around)
        given = [*texts, *(f"a{piece} b {piece}" for piece in _of_kind(proto, USER_DEFINED)[:8])]
        differs = [
            text for text in given if pipeline.encode(text, add_special_tokens=False).ids != own.encode(text)
        ]
    except Exception as error:  # both packages raise bare Exceptions
        raise UnsupportedModel(
            f"{file.name} of {name} is damaged, or no SentencePiece file.",
            "Put the model's tokenizer.json into its folder.",
        ) from error
    if differs:
        raise UnsupportedModel(
            f"{file.name} of {name} has settings of SentencePiece that are not read exactly here: "
            f"{differs[0][:20]!r} comes out as other tokens.",
            "Put the model's tokenizer.json into its folder.",
        )
    return pipeline


def _pipeline(proto: Any, around: tuple[bool, bool]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, processors

    trained = proto.trainer_spec
    pieces = {piece.piece: at for at, piece in enumerate(proto.pieces)}
    unknown = next((at for at, piece in enumerate(proto.pieces) if piece.type == UNKNOWN), 0)
    if trained.model_type == UNIGRAM:
        scored = [(piece.piece, piece.score) for piece in proto.pieces]
        pipeline = Tokenizer(models.Unigram(scored, unknown, trained.byte_fallback))
    elif trained.model_type == BPE:
        pipeline = Tokenizer(
            models.BPE(
                pieces,
                _merges(proto),
                unk_token=proto.pieces[unknown].piece,
                byte_fallback=trained.byte_fallback,
                fuse_unk=True,
            )
        )
    else:
        raise ValueError("a table of words or characters")
    pipeline.normalizer = _normalizer(proto.normalizer_spec)
    if (names := _names(proto)) is not None:
        pipeline.pre_tokenizer = names
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if proto.normalizer_spec.add_dummy_prefix:
        steps.append(decoders.Strip(" ", 1, 0))
    pipeline.decoder = decoders.Sequence(steps)
    pipeline.add_special_tokens(
        [AddedToken(one, normalized=False, special=True) for one in _of_kind(proto, CONTROL, UNKNOWN)]
    )
    pipeline.add_tokens([AddedToken(one, normalized=False) for one in _of_kind(proto, USER_DEFINED)])
    pipeline.encode_special_tokens = True  # the name of a control token, typed, is text like any other
    ids = [
        [at] if wanted and 0 <= at < len(proto.pieces) else []
        for wanted, at in zip(around, (trained.bos_id, trained.eos_id), strict=True)
    ]
    first, last = ([(proto.pieces[at].piece, at) for at in found] for found in ids)
    if first or last:
        single = [*(piece for piece, _ in first), "$A", *(piece for piece, _ in last)]
        pipeline.post_processor = processors.TemplateProcessing(single=single, special_tokens=[*first, *last])
    return pipeline


def _of_kind(proto: Any, *kinds: int) -> list[str]:
    return [piece.piece for piece in proto.pieces if piece.type in kinds]


def _normalizer(spec: Any) -> Any:
    """SentencePiece's normaliser: its table, superfluous spaces, the space in front, spaces as U+2581."""
    from tokenizers import Regex, normalizers

    steps: list[Any] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    steps.append(normalizers.Replace(" ", SPACE))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(rf"{SPACE}+\z"), ""))
    return normalizers.Sequence(steps)


def _names(proto: Any) -> Any:
    """A cut after the first character of a name that is no text: "<" and "s>" where somebody typed "<s>".

    SentencePiece never finds control tokens and bytes by their names; a table of `tokenizers` would.
    """
    from tokenizers import Regex, pre_tokenizers

    if proto.trainer_spec.model_type != UNIGRAM:
        return None  # no merge leads to such a name
    names = _of_kind(proto, CONTROL, UNKNOWN, UNUSED, BYTE)
    pattern = "|".join(f"{re.escape(one[0])}(?={re.escape(one[1:])})" for one in names if len(one) > 1)
    return pre_tokenizers.Split(Regex(pattern), "merged_with_previous") if pattern else None


def _merges(proto: Any) -> list[tuple[str, str]]:
    """The merges of a BPE table: every way to make a piece of two others, the best piece first.

    The file has scores instead of merges: at each step SentencePiece joins the two neighbours whose piece has
    the highest score (src/bpe_model.cc).
    """
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type == NORMAL}
    merges = []
    for piece in sorted(scores, key=lambda one: -scores[one]):
        cuts = ((piece[:at], piece[at:]) for at in range(1, len(piece)))
        merges += [(left, right) for left, right in cuts if left in scores and right in scores]
    return merges
