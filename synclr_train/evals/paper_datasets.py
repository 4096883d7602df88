"""The paper's data sets by name: ImageNet-1k, the nine fine-grained and the six unseen ones (SynCLR App. B).

Reads what torchvision reads, below one root folder, and downloads nothing. Pixels are read elsewhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from torchvision import datasets as vision

from synclr_train.evals.image_folders import Classes, class_folders, listing_of
from synclr_train.evals.kitti_distance import DISTANCE_NAMES, list_kitti
from synclr_train.evals.labelled_images import (
    ABSENT,
    PARTS,
    PRESENT,
    UNDECIDED,
    LabelledImages,
    Listing,
    Measure,
    Pixels,
    from_listing,
    from_pixels,
    hold_out,
)
from synclr_train.evals.scores import EvaluationError

HELD_OUT = 0.2
"""Share of the train part that validates where a set has no validation part."""
IMAGENET_HELD_OUT = 0.01
"""The same for ImageNet-1k: 12 811 of its 1 281 167 train images."""
CALTECH_SHOTS = 30
"""Images per class of Caltech-101 that train and validate; all others test."""
EUROSAT_SHARES = (10_000 / 27_000, 5_000 / 27_000)
"""CLIP's 10 000 train (and validation) and 5000 test images of 27 000, as shares of each class."""
RESISC_SHARES = (0.2, 0.8)
"""CLIP's 3150 train and 25 200 test images of 31 500; the 3150 others validate."""

Found = tuple[Listing | Pixels, Sequence[str]]
"""Files (or pixels) with their labels, and class names."""


@dataclass(frozen=True)
class PaperDataset:
    """One data set: how it is scored, how it lies on the disk, and how it is listed."""

    measure: Measure
    layout: str
    """What must stand below the root folder, for a sentence and for the docs."""
    find: Callable[[Path], Found]


def load_paper_dataset(name: str, root: Path) -> LabelledImages:
    """The data set `name` below `root`. Raises EvaluationError, with the layout, where it is not there."""
    dataset = PAPER_DATASETS[name]
    try:
        found, class_names = dataset.find(root)
    except (RuntimeError, OSError) as error:
        raise EvaluationError(
            f"dataset {name} is not complete below {root} ({error}): expected {root}/{dataset.layout}"
        ) from error
    empty = [part for part in PARTS if len(found.labels[part]) == 0]
    if empty:
        raise EvaluationError(
            f"dataset {name} below {root} has no {empty[0]} image: expected {root}/{dataset.layout}"
        )
    if isinstance(found, Pixels):
        return from_pixels(name, found, class_names, dataset.measure)
    return from_listing(name, root, found, class_names, dataset.measure)


def _same_path(path: str | Path) -> Path:
    """Stands in for torchvision's image loader, so that listing a data set decodes nothing."""
    return Path(path)


def _samples(dataset: vision.VisionDataset) -> tuple[list[Path], np.ndarray]:
    pairs = [dataset[row] for row in range(len(dataset))]
    return [Path(path) for path, _ in pairs], np.array([label for _, label in pairs], dtype=np.int64)


def _class_files(folder: Path) -> Classes:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing")
    return class_folders(folder, folder)


def _three_parts(
    train: tuple[list[Path], np.ndarray],
    validation: tuple[list[Path], np.ndarray],
    test: tuple[list[Path], np.ndarray],
) -> Listing:
    parts = dict(zip(PARTS, (train, validation, test), strict=True))
    return Listing(
        {part: files for part, (files, _) in parts.items()},
        {part: labels for part, (_, labels) in parts.items()},
    )


def _holding_out(
    known: tuple[list[Path], np.ndarray], test: tuple[list[Path], np.ndarray], share: float = HELD_OUT
) -> Listing:
    files, labels = known
    train, validation = hold_out(len(files), share)
    return _three_parts(
        ([files[row] for row in train], labels[train]),
        ([files[row] for row in validation], labels[validation]),
        test,
    )


def _imagenet(root: Path) -> Found:
    known = vision.ImageFolder(str(root / "imagenet" / "train"))
    test = vision.ImageFolder(str(root / "imagenet" / "val"))
    if known.classes != test.classes:
        raise EvaluationError(f"{root}/imagenet/train and val must hold the same class folders")
    listing = _holding_out(_folder_samples(known), _folder_samples(test), IMAGENET_HELD_OUT)
    return listing, known.classes


def _folder_samples(folder: vision.ImageFolder) -> tuple[list[Path], np.ndarray]:
    return [Path(path) for path, _ in folder.samples], np.array(folder.targets, dtype=np.int64)


def _aircraft(root: Path) -> Found:
    parts = [
        vision.FGVCAircraft(root, split, "variant", loader=_same_path) for split in ("train", "val", "test")
    ]
    return _three_parts(*map(_samples, parts)), parts[0].classes


def _cars(root: Path) -> Found:
    known, test = (vision.StanfordCars(root, split, loader=_same_path) for split in ("train", "test"))
    return _holding_out(_samples(known), _samples(test)), known.classes


