"""A folder of bucket files as one bank: good buckets, slices, and a problem for each thing that is not good.

Reads files and nothing else; never raises for what a folder holds, so that one bad file costs only itself.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synclr_assets.concept_bank.bucket import Bucket
from synclr_assets.concept_bank.bucket_file import bucket_of
from synclr_assets.concept_bank.problems import Problem, RefusedError, quote
from synclr_assets.concept_bank.slices import SCHEDULES_STEM, SLICES_STEM, named_slices_of, slices_of
from synclr_assets.concept_bank.yaml_tree import Tree, parse_yaml

FOLDER_VARIABLE = "SYNCLR_CONCEPTS"
"""Environment variable that names the folder of bucket files."""
DEFAULT_FOLDER = Path("concepts")
MAX_FILE_BYTES = 8 * 2**20
"""Size of one file, in bytes; the 13 000 names of ImageNet-21k take half of one MiB."""
MAX_PROBLEMS_PER_FILE = 20
"""Problems shown of one file; more of the same help nobody."""

SUFFIXES = (".yaml", ".yml")
"""Of bucket files, in any case."""


@dataclass(frozen=True)
class ConceptBank:
    """What a folder of bucket files holds."""

    folder: Path
    """The folder as given."""
    buckets: Mapping[str, Bucket]
    """Good buckets by name, sorted."""
    slices: Mapping[str, tuple[str, ...]]
    """Slice -> its buckets, sorted: the named slices, every bucket by itself, and `all`."""
    problems: tuple[Problem, ...]
    """Everything that was refused, by file."""


def concept_folder(environment: Mapping[str, str]) -> Path:
    """The folder named by SYNCLR_CONCEPTS in `environment`, else `concepts` in the working folder."""
    return Path(environment.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


def read_bank(folder: Path) -> ConceptBank:
    """Read every `.yaml` and `.yml` file of `folder`; hidden files and all other files are left alone."""
    try:
        paths = _yaml_paths(folder)
    except RefusedError as refusal:
        return ConceptBank(folder, {}, slices_of((), {}), (refusal.in_file(str(folder)),))
    by_stem: dict[str, list[Path]] = {}
    for path in paths:
        by_stem.setdefault(path.stem, []).append(path)
    real_folder = os.path.realpath(folder)
    slice_files = by_stem.pop(SLICES_STEM, [])
    by_stem.pop(SCHEDULES_STEM, None)
    buckets: dict[str, Bucket] = {}
    problems: list[Problem] = []
    for stem, twins in sorted(by_stem.items()):
        bucket, refusals = _read_bucket(twins, real_folder)
        problems += _problems_of(twins[0], refusals)
        if bucket:
            buckets[stem] = bucket
    named: dict[str, tuple[str, ...]] = {}
    if slice_files:
        named, refusals = _read_slices(slice_files, real_folder, buckets, by_stem.keys() - buckets.keys())
        problems += _problems_of(slice_files[0], refusals)
    return ConceptBank(folder, buckets, slices_of(buckets, named), tuple(problems))


def _yaml_paths(folder: Path) -> list[Path]:
    mend = f"make a folder of bucket files there or name another one by {FOLDER_VARIABLE}"
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError as error:
        raise RefusedError("", "there is no such folder", mend) from error
    except NotADirectoryError as error:
        raise RefusedError("", "is not a folder", mend) from error
    except OSError as error:
        raise RefusedError(
            "", f"cannot be read ({error.strerror})", "give yourself the right to read it"
        ) from error
    paths = [folder / n for n in names if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
    if not paths:
        raise RefusedError("", "holds no bucket file", "add one such as digits.yaml")
    return paths


def _read_bucket(twins: list[Path], real_folder: str) -> tuple[Bucket | None, list[RefusedError]]:
    refusals: list[RefusedError] = []
    bucket = None
    try:
        bucket = bucket_of(_read_tree(twins, real_folder), twins[0], refusals)
    except RefusedError as refusal:
        refusals.append(refusal)
    return bucket, refusals


def _read_slices(
    twins: list[Path], real_folder: str, buckets: Mapping[str, Bucket], refused: set[str]
) -> tuple[dict[str, tuple[str, ...]], list[RefusedError]]:
    refusals: list[RefusedError] = []
    named: dict[str, tuple[str, ...]] = {}
    try:
        named = named_slices_of(_read_tree(twins, real_folder), buckets, refused, refusals)
    except RefusedError as refusal:
        refusals.append(refusal)
    return named, refusals


def _read_tree(twins: list[Path], real_folder: str) -> Tree | None:
    """The tree of the only file of its name, after checking that it is an ordinary file of this folder."""
    path, *others = twins
    if others:
        names = " and ".join(other.name for other in others)
        raise RefusedError("file name", f"{names} has the same name {quote(path.stem)}", "keep one of them")
    try:
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real_folder):
            raise RefusedError("", "is a link that leaves the folder", "copy the file into the folder")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            raise RefusedError("", f"is {what}", "put a YAML file in its place or name it otherwise")
        if status.st_size > MAX_FILE_BYTES:
            message = f"has {status.st_size} bytes, more than {MAX_FILE_BYTES}"
            raise RefusedError("", message, "split it into several buckets")
        content = path.read_bytes()
    except OSError as error:
        raise RefusedError(
            "", f"cannot be read ({error.strerror})", "make it readable or remove it"
        ) from error
    return parse_yaml(content)


def _problems_of(path: Path, refusals: list[RefusedError]) -> list[Problem]:
    shown = refusals[:MAX_PROBLEMS_PER_FILE]
    if len(refusals) > len(shown):
        message = f"{len(refusals) - len(shown)} more problems are not shown"
        shown = [*shown, RefusedError("", message, "mend the ones above first")]
    return [refusal.in_file(str(path)) for refusal in shown]
