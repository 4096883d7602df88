"""Where a model's weights come from, pinned: a folder known by its content, or a hub id at one commit.

Loads nothing and reaches no network; what cannot be pinned or has no stated licence is refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK_BYTES = 1 << 22
_READ_SUFFIXES = frozenset({".json", ".txt", ".model", ".safetensors", ".py"})
"""Files that decide what a loaded model does; pickled weights are never read."""


class ModelError(ValueError):
    """A model cannot be used as it was named; one sentence with the mend."""


@dataclass(frozen=True)
class ModelSource:
    """One pinned model."""

    location: str
    """Folder or hub id, as a loader takes it."""
    commit: str | None
    """Commit to load from the hub; None for a folder."""
    name: str
    """What rows call it: the hub id, or the folder's name."""
    revision: str
    """The commit, or `sha256:` and the hash of the folder's content."""
    licence: str
    """Licence of the weights."""


def resolve_model(what: str, model: str, revision: str | None, licence: str | None) -> ModelSource:
    """Pin a model. `what` names the setting in messages, e.g. `image sampler model`.

    Raises ModelError for a missing folder, an unpinned hub id, or an unstated licence.
    """
    folder = Path(model).expanduser()
    is_folder = folder.is_dir()
    if not is_folder and not _HUB_ID.fullmatch(model):
        raise ModelError(f"{what} {model}: there is no such folder; name a saved model's folder or a hub id.")
    if licence is None:
        raise ModelError(
            f"{what} {model}: its licence is not known; set licence to what its model card says."
        )
    if is_folder:
        if revision is not None:
            raise ModelError(
                f"{what} {model} is a folder, which has no revision {revision}; leave revision out, "
                "its content is hashed."
            )
        return ModelSource(str(folder), None, folder.resolve().name, f"sha256:{folder_hash(folder)}", licence)
    if revision is None or not _COMMIT.fullmatch(revision):
        found = "none" if revision is None else repr(revision)
        raise ModelError(
            f"{what} {model} is a hub id and needs the commit it is pinned to (40 hex characters), not {found}; "
            "set revision."
        )
    return ModelSource(model, revision, model, revision, licence)


def folder_hash(folder: Path) -> str:
    """32 hex characters over names and content of every file a loader may read; about a second per gigabyte."""
    digest = hashlib.sha256()
    paths = (path for path in folder.rglob("*") if path.suffix in _READ_SUFFIXES and path.is_file())
    for path in sorted(paths, key=lambda path: path.relative_to(folder).as_posix()):
        content = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                content.update(chunk)
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + content.digest())
    return digest.hexdigest()[:32]
