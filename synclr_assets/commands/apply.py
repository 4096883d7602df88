"""`synclr apply`: exactly what a plan says, or nothing where the world changed since."""

from pathlib import Path

import click
from rich.console import Console

from synclr_assets.commands.backfill import make_stages
from synclr_assets.commands.lineage import STORE_OPTION
from synclr_assets.commands.plan import open_planner
from synclr_assets.operations.plan_file import read_plan_file, record_finished


@click.command("apply")
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option(
    "--queue", is_flag=True, help="Hand it to the daemon of `synclr dev` instead of making it here."
)
@STORE_OPTION
def command(plan_file: Path, queue: bool, root: str | None) -> None:
    """Make the generations of PLAN, then the slice's model where the plan says so.

    Applying a plan that a kill interrupted continues it; one that is done is refused.
    """
    plan = read_plan_file(plan_file)
    planner = open_planner(root)
    planner.begin(plan)
    if queue:
        click.echo(f"backfill {planner.submit(plan)} is queued: `synclr dev` or the daemon carries it out.")
        return
    from synclr_assets.defs.backfills import stages_between  # loads Dagster, which takes a second
    from synclr_assets.defs.generations import PLAN_TAG

    stages = stages_between("concepts", "segmentation" if plan.trains else "syncaps_shards")
    buckets = tuple(sorted(plan.generations))
    make_stages(Console(), plan.slice_name, buckets, stages, tags={PLAN_TAG: plan.plan_id})
    record_finished(planner.store, plan)
