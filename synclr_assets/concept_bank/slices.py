"""Slices: named unions of buckets, as `slices.yaml` gives them, and those that exist by themselves."""

from collections.abc import Collection, Mapping

from synclr_assets.concept_bank.bucket_file import top_level_of
from synclr_assets.concept_bank.names import ALL, check_name
from synclr_assets.concept_bank.problems import RefusedError, among, key_path, quote
from synclr_assets.concept_bank.yaml_tree import Tree

SLICES_STEM = "slices"
SCHEDULES_STEM = "schedules"
"""Stem of a file that stands beside the bucket files and is none: when buckets are made anew."""

_EXAMPLE = "slices: {shapes: [digits, objects]}"


def slices_of(buckets: Collection[str], named: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Every slice with its sorted members, sorted by name: `named` ones, each bucket by itself, and `all`."""
    slices = {**named, **{bucket: (bucket,) for bucket in buckets}, ALL: tuple(sorted(buckets))}
    return dict(sorted(slices.items()))


def named_slices_of(
    tree: Tree | None, good: Collection[str], refused: Collection[str], refusals: list[RefusedError]
) -> dict[str, tuple[str, ...]]:
    """The slices of `slices.yaml`, leaving out each faulty one after adding its `RefusedError` to `refusals`.

    `good` are the buckets of the bank, `refused` those whose file has a problem of its own.
    """
    named: dict[str, tuple[str, ...]] = {}
    try:
        written = _mapping_of(tree)
    except RefusedError as refusal:
        refusals.append(refusal)
        return named
    for name, members in written.items():
        try:
            _check_slice_name(name, good, refused)
            named[name] = _members_of(members, f"slices.{name}", good, refused)
        except RefusedError as refusal:
            refusals.append(refusal)
    return named


def _mapping_of(tree: Tree | None) -> dict[str, Tree]:
    fields = top_level_of(tree, _EXAMPLE)
    for key in fields:
        if key != "slices":
            raise RefusedError(key_path(key), f"{quote(key)} is no key of slices.yaml", f"write {_EXAMPLE}")
    slices = fields.get("slices")
    if not isinstance(slices, dict):
        raise RefusedError("slices", "is not names with lists of buckets", f"write {_EXAMPLE}")
    return slices


def _check_slice_name(name: str, good: Collection[str], refused: Collection[str]) -> None:
    check_name(name, key_path("slices", name))
    if name in good or name in refused:
        message = f"{quote(name)} is a bucket, and every bucket is a slice of itself"
        raise RefusedError(f"slices.{name}", message, "name the slice otherwise")


def _members_of(value: Tree, field: str, good: Collection[str], refused: Collection[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise RefusedError(
            field, "is not a list of at least one bucket", "write a list such as [digits, objects]"
        )
    members: list[str] = []
    for index, member in enumerate(value):
        place = f"{field}[{index}]"
        if not isinstance(member, str):
            raise RefusedError(
                place, "is not the name of a bucket", "write the name, in quotes if YAML reads it otherwise"
            )
        if member in members:
            raise RefusedError(place, f"bucket {quote(member)} is named twice", "remove one of the two")
        if member in refused:
            raise RefusedError(
                place, f"the file of bucket {quote(member)} was refused", "mend that file first"
            )
        if member not in good:
            raise RefusedError(place, f"there is no bucket {quote(member)}", among(member, sorted(good)))
        members.append(member)
    return tuple(sorted(members))
