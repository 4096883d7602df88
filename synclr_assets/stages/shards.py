"""Stage 5: SynCaps shards (SynCLR 3.2): check, pack, index. Each covers a fixed range of the shuffled plan."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.stages.ledger import ledger_row
from synclr_assets.stages.progress import (
    BeforeBatch,
    OnProgress,
    planned_captions,
    require_complete,
    silent,
    unlimited,
)
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import StageWriter, Unit, check_settings, stage_cursor
from synclr_assets.synthesis.identity import digest_hex
from synclr_assets.synthesis.packing import PackedShard, Sample, pack_shard

STAGE = "shards"
SHARD_FORMAT = 1
PACKER = "webdataset"


@dataclass(frozen=True)
class ShardSettings:
    """How images become shards."""

    captions_per_shard: int = 256
    """Plan positions per tar file; quarantined ones leave it shorter."""

    @property
    def fingerprint(self) -> str:
        return digest_hex(STAGE, SHARD_FORMAT, self.captions_per_shard)


@dataclass(frozen=True)
class ShardCounts:
    """What a bucket generation's shards hold."""

    unit: Unit
    num_shards: int
    num_captions: int
    num_images: int
    size_bytes: int


def shard_key(unit: Unit, shard_index: int) -> str:
    """Path of a shard below the store's root."""
    return f"{shard_folder(unit)}/{unit.bucket}-g{unit.generation:04d}-{shard_index:06d}.tar"


def shard_folder(unit: Unit) -> str:
    """Where all shards of the unit are, below the store's root."""
    return f"shards/{unit.bucket}/g{unit.generation:04d}"


