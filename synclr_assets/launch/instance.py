"""The Dagster instance that the command line and the UI share: one folder, one dagster.yaml."""

import os
from pathlib import Path

import dagster as dg

from synclr_assets.environment import DAGSTER_HOME
from synclr_assets.store.errors import StoreNotWritableError

INSTANCE_FILE = "dagster.yaml"


def prepare_home(home: Path) -> Path:
    """Make the instance folder, with the working folder's dagster.yaml in it unless it has its own.

    Raises StoreNotWritableError.
    """
    shipped = Path(INSTANCE_FILE)
    target = home / INSTANCE_FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        if shipped.is_file() and not target.exists():
            target.symlink_to(shipped.absolute())
    except OSError as error:
        raise StoreNotWritableError(
            f"{DAGSTER_HOME}={home} cannot be written ({error.strerror}): name a folder that can."
        ) from error
    return home


def open_instance(home: Path) -> dg.DagsterInstance:
    """The instance of the folder, made where it is not there yet."""
    prepare_home(home)
    os.environ[DAGSTER_HOME] = str(home)
    return dg.DagsterInstance.get()
