"""The backbone is timm's; masks reach the masked patches alone; an encoder is frozen."""

import json

import pytest
import timm
import torch

from synclr_train.backbone import MaskedBackbone, build_vit, load_encoder, random_encoder_like
from synclr_train.export import export_encoder
from synclr_train.recipes import vit_b16, vit_l14, vit_s16


@pytest.fixture
def export_folder(tmp_path, tiny_recipe):
    recipe = tiny_recipe()
    torch.manual_seed(0)
    export_encoder(build_vit(recipe.backbone).state_dict(), recipe, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("recipe", "millions", "tokens"), [(vit_s16, 21.7, 197), (vit_b16, 85.8, 197), (vit_l14, 303.2, 257)]
)
def test_paper_backbones_are_the_plain_vits(recipe, millions, tokens):
    with torch.device("meta"):
        vit = build_vit(recipe().backbone)
    parameters = dict(vit.named_parameters())
    assert sum(parameter.numel() for parameter in parameters.values()) / 1e6 == pytest.approx(
        millions, abs=0.1
    )
    assert parameters["pos_embed"].shape[1] == tokens
    assert not any("ls1" in name or "w12" in name for name in parameters)
    with torch.device("meta"):
        plain = timm.create_model("vit_base_patch16_224", num_classes=0)
    assert {name for name in parameters if "blocks.0." in name} == {
        name for name, _ in plain.named_parameters() if "blocks.0." in name
    }


@pytest.mark.parametrize("stem", ["patch", "conv"])
@pytest.mark.parametrize("pooling", ["token", "avg"])
def test_shapes_at_both_crop_sizes(tiny_recipe, stem, pooling):
    config = tiny_recipe().backbone.model_copy(update={"stem": stem, "pooling": pooling})
    backbone = MaskedBackbone(config, drop_path_rate=0.0, masked=True)
    for side in (16, 8):
        pooled, tokens = backbone(torch.randn(3, 3, side, side))
        assert pooled.shape == (3, 16)
        assert tokens.shape == (3, (side // 8) ** 2, 16)
        expected = tokens.mean(dim=1) if pooling == "avg" else backbone.vit(torch.randn(3, 3, side, side))
        assert pooled.shape == expected.shape
        if pooling == "avg":
            torch.testing.assert_close(pooled, expected)


def test_a_masked_patch_cannot_be_seen(tiny_recipe):
    config = tiny_recipe().backbone.model_copy(update={"stem": "patch"})
    backbone = MaskedBackbone(config, drop_path_rate=0.0, masked=True).eval()
    images = torch.randn(1, 3, 16, 16)
    changed = images.clone()
    changed[:, :, :8, :8] += 1
    masks = torch.tensor([[True, False, False, False]])
    torch.testing.assert_close(backbone(images, masks)[1], backbone(changed, masks)[1])
    assert not torch.allclose(backbone(images)[1], backbone(changed)[1])
    changed[:, :, 8:, 8:] += 1
    assert not torch.allclose(backbone(images, masks)[1], backbone(changed, masks)[1])


def test_stochastic_depth_is_the_students_alone(whole_recipe):
    config = whole_recipe().backbone.model_copy(update={"drop_path_rate": 0.5})
    images = torch.randn(64, 3, 16, 16)
    for rate, varies in ((0.5, True), (0.0, False)):
        backbone = MaskedBackbone(config, drop_path_rate=rate, masked=False).train()
        first, second = (backbone(images)[0] for _ in range(2))
        assert torch.equal(first, second) is not varies


def test_an_encoder_is_frozen_and_says_what_it_is(export_folder):
    encoder = load_encoder(export_folder)
    assert (encoder.image_size, encoder.patch_size, encoder.embed_dim, encoder.depth) == (16, 8, 16, 2)
    assert encoder.mean == (0.485, 0.456, 0.406)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_patch_features_are_maps_in_the_order_asked(export_folder):
    encoder = load_encoder(export_folder)
    images = torch.randn(2, 3, 16, 16)
    last, first = encoder.patch_features(images, [-1, 0])
    assert last.shape == first.shape == (2, 16, 2, 2)
    torch.testing.assert_close(last.mean(dim=(2, 3)), encoder.represent(images))
    torch.testing.assert_close(encoder.patch_features(images, [0])[0], first)
    assert not torch.allclose(first, last)
    assert encoder.patch_features(torch.randn(1, 3, 32, 24), [1])[0].shape == (1, 16, 4, 3)
    with pytest.raises(ValueError, match=r"blocks \[2\] do not exist"):
        encoder.patch_features(images, [0, 2])


def test_random_encoders_are_named_by_their_seed(export_folder):
    state = torch.get_rng_state()
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    first, again, other = (random_encoder_like(export_folder, seed)(images) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, load_encoder(export_folder)(images))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_without_an_export_is_refused(tmp_path, export_folder):
    with pytest.raises(ValueError, match=r"holds no exported encoder \(config.json is missing\)"):
        load_encoder(tmp_path / "nothing")
    config = json.loads((export_folder / "config.json").read_text())
    del config["synclr"]
    (export_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="no 'synclr' section"):
        load_encoder(export_folder)
