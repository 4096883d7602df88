"""The one Definitions object: assets, checks, jobs and resources for the concept bank and profile at hand.

Everything is read when the code location loads, nothing when this module is imported. Loads no torch.
"""

import os
import warnings

import dagster as dg

from synclr_assets.concept_bank.bank import ConceptBank, concept_folder, read_bank
from synclr_assets.cost.budget import BUDGETS_VARIABLE
from synclr_assets.cost.settings_files import SettingsFileError
from synclr_assets.defs.alerts import failed_check_alert, failed_run_alert
from synclr_assets.defs.automation import concept_files_sensor
from synclr_assets.defs.corpus.captions import captions_asset
from synclr_assets.defs.corpus.concepts import concepts_asset
from synclr_assets.defs.corpus.enriched_captions import enriched_captions_asset
from synclr_assets.defs.dataset.images import images_asset
from synclr_assets.defs.dataset.shards import syncaps_shards_asset
from synclr_assets.defs.executors import executor_of
from synclr_assets.defs.freshness import (
    buckets_are_fresh_check,
    freshness_job,
    freshness_schedule,
    models_are_fresh_check,
)
from synclr_assets.defs.jobs import dataset_job, model_job
from synclr_assets.defs.model.checkpoints import checkpoint_asset
from synclr_assets.defs.model.linear_probe import linear_probe_asset
from synclr_assets.defs.model.segmentation import segmentation_asset
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.regeneration import regenerate_job, regeneration_schedules
from synclr_assets.defs.resources import resources_of
from synclr_assets.environment import engine_of, store_root
from synclr_assets.operations.schedules_file import read_schedules
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
    engine = engine_of(environment)
    placement = Placement(profile, engine)
    budgets = environment.get(BUDGETS_VARIABLE) or None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [
            concepts_asset(partitions, placement),
            captions_asset(partitions, placement),
            enriched_captions_asset(partitions, placement),
            images_asset(partitions, placement),
            syncaps_shards_asset(partitions, placement),
            checkpoint_asset(partitions, placement),
            linear_probe_asset(partitions, placement),
            segmentation_asset(partitions, placement),
        ]
        referenced = dg.with_source_code_references(assets)
    checks = [key for asset in assets for key in asset.check_keys]
    schedules, problem = _schedules(bank)
    return dg.Definitions(
        assets=referenced,
        asset_checks=[buckets_are_fresh_check(placement, profile), models_are_fresh_check(placement)],
        jobs=[dataset_job(), model_job(), freshness_job(), regenerate_job(profile, assets)],
        schedules=[*schedules, freshness_schedule()],
        sensors=[concept_files_sensor(bank), failed_run_alert(), failed_check_alert(checks)],
        resources=resources_of(profile, store_root(environment), bank.folder, budgets),
        executor=executor_of(engine, environment, uses_gpus=placement.uses_gpus),
        metadata={
            "concept folder": str(bank.folder),
            "buckets": len(bank.buckets),
            "files refused": len(bank.problems),
            **{f"problem {n}": problem.sentence for n, problem in enumerate(bank.problems, 1)},
            **({} if problem is None else {"problem of schedules": problem}),
        },
    )


def _schedules(bank: ConceptBank) -> tuple[list[dg.ScheduleDefinition], str | None]:
    """The regeneration schedules, or none and why: a bad file takes no data down."""
    try:
        return regeneration_schedules(read_schedules(bank)), None
    except SettingsFileError as refused:
        return [], str(refused)
