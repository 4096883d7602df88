"""The same inputs give the same rows and the same files, whatever the sizes of commits."""

from pathlib import Path

import pytest
import webdataset as wds

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.stages.images import VIEWS_PER_CAPTION
from synclr_assets.stages.plan import read_plan
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.encoding import decode
from tests.synclr_assets.conftest import Stages, content_of

FRUIT = Unit("fruit", 0)


@pytest.mark.parametrize("per_commit", [1, 4, 1000])
def test_commit_sizes_change_nothing(bank: ConceptBank, tmp_path: Path, per_commit: int) -> None:
    contents = []
    for size in (per_commit, 7):
        commits = {"captions": size, "images": size, "shard": 6}
        stages = Stages(bank, Store(tmp_path / f"store{size}"), commits)
        stages.run_all(FRUIT)
        contents.append(content_of(stages.store))
    assert contents[0] == contents[1]
    assert len(contents[0]["images"]) == 23 * VIEWS_PER_CAPTION


def test_a_complete_stage_run_again_writes_nothing(stages: Stages) -> None:
    stages.run_all(FRUIT)
    versions = {
        name: stages.store.tables.version(name) for name in ("captions", "images", "shards", "ledger")
    }
    stages.run_all(FRUIT)
    assert versions == {name: stages.store.tables.version(name) for name in versions}


def test_shards_are_plain_webdataset(stages: Stages) -> None:
    stages.run_all(FRUIT)
    keys = stages.store.tables.read("shards")["key"].to_pylist()
    urls = [str(stages.store.location.local_path(key)) for key in sorted(keys)]
    samples = list(wds.WebDataset(urls, shardshuffle=False, empty_check=False))
    corpus = {row["caption_id"]: row for row in stages.store.tables.read("enriched_captions").to_pylist()}
    assert {sample["__key__"] for sample in samples} == set(corpus)
    for sample in samples:
        assert sample["txt"].decode() == corpus[sample["__key__"]]["text"]
        assert [decode(sample[f"{view}.jpg"]).shape for view in range(4)] == [(32, 32, 3)] * 4


def test_members_point_at_their_samples(stages: Stages) -> None:
    stages.run_all(FRUIT)
    tables, blobs = stages.store.tables, stages.store.blobs
    key_of = {row["shard_index"]: row["key"] for row in tables.read("shards").to_pylist()}
    for member in tables.read("shard_members").to_pylist():
        data = blobs.read_range(key_of[member["shard_index"]], member["offset_bytes"], member["size_bytes"])
        assert data.startswith(f"{member['caption_id']}.0.jpg".encode())
        assert len(data) % 512 == 0


def test_the_plan_is_a_shuffle_that_keeps_the_budget(stages: Stages) -> None:
    stages.run("concepts", FRUIT)
    plan = read_plan(stages.store.tables, FRUIT, ("beside",))
    slots = list(plan.captions(0, plan.num_captions))
    assert len({slot.caption_id for slot in slots}) == 23
    counts = {c.name: sum(slot.concept.name == c.name for slot in slots) for c in plan.concepts}
    assert (
        counts == {c.name: c.num_captions for c in plan.concepts} == {"apple": 6, "banana": 6, "quince": 11}
    )
    assert [slot.concept.name for slot in slots] != sorted(slot.concept.name for slot in slots)
    assert [slot.caption_id for slot in plan.captions(5, 9)] == [slot.caption_id for slot in slots[5:9]]


def test_damaged_bytes_never_reach_a_shard(stages: Stages) -> None:
    for stage in ("concepts", "captions", "enriched_captions", "images"):
        stages.run(stage, FRUIT)
    handle = stages.store.tables.open("image_bytes")
    assert handle is not None
    handle.delete("position = 3 AND view = 2")
    with pytest.raises(StoreError, match="view 2 are missing: the store is damaged"):
        stages.run("shards", FRUIT)
    assert stages.store.tables.count("shards") == 0
