"""Asset `linear_probe`: what a linear classifier, nearest neighbours and a few labels make of frozen features."""

from pathlib import Path
from typing import Any

import dagster as dg

from synclr_assets.defs.model.evaluation import EvaluationConfig, run_probe, score_result
from synclr_assets.defs.openlineage import told
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import StoreResource, TrainerResource
from synclr_assets.partitions import BankPartitions

METRIC = "linear_probe"
"""How the metric is called, before what a data set is scored by."""


def linear_probe_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by slice."""

    @dg.asset(
        partitions_def=partitions.slices,
        deps=["checkpoint"],
        group_name="model",
        kinds={"pytorch", "scikitlearn"},
        owners=["team:model"],
        code_version="1",
        description=(
            "Scores of the frozen encoder on real images it never saw: linear probe by L-BFGS over 45 constants "
            "(SynCLR App. B), k nearest neighbours and few-shot, beside random weights and raw pixels measured in "
            "the same run."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "probe_beats_random_weights",
                asset="linear_probe",
                description="The linear probe scores higher on the encoder than on random weights.",
            )
        ],
        **placement.of("linear_probe"),
    )
    def linear_probe(
        context: dg.AssetExecutionContext,
        config: EvaluationConfig,
        store: StoreResource,
        trainer: TrainerResource,
        pipes: dg.PipesSubprocessClient,
    ) -> dg.MaterializeResult:
        opened, section = store.open(), trainer.section

        def make() -> dg.MaterializeResult:
            model, scores = run_probe(
                context, config, opened, pipes, section.probe_datasets, section.feature_cache
            )
            first = headline_probe(scores, section.probe_datasets[0])
            return score_result(
                opened, model, first, "probe_beats_random_weights", first[0]["metric"], shown=scores
            )

        return told(context, opened, context.partition_key, make)

    return linear_probe


def headline_probe(scores: list[dict[str, Any]], dataset: str) -> list[dict[str, Any]]:
    """The linear probe's scores on the first data set asked for: its verdict is the asset's."""
    prefix, _, path = dataset.partition(":")
    wanted = f"folder:{Path(path).name}" if prefix == "folder" else prefix
    return [
        score for score in scores if score["dataset"] == wanted and score["metric"].startswith(f"{METRIC}_")
    ]
