"""What a stage buys for the batch at hand: kept until the batch is committed, counted once, then forgotten.

A delivery carries the cursor of the batch it was bought for. Below the committed cursor it was counted already and is
swept; at the cursor it was paid for but not committed, so the batch finds it again instead of buying it again.
A request is announced before it is sent. What a kill left announced and undelivered is in doubt: it is sent again under
the same key, and counted in the ledger, for the server may charge for both.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import pyarrow as pa

from synclr_assets.stages.ledger import FREE, Prices, ledger_row
from synclr_assets.store.journal import JOURNAL_FOLDER, Journal
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, stage_cursor
from synclr_assets.synthesis.protocols import Completion
from synclr_assets.synthesis.purchases import Delivery, PaidGenerator

Generator = TypeVar("Generator")
_NOTE = "jobs/"


class Purchases:
    """The `DeliveryMemory` of one stage of one unit. Open it after the stage's writer, at the writer's cursor."""

    def __init__(self, store: Store, stage: str, unit: Unit, cursor: int) -> None:
        self._stage = stage
        self._unit = unit
        self._cursor = cursor
        self._journal = _journal(store, stage, unit)
        self._lock = threading.Lock()
        entries = self._journal.entries()
        self._notes = {
            name.removeprefix(_NOTE): entry for name, entry in entries.items() if name.startswith(_NOTE)
        }
        pending = {
            name: entry
            for name, entry in entries.items()
            if not name.startswith(_NOTE) and entry["cursor"] >= cursor
        }
        self._deliveries = {
            name: Delivery(**entry["delivery"]) for name, entry in pending.items() if "delivery" in entry
        }
        self._doubts = Counter({name: _doubts(entry) for name, entry in pending.items()})
        self._journal.remove(_counted(entries, cursor))

    def through(self, generator: Generator) -> Generator:
        """The generator, buying through this memory if it is one that pays per response."""
        return generator.remembering(self) if isinstance(generator, PaidGenerator) else generator

    def recall(self, key: str) -> Delivery | None:
        """The delivery kept under a request key, or None."""
        return self._deliveries.get(key)

    @property
    def num_in_doubt(self) -> int:
        """Tries for the batch at hand that no whole answer came to: the most that was paid for in vain."""
        with self._lock:
            return self._doubts.total()

    def announce(self, key: str) -> None:
        """Make durable that a request is about to be sent."""
        self._journal.put(key, self._entry(key) | {"under_way": True})

    def doubt(self, key: str) -> None:
        """Count a try without a whole answer."""
        with self._lock:
            self._doubts[key] += 1

    def withdraw(self, key: str) -> None:
        """Remember an announced request as one that is no longer under way, with the doubts it met."""
        if self._doubts[key]:
            self._journal.put(key, self._entry(key))
        else:
            self._journal.remove([key])

    def keep(self, key: str, delivery: Delivery) -> None:
        """Make a delivery durable; returns when it is."""
        self._journal.put(key, self._entry(key) | {"delivery": asdict(delivery)})
        with self._lock:
            self._deliveries[key] = delivery

    def notes(self) -> dict[str, dict[str, Any]]:
        """Notes of jobs under way, by name."""
        return dict(self._notes)

    def keep_note(self, name: str, note: Mapping[str, Any]) -> None:
        """Make a note durable in place of any earlier one of the name."""
        self._journal.put(_NOTE + name, note)
        self._notes[name] = dict(note)

    def drop_note(self, name: str) -> None:
        """Remove a note; an absent one is fine."""
        self._journal.remove([_NOTE + name])
        self._notes.pop(name, None)

    def ledger_rows(
        self,
        *,
        units: int,
        generator: str,
        completions: Sequence[Completion] = (),
        requests: int | None = None,
        wall_seconds: float,
        prices: Prices = FREE,
        run_id: str = "",
    ) -> pa.Table:
        """What the batch at hand cost: a row for `generator`, which made the units, and one per other generator.

        Generators that pay are counted by what was delivered for the batch, before a kill or after it; their usd
        are on the deliveries, and `prices` apply to the others.
        """
        bought: dict[str, list[Delivery]] = {}
        for delivery in self._deliveries.values():
            bought.setdefault(delivery.generator, []).append(delivery)
        doubts = Counter[str]()
        for key, count in self._doubts.items():
            asked = self._deliveries.get(key)
            doubts[asked.generator if asked else generator] += count
        rows = []
        for name in dict.fromkeys([generator, *sorted(bought)]):
            deliveries = bought.get(name, [])
            counted = deliveries or (completions if name == generator else [])
            row = ledger_row(
                self._stage,
                self._unit,
                self._cursor,
                units=units if name == generator else 0,
                generator=name,
                completions=[Completion("", one.prompt_tokens, one.completion_tokens) for one in counted],
                requests=len(deliveries) if deliveries or name != generator else requests,
                wall_seconds=wall_seconds if name == generator else 0.0,
                requests_in_doubt=doubts[name],
                usd=sum(one.usd for one in deliveries),
                prices=FREE if deliveries else prices,
                run_id=run_id,
            )
            rows.append(row)
        return pa.concat_tables(rows)

    def settle(self, cursor: int) -> None:
        """Forget what was bought: the batch that counted it is committed, and the next begins at `cursor`."""
        with self._lock:
            names = list(self._deliveries.keys() | self._doubts.keys())
            self._deliveries, self._doubts, self._cursor = {}, Counter(), cursor
        self._journal.remove(names)

    def _entry(self, key: str) -> dict[str, Any]:
        return {"cursor": self._cursor, "doubts": self._doubts[key]}


def sweep_purchases(store: Store, stage: str, unit: Unit) -> None:
    """Remove what a kill between a commit and its settling left behind."""
    journal = _journal(store, stage, unit)
    journal.remove(_counted(journal.entries(), stage_cursor(store.tables, stage, unit)))


def requests_in_doubt(store: Store) -> int:
    """Tries without a whole answer that no ledger row counts yet: of runs under way now or killed."""
    entries = (json.loads(store.blobs.read(key)) for key in store.blobs.keys(JOURNAL_FOLDER))
    return sum(_doubts(entry) for entry in entries if "cursor" in entry)


def _doubts(entry: Mapping[str, Any]) -> int:
    """Of one entry; a request that was under way when its process ended is one of them."""
    return entry.get("doubts", 0) + entry.get("under_way", False)


def _journal(store: Store, stage: str, unit: Unit) -> Journal:
    return Journal(store.blobs, stage, f"{unit.bucket}/g{unit.generation:04d}")


def _counted(entries: Mapping[str, Mapping[str, Any]], cursor: int) -> list[str]:
    return [
        name for name, entry in entries.items() if not name.startswith(_NOTE) and entry["cursor"] < cursor
    ]
