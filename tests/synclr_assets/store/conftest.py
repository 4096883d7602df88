"""A store on a local disk, and one in an S3 server that nobody here wrote."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from synclr_assets.store.store import Store


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    pytest.importorskip("flask", reason="moto's S3 server needs moto[server]")
    pytest.importorskip("flask_cors", reason="moto's S3 server needs moto[server]")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["local", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "local":
        return Store(tmp_path / "store")
    import boto3

    endpoint = request.getfixturevalue("endpoint")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    bucket = f"b{abs(hash(tmp_path))}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return Store(f"s3://{bucket}/deep/prefix")
