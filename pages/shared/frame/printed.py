"""The code of a lesson as text that runs by itself: what it imports first, then each piece as it stands."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any


def printed(*code: Any) -> str:
    """Functions, classes and modules as they stand in their files, under what they import."""
    sources = [textwrap.dedent(inspect.getsource(piece)).rstrip() for piece in code]
    lines = sorted({line for name, value in _needed(code) if (line := _import_of(name, value))})
    head = ["\n".join(["from __future__ import annotations", "", *lines])] if lines else []
    return "\n\n\n".join([*head, *sources])


def unprinted(code: Sequence[Any]) -> list[str]:
    """Functions of ours that the pieces call without being printed themselves: a lesson has none.

    `step()`, which tells a waiting page how far the work is, and `finite()`, which refuses what is no number,
    compute nothing and are only imported.
    """
    shown = {id(piece) for piece in code}
    return sorted(
        {
            name
            for name, value in _needed(code)
            if isinstance(inspect.unwrap(value), FunctionType)
            and value.__module__.startswith("model_runtime")
            and value.__module__ not in ("model_runtime.steps", "model_runtime.finite")
            if id(value) not in shown
        }
    )


def _needed(code: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """What the pieces take from their files: names, with what they stand for there."""
    own = {getattr(piece, "__name__", "") for piece in code}
    for piece in code:
        if isinstance(piece, ModuleType):
            continue  # brings its imports along
        around = getattr(piece, "__globals__", None) or vars(sys.modules[piece.__module__])
        tree = ast.parse(textwrap.dedent(inspect.getsource(piece)))
        for name in _loaded(tree) - own:
            if name in around:
                yield name, around[name]


def _loaded(tree: ast.AST) -> set[str]:
    """Names that are read, without those in annotations, which nothing evaluates."""
    skipped = {
        id(annotation)
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
    }
    found, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        waiting += [child for child in ast.iter_child_nodes(node) if id(child) not in skipped]
    return found


def _import_of(name: str, value: Any) -> str:
    """The line that brings a name into a notebook; "" for what is printed or needs none."""
    if isinstance(value, ModuleType):
        path, _, last = value.__name__.rpartition(".")
        if not path:
            return f"import {last}" if last == name else f"import {last} as {name}"
        return f"from {path} import {last}" if last == name else f"import {value.__name__} as {name}"
    if isinstance(value, bool | int | float | str | tuple):
        return f"{name} = {value!r}" if len(repr(value)) < 80 else ""
    home = getattr(value, "__module__", "")
    return f"from {home} import {name}" if home and home != "builtins" else ""
