"""The house has one-way doors, and rooms of a size: reads the code and fails where a rule is broken.

A rule is a function from a tree of files to complaints. It is asked twice: about the real tree, where it has
none, and about the made-up one of its docstring, which breaks it. There a line is `path | text`, with ¶ for a
new line, and what is said of it follows after `->`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from pages.shared.frame.contents import PAGES, Entry, Part
from pages.shared.frame.lessons import FOLDER
from pages.shared.settings.table import SETTINGS
from tests.unit.house_lists import ALLOWED, BY_HAND, CROSSINGS, FIGURE_FRAME, FORBIDDEN, LOWER_ROOMS
from tests.unit.imports import ROOT, Tree, circles, in_rooms, loaded_after, module_of, room_of, topic_of

Rule = Callable[[Tree], list[str]]
ROOMS = ("pages", "viz", "model_runtime")
FACE = "model_runtime/__init__.py"

MOST_LINES, MOST_FUNCTION_LINES = 500, 60


APPLICATION = Tree.of(*ROOMS, "app.py", "bench", "assets", suffixes=(".py", ".pyi", ".js", ".css", ".html"))
OWN_TESTS = Tree.of("tests", suffixes=(".py", ".js"))


# Who imports whom


def rooms_import_only_what_they_may(tree: Tree) -> list[str]:
    """Our own code by a list of what is allowed, libraries by a list of what is not.

    viz/moe/load.py | def f():¶    from model_runtime import trace
    viz/a.py | from model_runtime.records import Token¶import streamlit.web
    model_runtime/trace.py | from viz import style
    pages/moe/load.py | import plotly.graph_objects as go¶import bench
    pages/shared/figure/export.py | import plotly
    -> viz/moe/load.py:2 imports model_runtime.trace: viz may not
    -> viz/a.py:2 imports streamlit.web: viz may not
    -> model_runtime/trace.py:1 imports viz: model_runtime may not
    -> pages/moe/load.py:1 imports plotly.graph_objects: pages may not
    -> pages/moe/load.py:2 imports bench: pages may not
    """
    ours = (*ROOMS, "app", "bench", "tests", "assets")
    found = []
    for arrow in in_rooms(tree, *ROOMS):
        room, top = room_of(arrow.file), arrow.module.split(".")[0]
        allowed = any(f"{arrow.module}.".startswith(f"{name}.") for name in ALLOWED[room])
        framed = top == "plotly" and arrow.file in FIGURE_FRAME
        if (top in ours and not allowed) or (top in FORBIDDEN[room] and not framed):
            found.append(f"{arrow}: {room} may not")
    return found


def imports_name_their_module_in_full(tree: Tree) -> list[str]:
    """Except in the stub of the face, which its loader wants to be relative.

    viz/a.py | from . import b
    model_runtime/__init__.pyi | from .model import Model
    -> viz/a.py:1 imports by dots
    """
    return [
        f"{arrow.file}:{arrow.line} imports by dots: name the module in full"
        for arrow in tree.arrows
        if arrow.dots
    ]


def sections_of_pages_import_only_shared_and_themselves(tree: Tree) -> list[str]:
    """And shared imports no section. The table of contents names parts by module, which is no import.

    pages/moe/load.py | from pages.shared import escape¶import_module("pages.tokens.side")
    pages/tokens/side.py | from pages.tokens import words
    pages/tokens/words.py |
    pages/shared/escape.py | if TYPE_CHECKING:¶    from pages.tokens.side import Side
    pages/shared/frame/contents.py | Part("pages.tokens.side")
    -> pages/moe/load.py:2 imports pages.tokens.side: a section
    -> pages/shared/escape.py:2 imports pages.tokens.side: a section
    """
    return [
        f"{arrow}: a section imports pages/shared and itself; what two of them need moves to shared"
        for arrow in in_rooms(tree, "pages")
        if arrow.target is not None
        and room_of(arrow.target) == "pages"
        and topic_of(arrow.target) not in ("shared", "", topic_of(arrow.file))
    ]


def crossings(tree: Tree) -> set[tuple[str, str]]:
    """Imports inside viz or the runtime that leave their topic other than to the root or a lower room."""
    found = set()
    for arrow in in_rooms(tree, "viz", "model_runtime"):
        room, topic, target = room_of(arrow.file), topic_of(arrow.file), arrow.target
        if target is None or room_of(target) != room or arrow.file == FACE:
            continue
        lower = LOWER_ROOMS if room == "model_runtime" else {}
        if topic_of(target) not in ("", topic, *lower.get(topic, lower)):
            found.add((arrow.file, target))
    return found


def topics_import_only_their_root_and_themselves(tree: Tree) -> list[str]:
    """In the runtime the four lower rooms too; the face gives names of all of them.

    viz/style.py | import viz.moe.load
    viz/moe/load.py | from viz import style¶from viz.tokens import columns
    viz/tokens/columns.py |
    model_runtime/moe/load.py | from model_runtime.capture.hooks import Hook
    model_runtime/capture/hooks.py | from model_runtime.moe import load
    model_runtime/__init__.pyi | from .moe.load import f
    -> model_runtime/capture/hooks.py imports model_runtime/moe/load.py: move
    -> viz/moe/load.py imports viz/tokens/columns.py: move
    -> viz/style.py imports viz/moe/load.py: move
    """
    return [
        f"{file} imports {target}: move what both need to the room's root, or list it in house_lists.py"
        for file, target in sorted(crossings(tree) - CROSSINGS)
    ]


def listed_crossings_are_there(tree: Tree) -> list[str]:
    gone = sorted(CROSSINGS - crossings(tree))
    return [f"{file} no longer imports {target}: take it off house_lists.py" for file, target in gone]


def records_import_numpy_only(tree: Tree) -> list[str]:
    """So that viz, and a process that never loads a model, can have them for nothing.

    model_runtime/records/a.py | import numpy as np, math¶from model_runtime import errors¶import torch
    model_runtime/records/b.py | from model_runtime.records.a import A
    -> model_runtime/records/a.py:2 imports model_runtime: records import
    -> model_runtime/records/a.py:3 imports torch: records import
    """
    records = list(in_rooms(tree, "model_runtime/records"))
    plain = {*sys.stdlib_module_names, "numpy"}
    found = [
        f"{arrow}: records import numpy and each other only"
        for arrow in records
        if arrow.module.split(".")[0] not in plain
        and not f"{arrow.target}".startswith("model_runtime/records/")
    ]
    return found if records else ["model_runtime/records/ is not there"]


def nobody_imports_in_a_circle(tree: Tree) -> list[str]:
    """Late imports and those for the type checker counted; scripts of the browser too.

    viz/a.py | def late():¶    from viz.b import f
    viz/b.py | if TYPE_CHECKING:¶    import viz.c
    viz/c.py | from viz import a
    viz/d.py | from viz import a
    assets/js/x.js | import {y} from './y.js';
    assets/js/y.js | export {x} from './x.js';
    -> import each other: assets/js/x.js, assets/js/y.js
    -> import each other: viz/a.py, viz/b.py, viz/c.py
    """
    return circles(tree.arrows)


def scripts_import_files_that_are_there(tree: Tree) -> list[str]:
    """A misspelt name is seen by the browser only. `tables.js` is made by pages/shared/figure/scripts.py.

    assets/js/x.js | import {z} from "./tables.js"¶import {¶  y,¶} from "./y.js";
    -> assets/js/x.js:4 imports ./y.js: no such file
    """
    scripts = [arrow for arrow in tree.arrows if arrow.module.startswith(".") and arrow.target is None]
    return [f"{arrow}: no such file" for arrow in scripts if arrow.module != "./tables.js"]


# Names and places


def topics_have_one_name_in_all_rooms(tree: Tree) -> list[str]:
    """From `pages/moe/load.py` one guesses `viz/moe/load.py`.

    pages/moe/moe.py |
    viz/moe/a.py |
    viz/experts/a.py |
    model_runtime/sampling/a.py |
    -> viz/experts/: no topic of pages has this name
    """
    topics = {topic_of(file) for file in tree.files if room_of(file) == "pages"}
    known = {"viz": topics - {"shared"}, "model_runtime": topics - {"shared"} | {*LOWER_ROOMS}}
    return sorted(
        {
            f"{room_of(file)}/{topic_of(file)}/: no topic of pages has this name"
            for file in tree.files
            if room_of(file) in known and topic_of(file) not in known[room_of(file)] | {""}
        }
    )


def folders_of_tests_mirror_folders_of_code(tree: Tree) -> list[str]:
    """Looks at folders of tests in `tree` and at those of code on the disk.

    tests/unit/viz/moe/test_load.py |
    tests/unit/viz/experts/test_load.py |
    -> tests/unit/viz/experts/ tests nothing: there is no viz/experts/
    """
    homes = {folder: folder.removeprefix("tests/unit").strip("/") for folder in tree.folders}
    return [
        f"{folder}/ tests nothing: there is no {home}/"
        for folder, home in sorted(homes.items())
        if folder.startswith("tests/unit/") and not (ROOT / home).is_dir()
    ]


def packages_say_what_lives_there(tree: Tree) -> list[str]:
    """Sections of pages are folders of scripts, which Streamlit runs by path: no packages.

    viz/moe/a.py |
    viz/tokens/__init__.py | "What lives here."
    pages/moe/__init__.py | a = 1
    pages/tokens/a.py |
    -> pages/moe/__init__.py has no docstring
    -> viz/moe/__init__.py has no docstring
    """
    packages = {one for one in tree.folders if one.startswith((*ROOMS[1:], "bench", "pages/shared"))}
    packages |= {path.removesuffix("/__init__.py") for path in tree.files if path.endswith("/__init__.py")}
    return [
        f"{package}/__init__.py has no docstring that says what lives there"
        for package in sorted(packages)
        if not ast.get_docstring(tree.parsed(f"{package}/__init__.py"))
    ]


# Sizes and layout


def no_file_is_too_long_to_read(tree: Tree) -> list[str]:
    return [
        f"{path} has {lines} lines, at most {MOST_LINES}: find the seam"
        for path, text in tree.files.items()
        if path.endswith((".py", ".js")) and (lines := len(text.splitlines())) > MOST_LINES
    ]


def no_function_is_too_long_to_read(tree: Tree) -> list[str]:
    return [
        f"{function} has {function.lines} lines, at most {MOST_FUNCTION_LINES}: find the seam"
        for function in tree.functions
        if function.lines > MOST_FUNCTION_LINES
    ]


def layout_is_left_to_the_formatter(tree: Tree) -> list[str]:
    """Each `# fmt: skip` is a place that the next change leaves crooked.

    viz/a.py | a = 1  # fmt: skip
    -> viz/a.py has 1 `# fmt: skip`, at most 0
    """
    counts = {path: text.count("# fmt: skip") + text.count("# fmt: off") for path, text in tree.files.items()}
    return [
        f"{path} has {count} `# fmt: skip`, at most {most}: find a layout that the formatter keeps"
        for path, count in counts.items()
        if count > (most := BY_HAND.get(path, 0))
    ]


def files_laid_out_by_hand_are_still_so(tree: Tree) -> list[str]:
    by_hand = {path for path, text in tree.files.items() if "# fmt: " in text}
    return [
        f"{path} has no `# fmt: skip` any more: take it off house_lists.py"
        for path in sorted({*BY_HAND} - by_hand)
    ]


# What runs


def caches_live_in_shared_only(tree: Tree) -> list[str]:
    """`st.cache_*` anywhere else would be a second, unbounded memory nobody looks after.

    pages/moe/a.py | @st.cache_data¶def f(): pass
    pages/moe/b.py | cost.cache_bytes()
    app.py | from streamlit import cache_resource
    pages/shared/run/a.py | @st.cache_data¶def f(): pass
    -> pages/moe/a.py has a cache
    -> app.py has a cache
    """
    cached = re.compile(r"\b(?:st|streamlit)\.cache_|import cache_(?:data|resource)")
    return [
        f"{path} has a cache of Streamlit's: what is kept is kept by pages/shared"
        for path, text in tree.files.items()
        if path.endswith(".py") and not path.startswith("pages/shared/") and cached.search(text)
    ]


def nothing_is_fetched_from_outside(tree: Tree) -> list[str]:
    """Scripts, styles and pages of ours name no foreign host to load from.

    assets/a.css | @import 'https://fonts.googleapis.com/x'
    -> assets/a.css names fonts.googleapis
    """
    hosts = ("//cdn", "cdnjs.", "unpkg.com", "jsdelivr", "fonts.googleapis")
    return [f"{path} names {host}" for path, text in tree.files.items() for host in hosts if host in text]


def every_name_of_the_face_is_defined(tree: Tree) -> list[str]:
    """Read from the sources; `test_package.py` asks for each of them, which loads torch.

    model_runtime/__init__.pyi | from . import errors¶from .model import Model, load¶from .gone import f
    model_runtime/errors.py |
    model_runtime/model.py | class Model: pass
    -> model_runtime/__init__.pyi gives load, which model_runtime.model does not define
    -> model_runtime/__init__.pyi gives f, which model_runtime.gone does not define
    """
    files = {module_of(path): path for path in tree.files if path.endswith(".py")}
    given = tree.given_by_stub(f"{FACE}i")
    return [
        f"{FACE}i gives {name}, which {module} does not define"
        for module, names in given.items()
        for name in sorted(names - tree.defined(files.get(module, "")))
        if f"{module}.{name}" not in files
    ] or [f"{FACE}i is not there, or gives nothing"] * (not given)


def parts_out_of_step(pages: tuple[Entry, ...]) -> list[str]:
    """Parts without a file that draws them, a text, or a value of their page's setting; texts of no part."""
    found, texts = [], set()
    for entry in pages:
        row, keys = SETTINGS.get(entry.setting), [part.key for part in entry.parts]
        if keys and not (row and (row.page, row.default, *map(row.fit, keys)) == (entry.url, keys[0], *keys)):
            found.append(
                f"{entry.url}: its setting {entry.setting!r} is not one of {keys}, the first if none"
            )
        for part in entry.parts:
            file = f"{part.module.replace('.', '/')}.py"
            if topic_of(file) != entry.file.split("/")[0] or "draw" not in APPLICATION.defined(file):
                found.append(f"{entry.url}: {file} is no file of its section with a function `draw`")
        texts |= {f"{entry.url}/{key}.md" for key in keys} or {f"{entry.url}.md"}
    there = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.md")}
    return found + [
        f"{path}: a part without this text, or a text of no part" for path in sorted(there ^ texts)
    ]


