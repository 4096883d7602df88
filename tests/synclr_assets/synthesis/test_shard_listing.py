"""A shard's listing: what `tarfile` reads, and a sentence for every file that is no whole plain tar."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synclr_assets.synthesis.packing import Sample, pack_shard
from synclr_assets.synthesis.shard_listing import ShardListingError, listed_members


def packed(path: Path, contents: list[bytes]) -> Path:
    views = tuple(b"\xff\xd8" + content for content in contents)
    samples = [Sample(f"{number:032x}", "a mug", views, {"number": number}) for number in range(3)]
    return pack_shard(path, samples).path


@given(contents=st.lists(st.binary(max_size=1500), min_size=1, max_size=4))
def test_it_is_what_tarfile_reads(contents: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = packed(tmp_path_factory.mktemp("shard") / "shard.tar", contents)
    with tarfile.open(path) as tar:
        expected = [(one.name, one.offset, one.offset_data, one.size) for one in tar]
    found = [
        (one.name, one.offset_bytes, one.content_offset_bytes, one.size_bytes) for one in listed_members(path)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:700], "ends inside"),
        (lambda data: data[:1024], "has no end-of-archive block"),
        (lambda data: data[:1100], "is half a header"),
        (lambda data: b"x" + data[1:], "does not match its header's checksum"),
        (lambda data: b"\xff" * 512 + data, "is no tar header"),
        (lambda data: b"not a tar", "is half a header"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, damage: object, said: str) -> None:
    path = packed(tmp_path / "shard.tar", [b"one"])
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ShardListingError, match=said):
        list(listed_members(path))


@pytest.mark.parametrize("long", [True, False])
def test_what_no_shard_holds_is_refused(tmp_path: Path, long: bool) -> None:
    path = tmp_path / "shard.tar"
    entry = tarfile.TarInfo(f"{'folder' * 12}/{'name' * 20}.txt" if long else "link")
    if not long:
        entry.type, entry.linkname = tarfile.SYMTYPE, "elsewhere"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO())
    with pytest.raises(ShardListingError, match="is no regular file with a short name"):
        list(listed_members(path))
