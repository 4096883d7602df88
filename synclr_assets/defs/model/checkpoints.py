"""Asset `checkpoint`: an encoder trained on a slice's shards, in a process of its own."""

import json
import math
from functools import partial
from typing import Any

import dagster as dg
from pydantic import Field

from synclr_assets.defs.openlineage import told
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import ConceptBankResource, StoreResource, TrainerResource
from synclr_assets.launch.process import run_task
from synclr_assets.launch.training import fetch_encoder, plan_training, train
from synclr_assets.partitions import BankPartitions
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.report.curves import loss_curve
from synclr_assets.report.previews import markdown_image, markdown_table

MIN_EFFECTIVE_RANK = 4.0


class CheckpointConfig(dg.Config):
    """Which model to train on the slice."""

    recipe: str | None = Field(default=None, description="A recipe's name; left out, the profile's.")
    seed: int | None = Field(default=None, ge=0, description="Left out, the recipe's.")
    steps: int | None = Field(default=None, gt=0, description="Optimiser steps; left out, the recipe's.")
    generations: dict[str, int] = Field(
        default_factory=dict,
        description="Bucket to generation; left out, the newest packed one of each bucket.",
    )


def checkpoint_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by slice."""

    @dg.asset(
        partitions_def=partitions.slices,
        deps=[dg.AssetDep("syncaps_shards", partition_mapping=partitions.bucket_to_slices)],
        group_name="model",
        kinds={"pytorch", "lightning"},
        owners=["team:model"],
        code_version="1",
        description=(
            "A ViT trained with the SynCLR objective (3.3: multi-positive contrast against an EMA teacher, "
            "multi-crop, iBOT) on the newest shards of every bucket of the slice. Its id is a hash of slice, "
            "recipe, seed and shard contents, so the same inputs are the same model."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "loss_is_finite",
                asset="checkpoint",
                blocking=True,
                description="No loss term is NaN or infinite.",
            ),
            dg.AssetCheckSpec(
                "features_are_not_collapsed",
                asset="checkpoint",
                blocking=True,
                description=f"The effective rank of the representations is at least {MIN_EFFECTIVE_RANK:g}.",
            ),
        ],
        **placement.of("checkpoint"),
    )
    def checkpoint(
        context: dg.AssetExecutionContext,
        config: CheckpointConfig,
        store: StoreResource,
        concept_bank: ConceptBankResource,
        trainer: TrainerResource,
        pipes: dg.PipesSubprocessClient,
    ) -> dg.MaterializeResult:
        opened = store.open()

        def make() -> dg.MaterializeResult:
            buckets = concept_bank.read().slices[context.partition_key]
            inputs = training_inputs(opened, context.partition_key, buckets, config.generations)
            training = plan_training(inputs, trainer.recipe_for(config.recipe, config.seed, config.steps))
            context.log.info(
                f"model {training.model_id[:12]}: recipe {training.recipe.name}, {len(inputs.shards)} shards, "
                f"{sum(shard.num_captions for shard in inputs.shards)} captions"
            )
            run = partial(run_task, context, pipes)
            section = trainer.section
            cache_bytes = int(section.shard_cache_gb * 1e9)
            model = train(opened, training, run, nodes=section.nodes, cache_bytes=cache_bytes)
            folder = fetch_encoder(opened, model)
            chance_loss = json.loads((folder / "result.json").read_text())["chance_loss"]
            curve = loss_curve(folder / "metrics.csv", chance_loss)
            return dg.MaterializeResult(
                metadata={
                    "model": model["model_id"],
                    "recipe": model["recipe"],
                    "steps": model["steps"],
                    "final loss": model["final_loss"],
                    "effective rank": model["effective_rank"],
                    "training (s)": model["seconds"],
                    "device": model["device"],
                    "weights (sha256)": model["weights_sha256"],
                    "inputs": dg.MarkdownMetadataValue(_inputs_table(model)),
                    "loss curve": dg.MarkdownMetadataValue(markdown_image(curve, "loss terms over steps")),
                },
                data_version=dg.DataVersion(model["model_id"]),
                check_results=[
                    dg.AssetCheckResult(
                        check_name="loss_is_finite",
                        passed=math.isfinite(model["final_loss"]),
                        metadata={"final loss": model["final_loss"]},
                    ),
                    dg.AssetCheckResult(
                        check_name="features_are_not_collapsed",
                        passed=model["effective_rank"] >= MIN_EFFECTIVE_RANK,
                        metadata={"effective rank": model["effective_rank"]},
                    ),
                ],
            )

        return told(context, opened, context.partition_key, make)

    return checkpoint


def _inputs_table(model: dict[str, Any]) -> str:
    rows = [
        (entry["bucket"], entry["generation"], entry["num_captions"], len(entry["shard_sha256s"]))
        for entry in model["inputs"]
    ]
    return markdown_table(("bucket", "generation", "captions", "shards"), rows)
