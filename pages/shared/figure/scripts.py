"""Our scripts and styles: what is served and where, and how a component of ours comes to use them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import plotly
import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from model_runtime.sampling.settings import DEFAULT_ORDER, FIELD_AND_OFF
from pages.shared.figure import glossary
from viz import palette
from viz.attention import bertviz_files
from viz.output.sampling_words import LABELS
from viz.style import CUT

FOLDER = Path(__file__).resolve().parents[3] / "assets" / "js"
EXTRA: list[Path] = []  # further folders of scripts, of an app that brings its own (the tests do)
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
# All that travels inline, with every message: the rest comes from our own route, once.
_SHIM = """export default async component =>
(await import(location.origin + component.data.base + "/{name}.js")).default(component)"""


def base_path() -> str:
    """Where our scripts are, as a path from the site's root. The version in it lets browsers keep them."""
    prefix = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + prefix if prefix else ''}/glassformer/{_version()}"


def component(name: str) -> Callable[..., Any]:
    """A component of ours that lives in `assets/js/name.js` (see `mount.js`); to be made once, when imported.

    It is drawn by a call with `key`, `data` (plain values, which the script gets), and `on_..._change` for
    each trigger that the script pulls.
    """
    js = _SHIM.format(name=name)
    mount = st.components.v2.component(f"glassformer_{name}", js=js, isolate_styles=False)

    def draw(*, data: dict[str, Any], **options: Any) -> Any:
        return mount(data={"base": base_path(), **data}, **options)

    return draw


def inline_component(name: str, html: str | None = None) -> ComponentRenderer:
    """A small component that cannot wait for a script to arrive, and whose styles keep to themselves."""
    css = asset(f"{name}.css") if html else None
    return st.components.v2.component(f"glassformer_{name}", html=html, css=css, js=asset(f"{name}.js"))


@cache
def asset(name: str) -> str:
    """The text of one of our scripts or styles, for what must have it inside."""
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def assets() -> dict[str, bytes]:
    """name -> content: everything in `assets/js`, plotly's and BertViz's scripts, and Python's tables."""
    found = (path for folder in (FOLDER, *EXTRA) for path in sorted(folder.iterdir()) if path.suffix in TYPES)
    files = {path.name: path.read_bytes() for path in found}
    bundle = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    files["plotly.min.js"] = bundle.read_bytes()
    files |= {name: script.encode() for name, script in bertviz_files.scripts().items()}
    files["tables.js"] = tables().encode()
    return files


def tables() -> str:
    """What our scripts and Python must agree on, as a script: colours, and the steps of sampling."""
    shared = {
        "LIGHT": asdict(palette.LIGHT),
        "DARK_OF": palette.light_to_dark(),
        "CATEGORIES": palette.CATEGORIES,
        "PATTERNS": palette.PATTERNS,
        "CUT": CUT,
        "GLOSSARY": [asdict(word) for word in glossary.words()],
        "STEPS": {
            name: {"label": LABELS[name], "field": FIELD_AND_OFF[name][0], "off": FIELD_AND_OFF[name][1]}
            for name in DEFAULT_ORDER
        },
    }
    return "".join(f"export const {name} = {json.dumps(value)}\n" for name, value in shared.items())


@cache
def _version() -> str:
    digest = hashlib.sha256()
    for name, content in assets().items():
        digest.update(name.encode())
        digest.update(content)
    return digest.hexdigest()[:12]
