"""A selection of buckets and stages, cut into runs or handed to Dagster's daemon as one backfill."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.execution.backfill import PartitionBackfill

from synclr_assets.defs.jobs import DATASET_ASSETS, MODEL_ASSETS

STAGES = (*DATASET_ASSETS, *MODEL_ASSETS)


def stages_between(first: str, last: str) -> tuple[str, ...]:
    """The stages from one to another, both included. Raises ValueError where the order is wrong."""
    chosen = STAGES[STAGES.index(first) : STAGES.index(last) + 1]
    if not chosen:
        raise ValueError(f"stage {first} comes after {last}: give them the other way round.")
    return chosen


def run_ranges(
    all_buckets: Sequence[str], chosen: Sequence[str], policy: dg.BackfillPolicy | None
) -> Iterator[tuple[str, str]]:
    """(first, last) bucket of each run: Dagster's runs of several partitions cover neighbours in partition order."""
    limit = 1 if policy is None else policy.max_partitions_per_run
    places = sorted(all_buckets.index(bucket) for bucket in set(chosen))
    start = 0
    for end in range(1, len(places) + 1):
        ends = end == len(places) or places[end] != places[end - 1] + 1 or end - start == limit
        if ends:
            yield all_buckets[places[start]], all_buckets[places[end - 1]]
            start = end


def submit_backfill(
    instance: dg.DagsterInstance,
    asset_graph: BaseAssetGraph,
    backfill_id: str,
    partitions_of: Mapping[str, Sequence[str]],
    tags: Mapping[str, str],
    title: str,
) -> None:
    """Queue asset -> partitions for the daemon, which launches every stage when the one before is made.

    An id that exists already is left as it is, so that a repeated request makes nothing twice.
    """
    if instance.get_backfill(backfill_id) is not None:
        return
    wanted = {
        AssetKeyPartitionKey(dg.AssetKey(asset), partition)
        for asset, partitions in partitions_of.items()
        for partition in partitions
    }
    instance.add_backfill(
        PartitionBackfill.from_asset_graph_subset(
            backfill_id=backfill_id,
            backfill_timestamp=time.time(),
            tags=dict(tags),
            dynamic_partitions_store=instance,
            asset_graph_subset=AssetGraphSubset.from_asset_partition_set(wanted, asset_graph),
            title=title,
            description=None,
            run_config=None,
        )
    )
