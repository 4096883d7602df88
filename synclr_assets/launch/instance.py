"""The Dagster instance that the command line and the UI share: one folder, one dagster.yaml."""

import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from synclr_assets.compute import GPU_POOL
from synclr_assets.environment import DAGSTER_HOME, engine_of
from synclr_assets.launch.gpu_lease import gpus_of_machine
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
    """The instance of the folder, made where it is not there yet; its GPU pool has a slot per GPU."""
    prepare_home(home)
    os.environ[DAGSTER_HOME] = str(home)
    instance = dg.DagsterInstance.get()
    fill_gpu_pool(instance, os.environ)
    return instance


def fill_gpu_pool(instance: dg.DagsterInstance, environment: Mapping[str, str]) -> None:
    """One slot per GPU of this machine, unless a person has set the pool's limit. A cluster's limit is a person's."""
    gpus = gpus_of_machine(environment) if engine_of(environment) == "local" else []
    storage = instance.event_log_storage
    if gpus and storage.supports_global_concurrency_limits:
        chosen = {limit.name for limit in storage.get_pool_limits() if not limit.from_default}
        if GPU_POOL not in chosen:
            storage.set_concurrency_slots(GPU_POOL, len(gpus))
