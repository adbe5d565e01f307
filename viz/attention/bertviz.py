"""BertViz's head view and model view (Vig 2019) of measured patterns: what is shown, and the document.

The document is ours, the drawing BertViz's. Patterns are data in it, never script: a policy lets only the
named scripts run, and all token text passes `visible` and is escaped. The patterns are sent once, without
the cells that are nought, rounded to four decimals.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from model_runtime.records import WrittenPatterns
from viz import palette, style

Kind = Literal["head", "model"]
NAMES: Mapping[Kind, str] = {"head": "Head view", "model": "Model view"}

MOST_TOKENS: Mapping[Kind, int] = {"head": 96, "model": 48}
# The head view draws one layer at a time and holds the others; the model view draws every line it holds.
MOST_VALUES: Mapping[Kind, int] = {"head": 150_000, "model": 45_000}
NEAR = 5  # layers in "near"
_YELLOW = palette.CATEGORIES.index("#f0e442")
_LONGEST_TOKEN = {"head": 16, "model": 14}  # characters


@dataclass(frozen=True)
class Span:
    """What of a run is shown: these layers, and the tokens at these positions."""

    layers: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class BertvizView:
    """One view, ready to be written into a document."""

    kind: Kind
    span: Span
    tokens: tuple[str, ...]  # as shown, of the span
    patterns: WrittenPatterns  # of the layers of the span

    @property
    def nbytes(self) -> int:
        return self.patterns.nbytes + sum(map(len, self.tokens))

    @cached_property
    def key(self) -> str:
        """A hash of all that the document shows."""
        digest = hashlib.sha256(repr((self.kind, self.span, self.tokens, self.patterns.n_heads)).encode())
        for layer in self.patterns.rows:
            digest.update(layer.encode())
        return digest.hexdigest()


def span_of(
    kind: Kind, n_tokens: int, n_layers: int, n_heads: int, *, layer: int, query: int, layers: str = "all"
) -> Span:
    """The layers around `layer` and the tokens up to `query` that the view can hold.

    Tokens come first: as many as the limits allow for one layer. Where they are not all, they are those that
    end with the query, and the first one, which many heads read (an attention sink). Then as many layers as
    fit, or fewer: `layers` is "all", "near" (five) or "one".

    >>> span_of("head", 11, 30, 9, layer=24, query=10) == Span(tuple(range(30)), tuple(range(11)))
    True
    >>> span_of("head", 900, 30, 9, layer=24, query=500) == Span((23, 24, 25), (0, *range(406, 501)))
    True
    """
    size = min(n_tokens, MOST_TOKENS[kind])
    while size > 1 and n_heads * _cells(size) > MOST_VALUES[kind]:
        size -= 1
    first = min(max(query + 1 - size, 0), n_tokens - size)
    positions = (0, *range(first + 1, first + size))
    asked = {"all": n_layers, "near": NEAR, "one": 1}[layers]
    count = max(1, min(n_layers, asked, MOST_VALUES[kind] // (n_heads * _cells(size))))
    lowest = min(max(layer - count // 2, 0), n_layers - count)
    return Span(tuple(range(lowest, lowest + count)), positions)


def _cells(n_tokens: int) -> int:
    """Cells of one causal pattern."""
    return n_tokens * (n_tokens + 1) // 2


def bertviz_view(
    kind: Kind, span: Span, patterns: WrittenPatterns, token_texts: Sequence[str]
) -> BertvizView:
    """Values -> what will be drawn.

    Args:
        patterns: of the span. Layers that have none are left out.
        token_texts: of the whole prompt.
    """
    tokens = (style.shorten(style.visible(token_texts[at]), _LONGEST_TOKEN[kind]) for at in span.positions)
    span = Span(patterns.layers, span.positions)
    return BertvizView(kind, span, tuple(text or "⟨empty⟩" for text in tokens), patterns)


def outside_share(row: np.ndarray, span: Span) -> float:
    """How much of a query's attention [key_pos] goes to tokens that are not shown."""
    return float(np.delete(row, span.positions).sum())


def size_sentence(view: BertvizView, n_tokens: int, n_layers: int, outside: float, asked: str = "all") -> str:
    """What is shown and what is not, with the numbers; plain text."""
    layers, positions, patterns = view.span.layers, view.span.positions, view.patterns
    cut = len(positions) < n_tokens
    rounded = (
        f"{patterns.n_values:,} probabilities, rounded to {patterns.decimals} decimals "
        "(Step by step has them in full)."
    )
    if len(layers) == n_layers and not cut:
        return f"All {n_layers} layers of {patterns.n_heads} heads: {rounded}"
    some_layers = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]} to {layers[-1]}"
    some_tokens = f"{_places(positions)} of {n_tokens:,}" if cut else f"all {n_tokens:,} tokens"
    said = f"Here: {some_layers} of {n_layers} (counted from 0), {some_tokens}; {rounded}"
    if asked == "all" or cut:
        whole = n_layers * patterns.n_heads * _cells(n_tokens)
        said += (
            f" The whole prompt would be {whole:,}; this view takes at most {MOST_VALUES[view.kind]:,}, and "
            f"{MOST_TOKENS[view.kind]} tokens."
        )
    if cut:
        said += f" The selected token pays {style.share(outside)} to tokens that are not shown."
    return said


