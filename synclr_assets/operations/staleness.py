"""Which buckets and slices are stale, and why, from our own tables. Right for any number of buckets.

Dagster's own staleness stops at 100 upstream partitions and calls a partitioned asset as a whole always fresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.operations.recorded_settings import Settings, TodaysSettings
from synclr_assets.operations.unit_states import UnitState, read_units
from synclr_assets.provenance.models import models
from synclr_assets.store.store import Store

MAX_QUARANTINED_SHARE = 0.05
"""Share of a bucket's plan given up, above which it is worth another generation; as the check on the corpus has it."""


@dataclass(frozen=True)
class BucketState:
    """A bucket of the bank: its generations, and what is not as it should be."""

    bucket: str
    generations: tuple[UnitState, ...]
    reasons: tuple[str, ...]
    """Why it is stale; none for a bucket that is complete, as its file says and as the profile would make it."""
    has_other_settings: bool = False
    """Whether its newest generation was made with other settings than today's: it can be followed, not continued."""

    @property
    def newest(self) -> UnitState | None:
        return self.generations[-1] if self.generations else None

    @property
    def packed(self) -> UnitState | None:
        """The newest generation that training can read."""
        return next((state for state in reversed(self.generations) if state.is_packed), None)

    def age(self, now: datetime) -> timedelta | None:
        """Since the newest generation was opened; None for a bucket that was never made."""
        return None if self.newest is None else now - self.newest.opened_at()


@dataclass(frozen=True)
class SliceState:
    """A slice: its newest model, and why that is not what training it now would give."""

    slice_name: str
    model: Mapping[str, Any] | None
    reasons: tuple[str, ...]


def bucket_states(
    store: Store, bank: ConceptBank, settings_of: Mapping[str, Settings] | None = None
) -> dict[str, BucketState]:
    """Every bucket of the bank, by name. `settings_of`: stage -> today's settings (profiles.stage_settings); left
    out, buckets made with other settings are not looked for."""
    units = read_units(store.tables, bank.buckets)
    today = TodaysSettings(store, settings_of or {})
    return {name: _bucket_state(bank, name, units.get(name, []), today) for name in bank.buckets}


def slice_states(
    store: Store, bank: ConceptBank, buckets: Mapping[str, BucketState]
) -> dict[str, SliceState]:
    """Every slice that is named in the bank or has a model, by name."""
    newest: dict[str, Mapping[str, Any]] = {}
    for model in models(store):
        newest.setdefault(model["slice"], model)
    named = [name for name in bank.slices if name not in bank.buckets]
    slices = sorted({*named, *(name for name in newest if name in bank.slices)})
    return {name: _slice_state(name, bank.slices[name], newest.get(name), buckets) for name in slices}


def _bucket_state(
    bank: ConceptBank, name: str, generations: Sequence[UnitState], today: TodaysSettings
) -> BucketState:
    reasons: list[str] = []
    objections: list[str] = []
    if not generations:
        reasons.append("never made")
    else:
        newest = generations[-1]
        if newest.file_fingerprint != bank.buckets[name].fingerprint:
            reasons.append(f"its file changed since generation {newest.unit.generation}")
        objections = today.objections(newest.fingerprints)
        reasons += objections
        unfinished = newest.first_unfinished
        if unfinished is not None:
            done, wanted = newest.done(unfinished), newest.wanted(unfinished)
            reasons.append(f"{unfinished} stand at {done} of {wanted}")
        if newest.num_quarantined > MAX_QUARANTINED_SHARE * newest.allocated:
            reasons.append(f"{newest.num_quarantined / newest.allocated:.0%} quarantined")
    return BucketState(name, tuple(generations), tuple(reasons), bool(objections))


def _slice_state(
    name: str,
    members: Sequence[str],
    model: Mapping[str, Any] | None,
    buckets: Mapping[str, BucketState],
) -> SliceState:
    if model is None:
        return SliceState(name, None, ("no model yet",))
    trained = {entry["bucket"]: entry["generation"] for entry in model["inputs"]}
    reasons = [f"{bucket} left the slice" for bucket in sorted(trained.keys() - set(members))]
    for bucket in members:
        packed = buckets[bucket].packed
        if bucket not in trained:
            reasons.append(f"{bucket} joined the slice")
        elif packed is not None and packed.unit.generation > trained[bucket]:
            reasons.append(
                f"{bucket} has generation {packed.unit.generation}, it was trained on {trained[bucket]}"
            )
    return SliceState(name, model, tuple(reasons))
