"""Scores of a CLIP model of the real architecture: cosines that depend on one caption's views alone."""

from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPModel, CLIPProcessor

from benchmarks.random_diffusion import save_clip
from synclr_assets.synthesis.image_text_agreement import AgreementSettings, ClipAgreement, make_agreement
from synclr_assets.synthesis.model_source import ModelError

IMAGES = list(np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture
def agreement(folder: Path) -> ClipAgreement:
    made = make_agreement(AgreementSettings(model=str(folder), device="cpu"))
    assert made is not None
    return made


def test_no_settings_make_no_scorer() -> None:
    assert make_agreement(None) is None


def test_scores_are_the_models_own(agreement: ClipAgreement, folder: Path) -> None:
    scores = agreement.scores(IMAGES, "Four apples.")
    assert len(scores) == 4
    assert all(-1.0 <= score <= 1.0 for score in scores)
    model = CLIPModel.from_pretrained(folder).eval()
    inputs = CLIPProcessor.from_pretrained(folder)(text=["Four apples."], images=IMAGES, return_tensors="pt")
    logits = model(**inputs).logits_per_image[:, 0] / model.logit_scale.exp()
    np.testing.assert_allclose(scores, logits.detach().numpy(), atol=1e-5)


def test_texts_and_images_both_count(agreement: ClipAgreement) -> None:
    scores = agreement.scores(IMAGES, "Four apples.")
    assert len(set(scores)) == 4
    assert agreement.scores(IMAGES, "A zebra at night, 1999!") != scores


def test_a_long_caption_is_cut_off_not_refused(agreement: ClipAgreement) -> None:
    assert len(agreement.scores(IMAGES[:1], "apple " * 200)) == 1


def test_model_and_threshold_are_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    other = save_clip(tmp_path / "tiny-clip", seed=1)
    settings = [
        AgreementSettings(model=str(folder)),
        AgreementSettings(model=str(folder), threshold=0.3),
        AgreementSettings(model=str(other)),
    ]
    made = [make_agreement(one) for one in settings]
    assert len({scorer.fingerprint for scorer in made if scorer is not None}) == 3


def test_a_model_that_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    made = make_agreement(AgreementSettings(model=str(tmp_path)))
    assert made is not None
    with pytest.raises(ModelError, match=r"^agreement model .* cannot be loaded .*safetensors files\.$"):
        made.scores(IMAGES, "An apple.")
    with pytest.raises(ModelError, match="needs the commit"):
        make_agreement(AgreementSettings(model="org/clip"))
