"""Published layouts are read as they are, masks at their own size; what is missing is one sentence."""

import numpy as np
import pytest
from PIL import Image

from synclr_train.evals.scores import EvaluationError
from synclr_train.evals.segmentation_datasets import IGNORED, load_segmentation_set


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def scene(root, images, masks, name, label, suffix=".jpg"):
    save(root / images / f"{name}{suffix}", np.full((6, 8, 3), 100))
    save(root / masks / f"{name}.png", np.full((12, 16), label))


@pytest.fixture
def ade20k(tmp_path):
    rows = [f"{n}\t0.1\t1\t1\t0\tthing {n}, synonym" for n in range(1, 151)]
    (tmp_path / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows]))
    for part, count in (("training", 40), ("validation", 3)):
        for number in range(count):
            name = f"ADE_{part}_{number:08}"
            scene(tmp_path, f"images/{part}", f"annotations/{part}", name, number % 3)
    return tmp_path


@pytest.fixture
def voc2012(tmp_path):
    for part, count in (("train", 20), ("val", 2)):
        names = [f"2007_{part}{number}" for number in range(count)]
        listing = tmp_path / "ImageSets" / "Segmentation" / f"{part}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(names) + "\n")
        for name in names:
            scene(tmp_path, "JPEGImages", "SegmentationClass", name, 255)
    palette = Image.fromarray(np.array([[0, 20], [255, 1]], dtype=np.uint8), mode="P")
    palette.putpalette([value for number in range(256) for value in (number, 0, 0)])
    palette.save(tmp_path / "SegmentationClass" / "2007_val0.png")
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "classes.txt").write_text("sky\nsea\n")
    for part, count in (("train", 3), ("val", 2), ("test", 4)):
        for number in range(count):
            scene(tmp_path, f"{part}/images", f"{part}/masks", f"{part}{number}", number % 2, ".png")
    return tmp_path


def test_ade20k_ignores_label_zero_and_counts_classes_from_one(ade20k):
    data = load_segmentation_set(f"ade20k:{ade20k}", "test")
    assert (data.num_train, data.num_score, len(data.class_names)) == (40, 3, 150)
    assert data.class_names[0] == "thing 1"
    masks = [data.read_score(number).mask for number in range(3)]
    assert [set(np.unique(mask)) for mask in masks] == [{IGNORED}, {0}, {1}]
    assert masks[0].shape == (12, 16)
    assert data.read_score(0).image.shape == (6, 8, 3)


def test_ade20ks_validation_split_is_held_out_of_training(ade20k):
    data = load_segmentation_set(f"ade20k:{ade20k}", "validation")
    assert (data.num_train, data.num_score) == (38, 2)
    (ade20k / "images" / "validation").rename(ade20k / "gone")
    load_segmentation_set(f"ade20k:{ade20k}", "validation")
    with pytest.raises(EvaluationError, match=r"ade20k is not complete: .*images/validation does not exist"):
        load_segmentation_set(f"ade20k:{ade20k}", "test")


def test_voc_masks_are_palette_numbers(voc2012):
    data = load_segmentation_set(f"voc2012:{voc2012}", "test")
    assert (data.num_train, data.num_score, len(data.class_names)) == (20, 2, 21)
    assert data.read_score(0).mask.tolist() == [[0, 20], [IGNORED, 1]]


def test_a_folder_of_images_and_masks(folder):
    data = load_segmentation_set(f"folder:{folder}", "test")
    assert (data.num_train, data.num_score, data.class_names) == (5, 4, ("sky", "sea"))
    inner = load_segmentation_set(f"folder:{folder}", "validation")
    assert (inner.num_train, inner.num_score) == (3, 2)
    assert data.digest != inner.digest


def test_the_digest_follows_the_files(folder):
    before = load_segmentation_set(f"folder:{folder}", "test").digest
    save(folder / "test" / "masks" / "test0.png", np.eye(12, 16))
    assert load_segmentation_set(f"folder:{folder}", "test").digest != before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ade20k:/nowhere", "/nowhere/objectInfo150.txt does not exist; expected ADEChallengeData2016"),
        (
            "voc2012:/nowhere",
            "/nowhere/ImageSets/Segmentation/train.txt does not exist; expected VOCdevkit/VOC2012",
        ),
        ("folder:/nowhere", "/nowhere/classes.txt does not exist; expected {train,val,test}/images"),
        ("cityscapes", "dataset 'cityscapes' has no masks: give digits_on_photos, ade20k:/path"),
    ],
)
def test_a_missing_data_set_says_where_it_is_expected(name, said):
    with pytest.raises(EvaluationError, match=said) as raised:
        load_segmentation_set(name, "test")
    assert "\n" not in str(raised.value)


def test_wrong_masks_are_named(folder):
    mask = folder / "test" / "masks" / "test1.png"
    save(mask, np.full((4, 4), 2))
    with pytest.raises(EvaluationError, match=r"test1.png holds class 2, but there are 2 classes"):
        load_segmentation_set(f"folder:{folder}", "test").read_score(1)
    save(mask, np.zeros((4, 4, 3)))
    with pytest.raises(EvaluationError, match=r"test1.png is no image of one channel"):
        load_segmentation_set(f"folder:{folder}", "test").read_score(1)
    mask.unlink()
    with pytest.raises(EvaluationError, match=r"test1.png has no mask .*test1.png: add it"):
        load_segmentation_set(f"folder:{folder}", "test")
