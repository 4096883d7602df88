"""The asset checks of corpus and dataset: each re-reads what was committed and gives one verdict."""

import hashlib
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc

from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.stages.progress import StageCounts
from synclr_assets.stages.stored_images import stored_views
from synclr_assets.store.blobs import sha256_of
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.caption_checks import mentions
from synclr_assets.synthesis.encoding import decode
from synclr_assets.synthesis.image_checks import check_group
from synclr_assets.synthesis.shard_listing import ShardListingError, listed_members

MAX_QUARANTINE_RATE = 0.05
CHECKED_SHARE, MIN_CHECKED_CAPTIONS, MAX_CHECKED_CAPTIONS = 0.05, 128, 512
"""Of the plan, the captions whose stored images are read again; `synclr verify` reads all."""
SHOWN_FAILURES = 5


def accounted(name: str, counts: StageCounts) -> dg.AssetCheckResult:
    """allocated = written + quarantined."""
    missing = counts.allocated - counts.written - counts.num_quarantined
    return dg.AssetCheckResult(
        check_name=name,
        passed=missing == 0,
        metadata={
            "allocated": counts.allocated,
            "written": counts.written,
            "quarantined": counts.num_quarantined,
            "unaccounted": missing,
        },
    )


def mentions_concept(name: str, store: Store, unit: Unit, table: str) -> dg.AssetCheckResult:
    """Every finished caption names its concept."""
    concepts = store.tables.read("concepts", partitions=unit.partitions, columns=["concept", "display_text"])
    spoken = dict(zip(concepts["concept"].to_pylist(), concepts["display_text"].to_pylist(), strict=True))
    dataset = store.tables.snapshot(table, unit.partitions)
    assert dataset is not None
    num_checked = 0
    silent = []
    columns = ["caption_id", "concept", "text"]
    for batch in dataset.to_batches(columns=columns, filter=pc.field("text").is_valid()):
        for row in batch.to_pylist():
            num_checked += 1
            if not mentions(row["text"], spoken[row["concept"]]):
                silent.append(f"{row['caption_id'][:8]}: {row['text']}")
    return dg.AssetCheckResult(
        check_name=name,
        passed=not silent,
        metadata={"checked": num_checked, "silent": len(silent), "examples": silent[:SHOWN_FAILURES]},
    )


def unique_texts(name: str, store: Store, unit: Unit, table: str) -> dg.AssetCheckResult:
    """No text twice within the bucket generation."""
    hashes = store.tables.read(
        table, partitions=unit.partitions, columns=["text_hash"], where=pc.field("text_hash").is_valid()
    )["text_hash"]
    repeated = len(hashes) - pc.count_distinct(hashes).as_py()
    return dg.AssetCheckResult(
        check_name=name, passed=repeated == 0, metadata={"checked": len(hashes), "repeated": repeated}
    )


def quarantine_rate(name: str, store: Store, unit: Unit) -> dg.AssetCheckResult:
    """A warning where too much of the plan was given up."""
    planned = pc.sum(
        store.tables.read("concepts", partitions=unit.partitions, columns=["num_captions"])["num_captions"]
    ).as_py()
    lost = store.tables.count("quarantine", partitions=unit.partitions)
    rate = lost / planned
    return dg.AssetCheckResult(
        check_name=name,
        passed=rate <= MAX_QUARANTINE_RATE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"quarantined": lost, "planned": planned, "rate": rate},
    )


