"""Shards are indexed by offset; what is broken is recorded with a reason, never skipped in silence."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from synclr_train.shard_files import ShardError, open_shard
from synclr_train.shards import index_shards, read_group, read_members
from tests.synclr_train.conftest import caption_id, write_shard


def members_of(path: Path) -> list:
    with open_shard(path).windows() as reader:
        return list(read_members(reader))


def name_of(number: int, view: int) -> str:
    return f"{number:032x}.{view}.jpg"


def test_offsets_point_at_the_members(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(5))
    with tarfile.open(shard) as tar:
        expected = [(member.name, member.offset_data, member.size) for member in tar]
    assert [(member.name, member.offset, member.size_bytes) for member in members_of(shard)] == expected


def test_images_are_those_that_were_packed(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(3))
    index = index_shards([shard], 4)
    with tarfile.open(shard) as tar:
        stored = tar.extractfile(name_of(2, 1)).read()
    assert index.num_captions == 3
    assert index.caption_ids[2].decode() == f"{2:032x}"
    assert read_group(index, 2)[1] == stored


def test_views_that_lie_apart_are_read_one_by_one(tmp_path, make_shard):
    """Tars of other packers may sort members differently."""
    shard = make_shard(tmp_path / "s.tar", range(2), side=400)
    with tarfile.open(shard) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar}
    order = sorted((name for name in content if name.endswith("jpg")), key=lambda name: name.split(".")[1])
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in order:
            info = tarfile.TarInfo(name)
            info.size = len(content[name])
            tar.addfile(info, io.BytesIO(content[name]))
    index = index_shards([tmp_path / "t.tar"], 4)
    lengths = []

    def read(shard, offset, size):
        lengths.append(size)
        return shard.read(offset, size)

    assert read_group(index, 1, read) == [content[name_of(1, view)] for view in range(4)]
    assert lengths == index.records["sizes"][1].tolist()


def test_the_index_does_not_depend_on_the_order_of_arguments(shards):
    forwards, backwards = index_shards(shards, 2), index_shards(shards[::-1], 2)
    assert forwards.shards == backwards.shards
    assert forwards.fingerprint == backwards.fingerprint
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
    offset = next(m.offset for m in members_of(shard) if m.name == name_of(1, 0)) - 512
    content = bytearray(shard.read_bytes())
    content[offset + 5] ^= 0xFF
    shard.write_bytes(content)
    index = index_shards([shard], 4)
    assert index.num_captions == 1
    assert any(f"byte {offset}" in each.reason for each in index.quarantined)


def test_a_view_that_occurs_twice_is_quarantined(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(2))
    with tarfile.open(shard, "a") as tar:
        info = tarfile.TarInfo(name_of(1, 0))
        tar.addfile(info)
    (left_out,) = index_shards([shard], 4).quarantined
    assert (left_out.caption_id, left_out.reason) == (f"{1:032x}", "views [0] occur more than once")


def test_a_shard_that_became_shorter_is_an_error_of_its_captions(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(2))
    index = index_shards([shard], 4)
    shard.write_bytes(shard.read_bytes()[: int(index.records["offsets"][1, 3])])
    assert len(read_group(index, 0)) == 4
    with pytest.raises(ValueError, match=r"views \[3\] lie beyond the end"):
        read_group(index, 1)


def test_too_many_broken_captions_stop_with_a_sentence(tmp_path, make_shard):
    shard = make_shard(tmp_path / "s.tar", range(4), broken={name_of(1, 3): None})
    assert index_shards([shard], 4, max_quarantined_share=0.25).num_captions == 3
    with pytest.raises(ShardError, match=r"1 of 4 captions are broken.*s\.tar, caption 0+1: views \[3\]"):
        index_shards([shard], 4, max_quarantined_share=0.2)


def test_a_kept_index_equals_a_fresh_one_and_reads_no_shard(shards, tmp_path, monkeypatch):
    fresh = index_shards(shards, 2)
    kept = [index_shards(shards, 2, cache_dir=tmp_path / "cache")]
    monkeypatch.setattr("synclr_train.shards.scan_shard", None)
    kept.append(index_shards(shards, 2, cache_dir=tmp_path / "cache"))
    kept.append(pickle.loads(pickle.dumps(kept[1])))
    for each in kept:
        assert isinstance(each.records, np.memmap)
        np.testing.assert_array_equal(each.records, fresh.records)
        assert each.fingerprint == fresh.fingerprint
    assert len(pickle.dumps(kept[1])) < 2000


def test_a_changed_shard_or_a_damaged_part_is_indexed_again(tmp_path, make_shard):
    cache, shard = tmp_path / "cache", make_shard(tmp_path / "s.tar", range(2))
    index_shards([shard], 4, cache_dir=cache)
    make_shard(tmp_path / "s.tar", range(5))
    assert index_shards([shard], 4, cache_dir=cache).num_captions == 5
    for part in (cache / "index").glob("*.npz"):
        part.write_bytes(part.read_bytes()[:50])
    assert index_shards([shard], 4, cache_dir=cache).num_captions == 5


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


def test_excluded_captions_are_as_if_no_shard_held_them(tmp_path: Path) -> None:
    whole = [write_shard(tmp_path / f"s{n}.tar", range(4 * n, 4 * n + 4), num_views=2) for n in range(3)]
    excluded = [caption_id(n) for n in (1, 8, 9, 10, 11, 99)]
    cache = tmp_path / "cache"
    full = index_shards(whole, 2, cache_dir=cache)
    for cache_dir in (None, cache):
        index = index_shards(whole, 2, cache_dir=cache_dir, exclude=excluded)
        kept = [one.decode() for one in index.caption_ids]
        assert kept == [caption_id(n) for n in (0, 2, 3, 4, 5, 6, 7)]
        assert index.captions_per_shard() == {"s0.tar": 3, "s1.tar": 4, "s2.tar": 0}
        assert index.fingerprint != full.fingerprint
    assert len(pickle.loads(pickle.dumps(full)).caption_ids) == 12, (
        "a run without exclusions keeps its own file"
    )
    with pytest.raises(ShardError, match="beside 12 excluded ones"):
        index_shards(whole, 2, exclude=[caption_id(n) for n in range(12)])
