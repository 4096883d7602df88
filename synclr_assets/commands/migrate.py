"""`synclr migrate`: bring the tables of an older version of synclr to this one."""

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.store.migrations import migrate, pending_migrations


@click.command("migrate")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@STORE_OPTION
def command(dry_run: bool, root: str | None) -> None:
    """Migrate every table that is behind. Stop all runs first; a killed migration is simply run again."""
    tables = open_store(root).tables
    pending = pending_migrations(tables)
    for one in pending:
        steps = "; ".join(step.about for step in one.steps)
        click.echo(f"{one.table}: version {one.written} to {one.wanted}: {steps}")
        if not dry_run:
            migrate(tables, one)
    if not pending:
        click.echo("Every table is of this version.")
