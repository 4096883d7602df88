"""Asset `segmentation`: what frozen patch features know of where things are."""

import dagster as dg

from synclr_assets.defs.model.evaluation import EvaluationConfig, run_evaluation, score_result
from synclr_assets.defs.resources import StoreResource, TrainerResource
from synclr_assets.partitions import BankPartitions

METRIC = "mean_iou"


def segmentation_asset(partitions: BankPartitions) -> dg.AssetsDefinition:
    """The asset, partitioned by slice."""

    @dg.asset(
        partitions_def=partitions.slices,
        deps=["checkpoint"],
        group_name="model",
        kinds={"pytorch"},
        owners=["team:model"],
        code_version="1",
        description=(
            "Mean intersection over union of a linear head on frozen patch features, at the resolution of the "
            "masks, beside random weights and raw pixels measured in the same run."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "segmentation_beats_random_weights",
                asset="segmentation",
                description="Mean IoU is higher on the encoder than on random weights.",
            )
        ],
    )
    def segmentation(
        context: dg.AssetExecutionContext,
        config: EvaluationConfig,
        store: StoreResource,
        trainer: TrainerResource,
        pipes: dg.PipesSubprocessClient,
    ) -> dg.MaterializeResult:
        opened = store.open()
        model, scores = run_evaluation(
            context, config, opened, pipes, "segmentation", trainer.section.segmentation_dataset
        )
        return score_result(opened, model, scores, "segmentation_beats_random_weights", METRIC)

    return segmentation
