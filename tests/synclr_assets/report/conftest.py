"""The fixture of these tests: a small store with one trained model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.synclr_assets.report.trained_store import Trained, build_trained


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A store of this test's own."""
    return build_trained(tmp_path / "store")
