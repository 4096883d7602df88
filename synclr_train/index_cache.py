"""Each shard's index kept on disk between starts, and the index of a run mapped from one file.

A part is found again by the shard's place, size and version; a changed shard is another part.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synclr_train.atomic_files import replacing
from synclr_train.shard_files import ShardFile

FORMAT = 1
"""Raised when the meaning of a kept part changes."""


@dataclass(frozen=True)
class ShardPart:
    """The index of one shard."""

    caption_ids: np.ndarray
    """(captions,) bytes."""
    offsets: np.ndarray
    """(captions, views) int64: first byte of each image."""
    sizes: np.ndarray
    """(captions, views) int64: bytes of each image."""
    broken: tuple[tuple[str | None, str], ...]
    """Caption, or None for the rest of the shard, and what is wrong with it."""

    @property
    def num_captions(self) -> int:
        """Whole positive groups."""
        return len(self.caption_ids)

    def without(self, excluded: np.ndarray) -> "ShardPart":
        """The part less the `excluded` captions (bytes)."""
        kept = ~np.isin(self.caption_ids, excluded)
        broken = tuple(
            (caption_id, reason)
            for caption_id, reason in self.broken
            if caption_id is None or caption_id.encode() not in excluded
        )
        return ShardPart(self.caption_ids[kept], self.offsets[kept], self.sizes[kept], broken)


class PartsOnDisk:
    """Parts kept in a folder; one is in memory at a time."""

    def __init__(self, cache_dir: Path, num_views: int) -> None:
        self.folder, self.num_views = cache_dir / "index", num_views

    def get(self, shard: ShardFile, scan: Callable[[], ShardPart]) -> ShardPart:
        """The part of `shard`, kept or by `scan`; then it is kept."""
        path = self.folder / f"{self._name(shard)}.npz"
        try:
            with np.load(path) as kept:
                broken = tuple((caption_id, reason) for caption_id, reason in json.loads(str(kept["broken"])))
                return ShardPart(kept["caption_ids"], kept["offsets"], kept["sizes"], broken)
        except (FileNotFoundError, zipfile.BadZipFile, KeyError):
            part = scan()
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.savez(
                file,
                caption_ids=part.caption_ids,
                offsets=part.offsets,
                sizes=part.sizes,
                broken=np.array(json.dumps(part.broken)),
            )
        return part

    def merge(
        self, shards: Sequence[ShardFile], parts: Iterator[ShardPart], kind: np.dtype, excluded: np.ndarray
    ) -> np.memmap:
        """The records of all parts, mapped from one file; `excluded` is what the parts lack."""
        names = "".join(map(self._name, shards)) + hashlib.blake2b(excluded.tobytes()).hexdigest()
        path = self.folder / f"{hashlib.blake2b(names.encode(), digest_size=16).hexdigest()}.records"
        with replacing(path) as file:
            for number, part in enumerate(parts):
                file.write(records_of(part, number, kind).tobytes())
        return np.memmap(path, dtype=kind, mode="r")

    def _name(self, shard: ShardFile) -> str:
        content = f"{FORMAT}\n{shard.uri}\n{shard.size_bytes}\n{shard.version}\n{self.num_views}"
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def record_kind(id_bytes: int, num_views: int) -> np.dtype:
    """What the index knows of one caption; ids are padded to `id_bytes`."""
    return np.dtype(
        [
            ("caption_id", f"S{id_bytes}"),
            ("shard", np.uint32),
            ("offsets", np.int64, (num_views,)),
            ("sizes", np.uint32, (num_views,)),
        ]
    )


def records_of(part: ShardPart, shard_number: int, kind: np.dtype) -> np.ndarray:
    """One record per caption of a part."""
    records = np.empty(part.num_captions, dtype=kind)
    records["caption_id"], records["shard"] = part.caption_ids, shard_number
    records["offsets"], records["sizes"] = part.offsets, part.sizes
    return records
