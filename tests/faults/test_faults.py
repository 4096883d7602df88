"""A small fixed set of faults over all dataset stages; `python -m tests.faults` runs the long one."""

import os
from collections.abc import Callable

import pytest

from synclr_assets.store.store import Store
from tests.faults.child import start
from tests.faults.harness import FRUIT, Harness, Outcome, compare, may_mount
from tests.synclr_assets.conftest import DATASET_STAGES

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving up rights needs root's to begin with")
needs_mount = pytest.mark.skipif(not may_mount(), reason="a small disk needs the right to mount a tmpfs")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("faults"))


def nothing_lost(outcome: Outcome, injected: int) -> bool:
    return (outcome.injected, outcome.survived, outcome.lost, outcome.doubled) == (injected, injected, 0, 0)


def test_kills_at_random_moments_lose_and_double_nothing(harness: Harness) -> None:
    assert nothing_lost(harness.kills(3, seed=1), 3)


def test_kills_within_training_lose_and_double_nothing(harness: Harness) -> None:
    assert nothing_lost(harness.kills_of_a_stage("checkpoint", 1, seed=2), 1)


def test_a_child_reaches_the_object_store_that_it_is_given(
    harness: Harness, s3_environment: dict[str, str], new_s3_bucket: Callable[[], str]
) -> None:
    root = f"s3://{new_s3_bucket()}/store"
    process = start(harness.concepts, root, FRUIT, ("concepts",), environment=s3_environment)
    process.join()
    assert process.exitcode == 0
    assert Store(root).tables.count("concepts") == 3


@needs_mount
def test_a_full_disk_stops_the_run_and_more_room_lets_it_go_on(harness: Harness) -> None:
    assert nothing_lost(harness.full_disks((600,)), 1)


@needs_root
def test_a_folder_that_may_not_be_written_is_one_sentence(harness: Harness) -> None:
    assert nothing_lost(harness.unwritable_folders(), len(DATASET_STAGES))


def test_a_jumping_clock_changes_nothing(harness: Harness) -> None:
    assert nothing_lost(harness.jumping_clocks(1), 1)


def test_two_runs_of_one_partition_make_it_once(harness: Harness) -> None:
    assert nothing_lost(harness.twins(1), 1)


def test_eight_partitions_at_once_are_all_there(harness: Harness) -> None:
    assert nothing_lost(harness.eight_at_once(1), 1)


def test_the_comparison_itself_counts_losses_and_doubles(harness: Harness) -> None:
    whole = harness.undisturbed
    less = {**whole, "captions": whole["captions"][1:]}
    more = {**whole, "captions": [*whole["captions"], whole["captions"][0]]}
    assert compare(whole, whole) == (0, 0)
    assert compare(whole, less) == (1, 0)
    assert compare(whole, more) == (0, 1)
    assert compare(whole, {**whole, "files": {}}) == (len(whole["files"]), 0)
