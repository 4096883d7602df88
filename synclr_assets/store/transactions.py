"""Fenced, resumable writing of one stage of one bucket generation. Knows tables, not what is in them.

A stage does its units (captions, shards) in cursor order. One batch is: side tables first, then the main table,
whose commit carries the new cursor. So a batch is visible by one commit; what a killed run left in side tables lies
at or beyond the cursor and is removed when the stage is opened again. Opening also raises the writer number, which
fences every earlier writer off: of two runs at once, the later one finishes and the earlier one stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError

from synclr_assets.store.errors import FencedError, SettingsChangedError
from synclr_assets.store.tables import MAX_COMMIT_RETRIES, Tables, sql_literal

SEARCHED_COMMITS = 1000
"""Commits of other buckets that may lie after that of an overtaking run."""
_RUN, _STAGE, _UNIT = "synclr.run", "synclr.stage", "synclr.unit"


@dataclass(frozen=True)
class Unit:
    """What a stage works on: one generation of one bucket."""

    bucket: str
    generation: int

    def __str__(self) -> str:
        return f"{self.bucket} generation {self.generation}"

    @property
    def partitions(self) -> dict[str, str | int]:
        return {"bucket": self.bucket, "generation": self.generation}

    @property
    def predicate(self) -> str:
        return f"bucket = {sql_literal(self.bucket)} AND generation = {self.generation}"

    @property
    def where(self) -> pc.Expression:
        return (pc.field("bucket") == self.bucket) & (pc.field("generation") == self.generation)


def stage_cursor(tables: Tables, stage: str, unit: Unit) -> int:
    """How far the stage has come: all cursor values below this one are committed or quarantined."""
    handle = tables.open(stage)
    return 0 if handle is None else cursor_of(handle, stage, unit)


def cursor_of(handle: DeltaTable, stage: str, unit: Unit) -> int:
    """The same, in the version of the stage's table that is open."""
    return handle.transaction_version(_cursor_id(stage, unit)) or 0