def stored_groups(
    names: tuple[str, str], store: Store, unit: Unit, counts: StageCounts, size_px: int
) -> list[dg.AssetCheckResult]:
    """Re-reads stored bytes of the first captions of the plan: they match their facts, decode, and pass the checks.

    `names` are the checks for bytes and for groups. The plan is shuffled, so its first captions are a fair sample.
    """
    num_checked = min(
        max(round(CHECKED_SHARE * counts.allocated), MIN_CHECKED_CAPTIONS), MAX_CHECKED_CAPTIONS
    )
    first = pc.field("position") < num_checked
    facts = store.tables.read("images", partitions=unit.partitions, where=first).to_pylist()
    sha256_of_view = {(row["caption_id"], row["view"]): row["sha256"] for row in facts}
    identities = sorted({row["caption_id"] for row in facts})
    damaged = []
    groups: dict[str, list[bytes]] = {}
    for row in stored_views(store, unit, identities):
        if hashlib.sha256(row["encoded"]).hexdigest() != sha256_of_view.pop(
            (row["caption_id"], row["view"]), None
        ):
            damaged.append(f"{row['caption_id'][:8]} view {row['view']}")
        groups.setdefault(row["caption_id"], []).append(row["encoded"])
    damaged += [f"{identity[:8]} view {view} has no bytes" for identity, view in sha256_of_view]
    poisoned = []
    for identity, encoded in groups.items():
        try:
            reasons = [
                reason for reason in check_group([decode(data) for data in encoded], size_px) if reason
            ]
        except ValueError as error:
            reasons = [str(error)]
        if reasons or len(encoded) != VIEWS_PER_CAPTION:
            poisoned.append(f"{identity[:8]}: {', '.join(reasons) or f'{len(encoded)} views'}")
    num_groups = len(groups)
    bytes_name, groups_name = names
    return [
        dg.AssetCheckResult(
            check_name=bytes_name,
            passed=not damaged,
            metadata={
                "images checked": len(facts),
                "damaged": len(damaged),
                "examples": damaged[:SHOWN_FAILURES],
            },
        ),
        dg.AssetCheckResult(
            check_name=groups_name,
            passed=not poisoned,
            metadata={
                "captions checked": num_groups,
                "poisoned": len(poisoned),
                "examples": poisoned[:SHOWN_FAILURES],
            },
        ),
    ]


def shard_files(names: tuple[str, str], store: Store, unit: Unit) -> list[dg.AssetCheckResult]:
    """Every shard matches its checksum, and holds whole positive groups and nothing else."""
    rows = store.tables.read("shards", partitions=unit.partitions).sort_by("shard_index").to_pylist()
    wrong, broken = [], []
    with store.blobs.scratch() as folder:
        for row in rows:
            try:
                path = store.blobs.fetch(row["key"], folder)
            except FileNotFoundError:
                wrong.append(f"{row['key']} is missing")
                continue
            if sha256_of(path) != row["sha256"]:
                wrong.append(f"{row['key']} does not match its checksum")
            broken += [f"{row['key']}: {fault}" for fault in _group_faults(path, row["num_captions"])]
    checksum_name, groups_name = names
    return [
        dg.AssetCheckResult(
            check_name=checksum_name,
            passed=not wrong,
            metadata={"shards": len(rows), "wrong": len(wrong), "examples": wrong[:SHOWN_FAILURES]},
        ),
        dg.AssetCheckResult(
            check_name=groups_name,
            passed=not broken,
            metadata={
                "captions": sum(row["num_captions"] for row in rows),
                "broken": len(broken),
                "examples": broken[:SHOWN_FAILURES],
            },
        ),
    ]


def _group_faults(path: Path, num_captions: int) -> list[str]:
    whole = [
        {*(f"{view}.{extension}" for view in range(VIEWS_PER_CAPTION)), "txt", "json"}
        for extension in ("jpg", "webp")
    ]
    members: dict[str, set[str]] = {}
    try:
        for member in listed_members(path):
            key, _, extension = member.name.partition(".")
            members.setdefault(key, set()).add(extension)
    except ShardListingError as error:
        return [f"cannot be read as a tar file ({error})"]
    faults = [f"{key} holds {sorted(found)}" for key, found in members.items() if found not in whole]
    if len(members) != num_captions:
        faults.append(f"{len(members)} captions instead of {num_captions}")
    return faults
