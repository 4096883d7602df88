"""Jobs that a person launches: the dataset of a bucket, the model of a slice."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

DATASET_JOB = "dataset_of_bucket"
MODEL_JOB = "model_of_slice"
DATASET_ASSETS = ("concepts", "captions", "enriched_captions", "images", "syncaps_shards")
MODEL_ASSETS = ("checkpoint", "linear_probe", "segmentation")


def dataset_job() -> UnresolvedAssetJobDefinition:
    """Concepts to shards of one bucket, a run each: backfills of the assets are what shares a model (defs/buckets)."""
    warnings.filterwarnings("ignore", message=f"Asset job {DATASET_JOB} materializes assets with varying")
    return dg.define_asset_job(
        DATASET_JOB,
        selection=dg.AssetSelection.assets(*DATASET_ASSETS)
        - _whole_store("syncaps_shards", "buckets_are_up_to_date"),
        description="From a bucket's concepts to its shards.",
    )


def model_job() -> UnresolvedAssetJobDefinition:
    """Checkpoint and scores of one slice."""
    return dg.define_asset_job(
        MODEL_JOB,
        selection=dg.AssetSelection.assets(*MODEL_ASSETS)
        - _whole_store("checkpoint", "models_are_up_to_date"),
        description="Train on a slice's shards and score the encoder.",
    )


def _whole_store(asset: str, check: str) -> dg.AssetSelection:
    """A check of all buckets or slices: it runs on its own schedule, for one bucket's run cannot pass it."""
    return dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(asset), check))
