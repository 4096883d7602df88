"""Shards on S3 are read over a real socket: by range, by pattern, by several processes, and through the cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from synclr_train.group_cache import bytes_in
from synclr_train.shard_files import ShardError, find_shards, open_shard
from synclr_train.shards import index_shards, read_group
from synclr_train.training import DataCache, fit


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    pytest.importorskip("flask_cors", reason="moto's S3 server needs moto[server]")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def remote(endpoint: str, shards: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The folder of both shards in a bucket, as a URI."""
    import boto3

    from synclr_train import shard_files

    names = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    for name, value in {**names, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="synthetic")
    for path in shards:
        client.upload_file(str(path), "synthetic", f"deep/{path.name}")
    client.put_object(Bucket="synthetic", Key="deep/other/odd.tar", Body=b"")
    bucket = shard_files._bucket  # a test may put another in its place
    bucket.cache_clear()
    yield "s3://synthetic/deep"
    bucket.cache_clear()


def test_patterns_name_objects_as_they_name_files(remote, shards):
    assert [shard.name for shard in find_shards([f"{remote}/*.tar"])] == [path.name for path in shards]
    assert [shard.name for shard in find_shards([f"{remote}/shapes-0-00000[1].tar"])] == [shards[1].name]
    assert find_shards([f"{remote}/*.tar", f"{remote}/{shards[0].name}"]) == find_shards([f"{remote}/*.tar"])
    for absent in (f"{remote}/*.zip", f"{remote}/gone.tar"):
        with pytest.raises(ShardError, match=r"matches no file|does not exist"):
            find_shards([absent])


def test_local_patterns(shards, tmp_path):
    assert [shard.uri for shard in find_shards([str(shards[0].parent / "*.tar")])] == [str(s) for s in shards]
    with pytest.raises(ShardError, match="matches no file"):
        find_shards([str(tmp_path / "gone-*.tar")])


def test_ranges_are_those_of_the_file(remote, shards):
    local, distant = open_shard(shards[0]), open_shard(f"{remote}/{shards[0].name}")
    assert distant.size_bytes == local.size_bytes
    for offset, size in ((0, 10), (513, 700), (local.size_bytes - 5, 100), (local.size_bytes + 9, 5)):
        assert distant.read(offset, size) == local.read(offset, size)


def test_the_index_and_the_images_are_those_of_the_files(remote, shards):
    near, far = index_shards(shards, 2), index_shards(find_shards([f"{remote}/*.tar"]), 2)
    assert far.fingerprint == near.fingerprint
    assert [read_group(far, row) for row in (0, 17)] == [read_group(near, row) for row in (0, 17)]


def test_an_unreachable_store_is_one_sentence(remote, monkeypatch):
    from obstore.store import S3Store

    from synclr_train import shard_files

    shard = open_shard(f"{remote}/shapes-0-000000.tar")
    store = S3Store(
        "synthetic",
        endpoint="http://127.0.0.1:9",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    monkeypatch.setattr(shard_files, "_bucket", lambda name: store)
    with pytest.raises(ShardError, match=r"s3://synthetic/deep/shapes.*cannot be read.*last resume point"):
        shard.read(0, 10)


def test_training_on_s3_gives_the_weights_of_local_training(remote, shards, tiny_recipe, tmp_path):
    """With loader processes and a cache; the second run finds everything in the cache."""
    expected = fit(tiny_recipe(), shards, tmp_path / "near")
    cache = DataCache(tmp_path / "cache", 10**7)
    uris = find_shards([f"{remote}/*.tar"])
    far = fit(tiny_recipe(num_workers=1), uris, tmp_path / "far", cache=cache)
    assert far.weights_sha256 == expected.weights_sha256
    held = bytes_in(cache.folder)
    assert held > 0
    fit(tiny_recipe(seed=3), uris, tmp_path / "again", cache=cache)
    assert bytes_in(cache.folder) == held
