"""A small concept bank, a store in a temporary folder, the dataset stages run over them; an S3 server on a socket."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from synclr_assets.concept_bank.bank import ConceptBank, read_bank
from synclr_assets.stages.captions import CaptionSettings, write_captions
from synclr_assets.stages.concepts import write_concepts
from synclr_assets.stages.enriched_captions import EnrichmentSettings, write_enriched_captions
from synclr_assets.stages.images import ImageSettings, write_images
from synclr_assets.stages.progress import BeforeBatch, unlimited
from synclr_assets.stages.shards import ShardSettings, write_shards
from synclr_assets.store.schemas import TABLES, WALL_CLOCK_COLUMNS
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings, make_image_sampler

TINY_BANK = {
    "fruit.yaml": "captions: 23\nconcepts: [apple, banana, {name: quince, weight: 2}]\n",
    "patterns.yaml": "captions: 11\nsource: textures\nconcepts: [striped texture, marbled texture]\n",
    "slices.yaml": "slices: {everything: [fruit, patterns]}\n",
}
SMALL_COMMITS = {"captions": 7, "images": 5, "shard": 6}


def unguarded(stage: str, unit: Unit) -> BeforeBatch:
    """Limits nothing."""
    return unlimited


@dataclass(frozen=True)
class Stages:
    """The dataset stages over one bank and store, with the rehearsal generators."""

    bank: ConceptBank
    store: Store
    commits: dict[str, int] = field(default_factory=lambda: SMALL_COMMITS)

    def run(self, stage: str, unit: Unit, guard_of: Callable[[str, Unit], BeforeBatch] = unguarded) -> None:
        """One stage of one unit."""
        captioner_settings = CaptionerSettings()
        captioner, prompts = make_captioner(captioner_settings), captioner_settings.prompts()
        per_commit = self.commits["captions"]
        guard = guard_of(stage, unit)
        if stage == "concepts":
            write_concepts(self.store, self.bank.buckets[unit.bucket], unit.generation)
        elif stage == "captions":
            options = CaptionSettings(captions_per_commit=per_commit)
            write_captions(self.store, unit, captioner, prompts, options, before_batch=guard)
        elif stage == "enriched_captions":
            write_enriched_captions(
                self.store,
                unit,
                captioner,
                make_background_writer(BackgroundSettings()),
                prompts,
                EnrichmentSettings(captions_per_commit=per_commit),
                before_batch=guard,
                lists_guard=partial(guard_of, "backgrounds"),
            )
        elif stage == "images":
            sampler = make_image_sampler(ImageSamplerSettings(size_px=32))
            settings = ImageSettings(captions_per_commit=self.commits["images"])
            write_images(self.store, unit, sampler, settings, before_window=guard)
        else:
            shards = ShardSettings(captions_per_shard=self.commits["shard"])
            write_shards(self.store, unit, shards, before_batch=guard)

    def run_all(self, unit: Unit) -> None:
        """Concepts to shards."""
        for stage in DATASET_STAGES:
            self.run(stage, unit)


DATASET_STAGES = ("concepts", "captions", "enriched_captions", "images", "shards")


def write_bank(folder: Path, files: dict[str, str]) -> ConceptBank:
    """Write the files and read them as a bank."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return read_bank(folder)


def platform_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bank: dict[str, str], **more: str
) -> dict[str, str]:
    """Variables, set for the test, of a platform of its own below the folder, where the test then is."""
    write_bank(folder / "concepts", bank)
    values = {
        "SYNCLR_CONCEPTS": str(folder / "concepts"),
        "SYNCLR_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "dagster"),
        **more,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return values


def content_of(store: Store) -> dict[str, Any]:
    """All rows of all tables in key order, less wall-clock columns and costs per batch, and all files' hashes."""
    content: dict[str, Any] = {}
    for name, spec in TABLES.items():
        if name == "ledger":
            continue
        columns = [column for column in spec.schema.names if column not in WALL_CLOCK_COLUMNS]
        rows = store.tables.read(name, columns=columns).sort_by([(key, "ascending") for key in spec.key])
        content[name] = rows.to_pylist()
    content["files"] = {
        key: hashlib.sha256(store.blobs.read(key)).hexdigest() for key in store.blobs.keys("shards")
    }
    return content


@pytest.fixture
def bank(tmp_path: Path) -> ConceptBank:
    return write_bank(tmp_path / "concepts", TINY_BANK)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def stages(bank: ConceptBank, store: Store) -> Stages:
    return Stages(bank, store)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Its URL."""
    pytest.importorskip("flask", reason="moto's S3 server needs moto[server]")
    pytest.importorskip("flask_cors", reason="moto's S3 server needs moto[server]")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What clients of the server read, set in this process too."""
    values = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def new_s3_bucket(s3_environment: dict[str, str]) -> Callable[[], str]:
    """Makes an empty S3 bucket of a fresh name."""
    import boto3

    def make() -> str:
        name = f"b{uuid.uuid4().hex}"
        boto3.client("s3").create_bucket(Bucket=name)
        return name

    return make
