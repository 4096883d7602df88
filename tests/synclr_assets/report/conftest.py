"""The fixture of these tests: a small store with one trained model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from synclr_assets.store.store import Store
from tests.synclr_assets.report.trained_store import Trained, build_trained


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The store as it was built, once; no test writes to it."""
    return build_trained(tmp_path_factory.mktemp("report") / "store")


@pytest.fixture
def trained(original: Trained, tmp_path: Path) -> Trained:
    """A copy of this test's own."""
    copy = shutil.copytree(original.store.location.folder, tmp_path / "store")
    return replace(original, store=Store(copy))