def _dtd(root: Path) -> Found:
    parts = [vision.DTD(root, split, partition=1, loader=_same_path) for split in ("train", "val", "test")]
    return _three_parts(*map(_samples, parts)), parts[0].classes


def _flowers(root: Path) -> Found:
    parts = [vision.Flowers102(root, split, loader=_same_path) for split in ("train", "val", "test")]
    return _three_parts(*map(_samples, parts)), parts[0].classes


def _pets(root: Path) -> Found:
    known, test = (vision.OxfordIIITPet(root, split) for split in ("trainval", "test"))
    # torchvision takes no loader here, and indexing would decode every image for its label.
    return (
        _holding_out((known._images, np.array(known._labels)), (test._images, np.array(test._labels))),
        known.classes,
    )


def _sun397(root: Path) -> Found:
    everything = vision.SUN397(root, loader=_same_path)
    folder = root / "SUN397"
    label_of = {path.relative_to(folder).as_posix(): label for path, label in everything}

    def listed(name: str) -> tuple[list[Path], np.ndarray]:
        lines = [
            line.strip().lstrip("/") for line in (folder / name).read_text().splitlines() if line.strip()
        ]
        unknown = [line for line in lines if line not in label_of]
        if unknown:
            raise FileNotFoundError(f"{folder / name} lists {unknown[0]}, which is not there")
        return [folder / line for line in lines], np.array([label_of[line] for line in lines])

    return _holding_out(listed("Training_01.txt"), listed("Testing_01.txt")), everything.classes


def _caltech101(root: Path) -> Found:
    # torchvision.datasets.Caltech101 leaves the background class out; CLIP and SynCLR count it (102 classes).
    folder = root / "caltech101" / "101_ObjectCategories"
    parts: dict[str, Classes] = {part: {} for part in PARTS}
    for name, files in _class_files(folder).items():
        order = np.random.RandomState(0).permutation(len(files))
        train, validation = hold_out(CALTECH_SHOTS, HELD_OUT)
        chosen = order[:CALTECH_SHOTS]
        parts["train"][name] = [files[row] for row in np.sort(chosen[train[train < len(chosen)]])]
        parts["validation"][name] = [
            files[row] for row in np.sort(chosen[validation[validation < len(chosen)]])
        ]
        parts["test"][name] = [files[row] for row in np.sort(order[CALTECH_SHOTS:])]
    names = tuple(parts["train"])
    return listing_of(parts, names), names


def _food101(root: Path) -> Found:
    known, test = (vision.Food101(root, split, loader=_same_path) for split in ("train", "test"))
    return _holding_out(_samples(known), _samples(test)), known.classes


VOC_CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
).split()


def _voc2007(root: Path) -> Found:
    parts = [vision.VOCDetection(root, "2007", image_set) for image_set in ("train", "val", "test")]
    listed = [
        ([Path(path) for path in part.images], np.stack([voc_labels(Path(xml)) for xml in part.annotations]))
        for part in parts
    ]
    return _three_parts(*listed), VOC_CLASSES


def voc_labels(annotation: Path) -> np.ndarray:
    """[20] of PRESENT, ABSENT, and UNDECIDED where every object of the class is marked difficult, as in the
    devkit's `ImageSets/Main/<class>_<part>.txt` (1, -1, 0)."""
    labels = np.full(len(VOC_CLASSES), ABSENT)
    for thing in ElementTree.parse(annotation).getroot().iter("object"):
        number = VOC_CLASSES.index(str(thing.findtext("name")).strip())
        if thing.findtext("difficult", "0").strip() != "1":
            labels[number] = PRESENT
        elif labels[number] == ABSENT:
            labels[number] = UNDECIDED
    return labels


def _eurosat(root: Path) -> Found:
    names = vision.EuroSAT(root, loader=_same_path).classes
    classes = _class_files(root / "eurosat" / "2750")
    return listing_of(_split_by_shares(classes, *EUROSAT_SHARES), tuple(names)), names


def _resisc45(root: Path) -> Found:
    classes = _class_files(root / "resisc45" / "NWPU-RESISC45")
    names = tuple(classes)
    parts = _split_by_shares(classes, *RESISC_SHARES)
    for name in names:
        train, validation = hold_out(len(known := parts["train"][name] + parts["validation"][name]), 0.5)
        parts["train"][name] = [known[row] for row in train]
        parts["validation"][name] = [known[row] for row in validation]
    return listing_of(parts, names), names


def _split_by_shares(classes: Classes, known_share: float, test_share: float) -> dict[str, Classes]:
    """Train, validation and test of each class by a fixed shuffle; images beyond both shares are not used."""
    parts: dict[str, Classes] = {part: {} for part in PARTS}
    for name, files in classes.items():
        order = np.random.RandomState(0).permutation(len(files))
        num_known = round(known_share * len(files))
        num_test = min(round(test_share * len(files)), len(files) - num_known)
        train, validation = hold_out(num_known, HELD_OUT)
        parts["train"][name] = [files[row] for row in np.sort(order[train])]
        parts["validation"][name] = [files[row] for row in np.sort(order[validation])]
        parts["test"][name] = [files[row] for row in np.sort(order[num_known : num_known + num_test])]
    return parts


