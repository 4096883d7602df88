"""The cache of remote groups: read once, bounded, and never trusted when damaged."""

from dataclasses import dataclass, field

from synclr_train.group_cache import GroupCache, bytes_in
from synclr_train.shard_files import ShardFile


@dataclass(frozen=True)
class Counting(ShardFile):
    """A remote shard whose byte at place p is p mod 256."""

    reads: list[int] = field(default_factory=list)

    def read(self, offset: int, size: int) -> bytes:
        self.reads.append(offset)
        return bytes(place % 256 for place in range(offset, offset + size))


def remote() -> Counting:
    return Counting("s3://bucket/s.tar", 10_000, "v1")


def test_a_group_is_fetched_once(tmp_path):
    shard, cache = remote(), GroupCache(tmp_path, 1000)
    assert cache.read(shard, 3, 4) == cache.read(shard, 3, 4) == b"\3\4\5\6"
    assert GroupCache(tmp_path, 1000).read(shard, 3, 4) == b"\3\4\5\6"
    assert shard.reads == [3]


def test_it_stops_growing_at_its_limit_and_still_reads(tmp_path):
    shard, cache = remote(), GroupCache(tmp_path, 250)
    for offset in range(0, 1000, 100):
        assert len(cache.read(shard, offset, 100)) == 100
    assert bytes_in(tmp_path) <= 250 + 2 * 4
    assert len(list(tmp_path.glob("??/*"))) == 2


def test_a_damaged_copy_is_fetched_again(tmp_path):
    shard = remote()
    GroupCache(tmp_path, 1000).read(shard, 0, 50)
    (copy,) = tmp_path.glob("??/*")
    for damage in (copy.read_bytes()[:-9], b"", b"x" + copy.read_bytes()[1:]):
        copy.write_bytes(damage)
        assert GroupCache(tmp_path, 1000).read(shard, 0, 50) == bytes(range(50))


def test_another_version_of_a_shard_is_another_entry(tmp_path):
    cache = GroupCache(tmp_path, 1000)
    cache.read(remote(), 0, 5)
    changed = Counting("s3://bucket/s.tar", 10_000, "v2")
    cache.read(changed, 0, 5)
    assert changed.reads == [0]


def test_local_shards_are_not_copied(tmp_path):
    (tmp_path / "s.tar").write_bytes(b"0123456789")
    local = ShardFile(str(tmp_path / "s.tar"), 10, "v")
    cache = GroupCache(tmp_path / "cache", 1000)
    assert cache.read(local, 2, 3) == b"234"
    assert not (tmp_path / "cache").exists()
