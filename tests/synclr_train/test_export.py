"""What is exported is loaded by plain timm, without this package, to the same features."""

import hashlib
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from synclr_train.backbone import build_vit, load_encoder
from synclr_train.export import export_encoder, export_resume_point
from synclr_train.training import fit

PLAIN_TIMM = """
import json, sys, timm, torch
from safetensors.torch import load_file
folder = sys.argv[1]
images = load_file(folder + "/images.safetensors.bin")["images"]
one = timm.create_model("local-dir:" + folder, pretrained=True).eval()
config = json.load(open(folder + "/config.json"))
two = timm.create_model(config["architecture"], **config["model_args"]).eval()
two.load_state_dict(load_file(folder + "/encoder.safetensors"))
with torch.no_grad():
    assert torch.equal(one(images), two(images))
    torch.save(one(images), folder + "/features.pt")
assert not any(name.startswith("synclr") for name in sys.modules)
"""


@pytest.mark.parametrize("changes", [{}, {"stem": "patch", "pooling": "token"}])
def test_plain_timm_gives_the_same_features(tmp_path, tiny_recipe, changes):
    base = tiny_recipe()
    recipe = base.varied(backbone=base.backbone.model_copy(update=changes))
    torch.manual_seed(1)
    export_encoder(build_vit(recipe.backbone).state_dict(), recipe, tmp_path)
    images = torch.randn(3, 3, 16, 16)
    from safetensors.torch import save_file

    save_file({"images": images}, tmp_path / "images.safetensors.bin")
    subprocess.run([sys.executable, "-c", PLAIN_TIMM, str(tmp_path)], check=True, cwd=tmp_path)
    features = torch.load(tmp_path / "features.pt", weights_only=True)
    torch.testing.assert_close(load_encoder(tmp_path).represent(images), features)


def test_the_hash_is_that_of_the_file(tmp_path, tiny_recipe):
    sha256 = export_encoder(build_vit(tiny_recipe().backbone).state_dict(), tiny_recipe(), tmp_path)
    assert sha256 == hashlib.sha256((tmp_path / "encoder.safetensors").read_bytes()).hexdigest()


def test_the_config_says_how_to_prepare_images(tmp_path, tiny_recipe):
    recipe = tiny_recipe()
    export_encoder(build_vit(recipe.backbone).state_dict(), recipe, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["pretrained_cfg"]["input_size"] == [3, 16, 16]
    assert config["pretrained_cfg"]["mean"] == list(recipe.augment.mean)
    assert config["synclr"]["recipe_fingerprint"] == recipe.fingerprint


def test_either_network_of_a_run_can_be_exported(tmp_path, tiny_recipe, shards):
    run = tmp_path / "run"
    result = fit(tiny_recipe(export_network="student"), shards, run)
    assert export_resume_point(run, tmp_path / "a") == result.weights_sha256
    assert export_resume_point(run, tmp_path / "b", network="teacher") != result.weights_sha256
    assert set(load_file(tmp_path / "a" / "encoder.safetensors")) == set(
        load_file(tmp_path / "b" / "encoder.safetensors")
    )


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no run \(recipe.json is missing\)"):
        export_resume_point(tmp_path, tmp_path / "out")
