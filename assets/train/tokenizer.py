"""One byte-level BPE tokenizer of 4,096 entries for both mini models.

    python -m assets.train.tokenizer     train it and write assets/train/out/tokenizer

Follows GPT-2 (bytes as the base alphabet, a pattern that cuts text before merging) and takes from Llama 3 and
karpathy/minbpe that numbers are cut: here into single digits, each with its leading space, so that " 7" and "7"
are one token and sums are read digit by digit. Indentation stays in one piece. `<|endoftext|>` stands between
documents in training; it isn't put before a prompt (as in GPT-2).
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from assets.train import data

N_VOCAB = 4096
END = "<|endoftext|>"
# contractions | letters with a leading space | one digit with one | other signs | line ends | indentation
PATTERN = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\n+|[^\S\n]+(?![^\s])|[^\S\n]+(?=[^\S\n])|\s"
OUT = Path(__file__).resolve().parent / "out"


def train(documents: list[str], n_vocab: int = N_VOCAB) -> PreTrainedTokenizerFast:
    """A tokenizer whose merges come from these documents (the training part only)."""
    tokenizer = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=n_vocab, special_tokens=[END], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def balanced(split: dict[str, tuple[list[str], list[str]]], n_chars: int = 3_000_000) -> list[str]:
    """About as much training text of each domain, so that none owns the vocabulary."""
    chosen = []
    for train_docs, _ in split.values():
        step = max(1, round(sum(map(len, train_docs)) / n_chars))
        chosen += train_docs[::step]
    return chosen


if __name__ == "__main__":
    tokenizer = train(balanced(data.documents()))
    tokenizer.save_pretrained(OUT / "tokenizer")
    for domain in data.DOMAINS:
        text = data.heldout_text(domain)
        print(f"{domain:11} {len(text) / len(tokenizer(text)['input_ids']):.2f} characters a token")
