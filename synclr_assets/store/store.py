"""One handle on a whole store: its location, its tables, its files."""

from __future__ import annotations

from pathlib import Path

from synclr_assets.store.blobs import Blobs
from synclr_assets.store.location import Location
from synclr_assets.store.tables import Tables

DEFAULT_ROOT = ".synclr/store"


class Store:
    """Tables and files under one root. Making one does no I/O."""

    def __init__(self, root: str | Path) -> None:
        self.location = Location.parse(root)
        self.tables = Tables(self.location)
        self.blobs = Blobs(self.location)
