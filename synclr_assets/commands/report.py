"""`synclr report`: the page of one model."""

from pathlib import Path

import click

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.provenance.models import find_model
from synclr_assets.report.page import write_report

DEFAULT_FOLDER = Path(".synclr/reports")


@click.command("report")
@click.argument("model_id")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write; default .synclr/reports/<model>.html."
)
@STORE_OPTION
def command(model_id: str, out: Path | None, root: str | None) -> None:
    """Write one self-contained HTML page about MODEL_ID (an id or its beginning)."""
    store = open_store(root)
    model = find_model(store, model_id)
    target = out or DEFAULT_FOLDER / f"{model['model_id'][:12]}.html"
    click.echo(write_report(store, model["model_id"], target))
