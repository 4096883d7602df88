"""A tiny UperNet learns, survives a kill without a trace, and is scored where the masks are."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from synclr_train.backbone import build_vit
from synclr_train.evals import digits_on_photos, fine_tuned_segmentation
from synclr_train.evals.digits_on_photos import SOURCES, Source
from synclr_train.evals.fine_tuned_segmentation import (
    predict_mask,
    run_fine_tuned_segmentation,
    upsampled_classes,
)
from synclr_train.evals.outcomes import outcomes_file
from synclr_train.evals.scores import EvaluationError, read_scores
from synclr_train.evals.segmentation import run_segmentation
from synclr_train.evals.segmentation_augment import training_crop
from synclr_train.evals.segmentation_datasets import IGNORED, Example
from synclr_train.evals.segmentation_recipes import HeadConfig, SceneAugmentConfig, upernet_tiny
from synclr_train.evals.segmentation_training import learning_rate_at, rows_at, segmentation_loss
from synclr_train.export import export_encoder

HEAD = HeadConfig(kind="upernet", blocks=(0, 0, 1, 1), channels=8, auxiliary_channels=8)
PLAIN = SceneAugmentConfig(scale_range=(1, 1), flip_probability=0, photometric_probability=0)


@pytest.fixture
def encoder_dir(tmp_path, tiny_recipe):
    """Two blocks of 16 numbers: an encoder small enough to be fine-tuned in seconds."""
    recipe = tiny_recipe()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        weights = build_vit(recipe.backbone).state_dict()
    export_encoder(weights, recipe, tmp_path / "encoder")
    return tmp_path / "encoder"


def tiny(**changes):
    small = {
        "head": HEAD,
        "crop_size": 32,
        "longest_side": 128,
        "stride": 24,
        "steps": 6,
        "batch_size": 4,
        "warmup_steps": 2,
        "precision": "float32",
    }
    return upernet_tiny().varied(**(small | changes))


@pytest.fixture
def squares(tmp_path):
    """Red and green squares on grey; images of 40 x 48 px, masks twice as large."""
    root, draws = tmp_path / "squares", np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 4), ("test", 4)):
        for folder in ("images", "masks"):
            (root / part / folder).mkdir(parents=True)
        for number in range(count):
            image, mask = draws.integers(90, 130, (40, 48, 3)), np.zeros((80, 96))
            for label, colour in ((1, (220, 20, 20)), (2, (20, 220, 20))):
                top, left = draws.integers(0, 24), draws.integers(0, 32)
                image[top : top + 16, left : left + 16] = colour
                mask[2 * top : 2 * top + 32, 2 * left : 2 * left + 32] = label
            Image.fromarray(image.astype(np.uint8)).save(root / part / "images" / f"{number}.png")
            Image.fromarray(mask.astype(np.uint8)).save(root / part / "masks" / f"{number}.png")
    (root / "classes.txt").write_text("background\nred\ngreen\n")
    return root


@pytest.fixture
def few_scenes(monkeypatch):
    few = {
        name: Source(source.first_digit, source.last_digit, source.diagonal, 12)
        for name, source in SOURCES.items()
    }
    monkeypatch.setattr(digits_on_photos, "SOURCES", few)


def test_a_tiny_upernet_learns_and_scores_at_the_masks_resolution(encoder_dir, squares, tmp_path):
    recipe = tiny(
        steps=150,
        warmup_steps=5,
        learning_rate=1e-2,
        layer_decay=1.0,
        augment=PLAIN,
        head=HEAD.model_copy(update={"channels": 16, "dropout": 0.0}),
    )
    out = tmp_path / "out"
    scores = run_fine_tuned_segmentation(
        encoder_dir, out, dataset=f"folder:{squares}", recipe=recipe, split="validation"
    )
    iou = {score.subject: score for score in scores if score.metric == "mean_iou"}
    assert iou["model"].value > 0.5 > iou["most_frequent_class"].value
    assert set(iou["model"].per_class) == {"background", "red", "green"}
    assert scores == read_scores(out)
    details = json.loads((out / "scores.json").read_text())
    assert np.sum(details["confusion"]["model"]) == 4 * 80 * 96
    assert details["protocol"]["recipe"]["steps"] == 150
    with np.load(out / "counts.npz", allow_pickle=False) as counts:
        assert counts["model"].shape == (4, 3, 3)
    with np.load(out / outcomes_file(scores[0].protocol_fingerprint), allow_pickle=False) as outcomes:
        hits, unions = (outcomes[f"mean_iou.{part}"].sum(1) for part in ("hits", "totals"))
    assert np.mean(hits / unions) == pytest.approx(iou["model"].value)
    with Image.open(out / "segmentation.png") as picture:
        assert np.asarray(picture).std() > 20


@pytest.mark.usefixtures("few_scenes")
def test_the_loss_falls_on_the_digits(encoder_dir, tmp_path):
    losses = []
    run_segmentation_events(encoder_dir, tmp_path, losses)
    assert losses[-1] < 0.9 * losses[0]


def run_segmentation_events(encoder_dir, tmp_path, losses):
    run_fine_tuned_segmentation(
        encoder_dir,
        tmp_path / "out",
        dataset="digits_on_photos",
        recipe=tiny(steps=60, warmup_steps=5, learning_rate=4e-3, augment=PLAIN),
        split="validation",
        on_event=lambda event: losses.append(event["loss"]) if event["event"] == "trained" else None,
    )


def test_a_killed_run_continues_to_the_same_weights_and_scores(encoder_dir, squares, tmp_path, monkeypatch):
    monkeypatch.setattr(fine_tuned_segmentation, "CHECKPOINT_EVERY_STEPS", 2)
    recipe = tiny(drop_path_rate=0.3)

    class KilledError(Exception):
        pass

    def kill_at_4(event):
        if event.get("step") == 4:
            raise KilledError

    def run(out, on_event=None):
        return run_fine_tuned_segmentation(
            encoder_dir,
            out,
            dataset=f"folder:{squares}",
            recipe=recipe,
            split="validation",
            on_event=on_event,
        )

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", kill_at_4)
    assert not (tmp_path / "killed" / "scores.json").exists()
    steps = []
    resumed = run(tmp_path / "killed", lambda event: steps.append(event.get("step")))
    assert steps[0] == 6
    assert resumed == whole
    states = [
        torch.load(tmp_path / name / "training" / "model" / "last.pt", weights_only=True)["segmenter"]
        for name in ("whole", "killed")
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    with pytest.raises(EvaluationError, match="holds the training of another encoder, data set or head"):
        run_fine_tuned_segmentation(
            encoder_dir,
            tmp_path / "killed",
            dataset=f"folder:{squares}",
            recipe=recipe.varied(learning_rate=1e-3),
            split="validation",
        )


def test_two_protocols_never_share_a_fingerprint(encoder_dir, squares, tmp_path):
    prints = set()
    for number, changes in enumerate(({}, {"stride": 20}, {"train_encoder": False})):
        scores = run_fine_tuned_segmentation(
            encoder_dir,
            tmp_path / str(number),
            dataset=f"folder:{squares}",
            recipe=tiny(steps=1, warmup_steps=0, **changes),
            split="validation",
        )
        prints.add(scores[0].protocol_fingerprint)
    assert len(prints) == 3


def test_the_mask_has_its_own_size_whatever_the_images_is():
    class Red(torch.nn.Module):
        def forward(self, images):
            return torch.cat([0.5 - images[:, :1], images[:, :1] - 0.5], 1)

    image = np.zeros((30, 50, 3), dtype=np.uint8)
    image[:, 25:, 0] = 255
    mask = predict_mask(
        Red(), Example(image, np.zeros((90, 150), dtype=np.int64)), tiny(), torch.device("cpu")
    )
    assert mask.shape == (90, 150)
    assert (mask[:, :72] == 0).all()
    assert (mask[:, 78:] == 1).all()


def test_large_masks_are_upsampled_class_by_class_to_the_same_classes(monkeypatch):
    logits = torch.randn(1, 7, 9, 11, generator=torch.Generator().manual_seed(0))
    at_once = upsampled_classes(logits, (50, 40))
    monkeypatch.setattr("synclr_train.evals.fine_tuned_segmentation.LARGEST_UPSAMPLED", 100)
    assert torch.equal(upsampled_classes(logits, (50, 40)), at_once)


def test_ignored_pixels_have_no_part_in_the_loss():
    generator = torch.Generator().manual_seed(0)
    logits, aux = torch.randn(2, 2, 3, 4, 4, generator=generator)
    masks = torch.randint(0, 3, (2, 4, 4), generator=generator)
    masks[:, :2] = IGNORED
    kept = torch.nn.functional.cross_entropy(logits[:, :, 2:], masks[:, 2:])
    kept_aux = torch.nn.functional.cross_entropy(aux[:, :, 2:], masks[:, 2:])
    torch.testing.assert_close(segmentation_loss([logits, aux], masks, 0.4), kept + 0.4 * kept_aux)
    masks[:] = IGNORED
    assert float(segmentation_loss([logits], masks, 0.4)) == 0


def test_every_epoch_reads_every_image_once():
    rows = [row for step in range(10) for row in rows_at(step, 4, 20, seed=1)]
    assert sorted(rows[:20]) == sorted(rows[20:]) == list(range(20))
    assert rows[:20] != rows[20:]


def test_the_rate_rises_then_falls_to_nothing():
    recipe = tiny(steps=100, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate_at(step, recipe) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == 0


def test_crops_keep_image_and_mask_together():
    mask = np.zeros((40, 60), dtype=np.int64)
    mask[10:30, 20:45] = 3
    image = np.where(mask[:, :, None] == 3, 255, 0).astype(np.uint8).repeat(3, 2)
    plain = tiny().augment.model_copy(update={"photometric_probability": 0.0, "flip_probability": 0.5})
    recipe = tiny(augment=plain)
    for seed in range(20):
        pixels, cropped = training_crop(Example(image, mask), recipe, np.random.default_rng(seed))
        assert pixels.shape == (3, 32, 32)
        counted = cropped != IGNORED
        bright = pixels[0] > 0.5
        assert float((bright == (cropped == 3))[counted].float().mean()) > 0.9
        assert (pixels[:, ~counted] == 0.5).all()


def test_a_data_set_that_the_convex_head_cannot_hold_is_told_of_the_other(encoder_dir, squares, tmp_path):
    with pytest.raises(EvaluationError, match="choose a trained head, such as linear_vit_b16"):
        run_segmentation(encoder_dir, tmp_path / "out", dataset=f"folder:{squares}", head="linear")
    with pytest.raises(EvaluationError, match="baseline 'raw_pixels' does not exist for a trained head"):
        run_segmentation(
            encoder_dir,
            tmp_path / "out",
            dataset=f"folder:{squares}",
            head="upernet_tiny",
            baselines=["raw_pixels"],
        )
    assert not (tmp_path / "out").exists()
