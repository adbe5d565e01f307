"""Writes RECIPE.md and the loss curve beside a model's weights, with numbers measured on the saved weights.

    python -m assets.train.recipe assets/models/mixtral-mini
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoTokenizer

from assets.train import data
from assets.train.evaluate import report, samples, windows_of
from assets.train.picture import loss_svg

HERE = Path(__file__).resolve().parent
PROMPTS = ("ROMEO.\n", "And the LORD said unto ", "class Stack:\n", "What is 3 + 5?")


def unigram_losses(tok) -> dict[str, float]:
    """Nats a token if each held-out text's own token frequencies were known and nothing else: what a model that
    ignores the context could reach at best."""
    losses = {}
    for domain in data.DOMAINS:
        counts = Counter(windows_of(domain, tok)[:, 1:].flatten().tolist())
        n = counts.total()
        losses[domain] = -sum(c * math.log(c / n) for c in counts.values()) / n
    return losses


def table(head: tuple[str, ...], rows: list[tuple]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def sizes(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text())
    keys = "n_embd n_layer n_head n_positions hidden_size intermediate_size num_hidden_layers num_attention_heads"
    keys += " num_key_value_heads num_local_experts num_experts_per_tok max_position_embeddings vocab_size"
    return ", ".join(f"{key} {config[key]}" for key in keys.split() if config.get(key) is not None)


def routing_words(found: dict) -> str:
    """The section on experts: divergence between domains by layer, and each domain's favourite expert."""
    n_layers = len(next(iter(found["jsd"].values())))
    layers = [f"layer {layer}" for layer in range(n_layers)]
    jsd = table(("domains", *layers), [(pair, *(f"{v:.3f}" for v in row)) for pair, row in found["jsd"].items()])
    favourite = [
        (domain, *(f"expert {max(range(len(s)), key=s.__getitem__)}: {max(s):.0%}" for s in rows))
        for domain, rows in found["shares"].items()
    ]
    return (
        "## Experts\n\nJensen-Shannon divergence (nats; at most ln 2 = 0.693) between the expert shares of two "
        f"domains' held-out text, by layer:\n\n{jsd}\n\nThe expert that takes most of each domain's token slots (equal "
        f"shares would be {1 / len(rows_of(found)):.1%}):\n\n{table(('domain', *layers), favourite)}\n"
    )


def rows_of(found: dict) -> list[float]:
    """The shares of one layer, for their number."""
    return next(iter(found["shares"].values()))[0]


def collapse_words(folder: Path) -> str:
    """What the two routers did, from `collapse.json`."""
    record = json.loads((folder / "collapse.json").read_text())
    rows = []
    for at in (0, len(record["steps"]) // 2, -1):
        for arm in ("with_loss", "without_loss"):
            share = record[arm]["share"][at]  # [layer][expert]
            idle = sum(value < 0.01 for layer in share for value in layer)
            largest = ", ".join(f"{max(layer):.0%}" for layer in share)
            loss = f"{record[arm]['loss'][at]:.3f}"
            rows.append((record["steps"][at], arm.replace("_", " "), largest, idle, loss))
    n_experts = sum(map(len, record["with_loss"]["share"][0]))
    head = ("step", "run", "largest share by layer", f"experts below 1 %, of {n_experts}", "held-out loss")
    return table(head, rows)


def write_recipe(folder: Path) -> None:
    """Fill the words of `recipe-<folder>.md` with what is measured here and now."""
    torch.set_num_threads(1)
    tok = AutoTokenizer.from_pretrained(folder)
    found = report(folder)
    card = json.loads((folder / "model.json").read_text())
    with open(folder / "loss.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    base = unigram_losses(tok)
    losses = [(d, f"{found['heldout'][d]:.3f}", f"{base[d]:.3f}") for d in data.DOMAINS]
    losses.append(("all (mean)", f"{found['heldout_mean']:.3f}", f"{sum(base.values()) / len(base):.3f}"))
    mb = sum(p.stat().st_size for p in folder.glob("*.safetensors")) / 1e6
    fields = {
        "name": card["name"],
        "n_params": f"{card['n_params']:,}",
        "sizes": sizes(folder),
        "megabytes": f"{mb:.1f} MB",
        "steps": f"{int(last['step']):,}",
        "tokens": f"{int(last['tokens']) / 1e6:.2f} million",
        "wall": f"{float(last['wall_s']) / 60:.0f} minutes",
        "cpu": f"{float(last['cpu_s']) / 60:.0f} minutes",
        "losses": table(("domain", "held-out loss", "unigram bound"), losses),
        "sums": f"{found['sums']} of 100",
        "wrong": "" if not found["wrong"] else " Wrong: " + "; ".join(f"`{w}`" for w in found["wrong"]) + ".",
        "experts": routing_words(found) if "jsd" in found else "",
        "collapse": collapse_words(folder) if (folder / "collapse.json").is_file() else "",
        "samples": "\n".join(f"```text\n{text}\n```\n" for text in samples(folder, PROMPTS)),
        "data": (HERE / "DATA.md").read_text().partition("\n")[2].strip(),
    }
    text = (HERE / f"recipe-{folder.name}.md").read_text()
    for key, value in fields.items():
        text = text.replace("{" + key + "}", value)
    (folder / "RECIPE.md").write_text(text)
    (folder / "loss.svg").write_text(loss_svg(folder, card["name"]))


if __name__ == "__main__":
    write_recipe(Path(sys.argv[1]))