def _gtsrb(root: Path) -> Found:
    known, test = (vision.GTSRB(root, split) for split in ("train", "test"))
    # torchvision takes no loader here, and indexing would decode every image for its label.
    samples = [
        ([Path(path) for path, _ in part._samples], np.array([label for _, label in part._samples]))
        for part in (known, test)
    ]
    num_classes = int(max(labels.max() for _, labels in samples)) + 1
    return _holding_out(samples[0], samples[1]), [f"{number:05d}" for number in range(num_classes)]


def _country211(root: Path) -> Found:
    parts = [vision.Country211(root, split, loader=_same_path) for split in ("train", "valid", "test")]
    return _three_parts(*map(_folder_samples, parts)), parts[0].classes


def _kitti(root: Path) -> Found:
    files, labels, parts = list_kitti(root)
    chosen = {
        part: np.array([row for row, own in enumerate(parts) if own == part], dtype=int) for part in PARTS
    }
    return (
        Listing(
            {part: [files[row] for row in rows] for part, rows in chosen.items()},
            {part: labels[rows] for part, rows in chosen.items()},
        ),
        DISTANCE_NAMES,
    )


def _mnist(root: Path) -> Found:
    known, test = (vision.MNIST(root, train=train) for train in (True, False))
    train, validation = hold_out(len(known), HELD_OUT)
    images, labels = known.data.numpy(), known.targets.numpy()
    return (
        Pixels(
            {"train": images[train], "validation": images[validation], "test": test.data.numpy()},
            {"train": labels[train], "validation": labels[validation], "test": test.targets.numpy()},
        ),
        [str(digit) for digit in range(10)],
    )


PAPER_DATASETS: dict[str, PaperDataset] = {
    "imagenet1k": PaperDataset("accuracy", "imagenet/{train,val}/<wnid>/*.JPEG", _imagenet),
    "aircraft": PaperDataset(
        "mean_per_class",
        "fgvc-aircraft-2013b/data/{variants.txt,images_variant_{train,val,test}.txt,images/*.jpg}",
        _aircraft,
    ),
    "cars": PaperDataset(
        "accuracy",
        "stanford_cars/{cars_train/*.jpg,cars_test/*.jpg,cars_test_annos_withlabels.mat,"
        "devkit/{cars_meta.mat,cars_train_annos.mat}}",
        _cars,
    ),
    "dtd": PaperDataset("accuracy", "dtd/dtd/{images/<class>/*.jpg,labels/{train1,val1,test1}.txt}", _dtd),
    "flowers": PaperDataset("mean_per_class", "flowers-102/{jpg/*.jpg,imagelabels.mat,setid.mat}", _flowers),
    "pets": PaperDataset(
        "mean_per_class", "oxford-iiit-pet/{images/*.jpg,annotations/{trainval,test}.txt}", _pets
    ),
    "sun397": PaperDataset(
        "accuracy",
        "SUN397/{ClassName.txt,Training_01.txt,Testing_01.txt,<letter>/<class>/sun_*.jpg}",
        _sun397,
    ),
    "caltech101": PaperDataset(
        "mean_per_class", "caltech101/101_ObjectCategories/<class>/image_*.jpg", _caltech101
    ),
    "food101": PaperDataset("accuracy", "food-101/{images/<class>/*.jpg,meta/{train,test}.json}", _food101),
    "voc2007": PaperDataset(
        "map_11_point",
        "VOCdevkit/VOC2007/{JPEGImages/*.jpg,Annotations/*.xml,ImageSets/Main/{train,val,test}.txt}",
        _voc2007,
    ),
    "eurosat": PaperDataset("accuracy", "eurosat/2750/<class>/*.jpg", _eurosat),
    "gtsrb": PaperDataset(
        "accuracy",
        "gtsrb/{GTSRB/{Training/<class>,Final_Test/Images}/*.ppm,GT-final_test.csv}",
        _gtsrb,
    ),
    "country211": PaperDataset("accuracy", "country211/{train,valid,test}/<country>/*.jpg", _country211),
    "mnist": PaperDataset(
        "accuracy",
        "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte",
        _mnist,
    ),
    "resisc45": PaperDataset("accuracy", "resisc45/NWPU-RESISC45/<class>/*.jpg", _resisc45),
    "kitti_distance": PaperDataset(
        "accuracy",
        "Kitti/raw/{training/{image_2/*.png,label_2/*.txt},mapping/{train_rand,train_mapping}.txt}",
        _kitti,
    ),
}
"""Every data set of the paper's appendix B that is classified, by name."""

FINE_GRAINED = ("aircraft", "cars", "dtd", "flowers", "pets", "sun397", "caltech101", "food101", "voc2007")
UNSEEN = ("eurosat", "gtsrb", "country211", "mnist", "resisc45", "kitti_distance")
