"""The one Definitions object: assets, checks, jobs and resources for the concept bank and profile at hand.

Everything is read when the code location loads, nothing when this module is imported. Loads no torch.
"""

import os
import warnings

import dagster as dg

from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.budget import BUDGETS_VARIABLE
from synclr_assets.defs.corpus.captions import captions_asset
from synclr_assets.defs.corpus.concepts import bucket_files_check, concepts_asset
from synclr_assets.defs.corpus.enriched_captions import enriched_captions_asset
from synclr_assets.defs.dataset.images import images_asset
from synclr_assets.defs.dataset.shards import syncaps_shards_asset
from synclr_assets.defs.executors import executor_of
from synclr_assets.defs.jobs import dataset_job, model_job
from synclr_assets.defs.model.checkpoints import checkpoint_asset
from synclr_assets.defs.model.linear_probe import linear_probe_asset
from synclr_assets.defs.model.segmentation import segmentation_asset
from synclr_assets.defs.resources import resources_of
from synclr_assets.environment import store_root
from synclr_assets.partitions import partitions_of
from synclr_assets.profiles import chosen_profile


@dg.definitions
def synclr() -> dg.Definitions:
    """The platform under the environment's profile, store and concept folder."""
    return build_definitions(dict(os.environ))


def build_definitions(environment: dict[str, str]) -> dg.Definitions:
    """The platform under the given environment; see docs/configuration.md for what it reads."""
    bank = read_bank(concept_folder(environment))
    partitions = partitions_of(bank)
    profile = chosen_profile(environment)
    budgets = environment.get(BUDGETS_VARIABLE) or None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [
            concepts_asset(partitions),
            captions_asset(partitions),
            enriched_captions_asset(partitions),
            images_asset(partitions),
            syncaps_shards_asset(partitions),
            checkpoint_asset(partitions),
            linear_probe_asset(partitions),
            segmentation_asset(partitions),
        ]
        referenced = dg.with_source_code_references(assets)
    return dg.Definitions(
        assets=referenced,
        asset_checks=[bucket_files_check()],
        jobs=[dataset_job(), model_job()],
        resources=resources_of(profile, store_root(environment), bank.folder, budgets),
        executor=executor_of(environment),
        metadata={
            "concept folder": str(bank.folder),
            "buckets": len(bank.buckets),
            "files refused": len(bank.problems),
            **{f"problem {n}": problem.sentence for n, problem in enumerate(bank.problems, 1)},
        },
    )
