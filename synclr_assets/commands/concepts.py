"""`synclr concepts`: the concept bank from the command line."""

import click

from synclr_assets.concept_bank.cli import check


@click.group("concepts")
def command() -> None:
    """Read and check the concept bank."""


command.add_command(check)
