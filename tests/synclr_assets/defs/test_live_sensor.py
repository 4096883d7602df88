"""The sensor `concept_files` in a real `synclr dev`: a dropped file is loaded and its bucket alone is made.

Takes about two minutes: the daemon looks every 30 seconds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synclr_assets.stages.concepts import write_concepts
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.platform import PATIENCE_S, RunningPlatform, running_platform
from tests.synclr_assets.conftest import write_bank

SELECTOR = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "synclr",
    "sensorName": "concept_files",
}
START = """mutation($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename ... on Sensor { sensorState { status } } } }"""
TICKS = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { sensorState { ticks(limit: 50) { status skipReason runIds error { message } } } } } }"""
RUNS = "query { runsOrError { ... on Runs { results { status tags { key value } } } } }"
BUCKETS = """query { assetNodeOrError(assetKey: {path: ["concepts"]}) {
  ... on AssetNode { partitionKeysByDimension { partitionKeys } } } }"""


@pytest.mark.timeout(6 * PATIENCE_S)
def test_a_dropped_file_is_loaded_and_its_bucket_alone_is_made(tmp_path: Path) -> None:
    bank = write_bank(tmp_path / "concepts", {"weave.yaml": "captions: 8\nconcepts: [striped texture]\n"})
    store = Store(tmp_path / "store")
    write_concepts(store, bank.buckets["weave"])
    with running_platform(tmp_path) as platform:
        started = platform.ask(START, selector=SELECTOR)["startSensor"]
        assert started["sensorState"]["status"] == "RUNNING"
        platform.wait_for(a_tick_says(platform, "all 1 buckets have a generation of their file"))
        assert buckets_of(platform) == ["weave"]

        write_bank(tmp_path / "concepts", {"birds.yaml": "captions: 6\nconcepts: [owl, kite]\n"})
        platform.wait_for(a_tick_says(platform, "files changed: the code location was reloaded"))
        assert buckets_of(platform) == ["birds", "weave"]

        (run,) = platform.wait_for(lambda: ended_runs(platform))
        assert run["status"] == "SUCCESS"
        assert run["tags"]["dagster/partition"] == "birds"
        assert run["tags"]["dagster/sensor_name"] == "concept_files"
        platform.wait_for(a_tick_says(platform, "all 2 buckets have a generation of their file"))
        assert len(ended_runs(platform) or []) == 1
    birds = Unit("birds", 0)
    assert store.tables.count("shard_members", partitions=birds.partitions) == 6
    assert store.tables.version("captions") is not None
    assert store.tables.count("captions", partitions=Unit("weave", 0).partitions) == 0


def a_tick_says(platform: RunningPlatform, reason: str) -> Callable[[], bool | None]:
    """A look for a tick that was skipped for this reason; a tick that failed fails the test."""

    def look() -> bool | None:
        ticks = platform.ask(TICKS, selector=SELECTOR)["sensorOrError"]["sensorState"]["ticks"]
        errors = [tick["error"]["message"] for tick in ticks if tick["error"]]
        assert not errors
        return True if any(tick["skipReason"] == reason for tick in ticks) else None

    return look


def ended_runs(platform: RunningPlatform) -> list[dict[str, Any]] | None:
    """All runs, once there is one and all have ended; tags by name."""
    runs = platform.ask(RUNS)["runsOrError"]["results"]
    if not runs or any(run["status"] not in ("SUCCESS", "FAILURE", "CANCELED") for run in runs):
        return None
    return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in runs]


def buckets_of(platform: RunningPlatform) -> list[str]:
    """Partitions of `concepts` as the UI's server knows them."""
    node = platform.ask(BUCKETS)["assetNodeOrError"]
    (dimension,) = node["partitionKeysByDimension"]
    return list(dimension["partitionKeys"])
