"""The scripts that made the mini models: their parts by hand or against Hugging Face, and a short run."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from assets.train import arithmetic, data, model, tokenizer, train
from assets.train.collapse import compare
from assets.train.evaluate import divergence, report, routers
from assets.train.optimizer import orthogonalised
from model_runtime import load_model

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def tiny_mixtral(**sizes: int) -> torch.nn.Module:
    return model.build("mixtral", 64, seed=0, **SIZES | {"num_key_value_heads": 1} | sizes)


def test_our_loop_over_experts_is_hugging_faces() -> None:
    """Forward and every gradient, in float32, also where one expert gets no token."""
    ids = torch.randint(0, 64, (2, 9), generator=torch.Generator().manual_seed(0))
    results = []
    for implementation in ("by_expert", "eager"):
        net = tiny_mixtral()
        net.set_experts_implementation(implementation)
        loss = net(ids, labels=ids).loss
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in net.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_the_switch_router_weighs_by_probability() -> None:
    """One expert a token and its softmax probability, by hand; the router has a gradient."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    gate = SimpleNamespace(weight=logits.T.contiguous().requires_grad_(), hidden_dim=2, top_k=1)
    found, weight, index = model.switch_route(gate, torch.eye(2))
    assert torch.equal(found, logits)
    assert index.tolist() == [[0], [2]]
    by_hand = [math.exp(2) / (math.exp(2) + math.exp(1) + 1), math.exp(3) / (math.exp(3) + 2)]
    assert weight.flatten().tolist() == pytest.approx(by_hand)
    weight.sum().backward()
    assert gate.weight.grad.abs().max() > 0.01
    routes = routers(net := model.build("mixtral", 64, 0, switch=True, **SIZES | {"num_key_value_heads": 1}))
    net(torch.tensor([[1, 2, 3]]))
    assert [tuple(index.shape) for _, index in routes] == [(3, 1)] * 2


def test_the_loss_in_pieces_is_cross_entropy() -> None:
    draw = torch.Generator().manual_seed(0)
    hidden, head = (torch.randn(n, 8, generator=draw).bfloat16() for n in (1500, 20))
    target = torch.randint(0, 20, (1500,), generator=draw)
    results = []
    for loss_of in (
        lambda h, w: model.NextTokenLoss.apply(h, w, target),
        lambda h, w: F.cross_entropy((h @ w.T).float(), target),
    ):
        h, w = hidden.clone().requires_grad_(), head.clone().requires_grad_()
        loss = loss_of(h, w)
        loss.backward()
        results.append((loss.item(), h.grad, w.grad))
    (loss, dh, dw), (loss_ref, dh_ref, dw_ref) = results
    assert loss == pytest.approx(loss_ref, rel=1e-5)
    torch.testing.assert_close(dh, dh_ref, atol=1e-6, rtol=2e-2)  # gradients are bfloat16: 8 bits
    torch.testing.assert_close(dw, dw_ref, atol=1e-4, rtol=2e-2)


def test_balance_is_one_when_equal_and_n_when_collapsed() -> None:
    equal = torch.zeros(8, 4)
    assert train.balance(equal, torch.arange(16).view(8, 2) % 4).item() == pytest.approx(1)
    collapsed = torch.zeros(8, 4).index_fill_(1, torch.tensor([2]), 50.0)
    assert train.balance(collapsed, torch.full((8, 1), 2)).item() == pytest.approx(4)
    # By hand: shares (3/4, 1/4), mean probabilities (0.6, 0.4): 2 * (0.45 + 0.1)
    logits = torch.tensor([[0.6, 0.4]]).log().repeat(4, 1)
    assert train.balance(logits, torch.tensor([[0], [0], [0], [1]])).item() == pytest.approx(1.1)


def test_muon_makes_singular_values_alike() -> None:
    stack = torch.randn(3, 40, 24, generator=torch.Generator().manual_seed(0))
    made = orthogonalised(stack)
    values = torch.linalg.svdvals(made.float())
    assert made.shape == stack.shape
    assert values.min() > 0.5  # Newton-Schulz with these coefficients ends between about 0.7 and 1.2
    assert values.max() < 1.35
    torch.testing.assert_close(made[1], orthogonalised(stack[1]), atol=0.02, rtol=0)


def test_learning_rate_rises_stays_and_falls_to_zero() -> None:
    rates = [train.lr_share(step, 1000) for step in range(1001)]
    assert rates[0] == 0.01
    assert set(rates[100:400]) == {1.0}
    assert rates[700] == pytest.approx(0.5)
    assert rates[1000] == 0


PROBLEM = re.compile(r"(\d+) ?(?:\+|plus) ?(\d+)(?: = |=| is |\? |\nA: )(\d+)")


def test_every_sum_on_the_worksheets_is_right_and_none_is_a_held_out_one() -> None:
    text = "\n".join(arithmetic.documents(3, 60_000))
    found = [tuple(map(int, groups)) for groups in PROBLEM.findall(text)]
    assert len(found) > 3000
    assert all(a + b == c for a, b, c in found)
    assert not [problem for problem in found if arithmetic.held_out(*problem[:2])]
    assert len({(a, b) for a, b, _ in found if max(a, b) < 10}) == 100
    kept = [tuple(map(int, g)) for g in PROBLEM.findall(data.heldout_text("arithmetic"))]
    assert all(arithmetic.held_out(a, b) for a, b, _ in kept if max(a, b) > 9)


