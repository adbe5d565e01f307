"""Links in other people's notes go on showing the same picture: keys and texts of settings never change.

`old_links.json` was written by the app as it was before its rooms were ordered by topic: for each page and
part of then an address as it stood in the browser, and the values that this app read from it. Each setting of
then has another value than its default in one of them. Lines may be added; none is changed or taken away.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from model_runtime.loading.catalogue import row_called
from pages.shared.frame import contents
from pages.shared.settings.table import defaults, read_link, write_link
from tests.pages.test_pages import visit

OLD = json.loads((Path(__file__).parent / "old_links.json").read_text(encoding="utf-8"))
# One a page, on models of the bundle; on a part that is not the page's first, where the page has parts.
OPENED = (
    "/?model=gpt2-mini",
    "/tokens?model=gpt2-mini",
    "/embeddings?model=gpt2-mini",
    "/positions?model=gpt2-mini",
    "/attention?model=gpt2-mini",
    "/moe?model=mixtral-mini&dtype=auto&prompt=3+%2B+4+%3D&edits=&layer=1",
    "/next-token?model=gpt2-mini",
    "/number-formats?model=gpt2-mini",
    "/stability?model=gpt2-mini",
)


def entry_and_parameters(link: str) -> tuple[contents.Entry, dict[str, str]]:
    """The page that this address names, and what stands behind its question mark."""
    parts = urlsplit(link)
    url = parts.path.strip("/") or "home"
    entry = contents.entry_of(url)
    assert entry.url == url, f"there is no page {url}"
    return entry, dict(parse_qsl(parts.query, keep_blank_values=True))


def as_json(value: Any) -> Any:
    """A setting's value as the file holds it: tuples are lists, edits are written as Python writes them."""
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return value if isinstance(value, str | int | float) else repr(value)


@pytest.mark.parametrize("old", OLD, ids=lambda old: old["link"][:60])
def test_an_old_link_is_read_as_it_was_and_written_as_it_was(old: dict[str, Any]) -> None:
    entry, parameters = entry_and_parameters(old["link"])
    values, notices = read_link(parameters)
    assert not notices
    # A model of the list has had one name since, its id; its other names are read as ever.
    listed = row_called(parameters["model"])
    model = parameters["model"] if listed is None else listed.id
    assert {key: as_json(value) for key, value in values.items()} == {**old["values"], "model": model}
    written = write_link({**defaults(), **values}, entry.url)
    # A setting that came after the link was made is written too, at its default.
    usual = write_link(defaults(), entry.url)
    assert {key: written[key] for key in written.keys() - parameters.keys()}.items() <= usual.items()
    assert [(key, written[key]) for key in written if key in parameters] == [
        *{**parameters, "model": model}.items()
    ]


def test_no_old_link_was_taken_away() -> None:
    usual = {key: as_json(value) for key, value in defaults().items()}
    parts, changed = set(), set()
    for old in OLD:
        entry, parameters = entry_and_parameters(old["link"])
        parts.add((entry.url, parameters.get(entry.setting)))
        changed |= {key for key, value in old["values"].items() if value != usual[key]}
    assert len(OLD) >= 45
    assert len(parts) >= 39
    assert len(changed) >= 108


@pytest.mark.parametrize("start", OPENED, ids=lambda start: start[:40])
def test_an_old_link_opens_its_page_and_part(start: str) -> None:
    link = next(old["link"] for old in OLD if old["link"].startswith(start))
    entry, parameters = entry_and_parameters(link)
    app = visit(entry, **parameters)
    assert not app.exception
    assert not [element.value for element in [*app.error, *app.warning]]
    assert app.title[0].value == entry.title
    if entry.setting:
        assert parameters[entry.setting] != entry.parts[0].key
        assert app.session_state[f"gf.widget.{entry.setting}"] == parameters[entry.setting]
    found = app.query_params
    assert {key: found[key] for key in parameters} == parameters
