"""Reads which file imports which: every import at any depth, late ones and those for the type checker too.

A `Tree` is files by path, so that a test can hand in a made-up one of three lines.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
CONTENTS = "pages/shared/frame/contents.py"  # names every part's module: a table, not an import
# import {a} from "./x.js", export * from "./x.js", import "./x.js", import("./x.js")
_SCRIPT_IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")


@dataclass(frozen=True)
class Arrow:
    """One import: `file` in `line` names `module`, which stands in `target` where it is ours."""

    file: str
    line: int
    module: str  # in full, without the name taken from it: "pages.shared.run.runs"; "./dom.js" in a script
    target: str | None
    dots: int = 0  # in front of a relative name

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@dataclass(frozen=True)
class Function:
    """One function, from the line of its `def` to its last."""

    file: str
    line: int
    name: str
    lines: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}"


@dataclass(frozen=True)
class Tree:
    """Text of files by their path from the repository's root."""

    files: Mapping[str, str]

    @classmethod
    def of(cls, *roots: str, suffixes: tuple[str, ...] = (".py", ".pyi")) -> Tree:
        """The files in these folders of the repository, and the files that are named."""
        found = {}
        for start in (ROOT / root for root in roots):
            for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
                if path.suffix in suffixes:
                    found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        return cls(found)

    @cached_property
    def folders(self) -> set[str]:
        return {PurePosixPath(path).parent.as_posix() for path in self.files}

    def parsed(self, path: str) -> ast.Module:
        """Its syntax tree; an empty one where there is no such file."""
        return ast.parse(self.files.get(path, ""))

    def defined(self, path: str) -> set[str]:
        """Names at the top of a file: functions, classes, values, what it imports."""
        names = set()
        for node in self.parsed(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                names |= {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}
        return names

    def given_by_stub(self, path: str) -> dict[str, set[str]]:
        """Module -> names that a package's stub hands on from it."""
        given: dict[str, set[str]] = {}
        for node in self.parsed(path).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                module = f"{module_of(path)}.{node.module or ''}".rstrip(".")
                given.setdefault(module, set()).update(alias.name for alias in node.names)
        return given

    @property
    def arrows(self) -> list[Arrow]:
        """Every import of every file. A stub counts as its module: it says what the module gives."""
        return self._read[0]

    @property
    def functions(self) -> list[Function]:
        """Every function and method of the Python files, inner ones too."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[list[Arrow], list[Function]]:
        """Both in one pass that keeps no syntax tree: 300,000 nodes would slow down every later test."""
        ours = {module_of(path): path for path in self.files if path.endswith(".py")}
        arrows, functions = [*self._script_arrows()], []
        for path in self.files:
            for node in ast.walk(self.parsed(path)) if path.endswith((".py", ".pyi")) else ():
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    functions.append(Function(path, node.lineno, node.name, lines))
                for names in _meant(path, node, ours):
                    module = next((name for name in names if name in ours), names[-1])
                    dots = getattr(node, "level", 0) if path.endswith(".py") else 0
                    line = getattr(node, "lineno", 0)
                    arrows.append(Arrow(path.removesuffix("i"), line, module, ours.get(module), dots))
        return [*dict.fromkeys(arrows)], functions

    def _script_arrows(self) -> Iterator[Arrow]:
        for path, text in self.files.items():
            for match in _SCRIPT_IMPORT.finditer(text) if path.endswith(".js") else ():
                target = (PurePosixPath(path).parent / match[1]).as_posix()
                line = text.count("\n", 0, match.start()) + 1
                yield Arrow(path, line, match[1], target if target in self.files else None)


def module_of(path: str) -> str:
    """Dotted name of a file: "viz/moe/__init__.py" -> "viz.moe"."""
    return path.removesuffix("i").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room_of(file: str) -> str:
    return file.split("/")[0]


def topic_of(file: str) -> str:
    """Folder below the room: "viz/output/next_token/figure.py" -> "output"; "" at the room's root."""
    return file.split("/")[1] if file.count("/") > 1 else ""


def in_rooms(tree: Tree, *rooms: str) -> list[Arrow]:
    """Every import of the files below these folders."""
    return [arrow for arrow in tree.arrows if arrow.file.startswith(tuple(f"{room}/" for room in rooms))]


def _meant(path: str, node: ast.AST, ours: Mapping[str, str]) -> Iterator[list[str]]:
    """What an import may mean, the longest first: in `from a import b`, b is a module or a name.

    A module of ours that stands as a text counts too: it can be imported by that name.
    """
    if isinstance(node, ast.Import):
        yield from ([alias.name] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = module_of(path) if "/__init__." in path else module_of(path).rpartition(".")[0]
        above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
        stem = ".".join([*above, *([node.module] if node.module else [])])
        yield from ([f"{stem}.{alias.name}", stem] for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path != CONTENTS:
        yield from [[node.value]] if "." in node.value and node.value in ours else []


def circles(arrows: Iterable[Arrow]) -> list[str]:
    """Files that lead back to themselves, one sentence for each group of them."""
    leads: dict[str, set[str]] = {}
    for arrow in arrows:
        if arrow.target is not None:
            leads.setdefault(arrow.file, set()).add(arrow.target)
    reached = {file: _reach(file, leads) for file in leads}
    groups = {
        tuple(sorted(other for other in reached[file] if file in reached.get(other, ())))
        for file in leads
        if file in reached[file]
    }
    return [f"import each other: {', '.join(group)}" for group in sorted(groups)]


def _reach(start: str, leads: Mapping[str, set[str]]) -> set[str]:
    """Every file that `start` leads to, over any number of imports."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for target in leads.get(waiting.pop(), set()) - reached:
            reached.add(target)
            waiting.append(target)
    return reached


def loaded_after(code: str, libraries: set[str]) -> set[str]:
    """Those of `libraries` that a fresh Python has loaded after `code`."""
    asked = f"{code}\nimport sys\nprint(*({libraries!r} & {{*sys.modules}}))"
    fresh = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {*fresh.stdout.split()}
