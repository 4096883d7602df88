"""What must outlive a killed process before its batch is committed: one small file per entry. Knows no meaning.

Entries of a scope are removed once their batch is committed; those a kill left behind are harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from synclr_assets.store.blobs import Blobs

JOURNAL_FOLDER = "journal"


class Journal:
    """Entries of one scope of a stage, such as a bucket generation: JSON objects by name."""

    def __init__(self, blobs: Blobs, stage: str, scope: str) -> None:
        self._blobs = blobs
        self._folder = f"{JOURNAL_FOLDER}/{stage}/{scope}"

    def entries(self) -> dict[str, dict[str, Any]]:
        """All entries by name; an empty journal costs one listing."""
        keys = self._blobs.keys(self._folder)
        names = [key.removeprefix(f"{self._folder}/").removesuffix(".json") for key in keys]
        return {name: json.loads(self._blobs.read(key)) for name, key in zip(names, keys, strict=True)}

    def put(self, name: str, entry: Mapping[str, Any]) -> None:
        """Make an entry durable; it is when this returns. Safe from several threads."""
        self._blobs.put_bytes(self._key(name), json.dumps(entry, ensure_ascii=False).encode())

    def remove(self, names: Iterable[str]) -> None:
        """Remove entries; an absent one is fine."""
        self._blobs.delete([self._key(name) for name in names])

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}.json"
