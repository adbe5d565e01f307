"""The house has one-way doors: reads every import of the code and fails on an arrow the wrong way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# room -> top-level packages that it may not import
FORBIDDEN: dict[str, frozenset[str]] = {
    "model_runtime": frozenset({"streamlit", "plotly", "viz", "pages", "kaleido"}),
    "viz": frozenset({"torch", "transformers", "streamlit", "model_runtime", "pages"}),
    "pages": frozenset({"torch", "transformers", "plotly"}),
}


def python_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported, at any depth of the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}: name the module in full"
            yield node.lineno, node.module or ""


def wrong_arrows(source: str, forbidden: frozenset[str]) -> list[tuple[int, str]]:
    return [
        (line, module)
        for line, module in imported_modules(ast.parse(source))
        if module.split(".")[0] in forbidden
    ]


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_rooms_import_only_what_they_may(room: str) -> None:
    files = python_files(room)
    assert files, f"no Python files in {room}/"
    found = {
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files
        for line, module in wrong_arrows(path.read_text(encoding="utf-8"), FORBIDDEN[room])
    }
    # The figure frame serves and exports figures, so it alone may hold plotly in its hands.
    frame = {
        "pages/shared/figure/live_figure.py",
        "pages/shared/figure/export.py",
        "pages/shared/server/server.py",
    }
    found = {line for line in found if not ("plotly" in line and line.split(":")[0] in frame)}
    assert not found


def test_the_reader_of_imports_sees_a_wrong_arrow() -> None:
    source = "def f():\n    from streamlit import write\n    import torch.nn as nn\n"
    assert wrong_arrows(source, FORBIDDEN["viz"]) == [(2, "streamlit"), (3, "torch.nn")]


def test_caches_live_in_shared_only() -> None:
    """`st.cache_*` anywhere else would be a second, unbounded memory nobody looks after."""
    outside = [
        str(path.relative_to(ROOT))
        for path in [*python_files("pages"), ROOT / "app.py"]
        if path.exists()
        and "shared" not in path.parts
        and re.search(r"\bst\.cache_", path.read_text(encoding="utf-8"))  # attention_cost.cache_bytes is none
    ]
    assert not outside


def test_no_file_is_too_long_to_read() -> None:
    rooms = ["model_runtime", "viz", "pages", "tests", "bench"]
    too_long = {
        str(path.relative_to(ROOT)): lines
        for room in rooms
        for path in python_files(room)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert not too_long


def test_nothing_at_run_time_is_fetched_from_outside() -> None:
    """Scripts, styles and pages of ours name no foreign host to load from."""
    suspicious = (
        "https://cdn",
        "http://cdn",
        "cdnjs.",
        "unpkg.com",
        "jsdelivr",
        "fonts.googleapis",
        "//cdn.",
    )
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for folder in ("assets", "pages", "viz", "model_runtime")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".js", ".css", ".html"}
        for host in suspicious
        if host in path.read_text(encoding="utf-8")
    ]
    assert not found
