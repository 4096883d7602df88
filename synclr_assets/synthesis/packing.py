"""Writing SynCaps shards: WebDataset tars of whole positive groups, the same bytes for the same samples.

Every header is fixed (no time, no owner), so a shard's hash depends on its samples alone. Reads no table.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synclr_assets.synthesis.encoding import extension_of

FILE_MODE = 0o644


@dataclass(frozen=True)
class Sample:
    """One positive group: a caption, its encoded views in order, and its provenance."""

    caption_id: str
    text: str
    encoded_views: tuple[bytes, ...]
    record: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """Where one sample lies in its shard, tar headers and padding included."""

    caption_id: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class PackedShard:
    """A finished tar file."""

    path: Path
    sha256: str
    size_bytes: int
    num_images: int
    members: tuple[Member, ...]


def pack_shard(path: Path, samples: Iterable[Sample]) -> PackedShard:
    """Write the samples as `<caption_id>.0.jpg` ... `.txt` `.json` members of a plain tar at `path`.

    WebP images get the extension `webp`.
    """
    members = []
    num_images = 0
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            start = file.tell()
            for view, data in enumerate(sample.encoded_views):
                _add(tar, f"{sample.caption_id}.{view}.{extension_of(data)}", data)
            _add(tar, f"{sample.caption_id}.txt", sample.text.encode())
            record = json.dumps(sample.record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            _add(tar, f"{sample.caption_id}.json", record.encode())
            num_images += len(sample.encoded_views)
            members.append(Member(sample.caption_id, start, file.tell() - start))
    data_hash = hashlib.sha256()
    with path.open("rb") as written:
        while chunk := written.read(1 << 20):
            data_hash.update(chunk)
    return PackedShard(path, data_hash.hexdigest(), path.stat().st_size, num_images, tuple(members))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    header.mode = FILE_MODE
    tar.addfile(header, io.BytesIO(data))
