"""`synclr retention`: say what a rule would drop, and drop exactly that."""

import os
from pathlib import Path

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.operations.retention import (
    DEFAULT_HORIZON_HOURS,
    RetentionPlan,
    RetentionRule,
    apply_retention,
    plan_retention,
    read_retention_plan,
    write_retention_plan,
)
from synclr_assets.report.formats import size
from synclr_assets.store.errors import StoreError


@click.group("retention")
def command() -> None:
    """Drop what no kept model needs, after a dry run."""


@command.command("plan")
@click.option(
    "--keep-generations", default=2, show_default=True, type=click.IntRange(1), help="Of each bucket."
)
@click.option("--keep-models", type=click.IntRange(1), help="Newest of each slice; left out, all.")
@click.option("--keep-packed-bytes", is_flag=True, help="Keep image_bytes although shards hold the images.")
@click.option(
    "--horizon-hours",
    default=DEFAULT_HORIZON_HOURS,
    show_default=True,
    type=click.IntRange(1),
    help="Table files younger than this stay; longer than any run at work.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the plan here for `synclr retention apply`."
)
@STORE_OPTION
def plan_command(
    keep_generations: int,
    keep_models: int | None,
    keep_packed_bytes: bool,
    horizon_hours: int,
    out: Path | None,
    root: str | None,
) -> None:
    """Say what would be dropped. Changes nothing."""
    rule = RetentionRule(
        keep_generations=keep_generations,
        keep_models=keep_models,
        keep_packed_bytes=keep_packed_bytes,
        horizon_hours=horizon_hours,
    )
    plan = plan_retention(open_store(root), read_bank(concept_folder(os.environ)).buckets, rule)
    click.echo("\n".join(_lines(plan)))
    if out is not None and not plan.is_empty:
        write_retention_plan(plan, out)
        click.echo(f"written to {out}; next: synclr retention apply {out}")


@command.command("apply")
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@STORE_OPTION
def apply_command(plan_file: Path, root: str | None) -> None:
    """Drop exactly what PLAN says, or refuse where some of it is needed now."""
    plan = read_retention_plan(plan_file)
    _refuse_while_training()
    buckets = read_bank(concept_folder(os.environ)).buckets
    for done in apply_retention(open_store(root), buckets, plan):
        click.echo(f"dropped {done}")


def _refuse_while_training() -> None:
    """A model under training is not recorded yet, so nothing protects what it reads."""
    from synclr_assets.environment import dagster_home

    home = dagster_home(os.environ)
    if not home.exists():
        return
    from synclr_assets.launch.instance import open_instance  # loads Dagster, which takes a second
    from synclr_assets.launch.stuck_runs import training_runs

    training = training_runs(open_instance(home))
    if training:
        raise StoreError(
            f"Run {training[0].run_id[:8]} trains or scores a model: wait for it, or end it with "
            "`synclr doctor --free` where it is dead."
        )


def _lines(plan: RetentionPlan) -> list[str]:
    if plan.is_empty:
        return ["Nothing to drop under this rule."]
    rows = [("what", "of", "tables", "shards")]
    for one in plan.generations:
        rows.append(("generation", str(one.unit), size(one.table_bytes), size(one.shard_bytes)))
    for one in plan.packed_bytes:
        rows.append(("packed image bytes", str(one.unit), size(one.table_bytes), "stay"))
    rows += [("model", model_id, "its rows", "stay") for model_id in plan.models]
    tables = sum(one.table_bytes for one in (*plan.generations, *plan.packed_bytes))
    shards = sum(one.shard_bytes for one in plan.generations)
    return [
        *aligned(rows, num_left=2),
        f"in all {size(tables)} of tables, freed {plan.rule.horizon_hours} h after they were dropped (run it again "
        f"then), and {size(shards)} of shards at once",
    ]
