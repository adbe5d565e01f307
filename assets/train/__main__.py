"""All of it, in order: text, tokenizer, both models, the router with and without the load-balancing loss, the recipes.

    python -m assets.train            (make train-minis)

Every number that a result depends on stands in `RUNS`; steps are fixed, so a slower machine takes longer and
gets the same training. It writes into `assets/models/` and `assets/train/out/`.
"""

from __future__ import annotations

import json
from pathlib import Path

from assets.train import data, tokenizer, train
from assets.train.collapse import compare
from assets.train.recipe import write_recipe

OUT = Path(__file__).resolve().parent / "out"
MODELS = Path(__file__).resolve().parent.parent / "models"
MIXTRAL, GPT2 = MODELS / "mixtral-mini", MODELS / "gpt2-mini"
BALANCED, UNBALANCED = OUT / "balanced", OUT / "unbalanced"
SIZES = {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 4}
SWITCH = ["--switch", "--steps", "300", "--every", "20", "--tokens-a-step", "2048", "--sizes", json.dumps(SIZES)]
COEFFICIENT = "0.01"  # Switch's own
RUNS = (
    ("mixtral", MIXTRAL, ["--name", "Mixtral mini", "--steps", "1800"]),
    ("mixtral", BALANCED, [*SWITCH, "--aux-coef", COEFFICIENT]),
    ("mixtral", UNBALANCED, [*SWITCH, "--aux-coef", "0"]),
    ("gpt2", GPT2, ["--name", "GPT-2 mini", "--steps", "1500", "--windows", "8"]),
)


def main() -> None:
    split = data.documents()
    for domain, (_, heldout) in split.items():
        (data.HELDOUT / f"{domain}.txt").write_text(data.bundle(heldout), encoding="utf-8")
    tok = tokenizer.train(tokenizer.balanced(split))
    tok.save_pretrained(OUT / "tokenizer")
    streams = train.token_streams(tok, {domain: docs for domain, (docs, _) in split.items()})
    for kind, folder, words in RUNS:
        print(f"--- {folder.name}", flush=True)
        train.train(train.parser().parse_args([kind, "--out", str(folder), *words]), streams, tok)
    finish()


def finish() -> None:
    """The record of both routers, and a recipe beside each model with numbers measured on the saved weights."""
    record = compare(BALANCED, UNBALANCED, float(COEFFICIENT))
    (MIXTRAL / "collapse.json").write_text(json.dumps(record) + "\n")
    for folder in (MIXTRAL, GPT2):
        (folder / "routing.json").unlink(missing_ok=True)
        write_recipe(folder)


if __name__ == "__main__":
    main()
