"""Files of a local store that nothing names: what a killed run left, or what one writes now. Removes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from synclr_assets.store.blobs import PARTIAL_PREFIX
from synclr_assets.store.schemas import TABLES
from synclr_assets.store.store import Store

TEMPORARY = re.compile(rf"{re.escape(PARTIAL_PREFIX)}.+|\.probe-.+|\..+\.tmp|.+\.partial")
"""Names that files have while they are written."""
LOG = "_delta_log"
LOG_FILE = re.compile(r"\d{20}\..+|_last_checkpoint")


def stray_files(store: Store) -> list[Path]:
    """Scratch folders, half-written files, and table files of commits that did not come, sorted."""
    root = store.location.folder
    found = set((root / "tmp").glob("synclr-*"))
    for folder in (root, root / "shards", root / "models"):
        paths = folder.glob("*") if folder == root else folder.rglob("*")
        found.update(path for path in paths if path.is_file() and TEMPORARY.fullmatch(path.name))
    for name in TABLES:
        found.update(_of_table(store, name))
    return sorted(found)


def _of_table(store: Store, name: str) -> Iterator[Path]:
    """Data files that are neither in the table nor were before, and log files that are no commit."""
    handle = store.tables.open_any_version(name)
    if handle is None:
        return
    folder = store.location.folder / "tables" / name
    listed = pa.table(handle.get_add_actions())["path"].to_pylist()
    listed += handle.vacuum(0, dry_run=True, enforce_retention_duration=False)  # of earlier versions
    named = {*listed, *map(unquote, listed)}  # a log has them in percent encoding
    for path in folder.rglob("*"):
        if path.is_file():
            place = path.relative_to(folder)
            if place.parts[0] == LOG:
                is_named = LOG_FILE.fullmatch(place.name) is not None and "#" not in place.name
            else:
                is_named = place.as_posix() in named
            if not is_named:
                yield path
