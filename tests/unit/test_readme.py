"""Every code block of every text for people: Python is run, commands and names are looked up.

A line that needs the network or a file of the reader's must fail with our own "no such model" and nothing
else.
"""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from model_runtime.errors import ModelNotFound
from model_runtime.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
TEXTS = (
    "README.md",
    "CONTRIBUTING.md",
    "bench/RESULTS.md",
    "assets/train/DATA.md",
    "assets/heldout/README.md",
)
VERBS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
PIPELINE = "prompt -> model_runtime -> records -> viz -> pages"
SYSTEM = {". .venv/bin/activate", r".venv\Scripts\Activate.ps1"}


@cache
def blocks() -> tuple[tuple[str, str], ...]:
    """(file, code) of every indented or fenced block; `markdown_it` reads what a browser would show."""
    from markdown_it import MarkdownIt

    return tuple(
        (name, token.content)
        for name in TEXTS
        for token in MarkdownIt().parse((ROOT / name).read_text(encoding="utf-8"))
        if token.type in ("code_block", "fence")
    )


def is_python(code: str) -> bool:
    return "import " in code.splitlines()[0]


def commands() -> list[tuple[str, str]]:
    lines = [(name, line) for name, code in blocks() if not is_python(code) for line in code.splitlines()]
    return [
        (name, line.partition("#")[0].strip()) for name, line in lines if line.strip() not in ("", PIPELINE)
    ]


def needs_more_than_is_here(statement: ast.stmt) -> bool:
    """Whether a line loads a hub model, or one that lies on the reader's disk."""
    names = [node.value for node in ast.walk(statement) if isinstance(node, ast.Constant)]
    return "load_model" in ast.unparse(statement) and any("/" in str(name) for name in names)


@pytest.mark.parametrize("code", [code for _, code in blocks() if is_python(code)])
def test_every_python_block_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, object] = {}
    for statement in ast.parse(code).body:
        line = compile(ast.Module([statement], []), "README.md", "exec")
        if needs_more_than_is_here(statement):
            with pytest.raises(ModelNotFound):
                exec(line, known)
        else:
            exec(line, known)
    assert "Traceback" not in capsys.readouterr().out


def test_the_notebook_lines_are_among_them() -> None:
    python = [code for name, code in blocks() if name == "README.md" and is_python(code)]
    assert any("self_proof" in code for code in python)
    assert any("/models/my-llama" in code for code in python)


@pytest.mark.parametrize(("file", "line"), commands())
def test_every_command_names_what_exists(file: str, line: str) -> None:
    if line in SYSTEM:
        return
    words = [word for word in shlex.split(line, posix="\\" not in line) if not re.match(r"[A-Z_]+=", word)]
    program, rest = Path(words[0]).name, words[1:]
    if program == "make":
        assert set(rest) <= VERBS
    elif program == "pip":
        files = [rest[at + 1] for at, word in enumerate(rest) if word == "-r"]
        assert files or f"{rest[-1]}" in (ROOT / "requirements.txt").read_text().splitlines()
        assert all((ROOT / name).is_file() for name in files)
    else:
        assert program in ("python", "python3.11", "py"), line
        module = rest[rest.index("-m") + 1]
        assert find_spec(module) is not None, line


def test_every_environment_variable_of_ours_is_in_the_table_and_in_the_code() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(GLASSFORMER_\w+)`", readme, re.MULTILINE))
    files = [file for room in ("model_runtime", "viz", "pages") for file in (ROOT / room).rglob("*.py")]
    used = {
        name
        for file in [*files, ROOT / "app.py"]
        for name in re.findall(r"GLASSFORMER_\w+", file.read_text())
    }
    used |= {f"GLASSFORMER_{field.name.upper()}" for field in fields(Limits)}
    assert told == used
    assert set(re.findall(r"GLASSFORMER_\w+", readme)) == told
