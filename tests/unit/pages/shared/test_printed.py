"""The code that pages print: whole, and running by itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pages.shared.frame.printed import printed, unprinted

ROOT = Path(__file__).resolve().parents[4]


def lesson_codes() -> list[tuple[str, tuple[Any, ...]]]:
    """Every `code=(...)` of a `Lesson` in the pages, its names taken from the file's own imports."""
    found = []
    for path in sorted((ROOT / "pages").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [
            node
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("model_runtime")
        ]
        names: dict[str, Any] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Tuple):
                exec(compile(ast.Module(list(imports), []), str(path), "exec"), names)
                code = eval(compile(ast.Expression(node.value), str(path), "eval"), names)
                found.append((str(path.relative_to(ROOT)), code))
    return found


CODES = lesson_codes()


def test_every_part_but_few_prints_code() -> None:
    assert len(CODES) >= 30


@pytest.mark.parametrize(("page", "code"), CODES, ids=[page for page, _ in CODES])
def test_printed_code_is_whole_and_runs_by_itself(
    page: str, code: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unprinted(code) == []
    alone = ModuleType("printed")
    monkeypatch.setitem(sys.modules, "printed", alone)  # where dataclasses look their names up
    exec(compile(printed(*code), page, "exec"), vars(alone))


def helper(x: int) -> int:
    return x + 1


def caller(x: int) -> int:
    return helper(x)


def test_a_helper_that_is_not_printed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "__module__", "model_runtime.made_up")
    assert unprinted((caller,)) == ["helper"]
    assert unprinted((caller, helper)) == []


def test_what_a_piece_takes_from_its_file_is_imported() -> None:
    text = printed(lesson_codes)
    assert "import ast\n" in text
    assert "from pathlib import Path" not in text  # only in the annotations and above the function
    assert text.startswith("from __future__ import annotations\n")