def _places(positions: Sequence[int]) -> str:
    """The positions of a cut prompt in words."""
    if positions[-1] == len(positions) - 1:
        return f"tokens 0 to {positions[-1]}"
    return f"token 0 and tokens {positions[1]:,} to {positions[-1]:,}"


# --- the document


def linked_page(view: BertvizView, base: str, nonce: str) -> str:
    """The document for the app's own frame. Its scripts are the server's, under the path `base`."""
    names = ("bertviz_d3.js", "bertviz_jquery.js", "bertviz_document.js", f"bertviz_{view.kind}_view.js")
    scripts = "".join(f'<script nonce="{nonce}" src="{base}/{name}"></script>\n' for name in names)
    css = f'<link nonce="{nonce}" rel="stylesheet" href="{base}/bertviz_document.css">'
    return _page(view, policy(f"'nonce-{nonce}'"), _styles(nonce) + css, scripts)


def policy(source: str) -> str:
    """A content security policy under which scripts and styles of `source` run, and nothing is fetched."""
    return f"default-src 'none'; script-src {source}; style-src {source}; base-uri 'none'; form-action 'none'"


def standalone_page(
    view: BertvizView,
    files: Mapping[str, str],  # name -> script or style, see `bertviz_files.scripts`
    *,
    layer: int,
    head: int,
    query: int,
    badge: str,
    caption: str,
) -> str:
    """One file that draws the view offline, opened on a layer and head: everything is inside, caption below.

    The policy names the scripts by their hashes: no other script runs in it, and nothing is fetched.
    """
    names = ("bertviz_d3.js", "bertviz_jquery.js", "bertviz_document.js", f"bertviz_{view.kind}_view.js")
    scripts = [files[name].replace("</script", r"<\/script").replace("<!--", r"<\!--") for name in names]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    allowed = policy(hashes).replace(f"style-src {hashes}", "style-src 'unsafe-inline'")
    css = f"{_styles()}<style>{files['bertviz_document.css']}</style>"
    place = {"layer": layer, "head": head, "token": query}
    return _page(
        view,
        allowed,
        css,
        "".join(f"<script>{script}</script>\n" for script in scripts),
        place,
        badge,
        caption,
    )


def _page(
    view: BertvizView,
    allowed: str,
    css: str,
    scripts: str,
    place: Mapping[str, int] | None = None,
    badge: str = "",
    caption: str = "",
) -> str:
    title = f"BertViz {NAMES[view.kind].lower()}"
    above = f"<p>{html.escape(badge)}</p>" if badge else ""
    below = f"<p>{html.escape(caption)}</p>" if caption else ""
    return f"""<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(allowed)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{css}</head>
<body class="{view.kind}">{above}
<main id="bertviz"><label class="layers">Layer: <select id="layer"></select></label>
<div id="vis"></div></main>
{below}<script type="application/json" id="data">{_data(view, place or {})}</script>
{scripts}</body></html>
"""


def _data(view: BertvizView, place: Mapping[str, int]) -> str:
    """What the scripts read, as JSON that can stand inside a script element."""
    head = {
        "kind": view.kind,
        "layers": view.span.layers,
        "heads": view.patterns.n_heads,
        "positions": view.span.positions,
        "tokens": view.tokens,
        "place": dict(place),
        "colors": {"light": _ten(palette.CATEGORIES), "dark": _ten(palette.CATEGORIES_DARK)},
    }
    written = json.dumps(head)  # ASCII only
    for sign in "<>&":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return f'{written[:-1]}, "attention": [{",".join(view.patterns.rows)}]}}'


def _ten(colors: Sequence[str]) -> list[str]:
    """Our colours where BertViz has ten. Without the yellow: a thin yellow line is not seen on white."""
    strong = [color for index, color in enumerate(colors) if index != _YELLOW]
    return [strong[index % len(strong)] for index in range(10)]


def _styles(nonce: str = "") -> str:
    """The colours of both themes."""
    names = ("background", "surface", "ink", "muted", "line", "grid", "accent")

    def colors(of: palette.Palette) -> str:
        return ";".join(f"--{name}:{getattr(of, name)}" for name in names)

    rules = f":root{{{colors(style.LIGHT)}}}:root[data-theme=dark]{{color-scheme:dark;{colors(style.DARK)}}}"
    mark = f' nonce="{nonce}"' if nonce else ""
    return f"<style{mark}>{rules}</style>"


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
