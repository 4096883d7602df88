"""Miniatures of the paper's data sets on disk: the archives' own folders, lists and annotation files.

Every image of class k is a flat grey of level 20 + 10 k, so that a test can tell whether a label fits; in VOC the
first letter of the first object counts.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

VOC_OBJECTS = {
    "train": [[("dog", 0)], [("cat", 0), ("dog", 1)], [("person", 0)], [("dog", 1)], [("bus", 0)]],
    "val": [[("dog", 0), ("person", 0)], [("cat", 0)]],
    "test": [[("dog", 0)], [("dog", 1)], [("cat", 0), ("cat", 1)]],
}


def paint(path: Path, label: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (20 + 10 * label,) * 3).save(path, quality=95)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def imagenet1k(root: Path) -> None:
    for part, count in (("train", 60), ("val", 2)):
        for label, wnid in enumerate(("n01440764", "n01443537")):
            for number in range(count):
                paint(root / "imagenet" / part / wnid / f"{wnid}_{number}.JPEG", label)


def aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    names = ("707-320", "DC-3")
    write(data / "variants.txt", *names)
    for part, first in (("train", 0), ("val", 4), ("test", 8)):
        write(data / f"images_variant_{part}.txt", *(f"{first + k:07d} {names[k % 2]}" for k in range(4)))
        for k in range(4):
            paint(data / "images" / f"{first + k:07d}.jpg", k % 2)


def cars(root: Path) -> None:
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    kinds = [("fname", object), ("class", np.uint8)]
    for part, count, path in (
        ("train", 10, folder / "devkit" / "cars_train_annos.mat"),
        ("test", 4, folder / "cars_test_annos_withlabels.mat"),
    ):
        rows = np.array([(f"{k:05d}.jpg", k % 2 + 1) for k in range(count)], dtype=kinds)
        savemat(path, {"annotations": rows})
        for k in range(count):
            paint(folder / f"cars_{part}" / f"{k:05d}.jpg", k % 2)
    savemat(
        folder / "devkit" / "cars_meta.mat",
        {"class_names": np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012"], dtype=object)},
    )


def dtd(root: Path) -> None:
    folder = root / "dtd" / "dtd"
    for part, first in (("train", 0), ("val", 2), ("test", 4)):
        lines = []
        for label, name in enumerate(("banded", "zigzagged")):
            for number in (first, first + 1):
                paint(folder / "images" / name / f"{name}_{number:04d}.jpg", label)
                lines.append(f"{name}/{name}_{number:04d}.jpg")
        write(folder / "labels" / f"{part}1.txt", *lines)


def flowers(root: Path) -> None:
    folder = root / "flowers-102"
    for number in range(1, 13):
        paint(folder / "jpg" / f"image_{number:05d}.jpg", number % 3)
    savemat(folder / "imagelabels.mat", {"labels": np.array([number % 3 + 1 for number in range(1, 13)])})
    savemat(
        folder / "setid.mat",
        {"trnid": np.arange(1, 4), "valid": np.arange(4, 7), "tstid": np.arange(7, 13)},
    )


def pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    names = ("Abyssinian", "american_bulldog")
    for part, count, first in (("trainval", 10, 0), ("test", 4, 10)):
        lines = []
        for k in range(count):
            stem = f"{names[k % 2]}_{first + k}"
            paint(folder / "images" / f"{stem}.jpg", k % 2)
            lines.append(f"{stem} {k % 2 + 1} {k % 2 + 1} 1")
        write(folder / "annotations" / f"{part}.txt", *lines)


def sun397(root: Path) -> None:
    folder = root / "SUN397"
    names = ("a/abbey", "a/apartment_building/outdoor")
    write(folder / "ClassName.txt", *(f"/{name}" for name in names))
    for part, count, first in (("Training", 10, 0), ("Testing", 4, 10)):
        lines = [f"/{names[k % 2]}/sun_{first + k:03d}.jpg" for k in range(count)]
        write(folder / f"{part}_01.txt", *lines)
        for k, line in enumerate(lines):
            paint(folder / line.lstrip("/"), k % 2)
    paint(folder / "a" / "abbey" / "sun_999.jpg", 0)  # in neither list


def caltech101(root: Path) -> None:
    for label, name in enumerate(("BACKGROUND_Google", "accordion")):
        for number in range(1, 34):
            folder = root / "caltech101" / "101_ObjectCategories" / name
            paint(folder / f"image_{number:04d}.jpg", label)


def food101(root: Path) -> None:
    folder = root / "food-101"
    for part, count, first in (("train", 10, 0), ("test", 2, 10)):
        listed: dict[str, list[str]] = {}
        for label, name in enumerate(("apple_pie", "waffles")):
            listed[name] = [f"{name}/{first + k}" for k in range(count)]
            for stem in listed[name]:
                paint(folder / "images" / f"{stem}.jpg", label)
        write(folder / "meta" / f"{part}.json", json.dumps(listed))


def voc2007(root: Path, objects_of_images: dict[str, list[list[tuple[str, int]]]] = VOC_OBJECTS) -> None:
    folder = root / "VOCdevkit" / "VOC2007"
    number = 0
    for part, images in objects_of_images.items():
        stems = []
        for objects in images:
            stems.append(stem := f"{number:06d}")
            number += 1
            things = "".join(
                f"<object><name>{name}</name><difficult>{difficult}</difficult></object>"
                for name, difficult in objects
            )
            write(folder / "Annotations" / f"{stem}.xml", f"<annotation>{things}</annotation>")
            paint(folder / "JPEGImages" / f"{stem}.jpg", ord(objects[0][0][0]) - ord("a"))
        write(folder / "ImageSets" / "Main" / f"{part}.txt", *stems)


def eurosat(root: Path) -> None:
    for label, name in enumerate(("AnnualCrop", "Forest")):
        for number in range(1, 28):
            paint(root / "eurosat" / "2750" / name / f"{name}_{number}.jpg", label)


def gtsrb(root: Path) -> None:
    folder = root / "gtsrb"
    for label in range(2):
        for number in range(5):
            paint(folder / "GTSRB" / "Training" / f"{label:05d}" / f"00000_{number:05d}.ppm", label)
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for number in range(4):
        paint(folder / "GTSRB" / "Final_Test" / "Images" / f"{number:05d}.ppm", number % 2)
        lines.append(f"{number:05d}.ppm;40;30;5;5;35;25;{number % 2}")
    write(folder / "GT-final_test.csv", *lines)


def country211(root: Path) -> None:
    for part, count in (("train", 3), ("valid", 1), ("test", 2)):
        for label, name in enumerate(("AD", "ZW")):
            for number in range(count):
                paint(root / "country211" / part / name / f"{number}.jpg", label)


def mnist(root: Path) -> None:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 10), ("t10k", 4)):
        labels = np.arange(count, dtype=np.uint8) % 2
        images = np.broadcast_to((20 + 10 * labels)[:, None, None], (count, 28, 28)).astype(np.uint8)
        header = np.array([2051, count, 28, 28], dtype=">i4").tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = np.array([2049, count], dtype=">i4").tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


def resisc45(root: Path) -> None:
    for label, name in enumerate(("airplane", "beach")):
        for number in range(1, 21):
            paint(root / "resisc45" / "NWPU-RESISC45" / name / f"{name}_{number:03d}.jpg", label)


def kitti_distance(root: Path) -> None:
    folder = root / "Kitti" / "raw"
    depths_m = (5.0, 15.0, 40.0, None)
    for image in range(24):
        label = image % 4
        paint(folder / "training" / "image_2" / f"{image:06d}.png", label)
        columns = "0.00 0 -1.58 587.0 173.3 614.1 200.1 1.65 1.67 3.64 -0.65 1.71"
        lines = [f"Pedestrian {columns} 1.00 -1.59"]
        if depths_m[label] is not None:
            lines += [f"Van {columns} 50.00 -1.59", f"Car {columns} {depths_m[label]:.2f} -1.59"]
        write(folder / "training" / "label_2" / f"{image:06d}.txt", *lines)
    write(
        folder / "mapping" / "train_mapping.txt",
        *(f"2011_09_26 2011_09_26_drive_{line // 2:04d}_sync {line:010d}" for line in range(24)),
    )
    write(folder / "mapping" / "train_rand.txt", ",".join(str(image + 1) for image in range(24)))


WRITERS: dict[str, Callable[[Path], None]] = {
    writer.__name__: writer
    for writer in (
        *(imagenet1k, aircraft, cars, dtd, flowers, pets, sun397, caltech101, food101, voc2007),
        *(eurosat, gtsrb, country211, mnist, resisc45, kitti_distance),
    )
}
