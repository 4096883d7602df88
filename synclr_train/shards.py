"""The index of SynCaps shards: where in WebDataset tars the images of every whole positive group lie.

Read from tar headers, without payloads. What is broken is recorded with a reason and left out: a bad member
never stops a run, and nothing is skipped without a record.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np

from synclr_train.index_cache import PartsOnDisk, ShardPart, record_kind, records_of
from synclr_train.shard_files import SequentialReader, ShardError, ShardFile, open_shard

TAR_BLOCK_BYTES = 512
REGULAR_FILE_TYPES = (b"0", b"\0")
IMAGE_MEMBER = re.compile(r"(?P<caption_id>[^./]+)\.(?P<view>\d+)\.(?:jpg|jpeg|png|webp)")
SHARDS_SCANNED_AT_ONCE = 16
ROWS_HASHED_AT_ONCE = 2**16
GAP_BYTES_READ_OVER = 2**16
"""Views of a group that lie no farther apart than this are read in one piece."""


@dataclass(frozen=True)
class Quarantined:
    """Something that was left out of training."""

    shard: str
    """File name of the shard."""
    caption_id: str | None
    """The sample, or None when the rest of the shard was unreadable."""
    reason: str
    """What is wrong, in one clause."""


@dataclass(frozen=True)
class Member:
    """One file inside a tar."""

    name: str
    offset: int
    """First byte of the payload, from the start of the shard."""
    size_bytes: int


@dataclass(frozen=True)
class ShardIndex:
    """Where every image of every whole positive group lies; a caption is addressed by its row number."""

    shards: tuple[ShardFile, ...]
    records: np.ndarray
    """Per caption: `caption_id`, `shard` (which of `shards`), `offsets` and `sizes` of its views, in bytes.
    In memory, or mapped from a file when an index cache is used."""
    quarantined: tuple[Quarantined, ...]
    """What could not be indexed."""

    @property
    def num_captions(self) -> int:
        """Whole positive groups."""
        return len(self.records)

    @property
    def num_views(self) -> int:
        """Images per caption."""
        return int(self.records["offsets"].shape[1])

    @property
    def caption_ids(self) -> np.ndarray:
        """Per caption: its id (bytes)."""
        return self.records["caption_id"]

    @property
    def is_remote(self) -> bool:
        """Whether any shard is read over a network."""
        return any(shard.is_remote for shard in self.shards)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the captions, their order and the sizes of their images."""
        digest = blake2b(digest_size=16)
        for name, count in self.captions_per_shard().items():
            digest.update(f"{name}:{count};".encode())
        for first in range(0, self.num_captions, ROWS_HASHED_AT_ONCE):
            rows = self.records[first : first + ROWS_HASHED_AT_ONCE]
            digest.update(rows["caption_id"].astype("S").tobytes() + rows["sizes"].tobytes())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, object]:
        """A mapped index travels to a loader process as the name of its file."""
        state = dict(self.__dict__)
        if isinstance(self.records, np.memmap):
            state["records"] = (self.records.filename, self.records.dtype)
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        """Map the file again."""
        if isinstance(state["records"], tuple):
            path, kind = state["records"]
            state = {**state, "records": np.memmap(path, dtype=kind, mode="r")}
        self.__dict__.update(state)

    def shard_of(self, row: int) -> ShardFile:
        """The shard that holds caption `row`."""
        return self.shards[self.records["shard"][row]]

    def captions_per_shard(self) -> dict[str, int]:
        """Indexed captions of each shard, by file name."""
        counts = np.bincount(self.records["shard"], minlength=len(self.shards))
        return {shard.name: int(count) for shard, count in zip(self.shards, counts, strict=True)}

    def quarantine(self, row: int, reason: str) -> Quarantined:
        """The record that caption `row` was left out."""
        return Quarantined(self.shard_of(row).name, self.records["caption_id"][row].decode(), reason)


