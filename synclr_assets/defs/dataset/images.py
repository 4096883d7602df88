"""Asset `images`: four checked views of every caption, from a text-to-image model."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.compute as pc

from synclr_assets.cost.guard import BudgetGuard
from synclr_assets.cost.summary import ledger_metadata
from synclr_assets.defs.buckets import MANY_BUCKETS, Told, each_bucket
from synclr_assets.defs.generations import GenerationConfig, data_version
from synclr_assets.defs.observations import image_sheet, progress_log, provenance_text
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import DatasetResource, ImageSamplerResource, StoreResource
from synclr_assets.defs.verdicts import accounted, stored_groups
from synclr_assets.partitions import BankPartitions
from synclr_assets.report.previews import count_table
from synclr_assets.stages.concepts import resolve_unit
from synclr_assets.stages.images import VIEWS_PER_CAPTION, settings_of, write_images


def images_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by bucket."""

    @dg.asset(
        partitions_def=partitions.buckets,
        backfill_policy=MANY_BUCKETS,
        output_required=False,
        deps=["enriched_captions"],
        group_name="dataset",
        kinds={"deltalake", "jpeg"},
        owners=["team:dataset"],
        code_version="1",
        description=(
            "Four images per caption from different noise (SynCLR 3.2): each other's positives. A view that is "
            "blank, of the wrong size or nearly its sibling is drawn again under another seed; a caption whose "
            "views keep failing is quarantined as a whole."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "images_account_for_captions",
                asset="images",
                blocking=True,
                description="Captions of the corpus = captions with four images + quarantined.",
            ),
            dg.AssetCheckSpec(
                "image_bytes_match_their_facts",
                asset="images",
                blocking=True,
                description="Stored bytes of a sample carry the recorded checksum.",
            ),
            dg.AssetCheckSpec(
                "positive_groups_are_sound",
                asset="images",
                blocking=True,
                description="Images of a sample decode, are not blank, and the four views of a caption differ.",
            ),
        ],
        **placement.of("images"),
    )
    def images(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        store: StoreResource,
        image_sampler: ImageSamplerResource,
        dataset: DatasetResource,
    ) -> Iterator[Told]:
        opened = store.open()
        sampler, agreement = image_sampler.make(), image_sampler.agreement()
        settings = settings_of(sampler, dataset.images, agreement)
        dataset.record_settings(opened, "images", settings)

        def of_bucket(bucket: str) -> dg.MaterializeResult:
            unit = resolve_unit(opened.tables, bucket, config.chosen(context, opened, bucket))
            model = sampler.provenance.model
            guard = BudgetGuard(opened.tables, unit, "images", context.run.run_id, dataset.budget(), model)
            counts = write_images(
                opened,
                unit,
                sampler,
                dataset.images,
                agreement=agreement,
                prices=image_sampler.prices,
                run_id=context.run.run_id,
                on_progress=progress_log(context, "captions drawn"),
                before_window=guard.before,
            )
            facts = opened.tables.read(
                "images", partitions=unit.partitions, columns=["size_bytes", "reseeds"]
            )
            spent = opened.tables.read(
                "ledger",
                partitions=unit.partitions,
                columns=["units", "wall_seconds"],
                where=pc.field("stage") == "images",
            )
            seconds = pc.sum(spent["wall_seconds"]).as_py() or 0.0
            return dg.MaterializeResult(
                metadata={
                    "contact sheet": image_sheet(opened, unit),
                    "generation": unit.generation,
                    "captions": counts.written,
                    "images": facts.num_rows,
                    "views per caption": VIEWS_PER_CAPTION,
                    "quarantined": counts.num_quarantined,
                    "quarantined by reason": dg.MarkdownMetadataValue(count_table(counts.quarantined)),
                    "reseeded images": pc.sum(pc.greater(facts["reseeds"], 0)).as_py() or 0,
                    "mean size (bytes)": round(pc.mean(facts["size_bytes"]).as_py() or 0.0),
                    "images per second": round((pc.sum(spent["units"]).as_py() or 0) / seconds, 1)
                    if seconds
                    else 0.0,
                    "generator": provenance_text(sampler.provenance),
                    **ledger_metadata(opened, unit, "images"),
                    "dagster/row_count": facts.num_rows,
                },
                data_version=data_version("images", unit, settings, facts.num_rows),
                check_results=[
                    accounted("images_account_for_captions", counts),
                    *stored_groups(
                        ("image_bytes_match_their_facts", "positive_groups_are_sound"),
                        opened,
                        unit,
                        counts,
                        sampler.size_px,
                    ),
                ],
            )

        yield from each_bucket(context, opened, of_bucket)

    return images
