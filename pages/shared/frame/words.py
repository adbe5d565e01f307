"""Words of the field: dotted in our own texts, explained where they stand and in a list (`words.js`).

The texts are React's, which fails when another hand changes its nodes: the script marks ranges of text (CSS
Custom Highlight API) and changes no node. A range takes no focus, so the list is the way for keyboards, for
screen readers and for browsers that cannot mark ranges. All words come from `assets/lessons/glossary.toml`.
"""

from __future__ import annotations

from pages.shared.figure import scripts

_COMPONENT = scripts.component("words")


def draw() -> None:
    """Draw the button that opens the list; the script finds the words by itself, also after a change."""
    _COMPONENT(key="gf.words", data={})