def index_shards(
    shards: Sequence[str | Path | ShardFile],
    views_per_caption: int,
    *,
    max_quarantined_share: float = 1.0,
    cache_dir: Path | None = None,
    exclude: Collection[str] = (),
) -> ShardIndex:
    """Index the first `views_per_caption` views of every caption of `shards`, in sorted order of file name.

    `cache_dir` keeps each shard's index for the next start and maps the whole from disk, so that memory does
    not grow with the shards. Captions of `exclude` are left out, as if no shard held them. Raises ShardError
    for no shards, a missing shard, two shards with one file name, no whole group at all, or more than
    `max_quarantined_share` of the captions broken.
    """
    ordered = _ordered(shards)
    kept = PartsOnDisk(cache_dir, views_per_caption) if cache_dir else None
    excluded = np.array(sorted(caption_id.encode() for caption_id in exclude), dtype="S")
    scans = _scans(ordered, views_per_caption, kept, excluded)
    in_memory: list[ShardPart] = []
    quarantined: list[Quarantined] = []
    num_whole, id_bytes = 0, 1
    for shard, part in zip(ordered, scans, strict=True):
        num_whole += part.num_captions
        id_bytes = max(id_bytes, part.caption_ids.dtype.itemsize)
        quarantined += [Quarantined(shard.name, caption_id, reason) for caption_id, reason in part.broken]
        if kept is None:
            in_memory.append(part)
    if not num_whole:
        first = f"; the first problem: {describe(quarantined[0])}" if quarantined else ""
        raise ShardError(
            f"no caption with {views_per_caption} images in {len(ordered)} shards"
            f"{f' beside {len(excluded)} excluded ones' if len(excluded) else ''}{first}: "
            "check the --shards pattern"
        )
    check_quarantined_share(quarantined, num_whole + len(quarantined), max_quarantined_share)
    kind = record_kind(id_bytes, views_per_caption)
    if kept is None:
        records = np.concatenate([records_of(part, number, kind) for number, part in enumerate(in_memory)])
    else:
        parts = _scans(ordered, views_per_caption, kept, excluded)
        records = kept.merge(ordered, parts, kind, excluded)
    return ShardIndex(ordered, records, tuple(quarantined))


def check_quarantined_share(quarantined: Sequence[Quarantined], num_captions: int, limit: float) -> None:
    """Raises ShardError when more than the share `limit` of `num_captions` was left out."""
    if len(quarantined) > limit * num_captions:
        raise ShardError(
            f"{len(quarantined)} of {num_captions} captions are broken, more than max_quarantined_share "
            f"{limit:g} allows; the first: {describe(quarantined[0])}: repair the shards or raise the limit"
        )


def describe(entry: Quarantined) -> str:
    """One quarantined thing, for a person."""
    return (
        f"{entry.shard}, {f'caption {entry.caption_id}' if entry.caption_id else 'the rest'}: {entry.reason}"
    )


def scan_shard(shard: ShardFile, views_per_caption: int) -> ShardPart:
    """The whole groups of one shard in tar order, and what is broken in it."""
    groups, broken = _groups_of(shard)
    whole: dict[str, list[Member]] = {}
    for caption_id, members in groups.items():
        wanted = [[each for view, each in members if view == wanted] for wanted in range(views_per_caption)]
        missing = [view for view, found in enumerate(wanted) if not found]
        doubled = [view for view, found in enumerate(wanted) if len(found) > 1]
        if missing:
            broken.append((caption_id, f"views {missing} of {views_per_caption} are missing"))
        elif doubled:
            broken.append((caption_id, f"views {doubled} occur more than once"))
        else:
            whole[caption_id] = [found[0] for found in wanted]
    return ShardPart(
        caption_ids=np.array([caption_id.encode() for caption_id in whole], dtype="S"),
        offsets=_numbers_of(whole, views_per_caption, lambda member: member.offset),
        sizes=_numbers_of(whole, views_per_caption, lambda member: member.size_bytes),
        broken=tuple(broken),
    )


