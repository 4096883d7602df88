"""The concept of every caption, read from the shards: the classes of the supervised objective.

Reads `json` members alone; knows nothing of images.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from synclr_train.shard_files import ShardError, ShardFile
from synclr_train.shards import ShardIndex, read_members


@dataclass(frozen=True)
class ConceptLabels:
    """Which concept each caption row of a shard index belongs to."""

    names: tuple[str, ...]
    """Concepts, in sorted order."""
    labels: Int[np.ndarray, " captions"]
    """Per caption row: the place of its concept in `names`."""


def read_concept_labels(index: ShardIndex) -> ConceptLabels:
    """The concepts of `index`'s captions. Raises ShardError for a caption whose json names none."""
    concept_of: dict[bytes, str] = {}
    wanted = set(index.caption_ids.tolist())
    for shard in index.shards:
        concept_of |= {caption: concept for caption, concept in _concepts_of(shard) if caption in wanted}
    nameless = [each for each in index.caption_ids.tolist() if each not in concept_of]
    if nameless:
        raise ShardError(
            f"{len(nameless)} captions name no concept in their json, {nameless[0].decode()} for one: "
            "the supervised objective needs shards whose json has a `concept`"
        )
    names = tuple(sorted(set(concept_of.values())))
    places = {name: place for place, name in enumerate(names)}
    labels = np.array([places[concept_of[each]] for each in index.caption_ids.tolist()], dtype=np.int64)
    return ConceptLabels(names, labels)


def _concepts_of(shard: ShardFile) -> Iterator[tuple[bytes, str]]:
    """Caption id and concept of each readable json. What lies behind damage is no part of the index either; a
    shard that cannot be reached raises ShardError."""
    with shard.windows() as reader:
        try:
            for member in read_members(reader):
                caption_id, _, ending = member.name.partition(".")
                if ending == "json" and (concept := _concept(reader.read(member.offset, member.size_bytes))):
                    yield caption_id.encode(), concept
        except ShardError:
            raise
        except ValueError:
            return


def _concept(content: bytes) -> str:
    try:
        record = json.loads(content)
    except ValueError:
        return ""
    concept = record.get("concept") if isinstance(record, dict) else None
    return concept if isinstance(concept, str) else ""
