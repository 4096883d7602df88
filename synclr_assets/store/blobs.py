"""Files of a store: shards and model folders. A file appears whole or not at all, and is never changed after."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore, from_url

from synclr_assets.store.errors import StoreError
from synclr_assets.store.location import Location, checked_key

COPY_CHUNK_BYTES = 1 << 20
PARTIAL_PREFIX = ".partial-"


class Blobs:
    """Whole files below the root of one store, addressed by relative keys."""

    def __init__(self, location: Location) -> None:
        self.location = location

    def put_file(self, key: str, source: Path) -> None:
        """Move a finished local file to its key: by rename where both are local, else by one upload."""
        if not self.location.is_local:
            self.copy_file(key, source)
            source.unlink()
            return
        target = self.location.local_path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(source, target)

    def copy_file(self, key: str, source: Path) -> None:
        """Upload a local file that stays where it is. Raises StoreError in a local store, which has it already."""
        if self.location.is_local:
            raise StoreError(f"{key}: nothing is uploaded to a local store.")
        obstore.put(self._remote(), checked_key(key), source)

    def put_bytes(self, key: str, data: bytes) -> None:
        """Put small content at its key, in place of any earlier one; durable when it returns."""
        if not self.location.is_local:
            obstore.put(self._remote(), checked_key(key), data)
            return
        target = self.location.local_path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=target.parent)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, target)

    def create_bytes(self, key: str, data: bytes) -> bool:
        """Put small content at a key that nobody has taken; False where it is taken. Of several at once, one wins."""
        if not self.location.is_local:
            try:
                obstore.put(self._remote(), checked_key(key), data, mode="create")
            except AlreadyExistsError:
                return False
            return True
        target = self.location.local_path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
        except FileExistsError:
            return False
        return True

    def keys(self, prefix: str) -> list[str]:
        """Keys of all whole files below a folder key, sorted; none where there is no such folder."""
        if not self.location.is_local:
            pages = obstore.list(self._remote(), prefix=checked_key(prefix))
            return sorted(found["path"] for page in pages for found in page)
        files = (path for path in self.location.local_path(prefix).rglob("*") if path.is_file())
        root = self.location.folder
        return sorted(
            path.relative_to(root).as_posix() for path in files if not path.name.startswith(PARTIAL_PREFIX)
        )

    def delete(self, keys: Sequence[str]) -> None:
        """Remove files; an absent one is fine."""
        for key in keys:
            checked_key(key)
        if self.location.is_local:
            for key in keys:
                self.location.local_path(key).unlink(missing_ok=True)
        elif keys:
            obstore.delete(self._remote(), list(keys))

    def exists(self, key: str) -> bool:
        return self.size_of(key) is not None

    def size_of(self, key: str) -> int | None:
        """Bytes of a whole file, or None where there is none."""
        try:
            if not self.location.is_local:
                return int(obstore.head(self._remote(), checked_key(key))["size"])
            path = self.location.local_path(key)
            return path.stat().st_size if path.is_file() else None
        except FileNotFoundError:
            return None

    def read(self, key: str) -> bytes:
        """The whole file. Raises FileNotFoundError."""
        if self.location.is_local:
            return self.location.local_path(key).read_bytes()
        return bytes(obstore.get(self._remote(), checked_key(key)).bytes())

    def read_range(self, key: str, offset_bytes: int, size_bytes: int) -> bytes:
        """A part of a file. Raises FileNotFoundError."""
        if self.location.is_local:
            with self.location.local_path(key).open("rb") as handle:
                handle.seek(offset_bytes)
                return handle.read(size_bytes)
        return bytes(
            obstore.get_range(self._remote(), checked_key(key), start=offset_bytes, length=size_bytes)
        )

    def fetch(self, key: str, folder: Path) -> Path:
        """The file as a local path: itself in a local store, else a copy in `folder`."""
        if self.location.is_local:
            return self.location.local_path(key)
        target = folder / checked_key(key)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(target.suffix + ".partial")
            with partial.open("wb") as handle:
                for chunk in obstore.get(self._remote(), checked_key(key)).stream(COPY_CHUNK_BYTES):
                    handle.write(chunk)
            os.replace(partial, target)
        return target

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on the store's own disk, so that a rename suffices; removed afterwards."""
        if self.location.is_local:
            base = self.location.folder / "tmp"
            base.mkdir(parents=True, exist_ok=True)
        else:
            base = Path(tempfile.gettempdir())
        folder = Path(tempfile.mkdtemp(prefix="synclr-", dir=base))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _remote(self) -> ObjectStore:
        options = {key.lower(): value for key, value in self.location.storage_options().items()}
        client: Any = {"allow_http": options.pop("aws_allow_http", None) is not None}
        config: Any = options
        return from_url(self.location.uri, config=config, client_options=client)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(COPY_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