def read_members(reader: SequentialReader) -> Iterator[Member]:
    """The regular files of a plain tar, from headers alone.

    Raises ValueError where a header is damaged or the file ends too early; members before that are yielded.
    """
    position = 0
    while True:
        header = reader.read(position, TAR_BLOCK_BYTES)
        if len(header) < TAR_BLOCK_BYTES:
            raise ValueError(f"the tar ends without its end mark at byte {position}")
        if header == bytes(TAR_BLOCK_BYTES):
            return
        if _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            raise ValueError(f"the tar header at byte {position} is damaged")
        payload, size = position + TAR_BLOCK_BYTES, _octal(header[124:136])
        if payload + size > reader.shard.size_bytes:
            raise ValueError(f"the tar ends inside the member at byte {position}")
        if header[156:157] in REGULAR_FILE_TYPES:
            yield Member(header[:100].rstrip(b"\0").decode("utf-8", "replace"), payload, size)
        position = payload + -(-size // TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES


def read_group(
    index: ShardIndex, row: int, read: Callable[[ShardFile, int, int], bytes] = ShardFile.read
) -> list[bytes]:
    """The encoded views of caption `row`, in one read where they lie together.

    Raises ValueError when the shard has become shorter.
    """
    record, shard = index.records[row], index.shard_of(row)
    offsets, sizes = record["offsets"].tolist(), record["sizes"].tolist()
    first, end = min(offsets), max(offset + size for offset, size in zip(offsets, sizes, strict=True))
    if end - first <= sum(sizes) + GAP_BYTES_READ_OVER:
        content = read(shard, first, end - first)
        views = [content[offset - first :][:size] for offset, size in zip(offsets, sizes, strict=True)]
    else:
        views = [read(shard, offset, size) for offset, size in zip(offsets, sizes, strict=True)]
    short = [view for view, content in enumerate(views) if len(content) < sizes[view]]
    if short:
        raise ValueError(f"views {short} lie beyond the end of the shard")
    return views


def _scans(
    shards: Sequence[ShardFile], views_per_caption: int, kept: PartsOnDisk | None, excluded: np.ndarray
) -> Iterator[ShardPart]:
    """The part of each shard in order, less the excluded captions; a few remote shards are scanned at once."""

    def part_of(shard: ShardFile) -> ShardPart:
        def scan() -> ShardPart:
            return scan_shard(shard, views_per_caption)

        part = kept.get(shard, scan) if kept else scan()
        return part.without(excluded) if len(excluded) else part

    num_at_once = SHARDS_SCANNED_AT_ONCE if any(shard.is_remote for shard in shards) else 1
    with ThreadPoolExecutor(num_at_once) as pool:
        for first in range(0, len(shards), num_at_once):
            yield from pool.map(part_of, shards[first : first + num_at_once])


def _groups_of(
    shard: ShardFile,
) -> tuple[dict[str, list[tuple[int, Member]]], list[tuple[str | None, str]]]:
    groups: dict[str, list[tuple[int, Member]]] = {}
    with shard.windows() as reader:
        try:
            for member in read_members(reader):
                match = IMAGE_MEMBER.fullmatch(member.name)
                if match is not None:
                    groups.setdefault(match["caption_id"], []).append((int(match["view"]), member))
        except ShardError:
            raise
        except ValueError as error:
            return groups, [(None, str(error))]
    return groups, []


def _numbers_of(
    groups: dict[str, list[Member]], num_views: int, number: Callable[[Member], int]
) -> np.ndarray:
    numbers = [[number(member) for member in members] for members in groups.values()]
    return np.array(numbers, dtype=np.int64).reshape(len(groups), num_views)


def _ordered(shards: Sequence[str | Path | ShardFile]) -> tuple[ShardFile, ...]:
    if not shards:
        raise ShardError("no shards given: name at least one .tar file, for example --shards 'shards/*.tar'")
    opened = [shard if isinstance(shard, ShardFile) else open_shard(shard) for shard in shards]
    ordered = sorted(opened, key=lambda shard: shard.name)
    for first, second in pairwise(ordered):
        if first.name == second.name:
            raise ShardError(
                f"two shards are named {first.name}: give every shard of a run its own file name"
            )
    return tuple(ordered)


def _octal(field: bytes) -> int:
    """A number of a tar header: octal text, or big-endian binary when the first bit is set (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise ValueError(f"a tar header holds {text!r} where a number belongs") from None
