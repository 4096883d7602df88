"""A generation is opened by its concepts, never changes, and touches no other bucket."""

from dataclasses import replace

import pytest

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.stages.concepts import latest_generation, resolve_unit, write_concepts
from synclr_assets.store.errors import NotReadyError, StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import TINY_BANK, Stages, content_of, write_bank


def test_an_unchanged_file_keeps_its_generation_and_a_changed_one_opens_the_next(
    bank: ConceptBank, store: Store
) -> None:
    assert write_concepts(store, bank.buckets["fruit"]) == Unit("fruit", 0)
    version = store.tables.version("concepts")
    assert write_concepts(store, bank.buckets["fruit"]) == Unit("fruit", 0)
    assert store.tables.version("concepts") == version
    more = TINY_BANK | {"fruit.yaml": "captions: 23\nconcepts: [apple, banana, pear]\n"}
    changed = write_bank(bank.folder, more)
    assert write_concepts(store, changed.buckets["fruit"]) == Unit("fruit", 1)
    assert latest_generation(store.tables, "fruit") == 1


def test_an_existing_generation_never_takes_a_changed_file(bank: ConceptBank, store: Store) -> None:
    bucket = bank.buckets["fruit"]
    write_concepts(store, bucket)
    with pytest.raises(StoreError, match="ask for generation 1"):
        write_concepts(store, replace(bucket, num_captions=5), generation=0)


def test_only_the_next_generation_can_be_opened(bank: ConceptBank, store: Store) -> None:
    with pytest.raises(StoreError, match="generation 3 cannot be opened, the next one is 0"):
        write_concepts(store, bank.buckets["fruit"], generation=3)


def test_a_missing_generation_is_one_sentence(bank: ConceptBank, store: Store) -> None:
    with pytest.raises(StoreError, match="materialise concepts of fruit first"):
        resolve_unit(store.tables, "fruit", None)
    write_concepts(store, bank.buckets["fruit"])
    with pytest.raises(StoreError, match="generations 0 to 0, not 2"):
        resolve_unit(store.tables, "fruit", 2)


def test_a_stage_waits_for_the_one_before(stages: Stages) -> None:
    unit = Unit("fruit", 0)
    stages.run("concepts", unit)
    with pytest.raises(NotReadyError, match="captions of fruit generation 0 stand at 0 of 23"):
        stages.run("enriched_captions", unit)


def test_a_new_generation_changes_that_bucket_alone(stages: Stages) -> None:
    for bucket in ("fruit", "patterns"):
        stages.run_all(Unit(bucket, 0))
    before = content_of(stages.store)
    stages.run_all(Unit("fruit", 1))
    after = content_of(stages.store)
    for table in ("concepts", "captions", "enriched_captions", "images", "image_bytes", "shards"):
        old = [row for row in after[table] if (row["bucket"], row["generation"]) != ("fruit", 1)]
        assert old == before[table]
        new = [row for row in after[table] if (row["bucket"], row["generation"]) == ("fruit", 1)]
        assert len(new) == len([row for row in before[table] if row["bucket"] == "fruit"])
    texts = {row["text"] for row in before["enriched_captions"]}
    assert not texts >= {row["text"] for row in after["enriched_captions"]}
    assert {name: digest for name, digest in after["files"].items() if name in before["files"]} == before[
        "files"
    ]
    assert any("/g0001/" in name for name in after["files"])