def test_worksheets_repeat_from_their_seed() -> None:
    assert arithmetic.worksheet(random.Random(5)) == arithmetic.worksheet(random.Random(5))
    assert arithmetic.documents(2, data.HELDOUT_BYTES // 2, heldout=True) == arithmetic.documents(
        2, data.HELDOUT_BYTES // 2, heldout=True
    )
    assert data.bundle(arithmetic.documents(2, data.HELDOUT_BYTES // 2, heldout=True)) == data.heldout_text(
        "arithmetic"
    )


def test_chapters_of_scripture_get_headings() -> None:
    names = [f"{a}{b}" for a in "ABCDEF" for b in "abcdefghijk"]  # 66 short names
    lines = [f"{name}1:1 Words." for name in names]
    books = data.chapters("Title\n" + "\n".join(lines) + "\n")
    assert books["Genesis"] == ["Genesis 1\nWords.\n"]
    assert list(books)[-1] == "Revelation"


def test_numbers_are_cut_into_digits_and_everything_comes_back() -> None:
    tok = tokenizer.train(["3 + 14 = 17\n12+39=51\n" * 50, "def f(x):\n    return x\n" * 50], n_vocab=300)
    for text in ("3 + 4 = 17", "x é 日本 \t\n\n  y", "a1b 22"):
        assert tok.decode(tok(text)["input_ids"]) == text
    pieces = [tok.decode([i]) for i in tok("3 + 14 = 17")["input_ids"]]
    assert pieces == ["3", " +", " 1", "4", " =", " 1", "7"]


def test_divergence() -> None:
    p, q = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]])
    assert divergence(p, q) == pytest.approx([np.log(2), 0])


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models in miniature, 24 steps each, on text that is nobody's held-out text."""
    folder = tmp_path_factory.mktemp("minis")
    words = {
        "plays": "FOOL.\nThe rain it raineth every day.\n\n",
        "scripture": "And it came to pass.\n",
        "python": "def f(x):\n    return x + 1\n\n\n",
        "arithmetic": "3 + 4 = 7\n",
    }
    documents = {domain: [text * 60] * 4 for domain, text in words.items()}
    tok = tokenizer.train([text for docs in documents.values() for text in docs], n_vocab=300)
    streams = train.token_streams(tok, documents)
    sizes = json.dumps(SIZES | {"hidden_size": 32, "intermediate_size": 32, "num_key_value_heads": 1})
    runs = {
        "mixtral": ["mixtral", "--sizes", sizes],
        "balanced": ["mixtral", "--sizes", sizes, "--switch"],
        "alone": ["mixtral", "--sizes", sizes, "--switch", "--aux-coef", "0"],
        "gpt2": ["gpt2", "--sizes", '{"n_embd": 32, "n_layer": 2, "n_head": 2}'],
    }
    common = ["--steps", "24", "--lr", "0.02", "--every", "12", "--windows", "1", "--tokens-a-step", "512"]
    for name, words_of_run in runs.items():
        where = ["--out", str(folder / name), "--name", name]
        args = train.parser().parse_args([*words_of_run, *common, *where])
        train.train(args, streams, tok)
    return folder


@pytest.mark.parametrize("name", ["mixtral", "gpt2"])
def test_a_short_run_learns_and_what_it_saves_loads(short_run: Path, name: str) -> None:
    curve = np.genfromtxt(short_run / name / "loss.csv", delimiter=",", names=True)
    assert curve["train"][-1] < 0.8 * curve["train"][0]
    loaded = load_model(str(short_run / name))
    assert loaded.spec.n_ctx == model.N_CTX
    assert loaded.spec.n_layers == 2
    trace = loaded.trace("3 + 4 =")
    assert "".join(token.text for token in trace.tokens) == "3 + 4 ="
    assert np.isfinite(trace.next_token_logits()).all()


def test_the_run_without_the_balancing_loss_differs_in_nothing_else(short_run: Path) -> None:
    """Same first weights, same batches: after 12 steps the two are still close."""
    files = (short_run / name / "loss.csv" for name in ("balanced", "alone"))
    a, b = (file.read_text().splitlines()[1].split(",") for file in files)
    assert a[:2] == b[:2]
    assert float(a[2]) == pytest.approx(float(b[2]), abs=0.05)


def test_the_record_of_both_routers_has_shares_that_sum_to_one(short_run: Path) -> None:
    record = compare(short_run / "balanced", short_run / "alone", 0.01)
    shares = np.array(record["with_loss"]["share"])
    assert shares.shape == (len(record["steps"]), 2, 8)
    assert np.allclose(shares.sum(-1), 1, atol=1e-3)
    assert len(record["without_loss"]["loss"]) == len(record["steps"]) > 0


def test_routers_of_a_dense_model_are_none() -> None:
    net = model.build("gpt2", 64, seed=0, n_embd=16, n_layer=1, n_head=2)
    taps = routers(net)
    net(torch.tensor([[1, 2]]))
    assert taps == []


def test_the_report_of_a_saved_model(short_run: Path) -> None:
    found = report(short_run / "mixtral")
    assert set(found["heldout"]) == set(data.DOMAINS)
    assert found["sums"] + len(found["wrong"]) == 100
    assert len(found["jsd"]) == 6
