"""Shards are indexed by offset; what is broken is recorded with a reason, never skipped in silence."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synclr_train.shards import ShardError, index_shards, read_caption_images, read_members


def name_of(number: int, view: int) -> str:
    return f"{number:032x}.{view}.jpg"


def test_offsets_point_at_the_members(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(5))
    with tarfile.open(shard) as tar:
        expected = [(member.name, member.offset_data, member.size) for member in tar]
    assert [(member.name, member.offset, member.size_bytes) for member in read_members(shard)] == expected


def test_images_are_those_that_were_packed(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(3))
    index = index_shards([shard], 4)
    with tarfile.open(shard) as tar:
        stored = tar.extractfile(name_of(2, 1)).read()
    expected = np.asarray(Image.open(io.BytesIO(stored))).transpose(2, 0, 1)
    assert index.num_captions == 3
    assert index.caption_ids[2].decode() == f"{2:032x}"
    np.testing.assert_array_equal(read_caption_images(index, 2, 24)[1], expected)


def test_larger_images_are_brought_to_the_source_size(tmp_path, make_shard):
    index = index_shards([make_shard(tmp_path / "s.tar", range(1), side=64)], 4)
    assert read_caption_images(index, 0, 24).shape == (4, 3, 24, 24)


def test_the_index_does_not_depend_on_the_order_of_arguments(shards):
    forwards, backwards = index_shards(shards, 2), index_shards(shards[::-1], 2)
    assert forwards.paths == backwards.paths
    np.testing.assert_array_equal(forwards.caption_ids, backwards.caption_ids)


def test_an_incomplete_group_is_quarantined(tmp_path, make_shard):
    index = index_shards([make_shard(tmp_path / "s.tar", range(4), broken={name_of(1, 3): None})], 4)
    assert index.num_captions == 3
    (left_out,) = index.quarantined
    assert (left_out.shard, left_out.caption_id) == ("s.tar", f"{1:032x}")
    assert "[3]" in left_out.reason


def test_a_truncated_shard_keeps_its_whole_groups(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(4))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    index = index_shards([shard], 4)
    assert 0 < index.num_captions < 4
    reasons = [each.reason for each in index.quarantined if each.caption_id is None]
    assert len(reasons) == 1
    assert "ends" in reasons[0]


def test_a_damaged_header_is_reported_with_its_place(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(3))
    offset = next(m.offset for m in read_members(shard) if m.name == name_of(1, 0)) - 512
    content = bytearray(shard.read_bytes())
    content[offset + 5] ^= 0xFF
    shard.write_bytes(content)
    index = index_shards([shard], 4)
    assert index.num_captions == 1
    assert any(f"byte {offset}" in each.reason for each in index.quarantined)


def test_an_undecodable_view_is_named(tmp_path, make_shard):
    index = index_shards([make_shard(tmp_path / "s.tar", range(2), broken={name_of(0, 2): b"no image"})], 4)
    with pytest.raises(ValueError, match="view 2"):
        read_caption_images(index, 0, 24)


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, bytes(1024)])
def test_a_file_that_is_no_shard_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "odd.tar").write_bytes(content)
    with pytest.raises(ShardError, match="no caption with 4 images"):
        index_shards([tmp_path / "odd.tar"], 4)


def test_missing_absent_and_doubled_shards_are_refused(tmp_path, make_shard):
    with pytest.raises(ShardError, match="no shards given"):
        index_shards([], 4)
    with pytest.raises(ShardError, match=r"gone\.tar does not exist"):
        index_shards([Path("gone.tar")], 4)
    twins = [make_shard(tmp_path / folder / "s.tar", range(1)) for folder in "ab"]
    with pytest.raises(ShardError, match=r"two shards are named s\.tar"):
        index_shards(twins, 4)


def test_members_that_are_no_views_are_ignored(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(1), num_views=2)
    index = index_shards([shard], 2)
    assert index.num_views == 2
    assert index.quarantined == ()
    assert index.captions_per_shard() == {"s.tar": 1}
