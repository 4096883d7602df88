"""`synclr-train`: train, print recipes, export and evaluate from a shell, with no orchestrator.

Commands import what they need when they run, so `--help` and `recipe` work without torch.
"""

import importlib
import json
from pathlib import Path
from typing import Literal

import click
import yaml
from pydantic import ValidationError

from synclr_train.process import prepare_process
from synclr_train.recipes import RECIPES, get_recipe
from synclr_train.run_files import latest_checkpoint
from synclr_train.shard_files import find_shards

EVAL_COMMANDS = {
    "finetune": "synclr_train.evals.commands",
    "probe": "synclr_train.evals.commands",
    "probe-sgd": "synclr_train.evals.commands",
    "segment": "synclr_train.evals.commands",
}
"""Commands that live with the evaluations, by the module that defines them."""


SHOWN_QUARANTINED = 10
"""Left-out captions that are named on the screen; the result names all."""


class LazyGroup(click.Group):
    """A group that imports the evaluations' commands only when one of them is asked for."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command in a process that was prepared before any module of torch is there."""
        prepare_process()
        return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without importing anything."""
        return sorted([*super().list_commands(ctx), *EVAL_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported from its module when it is an evaluation."""
        if cmd_name not in EVAL_COMMANDS:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(EVAL_COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help lines of all commands; those of the evaluations are written here to avoid importing them."""
        lines = [
            (
                name,
                "Evaluate an encoder." if name in EVAL_COMMANDS else self.commands[name].get_short_help_str(),
            )
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


@click.group(cls=LazyGroup)
def main() -> None:
    """Train and evaluate SynCLR encoders on SynCaps shards."""


@main.command()
@click.option("--recipe", "recipe_name", required=True, help=f"One of: {', '.join(sorted(RECIPES))}.")
@click.option(
    "--shards",
    "patterns",
    required=True,
    multiple=True,
    help="Pattern of shard files or of s3:// URIs; repeatable.",
)
@click.option(
    "--out",
    "out_dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write into; a killed run there continues.",
)
@click.option(
    "--cache",
    "cache_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the shards' index and images read from S3; may be shared by runs.",
)
@click.option(
    "--cache-gb",
    type=click.FloatRange(min=0),
    default=100.0,
    show_default=True,
    help="Largest size of the images kept in --cache, in GB.",
)
@click.option(
    "--exclude",
    "exclude_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File of caption ids, one a line, that are never read.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Replaces the recipe's seed.")
@click.option("--steps", type=click.IntRange(min=1), help="Replaces the recipe's number of steps.")
@click.option("--devices", type=click.IntRange(min=1), help="Replaces the recipe's devices per machine.")
@click.option(
    "--strategy", type=click.Choice(["auto", "ddp", "fsdp"]), help="Replaces the recipe's strategy."
)
@click.option(
    "--workers",
    "--num-workers",
    "num_workers",
    type=click.IntRange(min=0),
    help="Replaces the recipe's num_workers.",
)
@click.option("--compile/--no-compile", "compiles", default=None, help="Replaces the recipe's `compiles`.")
def fit(
    recipe_name: str,
    patterns: tuple[str, ...],
    out_dir: Path,
    cache_dir: Path | None,
    cache_gb: float,
    exclude_file: Path | None,
    seed: int | None,
    steps: int | None,
    **machine: object,
) -> None:
    """Train a recipe on shards and write the encoder.

    What replaces a setting of the machine (devices, strategy, workers, compile) may differ when a run continues.
    """
    try:
        recipe = get_recipe(recipe_name)
        if steps is not None:
            recipe = recipe.with_steps(steps)
        recipe = recipe.varied(**{name: value for name, value in machine.items() if value is not None})
        shards = find_shards(patterns)
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from synclr_train.metrics import TrainingEvent
        from synclr_train.recorder import NonFiniteLossError
        from synclr_train.shards import describe
        from synclr_train.training import DataCache
        from synclr_train.training import fit as run_fit

        cache = DataCache(cache_dir, int(cache_gb * 1e9)) if cache_dir else None
        exclude = exclude_file.read_text(encoding="utf-8").split() if exclude_file else ()

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            task = progress.add_task("training", total=recipe.steps)

            def show(event: TrainingEvent) -> None:
                said = event.message
                if event.metrics:
                    loss, speed = event.metrics["loss"], event.metrics["images_per_second"]
                    said = f"loss {loss:.3f}, {speed:.0f} images/s"
                progress.update(task, completed=event.step, description=said)

            try:
                result = run_fit(
                    recipe, shards, out_dir, seed=seed, cache=cache, exclude=exclude, on_event=show
                )
            except NonFiniteLossError as error:
                raise click.ClickException(str(error)) from error
    except ValidationError as error:
        raise click.ClickException(
            f"recipe {recipe_name!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from error
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{out_dir}: {result.steps} steps in {result.seconds:.0f} s, weights {result.weights_sha256[:12]}"
    )
    if result.quarantined:
        click.echo(f"{len(result.quarantined)} captions were left out, as {out_dir / 'result.json'} says:")
        for each in result.quarantined[:SHOWN_QUARANTINED]:
            click.echo(f"  {describe(each)}")


@main.command()
@click.argument("name")
@click.option("--format", "style", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def recipe(name: str, style: str) -> None:
    """Print a complete recipe."""
    try:
        content = get_recipe(name).model_dump(mode="json")
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if style == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), nl=False)


@main.command()
@click.argument("source_dir", metavar="FOLDER", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    "out_dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write into.",
)
@click.option(
    "--network",
    type=click.Choice(["student", "teacher"]),
    help="Of a run's last resume point; default: what the recipe says.",
)
def export(source_dir: Path, out_dir: Path, network: Literal["student", "teacher"] | None) -> None:
    """Write an encoder to hand on: for timm, for transformers, with a model card.

    FOLDER is that of a run, whose last resume point is taken, or one that holds an encoder."""
    try:
        from synclr_train.export import export_resume_point, publish

        is_run = latest_checkpoint(source_dir) is not None or not (source_dir / "config.json").is_file()
        if network is not None or is_run:
            export_resume_point(source_dir, out_dir, network=network)
            source_dir = out_dir
        refusal = publish(source_dir, out_dir)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out_dir}: encoder.safetensors and config.json for timm, README.md")
    click.echo(refusal or f"{out_dir / 'transformers'}: for transformers' AutoModel")


@main.command("import")
@click.argument("file", metavar="FILE.pth", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--arch", required=True, help="vit_s16, vit_b16 or vit_l14.")
@click.option(
    "--out",
    "out_dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the encoder into.",
)
def import_command(file: Path, arch: str, out_dir: Path) -> None:
    """Read a published checkpoint of a plain ViT, such as SynCLR's, without executing it."""
    try:
        from synclr_train.import_weights import import_checkpoint

        sha256 = import_checkpoint(file, arch, out_dir)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out_dir / 'encoder.safetensors'}: sha256 {sha256}")


if __name__ == "__main__":
    main()
