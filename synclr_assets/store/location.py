"""Where a store lives: one root, `file://` or `s3://`, and the URIs below it. Opens no table."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

from synclr_assets.store.errors import StoreError, StoreNotWritableError


@dataclass(frozen=True)
class Location:
    """The root of a store. `uri` has no trailing slash; build it with `Location.parse`."""

    uri: str

    @classmethod
    def parse(cls, root: str | Path) -> Location:
        """A location from a folder, a `file://` URI or an `s3://bucket/prefix` URI.

        Raises StoreError for any other scheme.
        """
        text = str(root).strip()
        if not text:
            raise StoreError("The store's root is empty: set SYNCLR_STORE to a folder or an s3:// URI.")
        scheme = urlparse(text).scheme
        if scheme == "s3":
            return cls(text.rstrip("/"))
        if scheme == "file":
            return cls(Path(unquote(urlparse(text).path)).resolve().as_uri().rstrip("/"))
        if "://" in text:
            raise StoreError(
                f"The store's root {text!r} has the scheme {scheme!r}: use a folder, file:// or s3://."
            )
        return cls(Path(text).expanduser().resolve().as_uri().rstrip("/"))

    @property
    def is_local(self) -> bool:
        return self.uri.startswith("file://")

    @property
    def folder(self) -> Path:
        """The root as a local folder. Raises StoreError for a remote store."""
        if not self.is_local:
            raise StoreError(
                f"{self.uri} is not a local folder: copy what you need with your S3 client first."
            )
        return Path(unquote(urlparse(self.uri).path))

    def table_uri(self, table: str) -> str:
        return f"{self.uri}/tables/{table}"

    def blob_uri(self, key: str) -> str:
        """The URI of a blob. A key is a relative POSIX path that cannot leave the root."""
        return f"{self.uri}/{checked_key(key)}"

    def local_path(self, key: str) -> Path:
        """A blob's local path. Raises StoreError for a remote store or a key that leaves the root."""
        return self.folder / checked_key(key)

    def storage_options(self) -> dict[str, str]:
        """Options for object stores: an endpoint and a region where the environment names them."""
        if self.is_local:
            return {}
        options = {}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            options["AWS_ENDPOINT_URL"] = endpoint
            if endpoint.startswith("http://"):
                options["AWS_ALLOW_HTTP"] = "true"
        return options

    def ensure_writable(self) -> None:
        """Create a local root and prove that it takes a file. Raises StoreNotWritableError."""
        if not self.is_local:
            return
        probe = self.folder / f".probe-{uuid.uuid4().hex}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreNotWritableError(
                f"The store at {self.folder} cannot be written ({error.strerror}): "
                "make it writable or set SYNCLR_STORE to another folder."
            ) from error


def checked_key(key: str) -> str:
    """The key itself if it stays below the root. Raises StoreError otherwise."""
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise StoreError(f"{key!r} is no key below the store's root: use a relative path without '..'.")
    return str(path)
