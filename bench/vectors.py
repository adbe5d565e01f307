"""Embeddings and Positions: projections of 5,000 tokens against the bare libraries, and the RoPE slider,
whose picture moves in the browser."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

from bench.browser import DRAWN, FLAGS, FRAMES, server
from bench.measure import Row, ratio_row

STEPS = 60
N_TOKENS = 5_000


def rope_drag(page: Page) -> Row:
    """Frames of the turning figure while its position is dragged: arrows and all clocks, no model run."""
    slider = page.locator('.gf-figure[data-key="turning"] input[type=range]').first
    page.evaluate(FRAMES, "turning")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.2, middle)
    page.mouse.down()
    for step in range(STEPS):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.01 * step), middle)
        page.wait_for_timeout(20)
    page.mouse.up()
    frames = sorted(page.evaluate("() => window.gfFrames"))
    detail = f"{len(frames)} frames of {STEPS} steps; 9 of 10 within {frames[len(frames) * 9 // 10]:.0f} ms"
    return Row("frame while dragging the position of RoPE", statistics.median(frames), "ms", 33, detail)


def projections() -> list[Row]:
    """PCA, t-SNE and UMAP as the page asks for them (for the last two with the neighbours that each picture
    keeps, which the bare call does not count)."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from umap import UMAP

    from model_runtime import load_model
    from model_runtime.records import ProjectionSettings
    from model_runtime.vectors.point_sets import vocabulary_points
    from model_runtime.vectors.projection import nearest, pca, project

    vectors = vocabulary_points(load_model("smollm2-135m-instruct"), N_TOKENS).vectors
    near = nearest(vectors, "cosine")
    wide = vectors.astype("float64")

    def ours(method: str) -> object:
        return project(vectors, ProjectionSettings(method), near)

    def umap() -> object:
        return UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(vectors)

    def tsne() -> object:
        return TSNE(2, metric="cosine", random_state=0).fit_transform(vectors)

    return [
        ratio_row(
            f"PCA of {N_TOKENS:,} tokens / scikit-learn's",
            lambda: pca(wide, 2),
            lambda: PCA(2, random_state=0).fit_transform(wide),
            repeats=9,
            reach=1.1,
        ),
        ratio_row(
            f"t-SNE of {N_TOKENS:,} tokens with neighbours kept / scikit-learn's",
            lambda: ours("tsne"),
            tsne,
            repeats=1,  # about a minute a run, and the two agree to the bit
            reach=1.1,
        ),
        ratio_row(
            f"UMAP of {N_TOKENS:,} tokens with neighbours kept / umap-learn's",
            lambda: ours("umap"),
            umap,
            repeats=3,
            reach=1.1,
        ),
    ]


def rows() -> list[Row]:
    return [neighbours(), *projections(), *sliders()]


def neighbours() -> Row:
    """The ten rows nearest to a token's in the whole vocabulary, norms known."""
    from model_runtime import load_model
    from model_runtime.vectors.embeddings import embedding_row, nearest, table_norms

    model = load_model("smollm2-135m-instruct")
    norms, row = table_norms(model), embedding_row(model, 500)
    taken = []
    for _ in range(21):
        start = time.perf_counter()
        nearest(model, row, norms)
        taken.append(1000 * (time.perf_counter() - start))
    detail = f"{model.spec.d_vocab:,} rows of {model.spec.d_model}; slowest of 21 {max(taken):.0f} ms"
    return Row("nearest neighbours in the whole vocabulary", statistics.median(taken), "ms", 50, detail)


def sliders() -> list[Row]:
    """What moves in the browser."""
    path = os.environ.get("BROWSER_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright, server("app.py") as port:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(f"http://127.0.0.1:{port}/positions?{urlencode({'place': 'rope'})}")
        page.wait_for_function(DRAWN % 3, timeout=120_000)
        page.wait_for_timeout(3_000)
        found = [rope_drag(page)]
        browser.close()
    return found
