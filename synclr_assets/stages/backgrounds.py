"""Plausible backgrounds per concept (SynCLR 3.1, Table 2): written once, reused by every later generation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from synclr_assets.stages.ledger import ledger_row
from synclr_assets.stages.plan import PlannedConcept
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import StageWriter, Unit, stage_cursor
from synclr_assets.synthesis.protocols import BackgroundWriter

STAGE = "backgrounds"
CONCEPTS_PER_COMMIT = 16


def ensure_backgrounds(
    store: Store,
    unit: Unit,
    concepts: Sequence[PlannedConcept],
    writer: BackgroundWriter,
    per_concept: int,
    run_id: str = "",
) -> dict[str, list[str]]:
    """Backgrounds of every concept by name, asking the writer only for those no generation of the bucket has.

    Raises StoreError where the writer knows none for a concept.
    """
    fingerprint = writer.provenance.fingerprint
    known = _known(store, unit.bucket, fingerprint)
    if any(concept.name not in known for concept in concepts):
        stage = StageWriter.open(store.tables, STAGE, unit, sides=("ledger",), run_id=run_id)
        known = _known(store, unit.bucket, fingerprint)
        missing = [concept for concept in concepts if concept.name not in known]
        for start in range(0, len(missing), CONCEPTS_PER_COMMIT):
            started = time.monotonic()
            chunk = missing[start : start + CONCEPTS_PER_COMMIT]
            written = {concept.name: _write(writer, concept, per_concept) for concept in chunk}
            rows = _rows(unit, stage.cursor, written, writer)
            spent = ledger_row(
                STAGE,
                unit,
                stage.cursor,
                units=rows.num_rows,
                generator=writer.provenance.model,
                requests=len(chunk),
                wall_seconds=time.monotonic() - started,
            )
            stage.commit(stage.cursor + len(chunk), rows, {"ledger": spent})
            known |= written
    return {concept.name: known[concept.name] for concept in concepts}


def backgrounds_done(store: Store, unit: Unit) -> int:
    """Concepts whose backgrounds were written in this generation (not those reused from an earlier one)."""
    return stage_cursor(store.tables, STAGE, unit)


def _known(store: Store, bucket: str, fingerprint: str) -> dict[str, list[str]]:
    rows = store.tables.read(
        STAGE,
        partitions={"bucket": bucket},
        columns=["generation", "concept", "ordinal", "background"],
        where=pc.field("fingerprint") == fingerprint,
    ).sort_by([("generation", "ascending"), ("concept", "ascending"), ("ordinal", "ascending")])
    first_generation: dict[str, int] = {}
    known: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        if first_generation.setdefault(row["concept"], row["generation"]) == row["generation"]:
            known.setdefault(row["concept"], []).append(row["background"])
    return known


def _write(writer: BackgroundWriter, concept: PlannedConcept, per_concept: int) -> list[str]:
    backgrounds = writer.write(concept.display_text, concept.source, per_concept)
    if not backgrounds:
        raise StoreError(
            f"No background is known for {concept.display_text!r}: add it to the background dictionary or leave "
            "c_bg out of the concept's templates."
        )
    return backgrounds


def _rows(unit: Unit, first: int, written: dict[str, list[str]], writer: BackgroundWriter) -> pa.Table:
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
            for ordinal, background in enumerate(backgrounds)
        ],
    )
