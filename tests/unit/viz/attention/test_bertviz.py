"""BertViz's views: what is shown, the numbers in the document, its policy, and hostile tokens."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from model_runtime.attention.bertviz import bertviz_head_view, layer_patterns, written_patterns
from model_runtime.errors import PointUnavailable
from model_runtime.model import Model
from model_runtime.records import WrittenPatterns
from pages.shared.figure import scripts
from pages.shared.figure.bertviz_frame import Place, chosen, standalone
from pages.shared.figure.provenance import Provenance
from pages.shared.server import bertviz_route, server
from tests.tiny_checkpoints import byte_tokenizer, tiny_llama
from viz.attention import bertviz, bertviz_files
from viz.attention.bertviz import (
    MOST_TOKENS,
    MOST_VALUES,
    BertvizView,
    Kind,
    Span,
    bertviz_view,
    linked_page,
    outside_share,
    size_sentence,
    span_of,
)

HOSTILE = "</script><img src=x onerror=alert(1)>"


def causal(n_heads: int, n_tokens: int) -> np.ndarray:
    """Every query reads all it may read equally: [head, query_pos, key_pos]."""
    rows = np.tril(np.ones((n_tokens, n_tokens), np.float32))
    return np.stack([rows / rows.sum(axis=1, keepdims=True)] * n_heads)


def view(
    kind: Kind = "head", tokens: tuple[str, ...] = ("a", " b", "\n"), layers: tuple[int, ...] = (0, 1)
) -> BertvizView:
    span = Span(layers, tuple(range(len(tokens))))
    return bertviz_view(
        kind, span, written(span, {layer: causal(2, len(tokens)) for layer in layers}), tokens
    )


def written(span: Span, patterns: dict[int, np.ndarray]) -> WrittenPatterns:
    """The patterns of a run that has some layers only, as `layer_patterns` writes those of the span."""

    def get(point: str, layer: int) -> np.ndarray:
        if layer not in patterns:
            raise PointUnavailable(f"no {point} in layer {layer}")
        return patterns[layer]

    n_heads = len(next(iter(patterns.values())))
    run = SimpleNamespace(trace=SimpleNamespace(get=get), spec=SimpleNamespace(n_heads=n_heads))
    return layer_patterns(run, span.layers, span.positions)  # type: ignore[arg-type]


def data_of(page: str) -> dict[str, object]:
    written = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert len(written) == 1
    found: dict[str, object] = json.loads(written[0])
    return found


# --- values -> record


def test_a_view_holds_each_probability_once_and_no_future() -> None:
    made = view()
    assert made == BertvizView(
        kind="head",
        span=Span((0, 1), (0, 1, 2)),
        tokens=("a", "·b", "↵"),
        patterns=WrittenPatterns(
            layers=(0, 1),
            rows=(
                "[[[1],[0.5,0.5],[0.3333,0.3333,0.3333]],[[1],[0.5,0.5],[0.3333,0.3333,0.3333]]]",
                "[[[1],[0.5,0.5],[0.3333,0.3333,0.3333]],[[1],[0.5,0.5],[0.3333,0.3333,0.3333]]]",
            ),
            n_heads=2,
            n_values=2 * 2 * 6,
            decimals=4,
        ),
    )


def test_numbers_are_rounded_and_what_is_no_number_is_nought() -> None:
    patterns = np.array([[[1.0000002, np.nan, 0.00004], [0.00006, 0, 0.12346], [0, 0, 0]]])
    assert written_patterns(patterns) == ("[[[1],[0.0001,0,0.1235],[]]]", 4)


def test_layers_without_patterns_are_left_out() -> None:
    span = Span((3, 4, 5), (0, 1))
    made = bertviz_view("model", span, written(span, {3: causal(2, 2), 5: causal(2, 2)}), ["x", ""])
    assert made.span.layers == (3, 5)
    assert made.tokens == ("x", "⟨empty⟩")


def test_a_cut_prompt_keeps_the_cells_of_its_tokens() -> None:
    pattern = np.arange(16, dtype=float).reshape(1, 4, 4) / 100
    span = Span((0,), (0, 2, 3))
    made = bertviz_view("head", span, written(span, {0: pattern}), "abcd")
    assert json.loads(made.patterns.rows[0]) == [[[0, 0.02, 0.03], [0.08, 0.1, 0.11], [0.12, 0.14, 0.15]]]
    assert made.tokens == ("a", "c", "d")


# --- the size guard


@given(
    st.sampled_from(["head", "model"]),
    st.integers(1, 4000),
    st.integers(1, 96),
    st.integers(1, 128),
    st.sampled_from(["all", "near", "one"]),
    st.data(),
)
def test_no_view_is_larger_than_its_limits(
    kind: Kind, n_tokens: int, n_layers: int, n_heads: int, layers: str, data: st.DataObject
) -> None:
    layer = data.draw(st.integers(0, n_layers - 1))
    query = data.draw(st.integers(0, n_tokens - 1))
    span = span_of(kind, n_tokens, n_layers, n_heads, layer=layer, query=query, layers=layers)
    shown = len(span.positions)
    assert layer in span.layers
    assert {0, query} <= {*span.positions} or shown == 1
    assert [*span.positions] == sorted({*span.positions})
    assert shown <= MOST_TOKENS[kind]
    assert len(span.layers) * n_heads * shown * (shown + 1) // 2 <= MOST_VALUES[kind]
    assert len(span.layers) <= {"all": n_layers, "near": 5, "one": 1}[layers]


def test_what_is_not_shown_is_said_with_both_numbers() -> None:
    span = span_of("model", 901, 30, 9, layer=29, query=500)
    assert span == Span((26, 27, 28, 29), (0, *range(454, 501)))
    patterns = written(span, {layer: causal(9, 901) for layer in span.layers})
    made = bertviz_view("model", span, patterns, ["x"] * 901)
    row = causal(1, 901)[0, 500]
    outside = outside_share(row, span)
    assert outside == pytest.approx(453 / 501)
    said = size_sentence(made, 901, 30, outside)
    assert "layers 26 to 29 of 30" in said
    assert "token 0 and tokens 454 to 500 of 901" in said
    assert f"{30 * 9 * 901 * 451:,}" in said
    assert "at most 45,000, and 48 tokens" in said
    assert "pays 90.4\xa0% to tokens that are not shown" in said
    whole = view()
    assert size_sentence(whole, 3, 2, 0.0).startswith("All 2 layers of 2 heads: 24 probabilities")


# --- the document


@pytest.mark.parametrize("kind", ["head", "model"])
def test_hostile_tokens_stay_data(kind: Kind) -> None:
    tokens = ("</scr", "ipt>", HOSTILE[:13], "<!--", "&lt;", "\u2028", "'\"\\")
    page = linked_page(view(kind, tokens), "/glassformer/x", "N")
    assert data_of(page)["tokens"] == ["</scr", "ipt>", "</script><img", "<!--", "&lt;", "⟨U+2028⟩", "'\"\\"]
    scripts = re.findall(r"<script[^>]*>", page)
    assert len(scripts) == 5
    assert page.count("</script>") == 5
    assert "<img" not in page


def test_a_document_lets_its_own_scripts_run_and_fetches_nothing() -> None:
    page = linked_page(view(), "/glassformer/v", "abc")
    assert "default-src &#x27;none&#x27;; script-src &#x27;nonce-abc&#x27;" in page
    assert "'unsafe" not in page
    named = re.findall(r'<script nonce="abc" src="(/glassformer/v/[^"]*)"', page)
    assert [name.rpartition("/")[2] for name in named] == [
        "bertviz_d3.js",
        "bertviz_jquery.js",
        "bertviz_document.js",
        "bertviz_head_view.js",
    ]


def test_equal_views_share_a_key_and_others_do_not() -> None:
    assert view().key == view().key
    others = [view("model"), view(tokens=("a", " b", "c")), view(layers=(0, 2))]
    assert len({made.key for made in [view(), *others]}) == 4


def test_the_saved_file_has_everything_inside_and_its_caption() -> None:
    origin = Provenance("measured", "Tiny", prompt=HOSTILE, layer=1, head=1)
    page = standalone(view("model"), Place(1, 1, 2), origin).decode()
    assert "Measured on Tiny. Prompt: “&lt;/script&gt;&lt;img src=x" in page
    assert "<img" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert data_of(page)["place"] == {"layer": 1, "head": 1, "token": 2}
    assert 'src="' not in page
    assert page.count("sha256-") == 4
    assert "cdnjs" not in page


def test_the_drawing_is_bertviz_s_own() -> None:
    scripts = bertviz_files.scripts()
    assert bertviz_files.missing() == ()
    assert "5.7.0" in scripts["bertviz_d3.js"]
    assert "jQuery v3" in scripts["bertviz_jquery.js"][:200]
    for name in ("bertviz_head_view.js", "bertviz_model_view.js"):
        assert scripts[name].count("window.bertviz;") == 1
        assert "cdnjs" not in scripts[name]


def test_packages_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bertviz_files._FILES, "bertviz_d3.js", ("no_such_package", "js/d3.js"))
    monkeypatch.setitem(bertviz_files._FILES, "bertviz_jquery.js", ("xstatic", "nothing.js"))
    assert bertviz_files.missing() == ("no_such_package", "xstatic")


# --- the route


def test_documents_are_found_by_their_key_only_under_a_policy_of_their_own() -> None:
    key = bertviz_route.put(view(), scripts.base_path())
    with TestClient(Starlette(routes=server.routes())) as client:
        answer = client.get(f"/glassformer/bertviz/at/{key}")
        again = client.get(f"/glassformer/bertviz/at/{key}")
        assert client.get(f"/glassformer/bertviz/at/{'0' * 64}").status_code == 410
        assert client.get(f"/glassformer/data/at/{key}").status_code == 410
        for name in re.findall(r'(?:src|href)="([^"]*)"', answer.text):
            assert client.get(name).status_code == 200, name
    rules = answer.headers["content-security-policy"]
    assert rules.startswith(
        "sandbox allow-scripts; frame-ancestors 'self'; default-src 'none'; script-src 'nonce-"
    )
    assert "allow-same-origin" not in rules
    assert answer.headers["content-encoding"] == "gzip"
    assert again.headers["content-security-policy"] != rules, "a nonce is used once"


@pytest.mark.parametrize(
    ("payload", "numbers"),
    [
        (None, {}),
        ("token", {}),
        ({"token": 3}, {"token": 3}),
        ({"layer": 1, "head": 2, "prompt": "x"}, {"layer": 1, "head": 2}),
        ({"layer": True, "head": 1.5, "token": "7"}, {}),
        ({"token": -5}, {}),
    ],
)
def test_what_a_frame_reports_is_whole_numbers_or_nothing(payload: object, numbers: dict[str, int]) -> None:
    assert chosen(payload) == numbers


# --- the notebook


# BertViz reads its script without closing it, and Python says so when the file is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_code_for_a_notebook_gives_bertviz_the_measured_patterns() -> None:
    model = Model(tiny_llama(), byte_tokenizer(), model_id="tiny", name="Tiny", revision="local")
    shown = bertviz_head_view(model, "hello", layer=1, head=1).data
    params = json.loads(re.findall(r"const params = (\{.*?\});", shown)[0])
    assert params["layer"] == 1
    assert params["heads"] == [1]
    trace = model.trace("hello")
    handed = np.array(params["attention"][0]["attn"])  # [layer, head, query_pos, key_pos]
    np.testing.assert_allclose(handed[1], trace.get("pattern", 1), rtol=1e-6)
    assert len(params["attention"][0]["left_text"]) == len(trace.tokens)


def test_ten_colours_are_ours_without_the_yellow() -> None:
    ten = bertviz._ten(bertviz.palette.CATEGORIES)
    assert len(ten) == 10
    assert len({*ten}) == 7
    assert "#f0e442" not in ten
