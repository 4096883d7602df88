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
WHOLE_STORE_CHECKS = tuple(
    dg.AssetCheckKey(dg.AssetKey("checkpoint"), check)
    for check in ("buckets_are_up_to_date", "models_are_up_to_date")
)
MODEL_ASSETS = ("checkpoint", "linear_probe", "segmentation")


def dataset_job() -> UnresolvedAssetJobDefinition:
    """Concepts to shards of one bucket."""
    # The stages' policies differ on purpose (defs/buckets.py), and the smallest, a bucket a run, is the job's.
    warnings.filterwarnings("ignore", f"Asset job {DATASET_JOB} materializes assets with varying Backfill")
    return dg.define_asset_job(
        DATASET_JOB,
        selection=dg.AssetSelection.assets(*DATASET_ASSETS),
        description="From a bucket's concepts to its shards.",
    )


def model_job() -> UnresolvedAssetJobDefinition:
    """Checkpoint and scores of one slice."""
    return dg.define_asset_job(
        MODEL_JOB,
        # The checks of the whole store run on their own schedule: one slice's run cannot pass them.
        selection=dg.AssetSelection.assets(*MODEL_ASSETS) - dg.AssetSelection.checks(*WHOLE_STORE_CHECKS),
        description="Train on a slice's shards and score the encoder.",
    )
