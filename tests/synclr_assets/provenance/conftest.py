"""The small bank's data, made once: tests get a copy."""

import shutil
from pathlib import Path

import pytest

from synclr_assets.store.store import Store
from tests.synclr_assets.conftest import TINY_BANK, Stages, write_bank
from tests.synclr_assets.provenance.trained_slice import UNITS


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a store with all data of both buckets; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    stages = Stages(write_bank(folder / "concepts", TINY_BANK), Store(folder / "store"))
    for unit in UNITS:
        stages.run_all(unit)
    return folder / "store"


@pytest.fixture
def made(made_once: Path, store: Store) -> Store:
    """A store of one's own with all data of both buckets."""
    shutil.copytree(made_once, store.location.folder)
    return store
