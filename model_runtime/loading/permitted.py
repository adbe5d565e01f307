"""Which models a visitor of the app may name, and which of them its link may make the server fetch.

A link holds the model's name, and anybody can write a link. In a notebook `load_model` takes any folder, any
hub id and any revision; in the app a stranger must neither look around in the server's folders nor choose
what the server downloads. So a link may name the catalogue's ids, of which only those load that are on this
machine; and besides them what the person who runs the server lists in `GLASSFORMER_ALLOW`, separated by
commas. What is listed is also fetched from the hub when a link names it first:

    gpt2            this row of the catalogue      owner/*    every model of this owner
    owner/name      this model of the hub          *          every model of the hub
    owner/name@v1   this revision of it            /folder    this folder and the folders below it

A revision loads only if it is listed: anybody can open one on the hub (`refs/pr/12`). `HF_HUB_OFFLINE=1`
keeps the server from downloading anything, and `python -m model_runtime.fetch gpt2` fetches a model
beforehand.
"""

from __future__ import annotations

import os
from pathlib import Path

from model_runtime.errors import ModelNotFound
from model_runtime.loading.catalogue import DEFAULT_ROW, CatalogueRow, catalogue, row_called
from model_runtime.loading.checkpoint import resolved_path
from model_runtime.loading.hub import is_revision, names_hub_model

ALLOW_VARIABLE = "GLASSFORMER_ALLOW"
LONGEST_NAME = 400  # characters; a longer name in a link is a mistake or worse


def allowed_entries() -> tuple[str, ...]:
    """What the operator allows besides the catalogue, as written in `GLASSFORMER_ALLOW`."""
    return tuple(entry.strip() for entry in os.environ.get(ALLOW_VARIABLE, "").split(",") if entry.strip())


def offered() -> tuple[str, ...]:
    """Names for the app's list of models: the catalogue, then the single models the operator allows."""
    rows = catalogue()
    known = {name.lower() for row in rows for name in (row.id, row.location)}
    single = [entry for entry in allowed_entries() if "*" not in entry and entry.lower() not in known]
    return (*(row.id for row in rows), *single)


def absent(row: CatalogueRow) -> str:
    """Why a row of the catalogue cannot be used at once, in words for a list; "" where it can."""
    if not row.needs_network:
        return ""
    return "needs network" if _is_fetched(row) else "not here"


def resolve_for_app(name: str) -> str:
    """The name to load for a name that came from a link or a form.

    A catalogue id comes back in its own spelling, a folder as an absolute path without links, so that
    what was checked is what is loaded. Loading it downloads nothing that the operator did not list.

    Raises:
        ModelNotFound: not allowed here. For what is not in the catalogue the text is the same whether or not
            such a model or folder exists.
    """
    asked = name.strip()
    if len(asked) <= LONGEST_NAME and asked.isprintable():
        base, at, revision = asked.partition("@")
        row = row_called(base)
        if row is not None:
            return _checked_row(row, at, revision)
        entries = allowed_entries()
        # With or without the revision: neither may be the name of a folder here.
        means_hub = names_hub_model(asked) and names_hub_model(base)
        if means_hub and at and any(_lists_revision(entry, base, revision) for entry in entries):
            return asked
        if means_hub and not at and any(_allows_hub(entry, base) for entry in entries):
            return asked
        folder = _allowed_folder(asked, entries)
        if folder is not None:
            return str(folder)
    raise ModelNotFound(
        f"This server does not offer the model {asked[:60]!r}.",
        f"Choose one from the list, for example {DEFAULT_ROW.name}. Whoever runs the server can allow more: "
        'the README says how, under "Running it for others".',
    )


def _checked_row(row: CatalogueRow, at: str, revision: str) -> str:
    """The name to load for a row of the catalogue, if it is here or the operator lets it be fetched."""
    if row.source != "hub":
        return f"{row.id}{at}{revision}"  # loading refuses every revision but the one that is here
    if at and not any(_lists_revision(entry, row.location, revision, row.id) for entry in allowed_entries()):
        raise ModelNotFound(
            f"This server reads no revision {revision[:60]!r} of {row.name}.",
            "Leave the revision out. Whoever runs the server can allow one: the README says how, under "
            '"Running it for others".',
        )
    if not at and row.needs_network and not _is_fetched(row):
        raise ModelNotFound(
            f"{row.name} is not on this server, and a link does not make the server download it.",
            f'Choose a model without the mark "not here", for example {DEFAULT_ROW.name}. Whoever runs the '
            f"server can fetch it with: python -m model_runtime.fetch {row.id}",
        )
    return f"{row.id}{at}{revision}"


def _is_fetched(row: CatalogueRow) -> bool:
    """Whether the operator lets a link fetch this row of the hub."""
    return any(_allows_hub(entry, row.location, row.id) for entry in allowed_entries())


def _lists_revision(entry: str, hub_id: str, revision: str, short: str = "") -> bool:
    """Whether an entry names this revision of this model, to the letter."""
    base, at, listed = entry.partition("@")
    named = base.lower() in (hub_id.lower(), short) and listed == revision
    return bool(at) and named and is_revision(revision)


def _allows_hub(entry: str, hub_id: str, short: str = "") -> bool:
    owner = hub_id.partition("/")[0]
    named = {name for name in ("*", hub_id.lower(), f"{owner}/*".lower(), short) if name}
    return entry.lower() in named


def _allowed_folder(name: str, entries: tuple[str, ...]) -> Path | None:
    """The resolved path if it lies in one of the allowed folders; links and ".." are followed first."""
    roots = [resolved_path(entry) for entry in entries if entry.startswith("~") or Path(entry).is_absolute()]
    path = resolved_path(name) if roots else None
    if path is None or not path.exists():
        return None
    return path if any(root is not None and path.is_relative_to(root) for root in roots) else None
