"""Reading SynCaps shards: local WebDataset tars whose samples are whole positive groups of one caption.

Indexes member offsets without reading payloads. What is broken is recorded with a reason and left out: a bad
member never stops a run, and nothing is skipped without a record. Writes nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

TAR_BLOCK_BYTES = 512
REGULAR_FILE_TYPES = (b"0", b"\0")
IMAGE_MEMBER = re.compile(r"(?P<caption_id>[^./]+)\.(?P<view>\d+)\.(?:jpg|jpeg|png|webp)")


class ShardError(ValueError):
    """The shards given cannot be trained on; the message names the shard and the mend."""


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

    paths: tuple[Path, ...]
    caption_ids: np.ndarray
    """Per caption: its id (bytes)."""
    shard_numbers: np.ndarray
    """Per caption: which of `paths` holds it."""
    offsets: np.ndarray
    """Per caption and view: first byte of the image (captions, views)."""
    sizes_bytes: np.ndarray
    """Per caption and view: size of the image (captions, views)."""
    quarantined: tuple[Quarantined, ...]
    """What could not be indexed."""

    @property
    def num_captions(self) -> int:
        """Whole positive groups."""
        return len(self.caption_ids)

    @property
    def num_views(self) -> int:
        """Images per caption."""
        return self.offsets.shape[1]

    def captions_per_shard(self) -> dict[str, int]:
        """Indexed captions of each shard, by file name."""
        counts = np.bincount(self.shard_numbers, minlength=len(self.paths))
        return {path.name: int(count) for path, count in zip(self.paths, counts, strict=True)}


def index_shards(paths: Sequence[Path], views_per_caption: int) -> ShardIndex:
    """Index the first `views_per_caption` views of every caption of `paths`, in sorted order of file name.

    Raises ShardError for no shards, a missing shard, two shards with one file name, or no whole group at all.
    """
    ordered = tuple(sorted(paths, key=lambda path: path.name))
    _check_paths(ordered)
    ids: list[bytes] = []
    numbers: list[int] = []
    members: list[list[Member]] = []
    quarantined: list[Quarantined] = []
    for number, path in enumerate(ordered):
        groups, broken = _groups_of(path)
        quarantined += broken
        for caption_id, views in groups.items():
            missing = [view for view in range(views_per_caption) if view not in views]
            if missing:
                reason = f"views {missing} of {views_per_caption} are missing"
                quarantined.append(Quarantined(path.name, caption_id, reason))
                continue
            ids.append(caption_id.encode())
            numbers.append(number)
            members.append([views[view] for view in range(views_per_caption)])
    if not ids:
        first = quarantined[0] if quarantined else None
        detail = f"; the first problem: {first.shard}: {first.reason}" if first else ""
        raise ShardError(
            f"no caption with {views_per_caption} images in {len(ordered)} shards{detail}: "
            "check the --shards pattern"
        )
    return ShardIndex(
        paths=ordered,
        caption_ids=np.array(ids),
        shard_numbers=np.array(numbers, dtype=np.int32),
        offsets=np.array([[member.offset for member in views] for views in members], dtype=np.int64),
        sizes_bytes=np.array([[member.size_bytes for member in views] for views in members], dtype=np.int64),
        quarantined=tuple(quarantined),
    )


def read_members(path: Path) -> Iterator[Member]:
    """The regular files of a plain tar, from headers alone.

    Raises ValueError where a header is damaged or the file ends too early; members before that are yielded.
    """
    file_size = path.stat().st_size
    position = 0
    with path.open("rb") as file:
        while True:
            file.seek(position)
            header = file.read(TAR_BLOCK_BYTES)
            if len(header) < TAR_BLOCK_BYTES:
                raise ValueError(f"the tar ends without its end mark at byte {position}")
            if header == bytes(TAR_BLOCK_BYTES):
                return
            if _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
                raise ValueError(f"the tar header at byte {position} is damaged")
            payload, size = position + TAR_BLOCK_BYTES, _octal(header[124:136])
            if payload + size > file_size:
                raise ValueError(f"the tar ends inside the member at byte {position}")
            if header[156:157] in REGULAR_FILE_TYPES:
                yield Member(header[:100].rstrip(b"\0").decode("utf-8", "replace"), payload, size)
            position = payload + -(-size // TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES


def read_caption_images(index: ShardIndex, row: int, source_size: int) -> np.ndarray:
    """Decode all views of caption `row`: uint8 (views, 3, source_size, source_size).

    Raises ValueError naming the view when one cannot be decoded.
    """
    images = np.empty((index.num_views, 3, source_size, source_size), dtype=np.uint8)
    with index.paths[index.shard_numbers[row]].open("rb") as file:
        for view in range(index.num_views):
            file.seek(int(index.offsets[row, view]))
            encoded = file.read(int(index.sizes_bytes[row, view]))
            try:
                images[view] = _decode(encoded, source_size)
            except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
                raise ValueError(f"view {view} cannot be decoded ({error})") from error
    return images


def _decode(encoded: bytes, source_size: int) -> np.ndarray:
    with Image.open(BytesIO(encoded)) as image:
        image.draft("RGB", (source_size, source_size))
        pixels = image.convert("RGB")
        if pixels.size != (source_size, source_size):
            side = min(pixels.size)
            left, top = (pixels.width - side) // 2, (pixels.height - side) // 2
            pixels = pixels.resize(
                (source_size, source_size), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
            )
        return np.asarray(pixels).transpose(2, 0, 1)


def _groups_of(path: Path) -> tuple[dict[str, dict[int, Member]], list[Quarantined]]:
    groups: dict[str, dict[int, Member]] = {}
    try:
        for member in read_members(path):
            match = IMAGE_MEMBER.fullmatch(member.name)
            if match is not None:
                groups.setdefault(match["caption_id"], {})[int(match["view"])] = member
    except ValueError as error:
        return groups, [Quarantined(path.name, None, str(error))]
    return groups, []


def _check_paths(paths: Sequence[Path]) -> None:
    if not paths:
        raise ShardError("no shards given: name at least one .tar file, for example --shards 'shards/*.tar'")
    for path in paths:
        if not path.is_file():
            raise ShardError(f"shard {path} does not exist: check the --shards pattern")
    names = [path.name for path in paths]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ShardError(f"two shards are named {doubled[0]}: give every shard of a run its own file name")


def _octal(field: bytes) -> int:
    """A number of a tar header: octal text, or big-endian binary when the first bit is set (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise ValueError(f"a tar header holds {text!r} where a number belongs") from None
