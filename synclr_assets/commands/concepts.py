"""`synclr concepts`: the concept bank from the command line."""

from pathlib import Path

import click

from synclr_assets.concept_bank.cli import check
from synclr_assets.concept_bank.init.custom import CAPTIONS_PER_NAME, custom_bank
from synclr_assets.concept_bank.init.folder import check_folder, write_bank
from synclr_assets.concept_bank.init.paper import PAPER_NUM_CAPTIONS, paper_bank
from synclr_assets.concept_bank.init.plan import PlannedBank

_OUT = click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to write; it must be empty or missing.",
)


@click.group("concepts")
def command() -> None:
    """Begin, read and check the concept bank."""


@command.group("init")
def init() -> None:
    """Write a concept bank to begin with."""


@init.command("paper")
@click.option(
    "--buckets", "num_buckets", required=True, type=click.IntRange(1), help="Bucket files; 11 or more."
)
@click.option(
    "--captions",
    "num_captions",
    default=PAPER_NUM_CAPTIONS,
    show_default=True,
    type=click.IntRange(1),
    help="Captions of one generation over all buckets.",
)
@_OUT
def paper_command(num_buckets: int, num_captions: int, folder: Path) -> None:
    """The eleven sources of the paper, by the probabilities of its Table 11."""
    check_folder(folder)
    _write(paper_bank(num_buckets, num_captions), folder)


@init.command("custom")
@click.option(
    "--from",
    "names",
    required=True,
    type=click.Path(path_type=Path),
    help="UTF-8 text file with one name per line; empty lines and those that begin with # are passed over.",
)
@click.option("--bucket", help="Name of the bucket; default the file's name.")
@click.option(
    "--captions",
    "num_captions",
    type=click.IntRange(1),
    help=f"Captions of one generation over all buckets; default {CAPTIONS_PER_NAME} a name.",
)
@click.option(
    "--per-bucket", "per_bucket", type=click.IntRange(1), help="Names per bucket; default all in one."
)
@_OUT
def custom_command(
    names: Path, bucket: str | None, num_captions: int | None, per_bucket: int | None, folder: Path
) -> None:
    """Your own list of names."""
    check_folder(folder)
    _write(custom_bank(names, bucket, num_captions, per_bucket), folder)


def _write(plan: PlannedBank, folder: Path) -> None:
    write_bank(plan, folder)
    num_concepts = sum(len(bucket.concepts) for bucket in plan.buckets)
    num_captions = sum(bucket.num_captions for bucket in plan.buckets)
    buckets = "1 bucket" if len(plan.buckets) == 1 else f"{len(plan.buckets)} buckets"
    click.echo(f"{folder}: {buckets}, {num_concepts} concepts, {num_captions} captions a generation")
    click.echo(f"next: SYNCLR_CONCEPTS={folder} synclr concepts check")


command.add_command(check)
