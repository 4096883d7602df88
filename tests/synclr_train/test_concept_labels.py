"""Concepts come from the json of each caption, whatever the order of shards and members."""

import json

import numpy as np
import pytest

from synclr_train.concept_labels import read_concept_labels
from synclr_train.shard_files import ShardError
from synclr_train.shards import index_shards


def test_every_caption_has_its_concept(shards):
    index = index_shards(shards[::-1], 2)
    concepts = read_concept_labels(index)
    assert concepts.names == ("blob", "box", "disc", "line")
    expected = [("box", "disc", "line", "blob")[int(each, 16) % 4] for each in index.caption_ids.tolist()]
    assert [concepts.names[label] for label in concepts.labels] == expected
    assert concepts.labels.dtype == np.int64


def test_a_caption_without_a_concept_is_refused(tmp_path, make_shard):
    broken = {f"{3:032x}.json": json.dumps({"caption_id": "x"}).encode(), f"{5:032x}.json": b"no json"}
    index = index_shards([make_shard(tmp_path / "s.tar", range(8), num_views=2, broken=broken)], 2)
    with pytest.raises(ShardError, match=r"2 captions name no concept in their json, 0+3 for one"):
        read_concept_labels(index)


def test_damage_behind_the_last_caption_stops_nothing(tmp_path, make_shard):
    path = make_shard(tmp_path / "s.tar", range(4), num_views=2)
    whole = path.read_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    path.write_bytes(whole + b"damage" * 200)
    index = index_shards([path], 2)
    assert len(index.quarantined) == 1
    assert len(read_concept_labels(index).labels) == index.num_captions
