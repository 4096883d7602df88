"""`synclr export` writes a model that timm loads, with a card that says what the store knows of it."""

import hashlib
from pathlib import Path

import pyarrow.compute as pc
import pytest
import torch
from click.testing import CliRunner

from synclr_assets.cli import cli
from synclr_assets.store.errors import StoreError
from synclr_train.backbone import build_vit, load_encoder
from synclr_train.export import export_encoder
from synclr_train.recipes import rehearsal
from tests.synclr_assets.report.trained_store import MODEL_ID, Trained, append, build_trained, scores


@pytest.fixture
def exported(tmp_path: Path) -> Trained:
    """The recorded model of `build_trained`, with weights in its folder and their hash in its row."""
    trained = build_trained(tmp_path / "store")
    append(trained.store, "evals", scores())
    folder = trained.store.location.local_path(trained.model["key"])
    recipe = rehearsal()
    torch.manual_seed(0)
    sha256 = export_encoder(build_vit(recipe.backbone).state_dict(), recipe, folder)
    for name in ("recipe.json", "result.json"):
        (folder / name).write_text("{}")
    table = trained.store.tables.read("models")
    column = table.schema.get_field_index("weights_sha256")
    table = table.set_column(
        column, table.schema.field(column), pc.replace_substring(table["weights_sha256"], "ab" * 32, sha256)
    )
    trained.store.tables.replace("models", f"model_id = '{MODEL_ID}'", table)
    return trained


def export(tmp_path: Path, model: str = MODEL_ID[:6]):
    arguments = ["export", model, "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store")]
    return CliRunner().invoke(cli, arguments)


def test_the_folder_holds_the_weights_and_the_whole_provenance(exported: Trained, tmp_path: Path) -> None:
    answer = export(tmp_path)
    assert answer.exit_code == 0, answer.output
    assert "transformers has no class for a ViT with timm's convolutional stem" in answer.output
    weights = (tmp_path / "out" / "encoder.safetensors").read_bytes()
    card = (tmp_path / "out" / "README.md").read_text()
    load_encoder(tmp_path / "out")
    shards = [row["sha256"] for row in exported.store.tables.read("shards").to_pylist()]
    said = [
        hashlib.sha256(weights).hexdigest(),
        MODEL_ID,
        "| slice | everything |",
        "| objects | 0 | 6 | 21 | 1 |",
        "| textures | 2 | 6 | 24 | 1 |",
        *(f"{sha256}  " for sha256 in shards),
        "| enriched_captions | grammar-7 | r1 | Apache-2.0 | 12 |",
        "| images | painter-9 | r2 | OpenRAIL-M | 48 |",
        "| sklearn_digits | test | linear_probe_accuracy | model | 95.0 (94.0 to 96.0) |",
        "| backbone.depth | 12 blocks | 2 blocks |",
        '{"shards": 41}',
    ]
    assert not [each for each in said if each not in card]


def test_weights_that_are_not_the_recorded_ones_are_refused(exported: Trained, tmp_path: Path) -> None:
    file = exported.store.location.local_path(exported.model["key"]) / "encoder.safetensors"
    file.write_bytes(file.read_bytes() + b" ")
    answer = export(tmp_path)
    assert isinstance(answer.exception, StoreError)
    assert "have changed since they were recorded" in str(answer.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("exported")
def test_an_unknown_model_is_one_sentence(tmp_path: Path) -> None:
    answer = export(tmp_path, "ffff")
    assert isinstance(answer.exception, ValueError)
    assert "No model 'ffff'" in str(answer.exception)
