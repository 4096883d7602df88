"""Asset `enriched_captions`: the final corpus, with plausible backgrounds; what image generation reads."""

from collections.abc import Iterator

import dagster as dg

from synclr_assets.cost.budget import Costs
from synclr_assets.cost.guard import BudgetGuard
from synclr_assets.cost.summary import ledger_metadata
from synclr_assets.defs.buckets import MANY_BUCKETS_AFTER_MANY, Told, each_bucket
from synclr_assets.defs.generations import GenerationConfig, data_version
from synclr_assets.defs.observations import caption_metadata, caption_sample, progress_log
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import (
    BackgroundWriterResource,
    CaptionerResource,
    DatasetResource,
    StoreResource,
)
from synclr_assets.defs.verdicts import accounted, mentions_concept, quarantine_rate, unique_texts
from synclr_assets.partitions import BankPartitions
from synclr_assets.report.previews import count_table
from synclr_assets.stages.concepts import resolve_unit
from synclr_assets.stages.enriched_captions import settings_of, write_enriched_captions
from synclr_assets.stages.progress import BeforeBatch
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.purchases import ListWriter


def enriched_captions_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by bucket."""

    @dg.asset(
        partitions_def=partitions.buckets,
        backfill_policy=MANY_BUCKETS_AFTER_MANY,
        output_required=False,
        deps=["captions"],
        group_name="corpus",
        kinds={"deltalake", "llm"},
        owners=["team:corpus"],
        code_version="1",
        description=(
            "The final corpus of the bucket: one checked, unique text per caption. `c, bg` captions get one of "
            "their concept's plausible backgrounds (SynCLR 3.1, table 2), asked for once and kept in `backgrounds`."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "corpus_accounts_for_captions",
                asset="enriched_captions",
                blocking=True,
                description="Rows of captions = rows of the corpus + quarantined.",
            ),
            dg.AssetCheckSpec(
                "corpus_mentions_its_concepts",
                asset="enriched_captions",
                blocking=True,
                description="Every caption names its concept.",
            ),
            dg.AssetCheckSpec(
                "corpus_is_unique",
                asset="enriched_captions",
                blocking=True,
                description="No two captions of the bucket generation have the same text.",
            ),
            dg.AssetCheckSpec(
                "few_captions_are_quarantined",
                asset="enriched_captions",
                description="At most 5 % of the bucket's plan was given up.",
            ),
        ],
        **placement.of("enriched_captions"),
    )
    def enriched_captions(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        store: StoreResource,
        captioner: CaptionerResource,
        background_writer: BackgroundWriterResource,
        dataset: DatasetResource,
    ) -> Iterator[Told]:
        opened = store.open()
        generator, writer, prompt_set = captioner.make(), background_writer.make(), captioner.prompts()
        settings = settings_of(generator, writer, prompt_set, dataset.enrichment)
        dataset.record_settings(opened, "enriched_captions", settings)

        def of_bucket(bucket: str) -> dg.MaterializeResult:
            unit = resolve_unit(opened.tables, bucket, config.chosen(context, opened, bucket))
            model = generator.provenance.model
            guard = BudgetGuard(
                opened.tables, unit, "enriched_captions", context.run.run_id, dataset.budget(), model
            )

            def lists_guard(of: Unit) -> BeforeBatch:
                known = None if isinstance(writer, ListWriter) else Costs(requests=1)
                return BudgetGuard(
                    opened.tables,
                    of,
                    "backgrounds",
                    context.run.run_id,
                    dataset.budget(),
                    writer.provenance.model,
                    known,
                ).before

            counts = write_enriched_captions(
                opened,
                unit,
                generator,
                writer,
                prompt_set,
                dataset.enrichment,
                run_id=context.run.run_id,
                on_progress=progress_log(context, "enriched captions"),
                before_batch=guard.before,
                lists_guard=lists_guard,
            )
            by_template = opened.tables.read(
                "enriched_captions", partitions=unit.partitions, columns=["template"]
            )["template"].value_counts()
            shares = {item["values"]: item["counts"] for item in by_template.to_pylist()}
            return dg.MaterializeResult(
                metadata={
                    **caption_metadata(opened, counts, generator.provenance, "enriched_captions"),
                    **{
                        f"backgrounds: {name}": amount
                        for name, amount in ledger_metadata(opened, unit, "backgrounds").items()
                    },
                    "backgrounds from": f"{writer.provenance.model} ({writer.origin})",
                    "templates": dg.MarkdownMetadataValue(count_table(shares)),
                    "sample": caption_sample(opened, unit, "enriched_captions"),
                },
                data_version=data_version(
                    "enriched_captions",
                    unit,
                    settings,
                    counts.written,
                ),
                check_results=[
                    accounted("corpus_accounts_for_captions", counts),
                    mentions_concept("corpus_mentions_its_concepts", opened, unit, "enriched_captions"),
                    unique_texts("corpus_is_unique", opened, unit, "enriched_captions"),
                    quarantine_rate("few_captions_are_quarantined", opened, unit),
                ],
            )

        yield from each_bucket(context, opened, of_bucket)

    return enriched_captions
