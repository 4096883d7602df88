"""`synclr backfill`: some stages of some buckets, several buckets in a run where they share a model."""

import os
import time
import uuid

import click
from rich.console import Console

from synclr_assets.commands.progress import RunProgress
from synclr_assets.concept_bank.bank import ConceptBank, concept_folder, read_bank
from synclr_assets.cost.workload import buckets_of
from synclr_assets.store.errors import StoreError

FIRST, LAST = "concepts", "segmentation"


@click.command("backfill")
@click.option("--slice", "slice_name", default="all", show_default=True, help="Slice whose buckets are made.")
@click.option("--buckets", help="Only these buckets of the slice: names with commas between.")
@click.option("--from", "first", default=FIRST, show_default=True, help="First stage to make.")
@click.option(
    "--to", "last", default=LAST, show_default=True, help="Last stage to make; models are the slice's."
)
@click.option("--generation", type=click.IntRange(0), help="Of every bucket; left out, the newest.")
@click.option(
    "--queue", is_flag=True, help="Hand it to the daemon of `synclr dev` instead of making it here."
)
def command(
    slice_name: str, buckets: str | None, first: str, last: str, generation: int | None, queue: bool
) -> None:
    """Make stages of a slice's buckets, stage by stage. What is complete stays; a killed backfill is continued.

    A crash leaves every finished bucket finished. Here, one process makes everything; with --queue the daemon
    launches as many runs at once as dagster.yaml allows.
    """
    bank = read_bank(concept_folder(os.environ))
    chosen = chosen_buckets(bank, slice_name, buckets)
    from synclr_assets.defs.backfills import STAGES, stages_between  # loads Dagster, which takes a second

    for name, given in (("--from", first), ("--to", last)):
        if given not in STAGES:
            raise StoreError(f"{name} {given!r} is no stage: use one of {', '.join(STAGES)}.")
    stages = stages_between(first, last)
    if queue:
        if generation is not None:
            raise StoreError(
                "--generation works without --queue only: plan it with `synclr plan regenerate`."
            )
        backfill_id = f"synclr-{uuid.uuid4().hex[:8]}"
        queue_stages(backfill_id, slice_name, chosen, stages, {})
        click.echo(f"backfill {backfill_id} is queued: `synclr dev` or the daemon carries it out.")
        return
    make_stages(Console(), slice_name, chosen, stages, generation=generation)


def chosen_buckets(bank: ConceptBank, slice_name: str, names: str | None) -> tuple[str, ...]:
    """The buckets of the slice, or those of them that are named. Raises StoreError for one that is not in it."""
    members = buckets_of(bank, slice_name)
    if names is None:
        return members
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in members:
            raise StoreError(f"{name!r} is no bucket of slice {slice_name}: it has {', '.join(members)}.")
    if not asked:
        raise StoreError("--buckets names no bucket: write names with commas between.")
    return tuple(sorted(set(asked)))


def make_stages(
    console: Console,
    slice_name: str,
    buckets: tuple[str, ...],
    stages: tuple[str, ...],
    *,
    generation: int | None = None,
    tags: dict[str, str] | None = None,
) -> None:
    """Make the stages here and now. Raises RunFailedError."""
    from synclr_assets.defs.jobs import MODEL_ASSETS  # loads Dagster, which takes a second
    from synclr_assets.launch.runs import Launcher

    started = time.monotonic()
    launcher = Launcher()
    config = None if generation is None else {"generation": generation}
    for stage in stages:
        if stage in MODEL_ASSETS:
            continue
        with RunProgress(console, slice_name) as progress:
            launcher.make_stage(stage, buckets, progress.on_event, config=config, tags=tags)
    models = [stage for stage in stages if stage in MODEL_ASSETS]
    if models:
        with RunProgress(console, slice_name) as progress:
            launcher.make_model(slice_name, progress.on_event, assets=models, tags=tags)
    made = "1 bucket" if len(buckets) == 1 else f"{len(buckets)} buckets"
    console.print(f"{made} of {slice_name}: {', '.join(stages)}, {time.monotonic() - started:.0f} s")


def queue_stages(
    backfill_id: str,
    slice_name: str,
    buckets: tuple[str, ...],
    stages: tuple[str, ...],
    tags: dict[str, str],
) -> None:
    """Hand the stages to the daemon of the shared instance."""
    from synclr_assets.defs.backfills import submit_backfill  # loads Dagster, which takes a second
    from synclr_assets.defs.jobs import MODEL_ASSETS
    from synclr_assets.launch.runs import Launcher

    launcher = Launcher()
    partitions = {stage: (slice_name,) if stage in MODEL_ASSETS else buckets for stage in stages}
    graph = launcher.definitions.resolve_asset_graph()
    title = f"{stages[0]} to {stages[-1]} of {slice_name}"
    submit_backfill(launcher.instance, graph, backfill_id, partitions, tags, title)
