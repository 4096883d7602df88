"""`synclr dev`: Dagster's UI and daemon on the same instance that `synclr materialize` writes to."""

import os
import signal
import sys
from pathlib import Path

import click

from synclr_assets.environment import DAGSTER_HOME, DAGSTER_URL, dagster_home


@click.command("dev")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to bind; others can reach 0.0.0.0."
)
def command(port: int, host: str) -> None:
    """Open the Dagster UI on 127.0.0.1."""
    home = dagster_home(os.environ)
    from synclr_assets.launch.instance import open_instance  # loads Dagster, which takes a second

    open_instance(home).dispose()
    address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    environment = {**os.environ, DAGSTER_HOME: str(home), DAGSTER_URL: address}
    dagster = Path(sys.executable).parent / "dagster"
    click.echo(f"Dagster UI on http://{host}:{port} (instance {home})")
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # a script's `&` has it ignored, and Dagster stops its children by it
    os.execve(
        dagster,
        [str(dagster), "dev", "-w", "workspace.yaml", "--host", host, "--port", str(port)],
        environment,
    )
