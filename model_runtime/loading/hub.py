"""The Hugging Face hub: from owner/name and a revision to a folder on disk at one known commit.

What is in the local cache is used as it is, without asking the network: the same name gives the same
weights until somebody asks for another revision, and a server without network starts at once. Only the
config, the tokenizer's files and safetensors or GGUF weights are fetched; a repository's Python code and
pickles never are. Every file that is fetched is counted, and the disk is asked before.
"""

from __future__ import annotations

import errno
import glob
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from model_runtime.errors import ModelNotFound, ModelTooLarge, UnsupportedModel
from model_runtime.limits import in_gib
from model_runtime.loading.checkpoint import (
    CONFIG_FILE,
    INDEX_FILE,
    LONGEST_INDEX,
    SINGLE_FILE,
    has_weights,
    resolved_path,
    shard_names,
)
from model_runtime.loading.gguf_file import is_gguf

log = logging.getLogger(__name__)

ANSWER_SECONDS = 8.0  # longest wait for the hub's first answer; after it the hub counts as out of reach
COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
# What a model needs besides its weights, at the top of the repository.
TEXT_FILES = frozenset(
    (
        *(CONFIG_FILE, "generation_config.json", INDEX_FILE),
        *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"),
        *("vocab.json", "merges.txt", "vocab.txt", "added_tokens.json", "chat_template.jinja"),
    )
)


class HubOutOfReach(ModelNotFound):
    """No answer from the hub, and nothing in the cache."""


@dataclass(frozen=True)
class HubFiles:
    """What the hub says about one repository at one commit, before anything is fetched."""

    hub_id: str
    revision: str  # as asked for
    commit: str
    wanted: tuple[str, ...]  # files to fetch
    weight_bytes: int  # of the weights as stored
    n_params: int | None  # where the hub knows it
    n_bytes: int = 0  # of all files to fetch


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form owner/name that the hub allows."""
    if name.count("/") != 1:
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def names_hub_model(name: str) -> bool:
    """Whether owner/name or owner/name@revision means a model of the hub and no file or folder.

    The part before the "@" decides, whatever follows it: a revision such as "main/../../.." must never be
    followed as a path. Only a file or folder that is called exactly so, without "..", comes first.
    """
    if not is_hub_id(name.partition("@")[0]) or is_gguf(name):
        return False
    path = None if ".." in Path(name).parts else resolved_path(name)
    return path is None or not path.exists()


def is_revision(revision: str) -> bool:
    """Whether `revision` can be a commit, tag or branch: nothing that could leave the cache's folder."""
    return REVISION.fullmatch(revision) is not None and ".." not in revision


