"""`synclr materialize`: make the data of a slice, train on it, score it, as runs of the shared Dagster instance."""

import os
import time
from collections.abc import Mapping

import click
from rich.console import Console

from synclr_assets.commands.progress import RunProgress
from synclr_assets.concept_bank.bank import concept_folder, read_bank
from synclr_assets.cost.workload import buckets_of


@click.command("materialize")
@click.argument("slice_name", metavar="SLICE", default="all")
@click.option(
    "--generation", type=click.IntRange(0), help="Work on this generation; the next number opens it."
)
@click.option(
    "--only", type=click.Choice(["dataset", "model"]), help="Stop before training, or only train and score."
)
@click.option("--recipe", help="Recipe to train; default the profile's.")
@click.option("--seed", type=click.IntRange(0), help="Seed of training; default the recipe's.")
@click.option("--steps", type=click.IntRange(1), help="Optimiser steps; default the recipe's.")
@click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="test",
    show_default=True,
    help="Part to score.",
)
def command(
    slice_name: str,
    generation: int | None,
    only: str | None,
    recipe: str | None,
    seed: int | None,
    steps: int | None,
    split: str,
) -> None:
    """Make the data of SLICE (a bucket, a named slice or all), train on it, score it."""
    checkpoint = {
        name: value
        for name, value in (("recipe", recipe), ("seed", seed), ("steps", steps))
        if value is not None
    }
    materialize(
        Console(),
        slice_name,
        generation=generation,
        with_dataset=only != "model",
        with_model=only != "dataset",
        checkpoint=checkpoint,
        split=split,
    )


def materialize(
    console: Console,
    slice_name: str,
    *,
    generation: int | None = None,
    with_dataset: bool = True,
    with_model: bool = True,
    checkpoint: Mapping[str, object] | None = None,
    split: str = "test",
) -> None:
    """One run per bucket, then one for the model, with progress. Raises StoreError, RunFailedError."""
    buckets = buckets_of(read_bank(concept_folder(os.environ)), slice_name)
    from synclr_assets.launch.runs import Launcher  # loads Dagster, which takes a second

    started = time.monotonic()
    launcher = Launcher()
    for bucket in buckets if with_dataset else ():
        with RunProgress(console, bucket) as progress:
            launcher.make_dataset(bucket, generation, progress.on_event)
    if with_model:
        with RunProgress(console, slice_name) as progress:
            launcher.make_model(
                slice_name, progress.on_event, checkpoint=checkpoint, evaluation={"split": split}
            )
    console.print(f"{slice_name} is materialised, {time.monotonic() - started:.0f} s")
