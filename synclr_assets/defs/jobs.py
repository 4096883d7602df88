"""Jobs that a person launches: the dataset of a bucket, the model of a slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from synclr_assets.partitions import BankPartitions

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

DATASET_JOB = "dataset_of_bucket"
MODEL_JOB = "model_of_slice"
DATASET_ASSETS = ("concepts", "captions", "enriched_captions", "images", "syncaps_shards")
MODEL_ASSETS = ("checkpoint", "linear_probe", "segmentation")


def dataset_job(partitions: BankPartitions) -> UnresolvedAssetJobDefinition:
    """Concepts to shards of one bucket."""
    return dg.define_asset_job(
        DATASET_JOB,
        selection=dg.AssetSelection.assets(*DATASET_ASSETS),
        partitions_def=partitions.buckets,
        description="From a bucket's concepts to its shards.",
    )


def model_job(partitions: BankPartitions) -> UnresolvedAssetJobDefinition:
    """Checkpoint and scores of one slice."""
    return dg.define_asset_job(
        MODEL_JOB,
        selection=dg.AssetSelection.assets(*MODEL_ASSETS),
        partitions_def=partitions.slices,
        description="Train on a slice's shards and score the encoder.",
    )
