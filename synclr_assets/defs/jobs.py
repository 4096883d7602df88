"""Jobs that a person launches: the dataset of a bucket, the model of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

DATASET_JOB = "dataset_of_bucket"
MODEL_JOB = "model_of_slice"
DATASET_ASSETS = ("concepts", "captions", "enriched_captions", "images", "syncaps_shards")
WHOLE_STORE_CHECKS = (
    ("syncaps_shards", "buckets_are_up_to_date"),
    ("checkpoint", "models_are_up_to_date"),
)
MODEL_ASSETS = ("checkpoint", "linear_probe", "segmentation")


def dataset_job() -> UnresolvedAssetJobDefinition:
    """Concepts to shards of one bucket."""
    return dg.define_asset_job(
        DATASET_JOB,
        selection=_with_own_checks(DATASET_ASSETS),
        description="From a bucket's concepts to its shards.",
    )


def model_job() -> UnresolvedAssetJobDefinition:
    """Checkpoint and scores of one slice."""
    return dg.define_asset_job(
        MODEL_JOB,
        selection=_with_own_checks(MODEL_ASSETS),
        description="Train on a slice's shards and score the encoder.",
    )


def _with_own_checks(assets: Sequence[str]) -> dg.AssetSelection:
    """The assets with the checks of their own steps. Checks of the whole store run on their own schedule: one
    bucket's run cannot pass them."""
    whole_store = [dg.AssetCheckKey(dg.AssetKey(asset), check) for asset, check in WHOLE_STORE_CHECKS]
    chosen = dg.AssetSelection.assets(*assets)
    own = dg.AssetSelection.checks_for_assets(*assets) - dg.AssetSelection.checks(*whole_store)
    return chosen.without_checks() | own
