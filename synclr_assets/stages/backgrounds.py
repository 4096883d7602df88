"""Plausible backgrounds per concept (SynCLR 3.1, Table 2): written once, reused by every later generation.

A fine-grained source such as flowers has one list for all its concepts. It is bought once for the whole store and
stands in the table under a bucket of its own, `source:<name>`, which no bucket file can be called.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.stages.plan import PlannedConcept
from synclr_assets.stages.progress import BeforeBatch, unlimited
from synclr_assets.stages.purchases import Purchases, sweep_purchases
from synclr_assets.store.claims import held_claim
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import StageWriter, Unit, stage_cursor
from synclr_assets.synthesis.protocols import BackgroundWriter
from synclr_assets.synthesis.purchases import ListWriter

STAGE = "backgrounds"
CONCEPTS_PER_COMMIT = 16
GuardOf = Callable[[Unit], BeforeBatch]
"""What is to be asked before concepts of a unit are bought: the bucket's own, or that of a shared list."""


def unguarded(unit: Unit) -> BeforeBatch:
    """The GuardOf that lets everything through."""
    return unlimited


def ensure_backgrounds(
    store: Store,
    unit: Unit,
    concepts: Sequence[PlannedConcept],
    writer: BackgroundWriter,
    per_concept: int,
    run_id: str = "",
    guard_of: GuardOf = unguarded,
) -> dict[str, list[str]]:
    """Backgrounds of every concept by name, asking the writer only for those no generation of the bucket has.

    A concept that a model was asked for in vain has an empty list. Raises StoreError where a dictionary knows none
    for a concept, ApiError where a server cannot be made to answer, and what a guard raises at a limit.
    """
    if not isinstance(writer, ListWriter):
        subjects = {concept.name: (concept.display_text, concept.source) for concept in concepts}
        return _ensure(store, unit, subjects, writer, per_concept, run_id, guard_of(unit))
    own: dict[str, tuple[str, str]] = {}
    shared: dict[str, str] = {}
    for concept in concepts:
        about = writer.shared_list(concept.source)
        if about is None:
            own[concept.name] = (concept.display_text, concept.source)
        else:
            shared[concept.source] = about
    lists = _ensure(store, unit, own, writer, per_concept, run_id, guard_of(unit))
    of_source = {
        source: _ensure_shared(store, source, about, writer, per_concept, run_id, guard_of)
        for source, about in shared.items()
    }
    return {c.name: of_source[c.source] if c.source in of_source else lists[c.name] for c in concepts}


def backgrounds_done(store: Store, unit: Unit) -> int:
    """Concepts whose backgrounds were written in this generation (not those reused from an earlier one)."""
    return stage_cursor(store.tables, STAGE, unit)


def shared_unit(store: Store, source: str, fingerprint: str) -> Unit:
    """Where a source's shared list stands; another model or prompt writes the next generation."""
    bucket = f"source:{source}"
    rows = store.tables.read(
        STAGE, partitions={"bucket": bucket}, columns=["generation", "fingerprint"]
    ).to_pylist()
    same = [row["generation"] for row in rows if row["fingerprint"] == fingerprint]
    return Unit(bucket, min(same) if same else 1 + max((row["generation"] for row in rows), default=-1))


def _ensure_shared(
    store: Store,
    source: str,
    about: str,
    writer: BackgroundWriter,
    per_concept: int,
    run_id: str,
    guard_of: GuardOf,
) -> list[str]:
    """The list of a source. One run buys it while those of other buckets wait; they read it then."""
    fingerprint = writer.provenance.fingerprint
    known = _known(store, shared_unit(store, source, fingerprint), fingerprint)
    if source in known:
        return known[source]
    with held_claim(store.blobs, f"{STAGE}/{source}") as check_claim:
        unit = shared_unit(store, source, fingerprint)
        guard = guard_of(unit)

        def before_batch(num_units: int) -> None:
            check_claim()
            guard(num_units)

        subjects = {source: (about, source)}
        return _ensure(store, unit, subjects, writer, per_concept, run_id, before_batch)[source]


