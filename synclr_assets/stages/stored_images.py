"""Encoded images of captions, wherever they are: in `image_bytes`, or in the shards once those were dropped."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.compute as pc

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit

IMAGE_EXTENSIONS = ("jpg", "webp")


def stored_views(store: Store, unit: Unit, caption_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of caption_id, view, encoded, in the order of the ids and views; nothing for a caption without images."""
    rows = store.tables.read(
        "image_bytes",
        partitions=unit.partitions,
        columns=["caption_id", "view", "encoded"],
        where=pc.field("caption_id").isin(list(caption_ids)),
    ).to_pylist()
    found = {row["caption_id"] for row in rows}
    rows += _packed_views(store, unit, [identity for identity in caption_ids if identity not in found])
    place = {identity: index for index, identity in enumerate(caption_ids)}
    return sorted(rows, key=lambda row: (place[row["caption_id"]], row["view"]))


def _packed_views(store: Store, unit: Unit, caption_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not caption_ids:
        return
    wanted = pc.field("caption_id").isin(list(caption_ids))
    members = store.tables.read("shard_members", partitions=unit.partitions, where=wanted).to_pylist()
    shards = store.tables.read("shards", partitions=unit.partitions, columns=["shard_index", "key"])
    key_of = dict(zip(shards["shard_index"].to_pylist(), shards["key"].to_pylist(), strict=True))
    for member in members:
        key = key_of[member["shard_index"]]
        data = store.blobs.read_range(key, member["offset_bytes"], member["size_bytes"])
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for entry in tar:
                _, view, extension = entry.name.rsplit(".", 2) if entry.name.count(".") > 1 else ("", "", "")
                content = tar.extractfile(entry)
                if extension in IMAGE_EXTENSIONS and content is not None:
                    yield {
                        "caption_id": member["caption_id"],
                        "view": int(view),
                        "encoded": content.read(),
                    }
