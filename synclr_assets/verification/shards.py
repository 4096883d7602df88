"""Shards of one bucket generation: files against checksums, the index against files, captions against the index."""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from synclr_assets.store.blobs import sha256_of
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.verification.findings import Finding


def shard_faults(store: Store, unit: Unit) -> Iterator[Finding]:
    """Faults of shards and shard_members of the unit, one shard's index in memory at a time."""
    rows = store.tables.read("shards", partitions=unit.partitions).sort_by("shard_index").to_pylist()
    for row in rows:
        members = store.tables.read(
            "shard_members",
            partitions=unit.partitions,
            columns=["caption_id", "offset_bytes", "size_bytes"],
            where=pc.field("shard_index") == row["shard_index"],
        ).to_pylist()
        with store.blobs.scratch() as folder:
            yield from _shard_faults(store, unit, row, members, folder)
    yield from _unlisted(store, unit, {row["key"] for row in rows})
    if rows:
        yield from _unpacked(store, unit)


def _shard_faults(
    store: Store, unit: Unit, row: dict[str, Any], members: list[dict[str, Any]], folder: Path
) -> Iterator[Finding]:
    key = row["key"]
    repair = {"kind": "shard", "unit": unit, "shard_index": row["shard_index"]}
    if not store.blobs.exists(key):
        yield Finding("shard_missing", key, f"{key} is not there.", repair)
        return
    path = store.blobs.fetch(key, folder)
    if sha256_of(path) != row["sha256"]:
        size = path.stat().st_size
        yield Finding(
            "shard_damaged",
            key,
            f"{key} ({size} of {row['size_bytes']} bytes) does not match its checksum.",
            repair,
        )
        return
    indexed = {member["caption_id"]: (member["offset_bytes"], member["size_bytes"]) for member in members}
    if len(members) != row["num_captions"] or indexed != layout_of(path):
        yield Finding(
            "shard_members_wrong",
            key,
            f"shard_members holds {len(members)} rows for {key}, which do not describe its "
            f"{row['num_captions']} captions.",
            {**repair, "kind": "members"},
        )


def layout_of(path: Path) -> dict[str, tuple[int, int]]:
    """caption_id -> (offset, size) of its sample in bytes, as the file has it."""
    begins: dict[str, int] = {}
    ends: dict[str, int] = defaultdict(int)
    with tarfile.open(path) as tar:
        for member in tar:
            identity = member.name.partition(".")[0]
            begins.setdefault(identity, member.offset)
            ends[identity] = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return {identity: (begin, ends[identity] - begin) for identity, begin in begins.items()}


def _unlisted(store: Store, unit: Unit, known: set[str]) -> Iterator[Finding]:
    folder = f"shards/{unit.bucket}/g{unit.generation:04d}"
    for key in store.blobs.keys(folder):
        if key not in known:
            yield Finding("file_unlisted", key, f"{key} is named by no row of shards.")


def _unpacked(store: Store, unit: Unit) -> Iterator[Finding]:
    """Captions are packed in plan order: one with images but no shard, before one with a shard, was lost."""
    drawn = store.tables.read(
        "images",
        partitions=unit.partitions,
        columns=["caption_id", "position"],
        where=pc.field("view") == 0,
    )
    packed = store.tables.read("shard_members", partitions=unit.partitions, columns=["caption_id"])
    inside = pc.is_in(drawn["caption_id"], packed["caption_id"].combine_chunks())
    last = pc.max(drawn.filter(inside)["position"]).as_py()
    if last is None:
        return
    lost = drawn.filter(pc.and_(pc.invert(inside), pc.less(drawn["position"], last)))
    for identity in sorted(lost["caption_id"].to_pylist()):
        where = f"shard_members of {unit}, caption {identity}"
        yield Finding("caption_not_packed", where, f"{where}: has images, but is in no shard.")
