"""`synclr`: the command line of the platform. Loads a command's module when it is called."""

import importlib
import sys

import click

_COMMANDS = {
    "concepts": ("synclr_assets.commands.concepts", "Begin, read and check the concept bank."),
    "materialize": ("synclr_assets.commands.materialize", "Make the data of a slice, train on it, score it."),
    "backfill": ("synclr_assets.commands.backfill", "Make some stages of some buckets."),
    "status": ("synclr_assets.commands.status", "Buckets x stages, what is stale, what runs."),
    "plan": ("synclr_assets.commands.plan", "Plan the next generation of stale buckets."),
    "apply": ("synclr_assets.commands.apply", "Carry out a plan, or refuse it."),
    "retention": ("synclr_assets.commands.retention", "Drop what no kept model needs, after a dry run."),
    "migrate": ("synclr_assets.commands.migrate", "Bring older tables to this version."),
    "demo": ("synclr_assets.commands.demo", "Everything for the shipped concepts, ending in one table."),
    "dev": ("synclr_assets.commands.dev", "Open the Dagster UI on 127.0.0.1."),
    "lineage": (
        "synclr_assets.commands.lineage",
        "What a model or a caption was made from, and what came of it.",
    ),
    "recall": (
        "synclr_assets.commands.recall",
        "What a bad caption, concept or generator touched, and keeping training from it.",
    ),
    "reproduce": (
        "synclr_assets.commands.reproduce",
        "Rebuild a recorded model from its record; says which links are exact.",
    ),
    "quote": ("synclr_assets.commands.quote", "What a slice will cost, before it is made."),
    "ledger": ("synclr_assets.commands.ledger", "What was spent, by asset, bucket or generator."),
    "licences": (
        "synclr_assets.commands.licences",
        "Which models data or a model came from, under which terms.",
    ),
    "compare": ("synclr_assets.commands.compare", "Models side by side on the same scores, with intervals."),
    "attribution": (
        "synclr_assets.commands.attribution",
        "Which concept buckets a score rests on, and new sampling weights proposed.",
    ),
    "verify": ("synclr_assets.commands.verify", "Re-check every checksum, count and reference of a store."),
    "export": (
        "synclr_assets.commands.export",
        "Write a model to hand on, with its provenance: timm, transformers, model card.",
    ),
    "report": ("synclr_assets.commands.report", "Write the report page of a model."),
    "doctor": ("synclr_assets.commands.doctor", "What this machine has and what that allows."),
}


class _LazyGroup(click.Group):
    """Lists every command without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="synclr")
def cli() -> None:
    """From a list of visual concepts to a scored, traceable vision encoder."""


def main() -> None:
    """Run the command line. A user's mistake is one sentence on stderr and exit code 2."""
    try:
        cli()
    except ValueError as error:
        click.echo(f"synclr: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
