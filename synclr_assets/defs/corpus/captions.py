"""Asset `captions`: a language model's captions of the c and c_rel templates, and the plans of c_bg captions."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.compute as pc

from synclr_assets.cost.guard import BudgetGuard
from synclr_assets.defs.buckets import MANY_BUCKETS, Told, each_bucket
from synclr_assets.defs.generations import GenerationConfig, data_version
from synclr_assets.defs.observations import caption_metadata, caption_sample, progress_log
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import CaptionerResource, DatasetResource, StoreResource
from synclr_assets.defs.verdicts import accounted, mentions_concept, unique_texts
from synclr_assets.partitions import BankPartitions
from synclr_assets.stages.captions import settings_of, write_captions
from synclr_assets.stages.concepts import resolve_unit


def captions_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by bucket."""

    @dg.asset(
        partitions_def=partitions.buckets,
        backfill_policy=MANY_BUCKETS,
        output_required=False,
        deps=["concepts"],
        group_name="corpus",
        kinds={"deltalake", "llm"},
        owners=["team:corpus"],
        code_version="1",
        description=(
            "One row per planned caption of the bucket (SynCLR 3.1): the finished text of `c` and `c, rel` "
            "captions, and the plan of `c, bg` captions, which get their text with their background."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "captions_account_for_budget",
                asset="captions",
                blocking=True,
                description="Allocated captions = written + quarantined.",
            ),
            dg.AssetCheckSpec(
                "captions_mention_their_concept",
                asset="captions",
                blocking=True,
                description="Every finished caption names its concept.",
            ),
            dg.AssetCheckSpec(
                "captions_are_unique",
                asset="captions",
                blocking=True,
                description="No two finished captions of the bucket generation have the same text.",
            ),
        ],
        **placement.of("captions"),
    )
    def captions(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        store: StoreResource,
        captioner: CaptionerResource,
        dataset: DatasetResource,
    ) -> Iterator[Told]:
        opened = store.open()
        generator, prompt_set = captioner.make(), captioner.prompts()
        settings = settings_of(generator, prompt_set, dataset.captions)
        dataset.record_settings(opened, "captions", settings)

        def of_bucket(bucket: str) -> dg.MaterializeResult:
            unit = resolve_unit(opened.tables, bucket, config.chosen(context, opened, bucket))
            model = generator.provenance.model
            guard = BudgetGuard(opened.tables, unit, "captions", context.run.run_id, dataset.budget(), model)
            counts = write_captions(
                opened,
                unit,
                generator,
                prompt_set,
                dataset.captions,
                run_id=context.run.run_id,
                on_progress=progress_log(context, "captions"),
                before_batch=guard.before,
            )
            plans = opened.tables.count(
                "captions", partitions=unit.partitions, where=~pc.field("text").is_valid()
            )
            return dg.MaterializeResult(
                metadata={
                    **caption_metadata(opened, counts, generator.provenance, "captions"),
                    "waiting for a background": plans,
                    "sample": caption_sample(opened, unit, "captions"),
                },
                data_version=data_version(
                    "captions",
                    unit,
                    settings,
                    counts.written,
                ),
                check_results=[
                    accounted("captions_account_for_budget", counts),
                    mentions_concept("captions_mention_their_concept", opened, unit, "captions"),
                    unique_texts("captions_are_unique", opened, unit, "captions"),
                ],
            )

        yield from each_bucket(context, opened, of_bucket)

    return captions
