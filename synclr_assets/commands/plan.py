"""`synclr plan regenerate`: which buckets would be made anew, what that costs and outdates. Makes nothing."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synclr_assets.commands.backfill import chosen_buckets
from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.commands.text_tables import aligned
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.rates import read_rates
from synclr_assets.operations.plan_file import Plan, PlannedCost, write_plan
from synclr_assets.profiles import chosen_profile
from synclr_assets.report.formats import duration, grouped, size

if TYPE_CHECKING:
    from synclr_assets.defs.regeneration import Planner

SECONDS_PER_DAY = 86_400.0


@click.group("plan")
def command() -> None:
    """Plan work without doing any of it."""


@command.command("regenerate")
@click.option(
    "--slice", "slice_name", default="all", show_default=True, help="Slice whose buckets are chosen."
)
@click.option("--stalest", default=1, show_default=True, type=click.IntRange(1), help="How many buckets.")
@click.option(
    "--min-age-days", default=7.0, show_default=True, type=click.FloatRange(0), help="Younger is not old."
)
@click.option("--buckets", help="Exactly these buckets instead: names with commas between.")
@click.option("--no-model", is_flag=True, help="Leave the slice's model as it is.")
@click.option("--rates", "rates_file", type=click.Path(path_type=Path), help="YAML file of rates and prices.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the plan here for `synclr apply`.")
@STORE_OPTION
def regenerate_command(
    slice_name: str,
    stalest: int,
    min_age_days: float,
    buckets: str | None,
    no_model: bool,
    rates_file: Path | None,
    out: Path | None,
    root: str | None,
) -> None:
    """Choose the stalest buckets of a slice: broken ones, failed checks, low scores, then age."""
    only = None
    if buckets is not None:
        only = chosen_buckets(read_bank(concept_folder(os.environ)), slice_name, buckets)
    plan = open_planner(root).plan(
        slice_name,
        stalest,
        timedelta(days=min_age_days),
        only=only,
        trains=not no_model,
        rates=None if rates_file is None else read_rates(rates_file),
    )
    if plan is None:
        click.echo(
            f"No bucket of {slice_name} is stale: lower --min-age-days, or name buckets with --buckets."
        )
        return
    click.echo("\n".join(plan_lines(plan)))
    if out is not None:
        write_plan(plan, out)
        click.echo(f"written to {out}; next: synclr apply {out}")


def open_planner(root: str | None) -> "Planner":
    """A planner over the environment's bank, profile, store and Dagster instance."""
    from synclr_assets.definitions import build_definitions  # loads Dagster, which takes a second
    from synclr_assets.defs.regeneration import Planner
    from synclr_assets.environment import dagster_home
    from synclr_assets.launch.instance import open_instance

    environment = dict(os.environ)
    bank, profile = read_bank(concept_folder(environment)), chosen_profile(environment)
    graph = build_definitions(environment).resolve_asset_graph()
    return Planner(open_store(root), bank, profile, open_instance(dagster_home(environment)), graph)


def plan_lines(plan: Plan) -> list[str]:
    """The plan as a person reads it."""
    rows = [("bucket", "generation", "captions", "outdates", "because")]
    for planned in plan.buckets:
        shards = plan.outdated_shards.get(planned.bucket, 0)
        was = "none" if planned.latest is None else str(planned.latest)
        rows.append(
            (
                planned.bucket,
                f"{was} -> {planned.generation}",
                grouped(planned.num_captions),
                f"{shards} shards",
                "; ".join(planned.reasons),
            )
        )
    then = f"then checkpoint and scores of {plan.slice_name}" if plan.trains else "no model is trained"
    outdated = ", ".join(model[:12] for model in plan.outdated_models[:5])
    more = f" and {len(plan.outdated_models) - 5} more" if len(plan.outdated_models) > 5 else ""
    return [
        f"plan {plan.plan_id} for {plan.slice_name}: {len(plan.buckets)} buckets, {then}",
        *aligned(rows, num_left=5),
        f"outdated models: {outdated or 'none'}{more}",
        f"costs about: {_cost(plan.cost)}",
    ]


def _cost(cost: PlannedCost) -> str:
    amounts = {
        "requests": f"{grouped(cost.requests)} requests",
        "tokens": f"{grouped(cost.tokens)} tokens",
        "gpu_hours": f"{cost.gpu_hours:.2f} GPU h",
        "cpu_hours": f"{cost.cpu_hours:.2f} CPU h",
        "size_bytes": size(cost.size_bytes),
        "usd": f"{cost.usd:.2f} USD",
        "days": duration(cost.days * SECONDS_PER_DAY),
    }
    return ", ".join(
        f"at least {text}" if name in cost.lower_bounds else text for name, text in amounts.items()
    )
