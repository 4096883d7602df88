"""`synclr concepts check`: what a folder of bucket files holds and what is wrong with it."""

import json
import os
import sys
from pathlib import Path

import click

from synclr_assets.concept_bank.bank import ConceptBank, concept_folder, read_bank


@click.command("check")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def check(folder: Path | None, as_json: bool) -> None:
    """Check the bucket files in FOLDER.

    FOLDER is the one named by SYNCLR_CONCEPTS when left out, else ./concepts. Exits with 1 if anything is
    wrong.
    """
    bank = read_bank(folder or concept_folder(os.environ))
    if as_json:
        click.echo(json.dumps(_summary_of(bank), indent=2))
    else:
        _print_table(bank)
        for problem in bank.problems:
            click.echo(problem.sentence)
    sys.exit(1 if bank.problems else 0)


def _print_table(bank: ConceptBank) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    num_captions = sum(bucket.num_captions for bucket in bank.buckets.values())
    table = Table(
        title=Text(f"{bank.folder}: {len(bank.buckets)} buckets, {num_captions} captions a generation")
    )
    table.add_column("bucket", overflow="fold")
    table.add_column("concepts", justify="right")
    table.add_column("captions", justify="right")
    table.add_column("source")
    table.add_column("slices", overflow="fold")
    for name, bucket in bank.buckets.items():
        slices = ", ".join(_slices_holding(bank, name))
        table.add_row(name, str(len(bucket.concepts)), str(bucket.num_captions), bucket.source, slices)
    Console().print(table)


def _summary_of(bank: ConceptBank) -> dict[str, object]:
    return {
        "folder": str(bank.folder),
        "buckets": [
            {
                "name": name,
                "num_concepts": len(bucket.concepts),
                "num_captions": bucket.num_captions,
                "source": bucket.source,
                "template_shares": dict(bucket.template_shares),
                "slices": _slices_holding(bank, name),
                "fingerprint": bucket.fingerprint,
            }
            for name, bucket in bank.buckets.items()
        ],
        "slices": {name: list(members) for name, members in bank.slices.items()},
        "problems": [
            {
                "file": problem.file,
                "field": problem.field,
                "message": problem.message,
                "mend": problem.mend,
                "sentence": problem.sentence,
            }
            for problem in bank.problems
        ],
    }


def _slices_holding(bank: ConceptBank, bucket: str) -> list[str]:
    return [name for name, members in bank.slices.items() if bucket in members]
