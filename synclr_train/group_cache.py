"""A bounded folder of positive groups that were read over a network, so that later epochs read them locally.

It fills up to its limit and then stays as it is: under a global shuffle every group is equally likely to be
next, so exchanging one for another gains nothing.
"""

import hashlib
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from synclr_train.atomic_files import write_atomically
from synclr_train.shard_files import ShardFile

CHECKSUM_BYTES = 4


@dataclass
class GroupCache:
    """Reads through a folder that several processes share, each adding at most its part of the limit."""

    folder: Path
    limit_bytes: int
    """Bytes that this process may add."""
    added_bytes: int = field(default=0, init=False)

    def read(self, shard: ShardFile, offset: int, size: int) -> bytes:
        """As `shard.read`; a local shard is never copied, a damaged copy is replaced."""
        if not shard.is_remote:
            return shard.read(offset, size)
        path = self._place(shard, offset, size)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = b""
        payload, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
        if content and zlib.crc32(payload).to_bytes(CHECKSUM_BYTES, "little") == checksum:
            return payload
        payload = shard.read(offset, size)
        if self.added_bytes + len(payload) <= self.limit_bytes:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, payload + zlib.crc32(payload).to_bytes(CHECKSUM_BYTES, "little"))
            self.added_bytes += len(payload)
        return payload

    def _place(self, shard: ShardFile, offset: int, size: int) -> Path:
        content = f"{shard.uri}\n{shard.version}\n{offset}\n{size}"
        name = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / name[2:]


def bytes_in(folder: Path) -> int:
    """What a cache folder holds already, in bytes."""
    return sum(path.stat().st_size for path in folder.glob("??/*"))
