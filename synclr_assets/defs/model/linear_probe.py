"""Asset `linear_probe`: what a linear classifier, nearest neighbours and a few labels make of frozen features."""

import dagster as dg

from synclr_assets.defs.model.evaluation import EvaluationConfig, run_evaluation, score_result
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import StoreResource, TrainerResource
from synclr_assets.partitions import BankPartitions

METRIC = "linear_probe_accuracy"


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
        opened = store.open()
        model, scores = run_evaluation(
            context, config, opened, pipes, "linear_probe", trainer.section.probe_dataset
        )
        return score_result(opened, model, scores, "probe_beats_random_weights", METRIC)

    return linear_probe