def num_shards_of(total: int, settings: ShardSettings) -> int:
    """Cursor values of the stage: one per range of plan positions."""
    return -(-total // settings.captions_per_shard)


def write_shards(
    store: Store,
    unit: Unit,
    settings: ShardSettings = ShardSettings(),
    *,
    run_id: str = "",
    on_progress: OnProgress = silent,
    before_batch: BeforeBatch = unlimited,
) -> ShardCounts:
    """Pack and commit what is missing of the unit's shards; a complete unit is left as it is.

    Raises SettingsChangedError, FencedError, NotReadyError, and StoreError where stored bytes do not match
    their facts.
    """
    tables = store.tables
    check_settings(tables, STAGE, unit, settings.fingerprint)
    total = planned_captions(tables, unit)
    require_complete(tables, "images", unit, total)
    num_shards = num_shards_of(total, settings)
    if stage_cursor(tables, STAGE, unit) < num_shards:
        writer = StageWriter.open(tables, STAGE, unit, sides=("shard_members", "ledger"), run_id=run_id)
        while writer.cursor < num_shards:
            before_batch(1)
            started = time.monotonic()
            index = writer.cursor
            start = index * settings.captions_per_shard
            end = start + settings.captions_per_shard
            samples = _samples(store, unit, (pc.field("position") >= start) & (pc.field("position") < end))
            rows, members = _pack(store, unit, index, samples, settings)
            spent = ledger_row(
                STAGE,
                unit,
                index,
                units=rows.num_rows,
                generator=PACKER,
                requests=0,
                wall_seconds=time.monotonic() - started,
                size_bytes=pc.sum(rows["size_bytes"]).as_py() or 0,
                run_id=run_id,
            )
            writer.commit(index + 1, rows, {"shard_members": members, "ledger": spent})
            on_progress(index + 1, num_shards)
    return shard_counts(store, unit)


def shard_counts(store: Store, unit: Unit) -> ShardCounts:
    """Totals over the committed shards of the unit."""
    columns = ["num_captions", "num_images", "size_bytes"]
    rows = store.tables.read(STAGE, partitions=unit.partitions, columns=columns)
    sums = {column: pc.sum(rows[column]).as_py() or 0 for column in columns}
    return ShardCounts(unit, num_shards=rows.num_rows, **sums)


def _pack(
    store: Store, unit: Unit, index: int, samples: list[Sample], settings: ShardSettings
) -> tuple[pa.Table, pa.Table]:
    """Put one tar file in its place; rows of shards and of shard_members for it. No file for no samples."""
    if not samples:
        return rows_of(STAGE, []), rows_of("shard_members", [])
    key = shard_key(unit, index)
    with store.blobs.scratch() as folder:
        packed = pack_shard(folder / "shard.tar", samples)
        store.blobs.put_file(key, packed.path)
    return _shard_row(unit, index, key, packed, settings), _member_rows(unit, index, packed)


def _shard_row(unit: Unit, index: int, key: str, packed: PackedShard, settings: ShardSettings) -> pa.Table:
    return rows_of(
        STAGE,
        [
            {
                **unit.partitions,
                "shard_index": index,
                "key": key,
                "sha256": packed.sha256,
                "size_bytes": packed.size_bytes,
                "num_captions": len(packed.members),
                "num_images": packed.num_images,
                "first_caption_id": packed.members[0].caption_id,
                "last_caption_id": packed.members[-1].caption_id,
                "fingerprint": settings.fingerprint,
            }
        ],
    )


def _member_rows(unit: Unit, index: int, packed: PackedShard) -> pa.Table:
    return rows_of(
        "shard_members",
        [
            {
                **unit.partitions,
                "shard_index": index,
                "caption_id": member.caption_id,
                "offset_bytes": member.offset_bytes,
                "size_bytes": member.size_bytes,
            }
            for member in packed.members
        ],
    )


def rebuild_shard(store: Store, unit: Unit, shard_index: int) -> None:
    """Pack a committed shard again from captions and images, into its old place.

    Raises StoreError, and changes nothing, where bytes are gone or the outcome has another checksum than the record.
    """
    at = pc.field("shard_index") == shard_index
    row = store.tables.read(STAGE, partitions=unit.partitions, where=at).to_pylist()[0]
    packed = store.tables.read("shard_members", partitions=unit.partitions, columns=["caption_id"], where=at)
    samples = _samples(store, unit, pc.field("caption_id").isin(packed["caption_id"].to_pylist()))
    with store.blobs.scratch() as folder:
        again = pack_shard(folder / "shard.tar", samples)
        if again.sha256 != row["sha256"]:
            raise StoreError(
                f"{row['key']} cannot be rebuilt: what the tables hold packs to another checksum. Start the next "
                f"generation of {unit.bucket}, or put a backup of the file back."
            )
        store.blobs.put_file(row["key"], again.path)


def _samples(store: Store, unit: Unit, inside: pc.Expression) -> list[Sample]:
    """Whole positive groups of the rows that fit, in plan order, bytes checked against their facts."""
    read = store.tables.read
    captions = (
        read("enriched_captions", partitions=unit.partitions, where=inside).sort_by("position").to_pylist()
    )
    facts = read("images", partitions=unit.partitions, where=inside).to_pylist()
    encoded = read(
        "image_bytes", partitions=unit.partitions, columns=["caption_id", "view", "encoded"], where=inside
    )
    bytes_of = {(row["caption_id"], row["view"]): row["encoded"] for row in encoded.to_pylist()}
    facts_of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fact in facts:
        facts_of[fact["caption_id"]].append(fact)
    samples = []
    for caption in captions:
        views = sorted(facts_of.get(caption["caption_id"], []), key=lambda fact: fact["view"])
        if views:  # else the caption was quarantined while its images were drawn
            assert len(views) == VIEWS_PER_CAPTION, caption["caption_id"]
            samples.append(_sample(caption, views, bytes_of))
    return samples


def _sample(
    caption: dict[str, Any], views: list[dict[str, Any]], bytes_of: dict[tuple[str, int], bytes]
) -> Sample:
    identity = caption["caption_id"]
    encoded = []
    for fact in views:
        data = bytes_of.get((identity, fact["view"]))
        if data is None or hashlib.sha256(data).hexdigest() != fact["sha256"]:
            state = "are missing" if data is None else "do not match their checksum"
            raise StoreError(
                f"The bytes of caption {identity} view {fact['view']} {state}: the store is damaged, "
                "regenerate the bucket as its next generation."
            )
        encoded.append(data)
    record = {
        "caption_id": identity,
        "bucket": caption["bucket"],
        "generation": caption["generation"],
        "concept": caption["concept"],
        "template": caption["template"],
        "relation": caption["relation"],
        "background": caption["background"],
        "text": caption["text"],
        "seeds": [fact["seed"] for fact in views],
        "captioner": {name: caption[name] for name in ("model", "revision", "licence", "fingerprint")},
        "image_sampler": {name: views[0][name] for name in ("model", "revision", "licence", "fingerprint")},
    }
    return Sample(identity, caption["text"], tuple(encoded), record)
