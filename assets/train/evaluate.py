"""What the mini models are worth, on text they have never seen: numbers for the recipe, recomputed by a test.

    python -m assets.train.evaluate assets/models/mixtral-mini     print them as JSON

Held-out loss is in nats a token over whole windows of 512 tokens, one after the other, each read from its start;
the loss "in all" is the mean of the four domains'. Expert shares count the routed slots (two a token).
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

from assets.train import data
from assets.train.model import N_CTX


def routers(net) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A list that every forward fills with (logits [token, expert], index [token, k]), layer by layer. Whoever
    reads it clears it first. Empty for a dense model."""
    taps: list = []
    for module in net.modules():
        if type(module).__name__.endswith("TopKRouter"):
            module.register_forward_hook(lambda _m, _i, out: taps.append((out[0], out[2])))
    return taps


def windows_of(domain: str, tok, windows: int | None = None) -> torch.Tensor:
    """[window, 512] held-out tokens of one domain; with `windows`, that many spread over the text."""
    ids = torch.tensor(tok(data.heldout_text(domain), truncation=False)["input_ids"])
    ids = ids[: len(ids) // N_CTX * N_CTX].view(-1, N_CTX)
    return ids if windows is None else ids[:: max(1, len(ids) // windows)][:windows]


@torch.no_grad()
def measure(net, tok, taps: list, windows: int | None = None) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Domain -> nats a token, and domain -> expert shares [layer, expert] (empty for a dense model)."""
    losses, shares = {}, {}
    n_experts = getattr(net.config, "num_local_experts", 0)
    for domain in data.DOMAINS:
        nats, counts = [], 0
        for rows in windows_of(domain, tok, windows).split(8):
            taps.clear()
            logits = net(rows, use_cache=False).logits[:, :-1]
            nats.append(F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none"))
            counts = counts + np.array([torch.bincount(i.flatten(), minlength=n_experts).numpy() for _, i in taps])
        losses[domain] = torch.cat(nats).mean().item()
        if taps:
            shares[domain] = counts / counts.sum(1, keepdims=True)
    taps.clear()
    return losses, shares


def heldout_losses(net, tok, taps: list, windows: int | None = None) -> dict[str, float]:
    """Nats a token by domain, and their mean as "heldout"."""
    losses, _ = measure(net, tok, taps, windows)
    return losses | {"heldout": float(np.mean(list(losses.values())))}


@torch.no_grad()
def sums_right(net, tok) -> tuple[int, list[str]]:
    """How many of the 100 one-digit sums a greedy continuation of "a + b =" gets right, and the wrong ones."""
    wrong = []
    for a, b in itertools.product(range(10), repeat=2):
        ids = torch.tensor([tok(f"{a} + {b} =")["input_ids"]])
        for _ in range(3):
            ids = torch.cat([ids, net(ids, use_cache=False).logits[:, -1:].argmax(-1)], 1)
        answer = tok.decode(ids[0]).partition("=")[2].split("\n")[0]
        if answer != f" {a + b}":
            wrong.append(f"{a} + {b} ={answer}")
    return 100 - len(wrong), wrong


@torch.no_grad()
def samples(folder: Path, prompts: tuple[str, ...], n_tokens: int = 60, temperature: float = 0.7) -> list[str]:
    """A continuation of each prompt, drawn with seed 0: prompt and continuation in one text."""
    tok = AutoTokenizer.from_pretrained(folder)
    net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = []
    for prompt in prompts:
        draw, ids = torch.Generator().manual_seed(0), torch.tensor([tok(prompt)["input_ids"]])
        for _ in range(n_tokens):
            probabilities = (net(ids, use_cache=False).logits[0, -1] / temperature).softmax(-1)
            ids = torch.cat([ids, torch.multinomial(probabilities, 1, generator=draw)[None]], 1)
        texts.append(tok.decode(ids[0]).partition("<|endoftext|>")[0].rstrip())
    return texts


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in nats along the last axis: 0 for equal shares, ln 2 = 0.693 for disjoint ones."""
    m = (p + q) / 2

    def kl(x: np.ndarray) -> np.ndarray:
        ratio = np.divide(x, m, out=np.ones_like(x), where=x > 0)
        return (x * np.log(ratio)).sum(-1)

    return (kl(p) + kl(q)) / 2


def report(folder: Path) -> dict:
    """All of it for a saved model, in float32."""
    torch.set_num_threads(1)
    tok = AutoTokenizer.from_pretrained(folder)
    net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    taps = routers(net)
    losses, shares = measure(net, tok, taps)
    right, wrong = sums_right(net, tok)
    found = {"heldout": losses, "heldout_mean": float(np.mean(list(losses.values()))), "sums": right, "wrong": wrong}
    if shares:
        pairs = [(a, b) for i, a in enumerate(data.DOMAINS) for b in data.DOMAINS[i + 1 :]]
        found["jsd"] = {f"{a}, {b}": divergence(shares[a], shares[b]).round(4).tolist() for a, b in pairs}
        found["shares"] = {d: s.round(4).tolist() for d, s in shares.items()}
    return found


if __name__ == "__main__":
    print(json.dumps(report(Path(sys.argv[1])), indent=1))
