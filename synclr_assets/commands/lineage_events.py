"""`synclr lineage openlineage`: the history of a store as OpenLineage events, to a file or to a lineage server."""

import importlib.util
import os
from pathlib import Path

import click

from synclr_assets.environment import store_root
from synclr_assets.provenance.openlineage_client import is_configured
from synclr_assets.store.store import Store


@click.command("openlineage")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write one event a line here.")
@click.option("--store", "root", default=None, help="Store to read; default SYNCLR_STORE.")
def openlineage_command(out: Path | None, root: str | None) -> None:
    """Every finished stage, model and evaluation of the store as events.

    Without --out they go where OPENLINEAGE_URL or openlineage.yml says. Sending them again changes nothing.
    """
    if importlib.util.find_spec("openlineage") is None:
        raise click.UsageError("OpenLineage events need a package: pip install 'synclr[lineage]'.")
    if out is None and not is_configured(os.environ):
        raise click.UsageError("Say where to: --out FILE, OPENLINEAGE_URL, or an openlineage.yml.")
    from openlineage.client.serde import Serde

    from synclr_assets.provenance.openlineage_client import new_client
    from synclr_assets.provenance.openlineage_history import history

    events = history(Store(root or store_root(os.environ)))
    num_events = 0
    if out is None:
        client = new_client()
        try:
            for event in events:
                client.emit(event)
                num_events += 1
            client.close()
        except OSError as error:  # what the HTTP client raises where a server refuses or is not there
            said = " ".join(str(error).split())
            raise click.ClickException(f"{num_events} events sent, then the server failed: {said}") from error
    else:
        with out.open("w", encoding="utf-8") as file:
            for event in events:
                file.write(Serde.to_json(event) + "\n")
                num_events += 1
    click.echo(f"{num_events} events {'sent' if out is None else f'written to {out}'}")