def cached_snapshot(hub_id: str, revision: str = "main") -> tuple[Path, str] | None:
    """The folder and commit of a complete copy in the local hub cache, or None.

    Complete means: a config and every file of the weights, so a download that broke off does not count.
    """
    if not is_hub_id(hub_id) or not is_revision(revision):
        return None
    storage = Path(constants.HF_HUB_CACHE) / ("models--" + hub_id.replace("/", "--"))
    commit = revision
    if not COMMIT.fullmatch(revision):
        try:
            commit = (storage / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
    folder = storage / "snapshots" / commit
    if not COMMIT.fullmatch(commit) or not has_weights(folder):
        return None
    return folder, commit


def snapshot(
    hub_id: str, revision: str | None = None, before_download: Callable[[HubFiles], None] | None = None
) -> tuple[Path, str]:
    """The folder of a hub model and its commit hash, fetched if it is not in the cache.

    Without a revision, or with a commit hash, a cached copy is used without asking the hub. A branch or tag
    is looked up first, because it may have moved; without network its cached copy is used.

    Args:
        before_download: called with what would be fetched; raises to prevent it.

    Raises:
        ModelNotFound: no such repository or revision, or access not granted.
        HubOutOfReach: no network (or `HF_HUB_OFFLINE` is set) and no cached copy.
        UnsupportedModel: the repository has neither safetensors nor one GGUF file.
    """
    if revision is not None and not is_revision(revision):
        raise ModelNotFound(f"{revision!r} is not a revision.", "Give a commit hash, a tag or a branch name.")
    cached = cached_snapshot(hub_id, revision or "main")
    if cached is not None and (revision is None or COMMIT.fullmatch(revision)):
        return cached
    try:
        files = ask_hub(hub_id, revision)
    except HubOutOfReach:
        if cached is not None:
            return cached
        raise
    if before_download is not None:
        before_download(files)
    return _download(files), files.commit


def ask_hub(hub_id: str, revision: str | None) -> HubFiles:
    """Resolve a revision to its commit and choose the files to fetch. Waits at most `ANSWER_SECONDS`.

    Raises:
        As `snapshot`.
    """
    with _hub_errors(hub_id, revision):
        info = HfApi().model_info(hub_id, revision=revision, timeout=ANSWER_SECONDS, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        commit = info.sha or ""
        weights = _weight_files(hub_id, commit, sizes)
    wanted = (*(path for path in sizes if path in TEXT_FILES), *weights)
    return HubFiles(
        hub_id=hub_id,
        revision=revision or "main",
        commit=commit,
        wanted=wanted,
        weight_bytes=sum(sizes[path] for path in weights),
        n_params=info.safetensors.total if info.safetensors is not None else None,
        n_bytes=sum(sizes[path] for path in wanted),
    )


def _weight_files(hub_id: str, commit: str, sizes: dict[str, int]) -> list[str]:
    """The weight files to fetch: one safetensors file, those its index names, or the only GGUF file."""
    if SINGLE_FILE in sizes:
        return [SINGLE_FILE]
    if INDEX_FILE in sizes:
        if sizes[INDEX_FILE] > LONGEST_INDEX:
            raise UnsupportedModel(
                f"The index of {hub_id} takes {sizes[INDEX_FILE]:,} bytes; at most {LONGEST_INDEX:,} are "
                "read.",
                "Choose another model.",
            )
        index = hf_hub_download(hub_id, INDEX_FILE, revision=commit, etag_timeout=ANSWER_SECONDS)
        return [shard for shard in shard_names(Path(index).parent) if shard in sizes]
    ggufs = [path for path in sizes if is_gguf(path)]
    if len(ggufs) == 1 and "/" in ggufs[0]:  # only the top of a repository is read
        raise UnsupportedModel(
            f"{hub_id} has its weights in a folder of its own: {ggufs[0]}.",
            "Download that file and give its path.",
        )
    if len(ggufs) == 1:
        return ggufs
    if ggufs:
        raise UnsupportedModel(
            f"{hub_id} offers {len(ggufs)} GGUF files and does not say which is meant.",
            "Download one of them and give its path.",
        )
    raise UnsupportedModel(
        f"{hub_id} has no safetensors or GGUF weights; other formats can run code when they are opened.",
        "Choose a revision or another repository of the model that has safetensors.",
    )


def _check_disk(files: HubFiles) -> None:
    """Refuse what the disk has no room for. What has arrived of it before is counted again.

    Raises:
        ModelTooLarge: with both numbers.
    """
    place = Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if files.n_bytes > free:
        raise ModelTooLarge(
            f"The files of {files.hub_id} take {in_gib(files.n_bytes)}; {in_gib(free)} of the disk is free.",
            "Choose a smaller model, or free room on the disk and try again.",
        )


def _download(files: HubFiles) -> Path:
    """Fetch the chosen files into the hub cache and return the snapshot's folder."""
    _check_disk(files)
    with _hub_errors(files.hub_id, files.revision):
        folder = snapshot_download(
            files.hub_id,
            revision=files.commit,
            allow_patterns=[glob.escape(path) for path in files.wanted],  # names, whatever stands in them
            etag_timeout=ANSWER_SECONDS,
        )
    if not COMMIT.fullmatch(files.revision):
        # Remember which commit this name stood for, so that the next start needs no network.
        reference = Path(folder).parent.parent / "refs" / files.revision
        try:
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(files.commit, encoding="utf-8")
        except OSError as error:  # the model itself is here; only its name has to be looked up again
            log.warning("Cannot remember that %s is %s: %s", files.revision, files.commit, error)
    return Path(folder)


@contextmanager
def _hub_errors(hub_id: str, revision: str | None) -> Iterator[None]:
    """Turn the hub's errors into ours, each with what to do."""
    try:
        yield
    except GatedRepoError as error:
        raise ModelNotFound(
            f"The model {hub_id} is given only to accounts that accepted its terms.",
            f"Accept them at https://huggingface.co/{hub_id}, then run `hf auth login` on this machine.",
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(
            f"The model {hub_id} has no revision {revision!r}.", "Give a commit hash, tag or branch of it."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFound(
            f"The hub has no model {hub_id}, or it is private.",
            "Check the spelling; for a private model run `hf auth login` on this machine.",
        ) from error
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelTooLarge(
                f"The disk filled up while {hub_id} was fetched.", "Free room on the disk and try again."
            ) from error
        # No name server, no route, a time-out, a broken transfer: what has arrived is kept.
        log.warning("The hub did not answer for %s: %s", hub_id, error)
        if constants.is_offline_mode():
            raise HubOutOfReach(
                f"The model {hub_id} is not on this machine, which is set to work without network.",
                "Allow it the network and try again.",
            ) from error
        raise HubOutOfReach(
            f"The model {hub_id} is not on this machine, and the Hugging Face hub cannot be reached.",
            "Connect this machine to the network and try again.",
        ) from error
