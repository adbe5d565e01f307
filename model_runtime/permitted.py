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

from model_runtime.catalogue import DEFAULT_MODEL, catalogue, row_of
from model_runtime.errors import ModelNotFound
from model_runtime.hub import is_hub_id

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
        if is_hub_id(base) and any(_allows_hub(entry, base) for entry in entries) and not Path(base).exists():
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
    roots = [Path(entry).expanduser() for entry in entries if Path(entry).expanduser().is_absolute()]
    if not roots:
        return None
    path = Path(name).expanduser().resolve()
    inside = any(path.is_relative_to(root.resolve()) for root in roots)
    return path if inside and path.exists() else None
