"""Where shards live: local files or S3 objects, read by byte range. Knows no tar and no image.

A read gives every byte that was asked for or an error; nothing is written.
"""

import functools
import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

WINDOW_BYTES = 4 * 2**20
"""Bytes asked at once while a remote tar is read from its start."""
GLOB_CHARACTERS = "*?["
REMOTE = "s3://"


class ShardError(ValueError):
    """The shards given cannot be trained on; the message names the shard and the mend."""


@dataclass(frozen=True)
class ShardFile:
    """One shard as it is now; picklable, opened by whoever reads."""

    uri: str
    """Local path or s3://bucket/key."""
    size_bytes: int
    version: str
    """Changes when the content does: modification time, or the object's entity tag."""

    @property
    def name(self) -> str:
        """File name: how metrics and records call the shard."""
        return PurePosixPath(self.uri).name

    @property
    def is_remote(self) -> bool:
        """Whether reads go over a network."""
        return self.uri.startswith(REMOTE)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes [offset, offset + size), fewer where the shard ends before.

        Raises ShardError when the shard cannot be reached; the object store's own retries come first.
        """
        if not self.is_remote:
            with _open_local(self.uri) as file:
                file.seek(offset)
                return file.read(size)
        end = min(offset + size, self.size_bytes)
        if end <= offset:
            return b""
        import obstore

        store, key = _store_and_key(self.uri)
        with _network_errors(self.uri):
            return bytes(obstore.get_range(store, key, start=offset, end=end))

    def windows(self) -> "SequentialReader":
        """A reader for whoever goes through the shard from start to end."""
        return SequentialReader(self)


class SequentialReader:
    """Reads of rising offsets: a remote shard arrives in windows, so that a failure repeats one window at most."""

    def __init__(self, shard: ShardFile) -> None:
        self.shard, self._start, self._window = shard, 0, b""
        self._file = None if shard.is_remote else _open_local(shard.uri)

    def __enter__(self) -> "SequentialReader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, offset: int, size: int) -> bytes:
        """As ShardFile.read."""
        if self._file is not None:
            self._file.seek(offset)
            return self._file.read(size)
        if not self._start <= offset <= offset + size <= self._start + len(self._window):
            self._start, self._window = offset, self.shard.read(offset, max(size, WINDOW_BYTES))
        return self._window[offset - self._start :][:size]


def find_shards(patterns: Sequence[str | Path]) -> tuple[ShardFile, ...]:
    """The shards that any of `patterns` names, each once: local paths or s3:// URIs, `*`, `?`, `[...]` allowed.

    Raises ShardError for a pattern that names none.
    """
    found: dict[str, ShardFile] = {}
    for pattern in map(str, patterns):
        matches = list(_remote_shards(pattern) if pattern.startswith(REMOTE) else _local_shards(pattern))
        if not matches:
            raise ShardError(f"--shards {pattern!r} matches no file: quote the pattern and check the folder")
        found.update((shard.uri, shard) for shard in matches)
    return tuple(found.values())


def open_shard(uri: str | Path) -> ShardFile:
    """One shard by its exact place. Raises ShardError when there is none."""
    uri = str(uri)
    if not uri.startswith(REMOTE):
        path = Path(uri)
        if not path.is_file():
            raise ShardError(f"shard {uri} does not exist: check the --shards pattern")
        facts = path.stat()
        return ShardFile(uri, facts.st_size, str(facts.st_mtime_ns))
    import obstore

    store, key = _store_and_key(uri)
    try:
        with _network_errors(uri):
            found = obstore.head(store, key)
    except FileNotFoundError:
        raise ShardError(f"shard {uri} does not exist: check the --shards pattern") from None
    return ShardFile(uri, found["size"], _version(found))


def _local_shards(pattern: str) -> Iterator[ShardFile]:
    exact = Path(pattern).is_file()
    yield from map(open_shard, [pattern] if exact else sorted(glob.glob(pattern, recursive=True)))


def _remote_shards(pattern: str) -> Iterator[ShardFile]:
    first = min((pattern.find(each) for each in GLOB_CHARACTERS if each in pattern), default=-1)
    if first < 0:
        yield open_shard(pattern)
        return
    import obstore

    folder = pattern[:first].rsplit("/", 1)[0]
    store, prefix = _store_and_key(folder + "/")
    bucket = f"{REMOTE}{urlsplit(pattern).netloc}/"
    with _network_errors(pattern):
        for page in obstore.list(store, prefix=prefix or None):
            for facts in page:
                uri = bucket + facts["path"]
                # A star does not cross folders, as in a local pattern.
                if uri.count("/") == pattern.count("/") and PurePosixPath(uri).match(pattern):
                    yield ShardFile(uri, facts["size"], _version(facts))


def _version(facts: Any) -> str:
    return str(facts["e_tag"] or facts["last_modified"].isoformat())


def _store_and_key(uri: str) -> tuple[Any, str]:
    place = urlsplit(uri, allow_fragments=False)
    return _bucket(place.netloc), place.path.lstrip("/")


@functools.cache
def _bucket(name: str) -> Any:
    """The bucket's client; credentials, region and endpoint come from the usual AWS_* environment."""
    try:
        from obstore.store import S3Store
    except ImportError:
        raise ShardError("shards on S3 need the package obstore: pip install 'synclr[train,s3]'") from None
    return S3Store(name, client_options={"allow_http": True})


class _network_errors:  # noqa: N801  # reads as a verb where it is used
    """Turns an object store's failure into one sentence; a missing object stays FileNotFoundError."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        from obstore.exceptions import BaseError

        if isinstance(error, BaseError) and not isinstance(error, FileNotFoundError):
            reason = str(error).splitlines()[0]
            raise ShardError(
                f"{self.uri} cannot be read ({reason}): check network and credentials; "
                "a run continues from its last resume point"
            ) from error


def _open_local(path: str) -> Any:
    try:
        return open(path, "rb")
    except OSError as error:
        raise ShardError(
            f"shard {path} cannot be opened ({error.strerror}): put it back and resume"
        ) from error
