"""BertViz's document in a frame of our page: badge, frame, caption, and what was chosen in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pages.shared.figure import scripts
from pages.shared.figure.provenance import Provenance, badge_text, caption
from pages.shared.server import bertviz_route
from viz.attention import bertviz_files
from viz.attention.bertviz import NAMES, BertvizView, standalone_page

HEIGHT = 640  # pixels; a longer document scrolls inside the frame
_COMPONENT = scripts.component("bertviz_frame")


@dataclass(frozen=True)
class Place:
    """The selection: layer, head, and the position of the query token in the whole prompt."""

    layer: int
    head: int
    query: int


def bertviz_frame(
    view: BertvizView, place: Place, *, key: str, provenance: Provenance, alt: str, clickable: bool
) -> dict[str, int]:
    """Show a view, opened on `place`. Returns what was chosen in it in this run: of layer, head and token.

    The message holds an address only; the browser fetches the document, whose key is a hash of its content.
    """
    result = _COMPONENT(
        key=key,
        data={
            "key": key,
            "document": bertviz_route.put(view, scripts.base_path()),
            "title": f"BertViz {NAMES[view.kind].lower()}. {alt}",
            "alt": alt,
            "layer": place.layer,
            "head": place.head,
            "token": place.query,
            "badge": {"kind": provenance.kind, "text": badge_text(provenance), "meaning": provenance.meaning},
            "caption": caption(provenance),
            "height": HEIGHT,
            "clickable": clickable,
        },
        on_choose_change=lambda: None,  # read off the result
        on_again_change=lambda: None,
    )
    return chosen(result.choose)


def chosen(payload: Any) -> dict[str, int]:
    """The whole numbers of a report that may be anybody's: those of layer, head and token, none below 0.

    >>> chosen({"layer": 3, "head": "x", "token": -1, "model": 1})
    {'layer': 3}
    """
    if not isinstance(payload, Mapping):
        return {}
    numbers = {name: payload.get(name) for name in ("layer", "head", "token")}
    return {name: value for name, value in numbers.items() if type(value) is int and value >= 0}


def standalone(view: BertvizView, place: Place, provenance: Provenance) -> bytes:
    """The view as one HTML file that works offline."""
    ours = ("bertviz_document.js", "bertviz_document.css")
    files = dict(bertviz_files.scripts()) | {name: scripts.asset(name) for name in ours}
    page = standalone_page(
        view,
        files,
        layer=place.layer,
        head=place.head,
        query=place.query,
        badge=badge_text(provenance),
        caption=caption(provenance),
    )
    return page.encode("utf-8", "replace")
