"""Each of the paper's data sets, read by torchvision from a miniature of its own layout on disk."""

import numpy as np
import pytest
from torchvision.datasets import Flowers102

from synclr_train.evals.datasets import load_dataset
from synclr_train.evals.kitti_distance import distance_class, parts_by_image
from synclr_train.evals.labelled_images import PARTS
from synclr_train.evals.paper_datasets import FINE_GRAINED, PAPER_DATASETS, UNSEEN, VOC_CLASSES
from synclr_train.evals.scores import EvaluationError
from tests.synclr_train.evals import miniatures

PART_SIZES = {
    "imagenet1k": (119, 1, 4),  # 1 % of the train part validates
    "aircraft": (4, 4, 4),
    "cars": (8, 2, 4),
    "dtd": (4, 4, 4),
    "flowers": (3, 3, 6),
    "pets": (8, 2, 4),
    "sun397": (8, 2, 4),
    "caltech101": (48, 12, 6),  # 30 of each class are known, a fifth of them validates
    "food101": (16, 4, 4),
    "voc2007": (5, 2, 3),
    "eurosat": (16, 4, 10),  # 10 and 5 of 27 images of each class
    "gtsrb": (8, 2, 4),
    "country211": (6, 2, 4),
    "mnist": (8, 2, 4),
    "resisc45": (4, 4, 32),
    "kitti_distance": (20, 2, 2),
}
MEASURES = {
    "mean_per_class": {"aircraft", "flowers", "pets", "caltech101"},
    "map_11_point": {"voc2007"},
}


@pytest.fixture
def without_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision checks the md5 of the flowers' two annotation files, which a miniature cannot have."""
    names = {kind: (name, None) for kind, (name, _) in Flowers102._file_dict.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", names)


def test_the_paper_names_sixteen_sets():
    assert {"imagenet1k", *FINE_GRAINED, *UNSEEN} == set(PAPER_DATASETS) == set(miniatures.WRITERS)
    assert (len(FINE_GRAINED), len(UNSEEN)) == (9, 6)
    for measure, names in MEASURES.items():
        assert {name for name, one in PAPER_DATASETS.items() if one.measure == measure} == names


@pytest.mark.parametrize("name", sorted(PAPER_DATASETS))
@pytest.mark.usefixtures("without_checksums")
def test_a_miniature_is_read_with_its_own_parts_and_labels(name, tmp_path):
    miniatures.WRITERS[name](tmp_path)
    images = load_dataset(f"{name}:{tmp_path}")
    assert tuple(len(images.rows[part]) for part in PARTS) == PART_SIZES[name]
    covered = np.concatenate([images.rows[part] for part in PARTS])
    assert len(np.unique(covered)) == len(covered) == len(images.labels)
    assert images.name == name
    assert load_dataset(f"{name}:{tmp_path}").digest == images.digest
    if name != "voc2007":
        for row in (images.rows["train"][0], images.rows["validation"][-1], images.rows["test"][-1]):
            level = float(images.read(np.array([row]), 16).mean()) * 255
            assert level == pytest.approx(20 + 10 * images.labels[row], abs=2), row


@pytest.mark.parametrize("name", sorted(PAPER_DATASETS))
def test_a_missing_set_is_one_sentence_with_its_layout(name, tmp_path):
    with pytest.raises(EvaluationError) as caught:
        load_dataset(f"{name}:{tmp_path}")
    message = str(caught.value)
    assert PAPER_DATASETS[name].layout in message
    assert str(tmp_path) in message
    assert "\n" not in message


def test_a_set_without_its_root_is_told():
    with pytest.raises(EvaluationError, match="dataset food101 needs its root folder: write food101:/root"):
        load_dataset("food101")


def test_voc_objects_that_are_only_difficult_stay_undecided(tmp_path):
    miniatures.voc2007(tmp_path)
    images = load_dataset(f"voc2007:{tmp_path}")
    dog = images.labels[:, VOC_CLASSES.index("dog")]
    cat = images.labels[:, VOC_CLASSES.index("cat")]
    assert images.is_multi_label
    assert dog[images.rows["train"]].tolist() == [1, -1, 0, -1, 0]
    assert dog[images.rows["test"]].tolist() == [1, -1, 0]
    assert cat[images.rows["test"]].tolist() == [0, 0, 1]


def test_sun397_needs_the_official_lists(tmp_path):
    miniatures.sun397(tmp_path)
    (tmp_path / "SUN397" / "Testing_01.txt").unlink()
    with pytest.raises(EvaluationError, match=r"sun397 is not complete .*Testing_01\.txt"):
        load_dataset(f"sun397:{tmp_path}")


def test_kitti_videos_are_never_in_two_parts(tmp_path):
    miniatures.kitti_distance(tmp_path)
    part_of = parts_by_image(tmp_path / "Kitti" / "raw" / "mapping")
    assert all(part_of[image] == part_of[image + 1] for image in range(0, 24, 2))
    assert sorted(set(part_of.values())) == sorted(PARTS)


@pytest.mark.parametrize(("depth_m", "expected"), [(7.99, 0), (8.01, 1), (19.9, 1), (20.1, 2), (None, 3)])
def test_kitti_classes_are_the_nearest_vehicles(depth_m, expected):
    columns = "0 0 0 0 0 0 0 0 0 0 0 0"
    lines = [f"Cyclist {columns} 1.0 0"]
    if depth_m is not None:
        lines += [f"Truck {columns} 90.0 0", f"Car {columns} {depth_m} 0"]
    assert distance_class(lines) == expected


def test_a_file_that_is_listed_but_missing_is_named(tmp_path):
    miniatures.dtd(tmp_path)
    (tmp_path / "dtd" / "dtd" / "images" / "banded" / "banded_0004.jpg").unlink()
    with pytest.raises(EvaluationError, match=r"dataset dtd lists .*banded_0004\.jpg, which does not exist"):
        load_dataset(f"dtd:{tmp_path}")