RULES = [rule for rule in [*globals().values()] if callable(rule) and "\n    -> " in (rule.__doc__ or "")]
COUNTS: list[Rule] = [
    listed_crossings_are_there,
    no_file_is_too_long_to_read,
    no_function_is_too_long_to_read,
    files_laid_out_by_hand_are_still_so,
]


@pytest.mark.parametrize("rule", [*RULES, *COUNTS], ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rule(rule: Rule) -> None:
    tree = OWN_TESTS if rule is folders_of_tests_mirror_folders_of_code else APPLICATION
    complaints = rule(tree)
    assert not complaints, "\n".join(["", *complaints])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_sees_a_break(rule: Rule) -> None:
    lines = [line.strip() for line in (rule.__doc__ or "").splitlines()]
    files = dict(line.split(" |") for line in lines if " |" in line)
    said = rule(Tree({path: text.strip().replace("¶", "\n") for path, text in files.items()}))
    expected = [line.removeprefix("-> ") for line in lines if line.startswith("-> ")]
    assert [told[: len(words)] for told, words in zip(said, expected, strict=True)] == expected


def test_files_of_tests_are_no_longer_than_others() -> None:
    assert not no_file_is_too_long_to_read(OWN_TESTS)


def test_rules_that_count_see_a_break() -> None:
    functions = "def f():\n" + "    1\n" * 59 + "class A:\n    async def g():\n" + "        1\n" * 60
    long = Tree({"a.py": "\n" * 500, "b.js": "\n" * 501, "c.py": functions, "d.css": "\n" * 900})
    told = [*no_file_is_too_long_to_read(long), *no_function_is_too_long_to_read(long)]
    assert [words.split(",")[0] for words in told] == ["b.js has 501 lines", "c.py:62 g has 61 lines"]
    assert len(listed_crossings_are_there(long)) == len(CROSSINGS)
    assert len(files_laid_out_by_hand_are_still_so(long)) == len(BY_HAND)


def test_the_face_and_records_load_no_heavy_library() -> None:
    heavy = {"torch", "transformers", "streamlit", "plotly"}
    assert not loaded_after("import model_runtime, model_runtime.records", heavy)
    assert loaded_after("import wave", {"wave", "torch"}) == {"wave"}  # what is loaded is seen


def test_parts_settings_files_and_texts_are_in_step() -> None:
    assert not parts_out_of_step(PAGES), "\n".join(parts_out_of_step(PAGES))


def test_a_part_out_of_step_is_seen() -> None:
    attention = next(entry for entry in PAGES if entry.url == "attention")
    broken = replace(attention, parts=(*attention.parts[1:], Part("new", "New", "pages.moe.load")))
    told = parts_out_of_step(tuple(broken if entry is attention else entry for entry in PAGES))
    said = ["attention", "attention", "attention/heads.md", "attention/new.md"]
    assert [words.split(":")[0] for words in told] == said
