"""Asset `concepts`: the concepts of a bucket, and with them a generation of everything below."""

from collections.abc import Iterator

import dagster as dg

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.defs.buckets import ONE_BUCKET, Told, each_bucket
from synclr_assets.defs.generations import GenerationConfig, data_version
from synclr_assets.defs.openlineage import BUCKET_FILE
from synclr_assets.defs.placement import Placement
from synclr_assets.defs.resources import ConceptBankResource, StoreResource
from synclr_assets.partitions import BankPartitions
from synclr_assets.report.previews import markdown_table
from synclr_assets.stages.concepts import write_concepts
from synclr_assets.store.errors import StoreError

SAMPLE_ROWS = 20
BANK_CHECK = "every_bucket_file_is_usable"


def concepts_asset(partitions: BankPartitions, placement: Placement) -> dg.AssetsDefinition:
    """The asset, partitioned by bucket."""

    @dg.asset(
        partitions_def=partitions.buckets,
        backfill_policy=ONE_BUCKET,
        output_required=False,
        group_name="corpus",
        kinds={"yaml", "deltalake"},
        owners=["team:corpus"],
        code_version="1",
        description=_description(partitions),
        check_specs=[
            dg.AssetCheckSpec(
                "budget_is_allocated",
                asset="concepts",
                blocking=True,
                description="The concepts' captions add up to the bucket's budget.",
            ),
            dg.AssetCheckSpec(
                BANK_CHECK,
                asset="concepts",
                description="No file in the concept folder was refused; refused ones are listed with their mend.",
            ),
        ],
        **placement.of("concepts"),
    )
    def concepts(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        store: StoreResource,
        concept_bank: ConceptBankResource,
    ) -> Iterator[Told]:
        opened = store.open()
        bank = concept_bank.read()

        def of_bucket(name: str) -> dg.MaterializeResult:
            bucket = bank.buckets.get(name)
            if bucket is None:
                raise StoreError(_missing(name, [problem.sentence for problem in bank.problems]))
            generation = config.chosen(context, opened, name)
            unit = write_concepts(opened, bucket, generation, context.run.run_id)
            rows = (
                opened.tables.read("concepts", partitions=unit.partitions)
                .sort_by("concept_index")
                .to_pylist()
            )
            allocated = sum(row["num_captions"] for row in rows)
            shown = [
                (row["concept"], row["weight"], row["num_captions"], ", ".join(row["templates"]))
                for row in rows[:SAMPLE_ROWS]
            ]
            return dg.MaterializeResult(
                metadata={
                    "generation": unit.generation,
                    "concepts": len(rows),
                    "captions planned": allocated,
                    "source": bucket.source,
                    BUCKET_FILE: str(bucket.path),
                    "sample": dg.MarkdownMetadataValue(
                        markdown_table(("concept", "weight", "captions", "templates"), shown)
                    ),
                    "dagster/row_count": len(rows),
                },
                data_version=data_version("concepts", unit, bucket.fingerprint),
                check_results=[
                    dg.AssetCheckResult(
                        check_name="budget_is_allocated",
                        passed=allocated == bucket.num_captions,
                        metadata={"allocated": allocated, "budget": bucket.num_captions},
                    )
                ],
            )

        yield from each_bucket(context, opened, of_bucket)
        yield bucket_files_verdict(bank)

    return concepts


def bucket_files_verdict(bank: ConceptBank) -> dg.AssetCheckResult:
    """Fails while any file of the bank cannot be used. About the bank, so it names no bucket.

    A part of the step, which has read the bank anyway: as a step of its own it would start a process, on a cluster
    a container, in every bucket's run.
    """
    problems = [problem.sentence for problem in bank.problems]
    return dg.AssetCheckResult(
        check_name=BANK_CHECK,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description=problems[0] if problems else f"{len(bank.buckets)} buckets are usable.",
        metadata={
            "buckets": len(bank.buckets),
            "refused": len(problems),
            "problems": dg.MarkdownMetadataValue("\n".join(f"- {problem}" for problem in problems) or "none"),
        },
    )


def _description(partitions: BankPartitions) -> str:
    about = (
        "The visual concepts of a bucket, one row each, with their share of the caption budget (SynCLR 3.4, "
        "App. A). Materialising it after its file changed, or with a generation in the config, opens the "
        "bucket's next generation; earlier ones stay as they are."
    )
    if partitions.bank.problems:
        listed = "\n".join(f"- {problem.sentence}" for problem in partitions.bank.problems)
        about += f"\n\n**Files that could not be used when the code location was loaded**\n\n{listed}"
    return about


def _missing(bucket: str, problems: list[str]) -> str:
    if problems:
        return f"Bucket {bucket} cannot be read: " + " ".join(problems)
    return f"Bucket {bucket} has no file any more: put it back, or reload the code location to drop the partition."
