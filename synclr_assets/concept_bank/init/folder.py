"""A planned bank as a folder of bucket files and slices.yaml, written whole or not at all."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from synclr_assets.concept_bank.bank import read_bank
from synclr_assets.concept_bank.bucket import Bucket, Concept
from synclr_assets.concept_bank.init.plan import PlannedBank
from synclr_assets.concept_bank.slices import SLICES_STEM


class FolderError(ValueError):
    """A folder that cannot take a bank; one sentence."""


def write_bank(plan: PlannedBank, folder: Path) -> None:
    """Write `plan` into `folder`, which must be empty or missing. Raises FolderError, leaving nothing behind.

    The files are written beside the folder, read back and compared with the plan, and then take its place by
    one rename.
    """
    check_folder(folder)
    partial = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    try:
        partial.mkdir(parents=True)
        for bucket in plan.buckets:
            (partial / f"{bucket.name}.yaml").write_text(bucket_file_text(bucket), encoding="utf-8")
        if plan.slices:
            text = _slices_text(plan.slices)
            (partial / f"{SLICES_STEM}.yaml").write_text(text, encoding="utf-8")
        _check_written(plan, partial)
        partial.rename(folder)
    except OSError as error:
        raise FolderError(f"{folder}: cannot be written ({error.strerror}); name another folder.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_folder(folder: Path) -> None:
    """Refuse anything but an empty or a missing folder, before the work. Raises FolderError."""
    if folder.name in ("", ".."):
        raise FolderError(f"{folder}: this folder cannot be replaced; name a new one, such as concepts.")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FolderError(f"{folder}: is no folder; name a new one.")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise FolderError(f"{folder}: the folder is not empty; name a new one, or empty it.")
    except OSError as error:
        raise FolderError(f"{folder}: cannot be read ({error.strerror}); name another folder.") from error


def bucket_file_text(bucket: Bucket) -> str:
    """The bucket file that reads as `bucket`; names are quoted, so that YAML takes none for a number."""
    shares = ", ".join(f"{name}: {share!r}" for name, share in bucket.template_shares.items())
    lines = [
        *([f"description: {_quoted(bucket.description)}"] if bucket.description else []),
        f"source: {bucket.source}",
        f"captions: {bucket.num_captions}",
        f"templates: {{{shares}}}",
        "concepts:",
        *(f"  - {_concept_text(bucket, concept)}" for concept in bucket.concepts),
    ]
    return "\n".join(lines) + "\n"


def _concept_text(bucket: Bucket, concept: Concept) -> str:
    """Only what differs from the defaults of a bucket file."""
    extra = {}
    if concept.text != concept.name:
        extra["text"] = _quoted(concept.text)
    if concept.weight != 1.0:
        extra["weight"] = repr(concept.weight)
    if concept.templates != tuple(bucket.template_shares):
        extra["templates"] = f"[{', '.join(concept.templates)}]"
    if not extra:
        return _quoted(concept.name)
    return (
        f"{{name: {_quoted(concept.name)}, {', '.join(f'{key}: {value}' for key, value in extra.items())}}}"
    )


def _slices_text(slices: Mapping[str, tuple[str, ...]]) -> str:
    lines = ["slices:", *(f"  {name}: [{', '.join(members)}]" for name, members in slices.items())]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON's quoting is YAML's for printable text, the only text a concept may hold.
    return json.dumps(text, ensure_ascii=False)


def _check_written(plan: PlannedBank, folder: Path) -> None:
    bank = read_bank(folder)
    assert not bank.problems, f"the written bank has a problem: {bank.problems[0].sentence}"
    assert dict(bank.buckets) == {bucket.name: bucket for bucket in plan.buckets}, "a bucket reads otherwise"
