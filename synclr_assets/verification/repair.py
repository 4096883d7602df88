"""Rebuilding what other copies of the same facts allow: a shard from images, images from a shard, an index from a
file. A rebuilt thing must carry the recorded checksum, or nothing is changed."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable
from typing import Any

import pyarrow.compute as pc

from synclr_assets.stages.shards import rebuild_shard
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, sql_literal
from synclr_assets.store.transactions import Unit
from synclr_assets.verification.findings import Finding
from synclr_assets.verification.shards import layout_of


def repair(store: Store, findings: Iterable[Finding]) -> list[tuple[Finding, str | None]]:
    """Try each finding that names a way; with each, None where it was mended, else why not.

    Images come before shards, for shards are rebuilt from images. Meant for a store that nothing writes now.
    """
    able = [finding for finding in findings if finding.repair is not None]
    order = {"image_bytes": 0, "shard": 1, "members": 2}
    outcomes: list[tuple[Finding, str | None]] = []
    done: dict[str, str | None] = {}
    for finding in sorted(able, key=lambda one: order[one.repair["kind"]] if one.repair else 0):
        assert finding.repair is not None
        name = repr(sorted((key, str(value)) for key, value in finding.repair.items()))
        if name not in done:
            done[name] = _tried(store, finding.repair)
        outcomes.append((finding, done[name]))
    return outcomes


def _tried(store: Store, way: dict[str, Any]) -> str | None:
    try:
        if way["kind"] == "image_bytes":
            _restore_images(store, way["unit"], way["caption_id"])
        elif way["kind"] == "shard":
            rebuild_shard(store, way["unit"], way["shard_index"])
        else:
            _rebuild_members(store, way["unit"], way["shard_index"])
    except StoreError as error:
        return str(error)
    return None


def _restore_images(store: Store, unit: Unit, caption_id: str) -> None:
    """Put the four views of a caption back from its shard, checksums compared. Raises StoreError."""
    is_it = pc.field("caption_id") == caption_id
    facts = store.tables.read("images", partitions=unit.partitions, where=is_it).sort_by("view").to_pylist()
    members = store.tables.read("shard_members", partitions=unit.partitions, where=is_it).to_pylist()
    if not members:
        raise StoreError(
            f"Caption {caption_id} is in no shard yet, so its images have no second copy: make the next "
            f"generation of {unit.bucket}."
        )
    shard = _shard_row(store, unit, members[0]["shard_index"])
    sample = _views_in(store, shard["key"], caption_id)
    rows = []
    for fact in facts:
        encoded = sample.get(fact["view"])
        if encoded is None or hashlib.sha256(encoded).hexdigest() != fact["sha256"]:
            raise StoreError(f"{shard['key']} holds no intact view {fact['view']} of caption {caption_id}.")
        rows.append(
            {
                **unit.partitions,
                "position": fact["position"],
                "caption_id": caption_id,
                "view": fact["view"],
                "encoded": encoded,
            }
        )
    predicate = f"{unit.predicate} AND caption_id = {sql_literal(caption_id)}"
    store.tables.replace("image_bytes", predicate, rows_of("image_bytes", rows))


def _views_in(store: Store, key: str, caption_id: str) -> dict[int, bytes]:
    if not store.blobs.exists(key):
        raise StoreError(f"{key} is not there, so the images of caption {caption_id} have no second copy.")
    views = {}
    with store.blobs.scratch() as folder:
        try:
            with tarfile.open(store.blobs.fetch(key, folder)) as tar:
                for member in tar:
                    identity, _, rest = member.name.partition(".")
                    number = rest.partition(".")[0]
                    if identity == caption_id and number.isdigit():
                        file = tar.extractfile(member)
                        assert file is not None, member.name
                        views[int(number)] = file.read()
        except tarfile.TarError as error:
            raise StoreError(f"{key} cannot be read as a tar file ({error}).") from error
    return views


def _rebuild_members(store: Store, unit: Unit, shard_index: int) -> None:
    """Index an intact shard anew."""
    shard = _shard_row(store, unit, shard_index)
    with store.blobs.scratch() as folder:
        layout = layout_of(store.blobs.fetch(shard["key"], folder))
    rows = [
        {
            **unit.partitions,
            "shard_index": shard_index,
            "caption_id": identity,
            "offset_bytes": offset,
            "size_bytes": size,
        }
        for identity, (offset, size) in layout.items()
    ]
    predicate = f"{unit.predicate} AND shard_index = {shard_index}"
    store.tables.replace("shard_members", predicate, rows_of("shard_members", rows))


def _shard_row(store: Store, unit: Unit, shard_index: int) -> dict[str, Any]:
    at = pc.field("shard_index") == shard_index
    return store.tables.read("shards", partitions=unit.partitions, where=at).to_pylist()[0]
