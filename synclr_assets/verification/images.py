"""Images of one bucket generation: whole positive groups, right seeds, bytes that match their checksums."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor
from synclr_assets.synthesis.identity import image_seed
from synclr_assets.verification.findings import Finding

POSITIONS_PER_WINDOW = 256
WHOLE_GROUP = list(range(VIEWS_PER_CAPTION))


def image_faults(store: Store, unit: Unit, *, with_bytes: bool = True) -> Iterator[Finding]:
    """Faults of images and image_bytes of the unit, in windows of bounded size.

    Bytes that retention dropped as a whole are no fault: the shards hold them.
    """
    cursor = stage_cursor(store.tables, "images", unit)
    kept = with_bytes and store.tables.count("image_bytes", partitions=unit.partitions) > 0
    for start in range(0, cursor, POSITIONS_PER_WINDOW):
        end = min(start + POSITIONS_PER_WINDOW, cursor)
        inside = (pc.field("position") >= start) & (pc.field("position") < end)
        groups = _by_caption(store, "images", unit, inside)
        yield from _group_faults(store, unit, inside, groups)
        if kept:
            yield from _byte_faults(store, unit, inside, groups)


def _by_caption(
    store: Store, table: str, unit: Unit, inside: pc.Expression
) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    columns = ["caption_id", "view", "seed", "reseeds", "sha256"]
    for row in store.tables.read(
        table, partitions=unit.partitions, columns=columns, where=inside
    ).to_pylist():
        groups[row["caption_id"]].append(row)
    return groups


def _group_faults(
    store: Store, unit: Unit, inside: pc.Expression, groups: dict[str, list[dict[str, Any]]]
) -> Iterator[Finding]:
    corpus = store.tables.read(
        "enriched_captions", partitions=unit.partitions, columns=["caption_id"], where=inside
    )
    lost = store.tables.read(
        "quarantine",
        partitions=unit.partitions,
        columns=["caption_id"],
        where=inside & (pc.field("stage") == "images"),
    )
    captions, given_up = set(corpus["caption_id"].to_pylist()), set(lost["caption_id"].to_pylist())
    for identity in sorted(captions | set(groups)):
        where = f"images of {unit}, caption {identity}"
        views = sorted(row["view"] for row in groups.get(identity, []))
        if identity not in captions:
            yield Finding("group_incomplete", where, f"{where}: has images, but no caption in the corpus.")
        elif views and identity in given_up:
            yield Finding("caption_doubled", where, f"{where}: has images and is in quarantine.")
        elif not views and identity not in given_up:
            yield Finding("caption_unaccounted", where, f"{where}: has neither images nor a quarantine row.")
        elif views and views != WHOLE_GROUP:
            yield Finding("group_incomplete", where, f"{where}: has views {views} instead of {WHOLE_GROUP}.")
        for row in groups.get(identity, []):
            if row["seed"] != image_seed(identity, row["view"], row["reseeds"]):
                yield Finding(
                    "image_seed_wrong",
                    where,
                    f"{where}, view {row['view']}: seed {row['seed']} is not its own.",
                )


def _byte_faults(
    store: Store, unit: Unit, inside: pc.Expression, groups: dict[str, list[dict[str, Any]]]
) -> Iterator[Finding]:
    stored = store.tables.read(
        "image_bytes", partitions=unit.partitions, columns=["caption_id", "view", "encoded"], where=inside
    )
    digest_of = {
        (row["caption_id"], row["view"]): hashlib.sha256(row["encoded"]).hexdigest()
        for row in stored.to_pylist()
    }
    for identity, rows in sorted(groups.items()):
        for row in rows:
            where = f"image_bytes of {unit}, caption {identity}, view {row['view']}"
            digest = digest_of.get((identity, row["view"]))
            if digest == row["sha256"]:
                continue
            repair = {"kind": "image_bytes", "unit": unit, "caption_id": identity}
            if digest is None:
                yield Finding("image_bytes_missing", where, f"{where}: no bytes are stored.", repair)
            else:
                yield Finding(
                    "image_bytes_damaged", where, f"{where}: bytes do not match their checksum.", repair
                )
