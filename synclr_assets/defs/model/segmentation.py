"""Asset `segmentation`: what patch features know of where things are."""

import dagster as dg

from synclr_assets.defs.model.evaluation import (
    BASELINES,
    EvaluationConfig,
    run_evaluation,
    score_result,
)
from synclr_assets.defs.openlineage import told
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import StoreResource, TrainerResource
from synclr_assets.partitions import BankPartitions

LINEAR = "linear"
METRIC = "mean_iou"


def segmentation_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by slice."""

    @dg.asset(
        partitions_def=partitions.slices,
        deps=["checkpoint"],
        group_name="model",
        kinds={"pytorch"},
        owners=["team:model"],
        code_version="1",
        description=(
            "Mean intersection over union at the resolution of the masks, of the head and data set that the "
            "settings name: linear on frozen patch features, beside random weights and raw pixels, or UperNet "
            "with the whole network fine-tuned (SynCLR App. B), beside the most frequent class."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "segmentation_beats_random_weights",
                asset="segmentation",
                description="Mean IoU is higher on the encoder than on random weights; of a trained head without "
                "that baseline, than of its most frequent class.",
            )
        ],
        **placement.of("segmentation"),
    )
    def segmentation(
        context: dg.AssetExecutionContext,
        config: EvaluationConfig,
        store: StoreResource,
        trainer: TrainerResource,
        pipes: dg.PipesSubprocessClient,
    ) -> dg.MaterializeResult:
        opened, section = store.open(), trainer.section

        def make() -> dg.MaterializeResult:
            is_linear = section.segmentation_head == LINEAR
            model, scores = run_evaluation(
                context,
                config,
                opened,
                pipes,
                "segmentation",
                section.segmentation_dataset,
                section.segmentation_head,
                BASELINES if is_linear else BASELINES[:1] * section.segmentation_random_weights,
            )
            return score_result(opened, model, scores, "segmentation_beats_random_weights", METRIC)

        return told(context, opened, context.partition_key, make)

    return segmentation
