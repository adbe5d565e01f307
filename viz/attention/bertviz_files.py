"""The scripts that BertViz's pictures are drawn with, as the installed packages bring them; none is imported.

BertViz's own HTML loads d3 and jQuery from the web. Both come inside wheels here (requirements-model.txt), so
its scripts, unchanged but for the addresses and the place of their data, run without any request outside.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

INSTALL = "pip install --no-deps --require-hashes -r requirements-model.txt && pip install 'bertviz~=1.4.1'"

# name of the script in our document -> (package, file in it)
_FILES = {
    "bertviz_d3.js": ("mpld3", "js/d3.v5.min.js"),  # d3 5.7.0
    "bertviz_jquery.js": ("xstatic", "pkg/jquery/data/jquery.min.js"),  # jQuery 3.7.1
    "bertviz_head_view.js": ("bertviz", "head_view.js"),
    "bertviz_model_view.js": ("bertviz", "model_view.js"),
}
_MARKER = "PYTHON_PARAMS;"  # where BertViz's Python pastes its data into the script


def missing() -> tuple[str, ...]:
    """Names of the packages that are not installed, or do not have the file that is needed."""
    absent = [package for package, path in _FILES.values() if _find(package, path) is None]
    return tuple(dict.fromkeys(absent))


@cache
def scripts() -> Mapping[str, str]:
    """name -> script, of those that are installed."""
    found = {name: _find(*file) for name, file in _FILES.items()}
    texts = {name: path.read_text(encoding="utf-8") for name, path in found.items() if path}
    return {name: _with_data_from_page(text) if "view" in name else text for name, text in texts.items()}


def _find(package: str, path: str) -> Path | None:
    """A file inside an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((Path(folder) / path for folder in folders if (Path(folder) / path).is_file()), None)


def _with_data_from_page(script: str) -> str:
    """BertViz's script reading its data from `window.bertviz`, and naming no address."""
    assert _MARKER in script, "BertViz's script has no place for its data: this is not version 1.4"
    return re.sub(r"'https?://[^']*'", "''", script.replace(_MARKER, "window.bertviz;", 1))
