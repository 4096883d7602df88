"""transformers gives the features that timm gives, from what `publish` writes; what it lacks is said."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file

from synclr_train.backbone import build_vit, load_encoder
from synclr_train.export import export_encoder, publish
from synclr_train.transformers_folder import transformers_weights


@pytest.fixture
def plain_encoder(tmp_path, whole_recipe):
    recipe = whole_recipe()
    torch.manual_seed(1)
    vit = build_vit(recipe.backbone)
    for parameter in vit.parameters():  # biases and norms that are zero and one would hide a lost tensor
        torch.nn.init.normal_(parameter, std=0.3)
    export_encoder(vit.state_dict(), recipe, tmp_path / "plain")
    return tmp_path / "plain"


def test_automodel_computes_the_same_features(plain_encoder, tmp_path):
    from transformers import AutoModel

    assert publish(plain_encoder, tmp_path / "out") is None
    model, loading = AutoModel.from_pretrained(tmp_path / "out" / "transformers", output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    encoder, images = load_encoder(plain_encoder), torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        answer = model.eval()(images)
        tokens = encoder.vit.forward_features(images)
    torch.testing.assert_close(answer.pooler_output, encoder.represent(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(answer.last_hidden_state, tokens, rtol=1e-5, atol=1e-5)


def test_the_image_processor_prepares_images_as_the_encoder_expects(plain_encoder, tmp_path):
    publish(plain_encoder, tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "transformers" / "preprocessor_config.json").read_text())
    encoder = load_encoder(plain_encoder)
    assert tuple(settings["image_mean"]) == encoder.mean
    assert tuple(settings["image_std"]) == encoder.std
    assert settings["crop_size"] == {"height": 16, "width": 16}


def test_an_overlay_of_the_file_is_enough_for_timm(plain_encoder, tmp_path):
    publish(plain_encoder, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    model = timm.create_model(
        config["architecture"],
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "out" / "encoder.safetensors")},
        **config["model_args"],
    ).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(model(images), load_encoder(plain_encoder).represent(images))


def test_every_number_is_carried_over_once(plain_encoder):
    before = load_file(plain_encoder / "encoder.safetensors")
    after = transformers_weights(before)
    kept = sum(tensor.numel() for name, tensor in after.items() if "layer_scale" not in name)
    assert kept == sum(tensor.numel() for tensor in before.values())


@pytest.mark.parametrize(
    ("changes", "said"), [({}, "convolutional stem"), ({"stem": "patch"}, "without a cls token")]
)
def test_what_transformers_has_no_class_for_is_said(tmp_path, tiny_recipe, changes, said):
    recipe = tiny_recipe()
    recipe = recipe.varied(backbone=recipe.backbone.model_copy(update=changes))
    export_encoder(build_vit(recipe.backbone).state_dict(), recipe, tmp_path / "in")
    refusal = publish(tmp_path / "in", tmp_path / "out")
    assert refusal is not None
    assert said in refusal
    assert not (tmp_path / "out" / "transformers").exists()
    assert "AutoModel" not in (tmp_path / "out" / "README.md").read_text()
