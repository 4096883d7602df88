"""A store on a local disk, and one in an S3 server that nobody here wrote."""

from pathlib import Path

import pytest

from synclr_assets.store.store import Store


@pytest.fixture(params=["local", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return Store(tmp_path / "store")
    new_s3_bucket = request.getfixturevalue("new_s3_bucket")
    return Store(f"s3://{new_s3_bucket()}/deep/prefix")
