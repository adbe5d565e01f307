"""What it costs to take a figure home: each format, alone, with the renderer warm."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from bench.measure import Row

_EXPORT = """
import json, sys, time
from bench.export import exportable
from pages.shared.figure import renderer
figure = exportable()
kind = sys.argv[1]
renderer.warm()
seconds = []
for _ in range(9):
    start = time.perf_counter()
    content = figure.render(kind)
    seconds.append(time.perf_counter() - start)
print(json.dumps([seconds, len(content)]))
renderer.close()
"""


def exportable() -> object:
    """The pattern of one head of the default model on the worked example, as the page exports it."""
    from model_runtime import load_model
    from pages.shared.figure.export import Exportable
    from pages.shared.figure.provenance import Provenance
    from pages.shared.settings import table as settings
    from viz.attention.pattern import attention_pattern_record
    from viz.attention.pattern_map import attention_pattern_figure

    model = load_model()
    trace = model.trace(settings.DEFAULT_PROMPT)
    record = attention_pattern_record(
        trace.get("pattern", layer=1, head=2),
        [token.text for token in trace.tokens],
        selected=len(trace.tokens) - 1,
        layer=1,
        head=2,
    )
    drawn = attention_pattern_figure(record)
    figure = drawn.figure.to_json()
    provenance = Provenance(
        "measured", model.spec.name, model.spec.revision, "float32", "cpu", settings.DEFAULT_PROMPT, 1, 2
    )
    return Exportable(figure, drawn.table, drawn.stem, drawn.alt, provenance)


def rows() -> list[Row]:
    found = []
    for kind in ("png", "svg", "pdf", "html", "csv"):
        printed = subprocess.run(
            [sys.executable, "-c", _EXPORT, kind], check=True, capture_output=True, text=True
        ).stdout
        seconds, n_bytes = json.loads(printed.splitlines()[-1])
        found.append(
            Row(
                f"warm export as {kind.upper()}",
                statistics.median(seconds[1:]),
                "s",
                0.4,
                f"{n_bytes / 1000:,.0f} kB; first one {seconds[0]:.2f} s",
            )
        )
    return found
