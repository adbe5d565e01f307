"""Which models a visitor of the app may name.

A link holds the model's name, and anybody can write a link. In a notebook `load_model` takes any folder and
any hub id; in the app a stranger must neither look around in the server's folders nor make it download
whatever there is. So a link may name the catalogue's ids, and besides them only what the person who runs
the server lists in `GLASSFORMER_ALLOW`, separated by commas:

    owner/name      this model of the hub          owner/*    every model of this owner
    *               every model of the hub         /folder    this folder and the folders below it

`HF_HUB_OFFLINE=1` keeps the server from downloading anything, the catalogue's models included.
"""

from __future__ import annotations

import os
from pathlib import Path

from model_runtime.errors import ModelNotFound
from model_runtime.loading.catalogue import DEFAULT_MODEL, catalogue, row_of
from model_runtime.loading.checkpoint import resolved_path
from model_runtime.loading.hub import is_revision, names_hub_model

ALLOW_VARIABLE = "GLASSFORMER_ALLOW"
LONGEST_NAME = 400  # characters; a longer name in a link is a mistake or worse


def allowed_entries() -> tuple[str, ...]:
    """What the operator allows besides the catalogue, as written in `GLASSFORMER_ALLOW`."""
    return tuple(entry.strip() for entry in os.environ.get(ALLOW_VARIABLE, "").split(",") if entry.strip())


def offered() -> tuple[str, ...]:
    """Names for the app's list of models: the catalogue, then the single models the operator allows."""
    ids = [row.id for row in catalogue()]
    single = [entry for entry in allowed_entries() if "*" not in entry and entry not in ids]
    return (*ids, *single)


def resolve_for_app(name: str) -> str:
    """The name to load for a name that came from a link or a form.

    A catalogue id comes back in its own spelling, a folder as an absolute path without links, so that
    what was checked is what is loaded.

    Raises:
        ModelNotFound: not allowed here. The text is the same whether or not such a model or folder exists.
    """
    asked = name.strip()
    if len(asked) <= LONGEST_NAME and asked.isprintable():
        base, at, revision = asked.partition("@")
        row = row_of(base)
        if row is not None:
            return f"{row.id}{at}{revision}"
        entries = allowed_entries()
        # With or without the revision: neither may be the name of a folder here.
        means_hub = names_hub_model(asked) and names_hub_model(base) and (not at or is_revision(revision))
        if means_hub and any(_allows_hub(entry, base) for entry in entries):
            return asked
        folder = _allowed_folder(asked, entries)
        if folder is not None:
            return str(folder)
    raise ModelNotFound(
        f"This server does not offer the model {asked[:60]!r}.",
        f"Choose one from the list, for example {DEFAULT_MODEL}. Whoever runs the server can allow more with "
        f"the environment variable {ALLOW_VARIABLE}.",
    )


def _allows_hub(entry: str, hub_id: str) -> bool:
    if entry == "*":
        return True
    owner = hub_id.partition("/")[0]
    return entry.lower() in (hub_id.lower(), f"{owner}/*".lower())


def _allowed_folder(name: str, entries: tuple[str, ...]) -> Path | None:
    """The resolved path if it lies in one of the allowed folders; links and ".." are followed first."""
    roots = [resolved_path(entry) for entry in entries if entry.startswith("~") or Path(entry).is_absolute()]
    path = resolved_path(name) if roots else None
    if path is None or not path.exists():
        return None
    return path if any(root is not None and path.is_relative_to(root) for root in roots) else None
