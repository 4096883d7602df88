"""Parts never share a row; the test part has no say; a broken folder is told in one sentence."""

import shutil

import numpy as np
import pytest
import torch

from synclr_train.evals.datasets import load_dataset, load_digits
from synclr_train.evals.image_folders import load_folder
from synclr_train.evals.scores import EvaluationError


@pytest.mark.parametrize("split", ["validation", "test"])
def test_roles_of_digits_are_disjoint_and_leave_the_test_part_alone(split):
    digits = load_digits()
    roles = digits.roles(split)
    rows = np.concatenate([roles.fit, roles.choose, roles.score])
    assert len(np.unique(rows)) == len(rows)
    test_rows = set(digits.rows["test"].tolist())
    assert test_rows == set(range(1200, 1797))
    assert test_rows.isdisjoint(roles.fit.tolist() + roles.choose.tolist())
    assert (test_rows == set(roles.score.tolist())) == (split == "test")
    assert split == "test" or test_rows.isdisjoint(roles.score.tolist())


def test_digits_cover_every_row_and_class_in_every_part():
    digits = load_digits()
    covered = np.concatenate(list(digits.rows.values()))
    assert sorted(covered.tolist()) == list(range(1797))
    assert all(len(set(digits.labels[rows].tolist())) == 10 for rows in digits.rows.values())


def test_digit_pixels_are_bright_ink_at_the_side_asked_for():
    digits = load_digits()
    native = digits.read(np.array([0, 5]), 8)
    enlarged = digits.read(np.array([0, 5]), 32)
    assert native.shape == (2, 3, 8, 8)
    assert enlarged.shape == (2, 3, 32, 32)
    assert float(native[0, 0, 0, 0]) == 0.0
    assert float(native.max()) == 1.0
    assert 0 <= float(enlarged.min()) <= float(enlarged.max()) <= 1
    shrunk = torch.nn.functional.adaptive_avg_pool2d(enlarged, 8)
    assert float((shrunk - native).abs().mean()) < 0.06


def test_folder_parts_hold_their_own_files(image_folder):
    images = load_folder(image_folder)
    assert images.class_names == ("blue", "green", "red")
    assert [len(images.rows[part]) for part in ("train", "validation", "test")] == [24, 12, 15]
    inner = images.labels[images.inner_rows]
    assert np.bincount(inner).tolist() == [2, 2, 2]
    assert set(images.inner_rows.tolist()) < set(images.rows["train"].tolist())
    blue = images.read(images.rows["test"][:1], 16)[0]
    assert blue.shape == (3, 16, 16)
    assert float(blue[2].mean()) > 2 * float(blue[0].mean())


def test_folder_digest_follows_its_files(image_folder):
    before = load_folder(image_folder).digest
    assert load_folder(image_folder).digest == before
    shutil.copy(image_folder / "test/red/0.png", image_folder / "test/red/9.png")
    assert load_folder(image_folder).digest != before


def test_unknown_dataset_is_named():
    with pytest.raises(EvaluationError, match=r"dataset 'cifar10' is unknown: give sklearn_digits, folder:"):
        load_dataset("cifar10")


def test_missing_folder_is_told_with_its_layout(tmp_path):
    with pytest.raises(EvaluationError, match=r"nowhere does not exist: expected .*<class>/<image>"):
        load_dataset(f"folder:{tmp_path}/nowhere")


def test_missing_part_is_told(image_folder):
    shutil.rmtree(image_folder / "val")
    with pytest.raises(EvaluationError, match=r"colours/val does not exist"):
        load_folder(image_folder)


def test_a_folder_without_parts_is_split_class_by_class(image_folder):
    flat = load_folder(image_folder / "train")
    assert flat.class_names == ("blue", "green", "red")
    assert [len(flat.rows[part]) for part in ("train", "validation", "test")] == [18, 3, 3]
    for rows in flat.rows.values():
        assert len(set(np.bincount(flat.labels[rows]).tolist())) == 1
    assert load_folder(image_folder / "train").digest == flat.digest


def test_a_class_too_small_to_split_is_told(image_folder):
    for path in (image_folder / "train" / "red").glob("[2-9].png"):
        path.unlink()
    with pytest.raises(EvaluationError, match=r"class red has 2 images, too few to split"):
        load_folder(image_folder / "train")


def test_a_class_missing_from_a_part_is_told(image_folder):
    shutil.rmtree(image_folder / "test" / "green")
    with pytest.raises(EvaluationError, match=r"same class folders, but only one of them has 'green'"):
        load_folder(image_folder)


def test_an_empty_class_is_told(image_folder):
    for path in (image_folder / "train" / "red").iterdir():
        path.unlink()
    with pytest.raises(EvaluationError, match=r"train/red holds no image"):
        load_folder(image_folder)


def test_a_broken_image_is_named_when_read(image_folder):
    (image_folder / "test" / "blue" / "0.png").write_bytes(b"not an image")
    images = load_folder(image_folder)
    with pytest.raises(EvaluationError, match=r"test/blue/0\.png cannot be decoded"):
        images.read(images.rows["test"], 16)


def test_too_few_images_to_choose_inside_train_is_told(image_folder):
    for path in (image_folder / "train").glob("*/[2-9].png"):
        path.unlink()
    images = load_folder(image_folder)
    assert len(images.roles("test").fit) == 6
    with pytest.raises(EvaluationError, match=r"needs a class with at least 4 train images"):
        images.roles("validation")
