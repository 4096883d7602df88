"""Asset `syncaps_shards`: WebDataset tars of whole positive groups, what training reads."""

from collections.abc import Iterator

import dagster as dg

from synclr_assets.cost.budget import Costs
from synclr_assets.cost.guard import BudgetGuard
from synclr_assets.cost.summary import ledger_metadata
from synclr_assets.defs.buckets import ONE_BUCKET, Told, each_bucket
from synclr_assets.defs.generations import GenerationConfig, data_version
from synclr_assets.defs.observations import progress_log
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import DatasetResource, StoreResource
from synclr_assets.defs.verdicts import shard_files
from synclr_assets.partitions import BankPartitions
from synclr_assets.report.previews import markdown_table
from synclr_assets.stages.concepts import resolve_unit
from synclr_assets.stages.shards import write_shards

SHOWN_SHARDS = 20


def syncaps_shards_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by bucket."""

    @dg.asset(
        partitions_def=partitions.buckets,
        backfill_policy=ONE_BUCKET,
        output_required=False,
        deps=["images", "enriched_captions"],
        group_name="dataset",
        kinds={"webdataset", "deltalake"},
        owners=["team:dataset"],
        code_version="1",
        description=(
            "The bucket's SynCaps shards: plain tar files in WebDataset layout, one sample per caption with its "
            "four images, text and provenance. A shard is never changed after it was written."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "shards_match_their_checksums",
                asset="syncaps_shards",
                blocking=True,
                description="Every tar file has the recorded SHA-256.",
            ),
            dg.AssetCheckSpec(
                "shards_hold_whole_groups",
                asset="syncaps_shards",
                blocking=True,
                description="Every sample has four images, a text and a record, and none is missing.",
            ),
        ],
        **placement.of("syncaps_shards"),
    )
    def syncaps_shards(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        store: StoreResource,
        dataset: DatasetResource,
    ) -> Iterator[Told]:
        opened = store.open()

        def of_bucket(bucket: str) -> dg.MaterializeResult:
            unit = resolve_unit(opened.tables, bucket, config.chosen(context, opened, bucket))
            guard = BudgetGuard(
                opened.tables, unit, "shards", context.run.run_id, dataset.budget(), known=Costs()
            )
            counts = write_shards(
                opened,
                unit,
                dataset.shards,
                run_id=context.run.run_id,
                on_progress=progress_log(context, "shards"),
                before_batch=guard.before,
            )
            rows = opened.tables.read("shards", partitions=unit.partitions).sort_by("shard_index").to_pylist()
            listed = [
                (row["key"], row["num_captions"], row["num_images"], row["size_bytes"], row["sha256"][:12])
                for row in rows[:SHOWN_SHARDS]
            ]
            return dg.MaterializeResult(
                metadata={
                    "generation": unit.generation,
                    "shards": counts.num_shards,
                    "captions": counts.num_captions,
                    "images": counts.num_images,
                    "size (bytes)": counts.size_bytes,
                    "files": dg.MarkdownMetadataValue(
                        markdown_table(("key", "captions", "images", "bytes", "sha256"), listed)
                    ),
                    **ledger_metadata(opened, unit, "shards"),
                    "dagster/row_count": counts.num_captions,
                },
                data_version=data_version("syncaps_shards", unit, *[row["sha256"] for row in rows]),
                check_results=shard_files(
                    ("shards_match_their_checksums", "shards_hold_whole_groups"), opened, unit
                ),
            )

        yield from each_bucket(context, opened, of_bucket)

    return syncaps_shards