class StageWriter:
    """The one writer of `stage` for `unit`. Use `StageWriter.open`."""

    def __init__(self, tables: Tables, stage: str, unit: Unit, sides: Sequence[str], run_id: str) -> None:
        self._tables = tables
        self._stage = stage
        self._unit = unit
        self._sides = tuple(sides)
        self._run_id = run_id
        self._writer = 0
        self.cursor = 0

    @classmethod
    def open(
        cls,
        tables: Tables,
        stage: str,
        unit: Unit,
        *,
        sides: Sequence[str] = (),
        settings: str | None = None,
        settings_column: str = "fingerprint",
        run_id: str = "",
    ) -> StageWriter:
        """Take the stage over: check its settings, fence earlier writers off, remove what they left half-done.

        Raises SettingsChangedError where committed rows carry another settings fingerprint.
        """
        writer = cls(tables, stage, unit, sides, run_id)
        if settings is not None:
            check_settings(tables, stage, unit, settings, settings_column)
        writer._fence()
        for side in writer._sides:
            writer._remove_orphans(side)
        return writer

    def commit(self, end: int, rows: pa.Table, sides: Mapping[str, pa.Table] | None = None) -> None:
        """Commit one batch that brings the cursor to `end`: side rows, then the main rows with the cursor.

        Raises FencedError where another run took the stage over; nothing of the batch is visible then.
        """
        assert end > self.cursor, (end, self.cursor)
        for side, side_rows in (sides or {}).items():
            assert side in self._sides, side
            if side_rows.num_rows:
                self._append(side, side_rows, self._side_id, end)
        self._append(self._stage, rows, _cursor_id(self._stage, self._unit), end)
        self.cursor = end

    @property
    def _writer_id(self) -> str:
        return f"{_cursor_id(self._stage, self._unit)}/writer"

    @property
    def _side_id(self) -> str:
        return f"{_cursor_id(self._stage, self._unit)}/side"

    def _marks(self, progress_id: str, progress: int) -> list[Transaction]:
        return [Transaction(progress_id, progress), Transaction(self._writer_id, self._writer)]

    def _fence(self) -> None:
        empty = self._tables.spec(self._stage).schema.empty_table()
        for _ in range(MAX_COMMIT_RETRIES):
            handle = self._tables.open_or_create(self._stage)
            self.cursor = handle.transaction_version(_cursor_id(self._stage, self._unit)) or 0
            self._writer = (handle.transaction_version(self._writer_id) or 0) + 1
            marks = self._marks(_cursor_id(self._stage, self._unit), self.cursor)
            try:
                self._tables.append(handle, self._stage, empty, transactions=marks, metadata=self._metadata())
                return
            except CommitFailedError:
                continue
        raise FencedError(
            f"{self._stage} of {self._unit} could not be taken over: other runs keep writing it."
        )

    def _remove_orphans(self, side: str) -> None:
        spec = self._tables.spec(side)
        assert spec.cursor is not None, side
        orphans = f"{self._unit.predicate} AND {spec.cursor} >= {self.cursor}"
        where = self._unit.where & (pc.field(spec.cursor) >= self.cursor)
        if "stage" in spec.schema.names:
            orphans += f" AND stage = {sql_literal(self._stage)}"
            where &= pc.field("stage") == self._stage
        for _ in range(MAX_COMMIT_RETRIES):
            handle = self._tables.open_or_create(side)
            self._check_not_overtaken(handle)
            count = self._tables.count(side, partitions=self._unit.partitions, where=where)
            fence = self._marks(self._side_id, self.cursor)
            try:
                if count:
                    handle.delete(orphans, commit_properties=CommitProperties(app_transactions=fence))
                else:
                    empty = spec.schema.empty_table()
                    self._tables.append(handle, side, empty, transactions=fence, metadata=self._metadata())
                return
            except CommitFailedError:
                continue
        raise FencedError(f"{side} of {self._unit} could not be taken over: other runs keep writing it.")

    def _append(self, table: str, rows: pa.Table, progress_id: str, end: int) -> None:
        """Append through a fresh handle. A commit that met another bucket's writer is made again, one that
        landed although its answer was lost is not."""
        marks = self._marks(progress_id, end)
        for attempt in range(MAX_COMMIT_RETRIES):
            handle = self._tables.open_or_create(table)
            self._check_not_overtaken(handle)
            if attempt and handle.transaction_version(progress_id) == end:
                return
            try:
                self._tables.append(handle, table, rows, transactions=marks, metadata=self._metadata())
                return
            except CommitFailedError:
                continue
        raise FencedError(f"{table} of {self._unit} could not be committed: other runs keep writing it.")

    def _check_not_overtaken(self, handle: DeltaTable) -> None:
        newest = handle.transaction_version(self._writer_id) or 0
        if newest > self._writer:
            raise FencedError(
                f"Another run took over {self._stage} of {self._unit}; this one stops, its committed work stays.",
                self._newest_run(handle),
            )

    def _newest_run(self, handle: DeltaTable) -> str | None:
        """Who committed last to this stage and unit, as far as the newest commits say."""
        for commit in handle.history(SEARCHED_COMMITS):
            if (commit.get(_STAGE), commit.get(_UNIT)) == (self._stage, str(self._unit)):
                return commit.get(_RUN) or None
        return None

    def _metadata(self) -> dict[str, str]:
        return {_RUN: self._run_id, _STAGE: self._stage, _UNIT: str(self._unit)}


def check_settings(
    tables: Tables, stage: str, unit: Unit, settings: str, settings_column: str = "fingerprint"
) -> None:
    """Raise SettingsChangedError where committed rows of the unit were made with other settings."""
    dataset = tables.snapshot(stage, unit.partitions)
    if dataset is None:
        return
    first = dataset.head(1, columns=[settings_column])
    if first.num_rows and first[settings_column][0].as_py() != settings:
        raise SettingsChangedError(
            f"{stage} of {unit} were made with settings {first[settings_column][0].as_py()[:12]}, now they are "
            f"{settings[:12]}: start generation {unit.generation + 1} (synclr materialize {unit.bucket} "
            f"--generation {unit.generation + 1}) or put the settings back."
        )


def _cursor_id(stage: str, unit: Unit) -> str:
    return f"{stage}/{unit.bucket}/{unit.generation}"
