"""Whatever the bucket files, budgets, interruptions and generations: identities, counts and rows are the same.

The invariants are those of identity, generations and determinism: ids and seeds are hashes of names, a caption
depends on its id and settings alone, committed generations never change, nothing is lost or doubled.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.cost.budget import Budget, BudgetExceededError, Limits
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.store.blobs import Blobs
from synclr_assets.store.store import Store
from synclr_assets.store.tables import Tables
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.identity import TEMPLATES, caption_id, image_seed
from tests.synclr_assets.conftest import Stages, content_of, write_bank
from tests.synclr_assets.cost.test_budget import guards

NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
WHOLE = {"captions": 1000, "images": 1000, "shard": 4}


class InterruptedByTest(BaseException):
    """Stands for a kill; no Exception, so that nothing catches it."""


@dataclass(frozen=True)
class Hitch:
    """A run of a bucket generation that does not get far: at its n-th write, or at a limit of captions."""

    write: int
    is_after: bool
    limit: int | None
    commits: dict[str, int]


@dataclass(frozen=True)
class History:
    """Bucket files, the bucket generations in the order in which they were made, and what went wrong on the way."""

    files: dict[str, str]
    units: tuple[Unit, ...]
    hitches: dict[Unit, tuple[Hitch, ...]]
    last_commits: dict[str, int]


COMMITS = st.fixed_dictionaries(
    {"captions": st.integers(1, 6), "images": st.integers(1, 6), "shard": st.just(WHOLE["shard"])}
)
HITCHES = st.builds(
    Hitch,
    write=st.integers(1, 25),
    is_after=st.booleans(),
    limit=st.none() | st.integers(0, 8),
    commits=COMMITS,
)


@st.composite
def bucket_files(draw: st.DrawFn) -> str:
    """A valid bucket file of 1 to 3 concepts and 1 to 9 captions."""
    shares = draw(st.dictionaries(st.sampled_from(TEMPLATES), st.floats(0.1, 1), min_size=1))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique_by=str.casefold))
    concepts = [{"name": name, "weight": draw(st.floats(0.1, 10))} for name in names]
    captions = draw(st.integers(1, 9))
    content = {"captions": captions, "templates": shares, "concepts": concepts}
    return yaml.safe_dump(content, allow_unicode=True)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """One or two buckets in any order of making, one of them with a second generation at times."""
    buckets = ["first", "second"][: draw(st.integers(1, 2))]
    units = draw(st.permutations([Unit(bucket, 0) for bucket in buckets]))
    again = [Unit(bucket, 1) for bucket in buckets if draw(st.booleans())][:1]
    hitches = {unit: tuple(draw(st.lists(HITCHES, max_size=2))) for unit in (*units, *again)}
    files = {f"{bucket}.yaml": draw(bucket_files()) for bucket in buckets}
    return History(files, (*units, *again), hitches, draw(COMMITS))


@contextmanager
def stopping_at(hitch: Hitch) -> Iterator[None]:
    """Raise InterruptedByTest right before or after the n-th write of a table or file."""
    writes = 0

    def stopping(original: Any) -> Any:
        def write(*args: Any, **options: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == hitch.write and not hitch.is_after:
                raise InterruptedByTest
            result = original(*args, **options)
            if writes == hitch.write:
                raise InterruptedByTest
            return result

        return write

    with (
        mock.patch.object(Tables, "append", stopping(Tables.append)),
        mock.patch.object(Blobs, "put_file", stopping(Blobs.put_file)),
    ):
        yield


def run_with_hitches(bank: ConceptBank, store: Store, history: History) -> None:
    """Every unit with its hitches, then to its end; no earlier unit's content changes meanwhile."""
    before: dict[str, Any] = {}
    for unit in history.units:
        for hitch in history.hitches[unit]:
            stages = Stages(bank, store, hitch.commits)
            budget = Budget() if hitch.limit is None else Budget(each_bucket=Limits(captions=hitch.limit))
            with suppress(InterruptedByTest, BudgetExceededError), stopping_at(hitch):
                for stage in ("concepts", "captions", "enriched_captions", "images", "shards"):
                    stages.run(stage, unit, guards(store, budget))
        Stages(bank, store, history.last_commits).run_all(unit)
        after = content_of(store)
        for table, rows in before.items():
            if table == "files":
                assert rows.items() <= after["files"].items(), "a shard changed"
            else:
                missing = Counter(map(repr, rows)) - Counter(map(repr, after[table]))
                assert not missing, f"rows of {table} changed"
        before = after


def check_identities(content: dict[str, Any]) -> None:
    """Ids, seeds and views are what their names say, and each is there once."""
    for table in ("captions", "enriched_captions"):
        for row in content[table]:
            names = (row[key] for key in ("bucket", "generation", "concept", "template", "ordinal"))
            assert row["caption_id"] == caption_id(*names)
    for row in content["images"]:
        assert row["seed"] == image_seed(row["caption_id"], row["view"], row["reseeds"])
    for table, key in (("captions", ("caption_id",)), ("images", ("caption_id", "view"))):
        keys = [tuple(row[name] for name in key) for row in content[table]]
        assert len(keys) == len(set(keys))


def check_counts(content: dict[str, Any], bank: ConceptBank, unit: Unit) -> None:
    """The budget is allocated whole, and every caption of it is there at every stage or given up with a reason."""

    def of_unit(table: str) -> list[dict[str, Any]]:
        return [
            row
            for row in content[table]
            if (row["bucket"], row["generation"]) == (unit.bucket, unit.generation)
        ]

    budget = bank.buckets[unit.bucket].num_captions
    assert sum(row["num_captions"] for row in of_unit("concepts")) == budget
    lost = Counter(row["stage"] for row in of_unit("quarantine"))
    assert len(of_unit("captions")) == budget - lost["captions"]
    enriched = of_unit("enriched_captions")
    assert len(enriched) == len(of_unit("captions")) - lost["enriched_captions"]
    views = Counter(row["caption_id"] for row in of_unit("images"))
    assert set(views.values()) <= {VIEWS_PER_CAPTION}
    assert len(views) == len(enriched) - lost["images"]
    assert {row["caption_id"] for row in of_unit("shard_members")} == set(views)
    assert sum(row["num_captions"] for row in of_unit("shards")) == len(views)
    for table in ("captions", "images"):
        assert len({row["fingerprint"] for row in of_unit(table)}) <= 1, "a mixture of settings"


@given(histories())
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_rows_and_files_depend_on_bucket_files_and_generations_alone(history: History) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bank = write_bank(Path(folder) / "concepts", history.files)
        assert bank.problems == ()
        disturbed, undisturbed = Store(Path(folder) / "a"), Store(Path(folder) / "b")
        run_with_hitches(bank, disturbed, history)
        for unit in sorted(history.units, key=str):
            Stages(bank, undisturbed, WHOLE).run_all(unit)
        content = content_of(disturbed)
        assert content == content_of(undisturbed)
        check_identities(content)
        newest = {unit.bucket: unit.generation for unit in history.units}
        for unit in history.units:
            check_counts(content, bank, unit)
        packed = [bucket for bucket in newest if any(row["bucket"] == bucket for row in content["shards"])]
        if packed:
            inputs = training_inputs(disturbed, "all", packed)
            assert {one.bucket: one.generation for one in inputs.units} == {
                one: newest[one] for one in packed
            }
