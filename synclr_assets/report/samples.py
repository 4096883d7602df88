"""Sample captions of a model with the images it was shown: always the same, over all buckets and templates.

Reads the first shard of each bucket generation, by byte ranges: the bytes that training read.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pyarrow.compute as pc

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit

CAPTION_COLUMNS = (
    "bucket",
    "generation",
    "position",
    "caption_id",
    "concept",
    "template",
    "relation",
    "background",
    "text",
)
MAX_CANDIDATES = 512
"""Captions looked at per bucket generation. Plans are shuffled, so the first ones are a fair sample."""
MAX_POSITIONS_PER_SHARD = 65_536
"""More plan positions than any shard covers: lets a scan skip the rest of a long bucket."""
THUMBNAIL_PX = 256


@dataclass(frozen=True)
class SampleCaption:
    """One caption with its whole positive group, views in order as (media type, encoded bytes)."""

    unit: Unit
    caption_id: str
    concept: str
    template: str
    relation: str | None
    background: str | None
    text: str
    shard_key: str
    offset_bytes: int
    views: tuple[tuple[str, bytes], ...]


def sample_captions(
    store: Store, units: Sequence[Unit], count: int, kept_from: Collection[str] = ()
) -> list[SampleCaption]:
    """Up to `count` packed captions, spread over the units, and within a unit over templates and concepts.

    None of `kept_from`: the recalled captions that the model did not read.
    """
    if len(units) > count:
        units = [units[index * len(units) // count] for index in range(count)]
    turns = zip_longest(*(_candidates(store, unit, kept_from) for unit in units))
    chosen = [row for turn in turns for row in turn if row is not None][:count]
    chosen.sort(key=lambda row: (row["bucket"], row["generation"], row["template"], row["position"]))
    return [_sample(store, row) for row in chosen]


def _candidates(store: Store, unit: Unit, kept_from: Collection[str]) -> list[dict[str, Any]]:
    """Captions of the unit's first shard with their place in it, best ones first."""
    tables = store.tables
    shards = tables.read("shards", partitions=unit.partitions, columns=["shard_index", "key"])
    if not shards.num_rows:
        return []
    first = shards.sort_by("shard_index").slice(0, 1).to_pylist()[0]
    members = (
        tables.read(
            "shard_members", partitions=unit.partitions, where=pc.field("shard_index") == first["shard_index"]
        )
        .sort_by("offset_bytes")
        .slice(0, MAX_CANDIDATES)
        .to_pylist()
    )
    place = {member["caption_id"]: member for member in members if member["caption_id"] not in kept_from}
    near = pc.field("position") < (first["shard_index"] + 1) * MAX_POSITIONS_PER_SHARD
    rows = tables.read(
        "enriched_captions",
        partitions=unit.partitions,
        columns=CAPTION_COLUMNS,
        where=near & pc.field("caption_id").isin(list(place)),
    )
    found = [
        row | place[row["caption_id"]] | {"key": first["key"]} for row in rows.sort_by("position").to_pylist()
    ]
    return list(spread(found))


def spread(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows with templates taken in turn; within a template a concept comes again after all others."""
    queues: dict[str, list[tuple[int, int, Mapping[str, Any]]]] = {}
    repeats: dict[tuple[str, str], int] = {}
    for index, row in enumerate(rows):
        concept = (row["template"], row["concept"])
        repeats[concept] = repeats.get(concept, -1) + 1
        queues.setdefault(row["template"], []).append((repeats[concept], index, row))
    in_turn = zip_longest(
        *(sorted(queues[template], key=lambda item: item[:2]) for template in sorted(queues))
    )
    for turn in in_turn:
        yield from (dict(item[2]) for item in turn if item is not None)


def _sample(store: Store, row: Mapping[str, Any]) -> SampleCaption:
    data = store.blobs.read_range(row["key"], row["offset_bytes"], row["size_bytes"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        encoded = [
            handle.read()
            for member in tar.getmembers()
            if member.name.endswith((".jpg", ".png", ".webp"))
            and (handle := tar.extractfile(member)) is not None
        ]
    return SampleCaption(
        unit=Unit(row["bucket"], row["generation"]),
        caption_id=row["caption_id"],
        concept=row["concept"],
        template=row["template"],
        relation=row["relation"],
        background=row["background"],
        text=row["text"],
        shard_key=row["key"],
        offset_bytes=row["offset_bytes"],
        views=tuple(thumbnail(image) for image in encoded),
    )


def thumbnail(encoded: bytes) -> tuple[str, bytes]:
    """Media type and bytes: the image itself, or a JPEG of at most 256 px where it is larger."""
    from PIL import Image

    image = Image.open(io.BytesIO(encoded))
    if max(image.size) <= THUMBNAIL_PX and image.format in ("JPEG", "PNG", "WEBP"):
        return f"image/{image.format.lower()}", encoded
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=88)
    return "image/jpeg", buffer.getvalue()
