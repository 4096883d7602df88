"""A model of a few steps is rebuilt from its record; what is not the same is told by name."""

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from synclr_assets.cli import cli
from synclr_assets.provenance.models import find_model
from synclr_assets.provenance.recall import apply_recall, find_affected
from synclr_assets.provenance.reproduce import Generators, regenerated_data, stored_shards, weights_link
from synclr_assets.stages.captions import CaptionSettings
from synclr_assets.stages.enriched_captions import EnrichmentSettings
from synclr_assets.stages.images import ImageSettings
from synclr_assets.stages.shards import ShardSettings
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings, make_image_sampler
from tests.synclr_assets.conftest import SMALL_COMMITS
from tests.synclr_assets.provenance.trained_slice import train_slice

SETTINGS = "image_sampler: {size_px: 32}\ndataset: {captions_per_shard: 6}\n"
STAGES = ("captions", "enriched_captions", "images", "shards")


def reproduce(store: Store, *arguments: str) -> Result:
    place = ["--store", str(store.location.folder)]
    return CliRunner().invoke(cli, ["reproduce", *arguments, *place], catch_exceptions=False)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile that made the small store."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    monkeypatch.setenv("SYNCLR_SETTINGS", str(tmp_path / "settings.yaml"))


@pytest.fixture
def generators() -> Generators:
    captioner = CaptionerSettings()
    return Generators(
        captioner=make_captioner(captioner),
        prompts=captioner.prompts(),
        enricher=make_background_writer(BackgroundSettings()),
        sampler=make_image_sampler(ImageSamplerSettings(size_px=32)),
        agreement=None,
        captions=CaptionSettings(),
        enrichment=EnrichmentSettings(),
        images=ImageSettings(),
        shards=ShardSettings(captions_per_shard=SMALL_COMMITS["shard"]),
    )


def test_a_model_that_was_kept_from_recalled_captions_is_rebuilt_exactly(made: Store, settings: None) -> None:
    apply_recall(made, find_affected(made, "concept", "quince"), "test")
    model = train_slice(made)
    before = {name: made.tables.version(name) for name in ("captions", "images", "shards", "models")}
    answer = reproduce(made, model["model_id"][:8])
    lines = answer.output.splitlines()
    assert answer.exit_code == 0, answer.output
    assert len(lines) == 2 + 2 * len(STAGES) + 2
    assert all(line.startswith("exact ") for line in lines), answer.output
    assert model["weights_sha256"] in lines[-1]
    assert {name: made.tables.version(name) for name in before} == before, "the store is not changed"

    checked = reproduce(made, model["model_id"], "--check-only")
    assert checked.output.splitlines() == lines[:2]


def test_what_another_generator_made_comes_from_stored_data(
    made: Store, generators: Generators, tmp_path: Path
) -> None:
    model = {"inputs": [{"bucket": "fruit", "generation": 0}, {"bucket": "patterns", "generation": 0}]}
    links = list(regenerated_data(made, model, generators, tmp_path / "same"))
    assert [(link.name, link.verdict) for link in links[: len(STAGES)]] == [
        (f"{stage} of fruit generation 0", "exact") for stage in STAGES
    ]
    other = dataclasses.replace(generators, sampler=make_image_sampler(ImageSamplerSettings(size_px=48)))
    for link in regenerated_data(made, model, other, tmp_path / "other"):
        assert link.verdict == "from stored data"
        assert "images were made by another generator" in link.detail


def test_stored_data_that_changed_is_found(made: Store, generators: Generators, tmp_path: Path) -> None:
    shards = made.tables.read("shards", partitions={"bucket": "fruit", "generation": 0})
    entry = {"bucket": "fruit", "generation": 0, "shard_sha256s": shards["sha256"].to_pylist()}
    model = {"inputs": [entry]}
    assert [link.verdict for link in stored_shards(made, model)] == ["exact"]
    path = made.location.local_path(shards["key"][0].as_py())
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (link,) = stored_shards(made, model)
    assert link.verdict == "not exact"
    assert link.detail.startswith(f"1 of {shards.num_rows} are gone or changed")

    captions = made.tables.read("captions", partitions={"bucket": "fruit", "generation": 0}).to_pylist()
    captions[0]["text"] = "something else"
    made.tables.replace("captions", "bucket = 'fruit'", rows_of("captions", captions))
    verdicts = {
        link.name: link.verdict for link in regenerated_data(made, model, generators, tmp_path / "again")
    }
    assert verdicts["captions of fruit generation 0"] == "not exact"
    assert verdicts["images of fruit generation 0"] == "exact"


def test_other_weights_name_the_devices(made: Store) -> None:
    model = {"weights_sha256": "a" * 64, "device": "cuda:0", "code_version": "0.1.0"}
    link = weights_link(model, "b" * 64, "cpu")
    assert link.verdict == "not exact"
    assert "'cpu' here" in link.detail
    assert "'cuda:0' by version 0.1.0 then" in link.detail
    with pytest.raises(ValueError, match="No model"):
        find_model(made, "ffff")
