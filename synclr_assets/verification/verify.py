"""`verify`: all checks of a store in a fixed order, one finding at a time. Repairs nothing, prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.verification.corpus import corpus_faults
from synclr_assets.verification.findings import Finding
from synclr_assets.verification.images import image_faults
from synclr_assets.verification.leftovers import leftover_rows
from synclr_assets.verification.models import model_faults
from synclr_assets.verification.shards import shard_faults
from synclr_assets.verification.table_files import damaged_tables


@dataclass(frozen=True)
class Check:
    """One step of a verification."""

    name: str
    tables: tuple[str, ...]
    """Tables it reads; a damaged one is reported by itself and the step is left out."""
    run: Callable[[], Iterator[Finding]]


@dataclass(frozen=True)
class Step:
    """What one step found. `skipped` names the damaged tables that kept it from running."""

    name: str
    done: int
    total: int
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()


CORPUS = ("concepts", "captions", "enriched_captions", "quarantine")


def verify(store: Store, *, buckets: Sequence[str] | None = None, deep: bool = True) -> Iterator[Step]:
    """Check the store, or only the given buckets' data, and every model; yield after each step.

    `deep` also decodes table files, hashes stored images; without it sizes, counts, references, shard and weight
    checksums are checked. Raises NewerSchemaError for a table of a newer version.
    """
    found = tuple(damaged_tables(store, deep=deep))
    damaged = {_table_of(finding) for finding in found}
    checks = [] if "concepts" in damaged else list(_checks(store, _units(store, buckets), deep))
    total = 1 + len(checks)
    yield Step("tables", 1, total, found, ("concepts",) if "concepts" in damaged else ())
    for number, check in enumerate(checks, 2):
        skipped = tuple(sorted(damaged.intersection(check.tables)))
        findings = () if skipped else tuple(check.run())
        yield Step(check.name, number, total, findings, skipped)


def _units(store: Store, buckets: Sequence[str] | None) -> list[Unit]:
    rows = store.tables.read("concepts", columns=["bucket", "generation"])
    units = {(row["bucket"], row["generation"]) for row in rows.to_pylist()}
    return [Unit(*unit) for unit in sorted(units) if buckets is None or unit[0] in buckets]


def _checks(store: Store, units: Sequence[Unit], deep: bool) -> Iterator[Check]:
    for unit in units:
        images = partial(image_faults, store, unit, with_bytes=deep)
        with_bytes = ("image_bytes",) if deep else ()
        yield Check(f"corpus of {unit}", CORPUS, partial(corpus_faults, store, unit))
        yield Check(f"images of {unit}", (*CORPUS, "images", *with_bytes), images)
        yield Check(
            f"shards of {unit}", ("images", "shards", "shard_members"), partial(shard_faults, store, unit)
        )
        yield Check(
            f"leftovers of {unit}",
            ("quarantine", "plain_captions", "image_bytes", "shard_members", "ledger"),
            partial(leftover_rows, store, unit),
        )
    yield Check("models", ("models", "consumption", "evals", "shards"), partial(model_faults, store))


def _table_of(finding: Finding) -> str:
    """The table of a finding of `damaged_tables`: its name, or the second part of a data file's key."""
    parts = finding.where.split("/")
    return parts[1] if len(parts) > 1 else parts[0]
