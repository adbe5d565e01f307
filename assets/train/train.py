"""Train one mini model: plain loop, one thread, fixed steps, everything from one seed.

    python -m assets.train.train mixtral --out assets/models/mixtral-mini

Follows nanoGPT's train.py (one flat loop, held-out loss as it goes) and adds the load-balancing loss of the
Switch Transformer (Fedus et al. 2021, equations 4-6), computed layer by layer: Hugging Face's own sums the
counts of all layers first, so one layer's favourite can hide behind another's.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer

from assets.train import data, model, tokenizer
from assets.train.evaluate import measure, routers
from assets.train.optimizer import optimizers

OUT = Path(__file__).resolve().parent / "out"
# The domain of each row of a batch, over and over: 4 plays, 4 scripture, 5 Python, 3 arithmetic of 16.
ROWS = [data.DOMAINS["psya".index(c)] for c in "psyapsypsyapsyay"]


def token_streams(tok, documents: dict[str, list[str]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Domain -> (training tokens, positions where a line starts). Documents end in the end-of-text token."""
    streams = {}
    for domain, train_docs in documents.items():
        ids = tok([text + tokenizer.END for text in train_docs])["input_ids"]
        tokens = np.fromiter(itertools.chain.from_iterable(ids), dtype=np.uint16)
        ends_line = np.array([text.endswith("\n") for text in tok.batch_decode(np.arange(len(tok))[:, None])])
        ends_line[tok.eos_token_id] = True
        streams[domain] = tokens, np.flatnonzero(ends_line[tokens])[:-1] + 1
    return streams


def batches(streams, seed: int, tokens_a_step: int):
    """Endless [row, length + 1] batches. Every row starts at the start of a line, where prompts start. Three
    of four steps have rows of 256 tokens, the fourth of 512: cheaper attention, and all 512 positions learned."""
    rng = np.random.default_rng(seed)
    domains = itertools.cycle(ROWS)
    for step in itertools.count():
        length = model.N_CTX if step % 4 == 3 else model.N_CTX // 2
        rows = []
        for domain in itertools.islice(domains, tokens_a_step // length):
            tokens, starts = streams[domain]
            last = np.searchsorted(starts, len(tokens) - length - 1)
            start = starts[rng.integers(max(1, last))]
            rows.append(tokens[start : start + length + 1].astype(np.int64))
        yield torch.from_numpy(np.stack(rows))


def balance(logits: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """N * sum(f_i * P_i) of one layer: 1 when all experts get the same, N when one gets everything. logits
    [token, expert], index [token, k]; f is the share of the token slots, P the mean router probability."""
    n = logits.shape[-1]
    share = torch.bincount(index.flatten(), minlength=n) / index.numel()
    return n * (share * logits.float().softmax(-1).mean(0)).sum()


def lr_share(step: int, steps: int, warm_up: int = 100) -> float:
    """The learning rate's factor: up to 1 in `warm_up` steps, level, then down to 0 over the last 60 %."""
    return min((step + 1) / min(warm_up, steps), 1.0, (steps - step) / (0.6 * steps))


def loss_of(net, batch: torch.Tensor, taps: list, aux_coef: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(nats a token, load-balancing loss) of a batch, under bfloat16 autocast."""
    taps.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = net.base_model(batch[:, :-1], use_cache=False).last_hidden_state
    head = net.lm_head.weight.bfloat16()
    nats = model.NextTokenLoss.apply(hidden.flatten(0, 1).bfloat16(), head, batch[:, 1:].flatten())
    return nats, sum(balance(*tap) for tap in taps) / len(taps) if taps and aux_coef else nats.new_zeros(())


def save(net, tok, folder: Path, name: str) -> None:
    """The folder that the catalogue reads: fp16 weights, config, tokenizer, card."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.half() for k, v in net.state_dict().items()}
    kind = type(net)
    copy = kind(net.config).half()
    copy.load_state_dict(weights)
    copy.save_pretrained(folder)
    tok.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    n_params = sum(p.numel() for p in net.parameters())
    (folder / "model.json").write_text(json.dumps({"name": name, "n_params": n_params}) + "\n")


def train(args: argparse.Namespace, streams=None, tok=None) -> list[dict]:
    """Train, write the loss curve as it goes and the model at the end. Returns the curve."""
    torch.set_num_threads(1)
    tok = tok or AutoTokenizer.from_pretrained(args.tokenizer)
    streams = streams or token_streams(tok, {domain: docs for domain, (docs, _) in data.documents().items()})
    net = model.build(args.kind, len(tok), args.seed, args.aux_coef, args.switch, **json.loads(args.sizes))
    opts = optimizers(net, not args.adamw, args.lr, args.muon_lr, args.weight_decay)
    base = [[g["lr"] for g in opt.param_groups] for opt in opts]
    taps = routers(net)
    args.out.mkdir(parents=True, exist_ok=True)
    routing: dict[str, list] = {"steps": [], "loss": [], "share": []}
    curve, start, cpu, seen, recent = [], time.perf_counter(), time.process_time(), 0, []
    for step, batch in zip(range(args.steps), batches(streams, args.seed, args.tokens_a_step), strict=False):
        for opt, rates in zip(opts, base, strict=True):
            for group, rate in zip(opt.param_groups, rates, strict=True):
                group["lr"] = rate * lr_share(step, args.steps)
        nats, aux = loss_of(net, batch, taps, args.aux_coef)
        (nats + args.aux_coef * aux).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        seen += batch.numel() - len(batch)
        recent.append((nats.item(), aux.item()))
        if (step + 1) % (args.every if step >= args.steps // 5 else args.every // 4) == 0 or step + 1 == args.steps:
            row = {"step": step + 1, "tokens": seen, "train": np.mean(recent, 0)[0], "balance": np.mean(recent, 0)[1]}
            with torch.autocast("cpu", dtype=torch.bfloat16):
                losses, shares = measure(net, tok, taps, args.windows)
            row |= losses | {"heldout": float(np.mean(list(losses.values())))}
            if shares:
                routing["steps"].append(step + 1)
                routing["loss"].append(round(row["heldout"], 4))
                routing["share"].append(np.mean(list(shares.values()), 0).round(5).tolist())
                (args.out / "routing.json").write_text(json.dumps(routing))
            row |= {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
            curve.append({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
            print(" ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
            with open(args.out / "loss.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, curve[0].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(curve)
            recent = []
        if args.save_every and (step + 1) % args.save_every == 0:
            save(net, tok, args.out, args.name)
    if not args.switch:  # whoever loads the files gets Mixtral's router
        save(net, tok, args.out, args.name)
    return curve


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=("mixtral", "gpt2"))
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--name", default="")
    p.add_argument("--tokenizer", type=Path, default=OUT / "tokenizer")
    p.add_argument("--steps", type=int, default=3000)
    p.add_argument("--tokens-a-step", type=int, default=4096)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--lr", type=float, default=3e-3, help="AdamW's")
    p.add_argument("--muon-lr", type=float, default=0.02)
    p.add_argument("--adamw", action="store_true", help="AdamW for all of it")
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--aux-coef", type=float, default=0.01, help="of the load-balancing loss")
    p.add_argument("--switch", action="store_true", help="one expert a token, weighted by its probability")
    p.add_argument("--sizes", default="{}", help="configuration values to change, as JSON")
    p.add_argument("--every", type=int, default=100, help="steps between looks at held-out text")
    p.add_argument("--windows", type=int, default=4, help="held-out windows of each domain while training")
    p.add_argument("--save-every", type=int, default=0)
    return p


if __name__ == "__main__":
    train(parser().parse_args())
