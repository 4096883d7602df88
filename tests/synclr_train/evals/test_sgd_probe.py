"""The SGD probe learns, repeats exactly whatever the workers, and scored images choose nothing."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synclr_train.backbone import load_encoder
from synclr_train.evals.augmented_batches import AREA, augmented_batches, crop_and_flip, draw_box
from synclr_train.evals.image_folders import load_folder
from synclr_train.evals.outcomes import outcomes_file
from synclr_train.evals.protocol import SgdProtocol
from synclr_train.evals.scores import EvaluationError, read_scores
from synclr_train.evals.sgd_probe import probe_by_sgd, run_sgd_probe

SMALL = SgdProtocol(dataset="d", dataset_digest="0", split="test", epochs=6, batch_size=8)


def test_the_papers_numbers_are_the_defaults():
    paper = SgdProtocol(dataset="d", dataset_digest="0", split="test")
    assert [round(100 * rate, 6) for rate in paper.base_learning_rates] == [
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        20,
        50,
    ]
    assert (paper.epochs, paper.batch_size, paper.momentum, paper.batch_norm) == (90, 1024, 0.9, True)


@pytest.mark.parametrize("augmented", [True, False])
def test_a_run_learns_colours_and_says_which_rate(encoder_dir, image_folder, tmp_path, augmented):
    settings = SMALL.model_copy(update={"augmented": augmented})
    scores = run_sgd_probe(
        encoder_dir, tmp_path / "out", dataset=f"folder:{image_folder}", settings=settings, cache_dir=tmp_path
    )
    assert scores == read_scores(tmp_path / "out")
    (score,) = scores
    assert score.metric == "sgd_linear_probe_accuracy"
    assert score.value > 0.8
    chosen = json.loads((tmp_path / "out" / "scores.json").read_text())["chosen"]["model"][0]
    assert len(chosen["sweep"]) == 9
    assert chosen["base_learning_rate"] in SMALL.base_learning_rates
    assert hit_share(tmp_path / "out", score) == pytest.approx(score.value)


def hit_share(folder, score):
    """Accuracy by the outcomes of single images."""
    with np.load(folder / outcomes_file(score.protocol_fingerprint), allow_pickle=False) as arrays:
        hits, totals = (arrays[f"{score.metric}.{part}"] for part in ("hits", "totals"))
    assert hits.shape == totals.shape == (1, score.num_test, 1)
    return hits.sum() / totals.sum()


def test_scored_labels_have_no_say(encoder_dir, image_folder):
    encoder, images = load_encoder(encoder_dir), load_folder(image_folder)
    labels = images.labels.copy()
    labels[images.rows["test"]] = (labels[images.rows["test"]] + 1) % 3
    ours = probe_by_sgd(encoder, images, SMALL)
    shifted = probe_by_sgd(encoder, dataclasses.replace(images, labels=labels), SMALL)
    assert np.array_equal(ours.predictions, shifted.predictions)
    assert ours.sweep == shifted.sweep


def test_crops_do_not_depend_on_the_workers(image_folder):
    images = load_folder(image_folder)

    def epoch(number, num_workers):
        batches = augmented_batches(
            images,
            images.rows["train"],
            crop_and_flip(16),
            batch_size=5,
            seed=3,
            epoch=number,
            num_workers=num_workers,
        )
        return [torch.cat(parts) for parts in zip(*batches, strict=True)]

    alone, shared, later = epoch(0, 0), epoch(0, 2), epoch(1, 0)
    assert all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True))
    assert not torch.equal(alone[0], later[0])
    assert len(alone[1]) == 20


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_boxes_lie_inside_the_image(width, height, seed):
    left, top, box_width, box_height = draw_box((width, height), np.random.default_rng(seed))
    assert left >= 0
    assert top >= 0
    assert 0 < box_width <= width - left
    assert 0 < box_height <= height - top


def test_boxes_cover_the_areas_of_the_paper():
    draws = np.random.default_rng(0)
    areas = [
        width * height / 1e6 for _, _, width, height in (draw_box((1000, 1000), draws) for _ in range(500))
    ]
    assert min(areas) == pytest.approx(AREA[0], abs=0.02)
    assert max(areas) > 0.9


def test_raw_pixels_are_refused(encoder_dir, image_folder, tmp_path):
    with pytest.raises(EvaluationError, match="raw_pixels has no encoder"):
        run_sgd_probe(encoder_dir, tmp_path, dataset=f"folder:{image_folder}", baselines=["raw_pixels"])