def _ensure(
    store: Store,
    unit: Unit,
    subjects: Mapping[str, tuple[str, str]],
    writer: BackgroundWriter,
    per_concept: int,
    run_id: str,
    before_batch: BeforeBatch,
) -> dict[str, list[str]]:
    """Lists by name of each (display text, source), bought or read."""
    fingerprint = writer.provenance.fingerprint
    known = _known(store, unit, fingerprint)
    if any(name not in known for name in subjects):
        stage = StageWriter.open(store.tables, STAGE, unit, sides=("ledger",), run_id=run_id)
        purchases = Purchases(store, STAGE, unit, stage.cursor)
        buying = purchases.through(writer)
        known = _known(store, unit, fingerprint)
        missing = [name for name in subjects if name not in known]
        per_commit = writer.concepts_per_commit if isinstance(writer, ListWriter) else CONCEPTS_PER_COMMIT
        for start in range(0, len(missing), per_commit):
            chunk = missing[start : start + per_commit]
            before_batch(len(chunk))
            started = time.monotonic()
            written = _write(buying, {name: subjects[name] for name in chunk}, per_concept)
            rows = _rows(unit, stage.cursor, written, writer)
            spent = purchases.ledger_rows(
                units=rows.num_rows,
                generator=writer.provenance.model,
                requests=len(chunk),
                wall_seconds=time.monotonic() - started,
                run_id=run_id,
            )
            stage.commit(stage.cursor + len(chunk), rows, {"ledger": spent})
            purchases.settle(stage.cursor)
            known |= written
    else:
        sweep_purchases(store, STAGE, unit)
    return {name: known[name] for name in subjects}


def _known(store: Store, unit: Unit, fingerprint: str) -> dict[str, list[str]]:
    """Lists in the table by concept: the first that was written. A concept asked for in vain in this very
    generation has an empty one; an earlier generation's failure is not held against it."""
    rows = store.tables.read(
        STAGE,
        partitions={"bucket": unit.bucket},
        columns=["generation", "concept", "ordinal", "background"],
        where=pc.field("fingerprint") == fingerprint,
    ).sort_by([("generation", "ascending"), ("concept", "ascending"), ("ordinal", "ascending")])
    first_generation: dict[str, int] = {}
    known: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        if row["background"] is None:
            if row["generation"] == unit.generation:
                known.setdefault(row["concept"], [])
        elif first_generation.setdefault(row["concept"], row["generation"]) == row["generation"]:
            known.setdefault(row["concept"], []).append(row["background"])
    return known


def _write(
    writer: BackgroundWriter, subjects: Mapping[str, tuple[str, str]], per_concept: int
) -> dict[str, list[str]]:
    if isinstance(writer, ListWriter):
        lists = writer.write_lists([text for text, _ in subjects.values()], per_concept)
        return dict(zip(subjects, lists, strict=True))
    written = {}
    for name, (display_text, source) in subjects.items():
        written[name] = writer.write(display_text, source, per_concept)
        if not written[name]:
            raise StoreError(
                f"No background is known for {display_text!r}: add it to the background dictionary or leave "
                "c_bg out of the concept's templates."
            )
    return written


def _rows(unit: Unit, first: int, written: dict[str, list[str]], writer: BackgroundWriter) -> pa.Table:
    """One row per background; one without a background for a concept that was asked for in vain."""
    return rows_of(
        STAGE,
        [
            {
                **unit.partitions,
                "position": first + number,
                "concept": concept,
                "ordinal": ordinal,
                "background": background,
                "origin": writer.origin,
                **asdict(writer.provenance),
            }
            for number, (concept, backgrounds) in enumerate(written.items())
            for ordinal, background in enumerate(backgrounds or [None])
        ],
    )
