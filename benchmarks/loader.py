"""Images per second and core from 512 px JPEGs to the crops of a step: `python -m benchmarks.loader`.

Peers in the same run, on one core: torchvision's transforms on PIL images, one image after the other, and JPEG
decoding alone. The loader's processes decode and cut; colour runs on the training device and is counted apart.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from synclr_train.augment import colour_crops
from synclr_train.batches import StepBatch, StepDataset
from synclr_train.caption_order import CaptionOrder
from synclr_train.cropping import Cutter
from synclr_train.decoding import decode
from synclr_train.recipes import vit_b16
from synclr_train.shards import index_shards

SIDE = 512
NUM_CAPTIONS, VIEWS = 8, 4
JPEG_QUALITY = 90
ROUNDS = 5


def draw_picture(seed: int) -> np.ndarray:
    """uint8 [512, 512, 3]: smooth light, texture that falls off with frequency as in photographs, and edges."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    spectrum = (
        np.exp(2j * np.pi * random.random((3, *frequency.shape))) / np.maximum(frequency, 1 / SIDE) ** 1.2
    )
    picture = np.fft.irfft2(spectrum, (SIDE, SIDE))
    picture = 128 + 45 * picture / picture.std(axis=(1, 2), keepdims=True)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(12):
        row, column, radius = random.uniform(0, SIDE), random.uniform(0, SIDE), random.uniform(10, 90)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        picture[:, inside] = 0.4 * picture[:, inside] + 0.6 * random.uniform(0, 255, (3, 1))
    return picture.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def write_shard(path: Path, num_captions: int = NUM_CAPTIONS) -> list[bytes]:
    """A shard of whole groups. Returns its images."""
    encoded = []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(num_captions * VIEWS):
            buffer = io.BytesIO()
            Image.fromarray(draw_picture(number)).save(buffer, "JPEG", quality=JPEG_QUALITY)
            info = tarfile.TarInfo(f"{number // VIEWS:032x}.{number % VIEWS}.jpg")
            info.size = len(buffer.getvalue())
            tar.addfile(info, io.BytesIO(buffer.getvalue()))
            encoded.append(buffer.getvalue())
    return encoded


def per_image_pipeline() -> Callable[[bytes], list[torch.Tensor]]:
    """The same crops by torchvision's transforms on one PIL image at a time."""
    recipe = vit_b16()
    crops, augment = recipe.crops, recipe.augment
    jitter = transforms.ColorJitter(augment.brightness, augment.contrast, augment.saturation, augment.hue)
    colours = [
        transforms.RandomApply([jitter], augment.jitter_probability),
        transforms.RandomGrayscale(augment.grey_probability),
    ]
    blur = transforms.GaussianBlur(augment.blur_kernel_size, augment.blur_sigma)
    finish = [transforms.ToTensor(), transforms.Normalize(augment.mean, augment.std)]

    def crop(side: int, area: tuple[float, float]) -> list[object]:
        cut = transforms.RandomResizedCrop(
            side, area, crops.aspect_ratio, transforms.InterpolationMode.BICUBIC
        )
        return [cut, transforms.RandomHorizontalFlip(augment.flip_probability), *colours]

    solarize = transforms.RandomSolarize(128, augment.global_solarize_probabilities[1])
    rarely = transforms.RandomApply([blur], augment.global_blur_probabilities[1])
    global_crop = crop(recipe.backbone.image_size, crops.global_area)
    ways = [
        transforms.Compose([*global_crop, blur, *finish]),
        transforms.Compose([*global_crop, rarely, solarize, *finish]),
    ]
    often = transforms.RandomApply([blur], augment.local_blur_probability)
    local = transforms.Compose([*crop(crops.local_size, crops.local_area), often, *finish])

    def run(encoded: bytes) -> list[torch.Tensor]:
        image = Image.open(io.BytesIO(encoded)).convert("RGB")
        return [ways[int(torch.rand(()) < 0.5)](image), *(local(image) for _ in range(crops.num_local))]

    return run


def seconds_of(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Least process time of each, in turns, so that a busy machine is busy for all of them."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(ROUNDS):
        for name, run in work.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - started)
    return best


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    recipe = vit_b16()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "s.tar"
        encoded = write_shard(path)
        index = index_shards([path], VIEWS)
        order = CaptionOrder(NUM_CAPTIONS, NUM_CAPTIONS, seed=0)
        by_name = {
            f"loader, decode_sharpness {sharpness:g}": StepDataset(
                index,
                order,
                Cutter(
                    recipe.crops.model_copy(update={"decode_sharpness": sharpness}),
                    recipe.augment,
                    recipe.backbone.image_size,
                ),
            )
            for sharpness in (1.0, 0.75, 0.5)
        }
        pipeline, batch = per_image_pipeline(), next(iter(by_name.values()))[0]

        def decode_all() -> None:
            for image in encoded:
                decode(image)

        def decode_all_with_pillow() -> None:
            for image in encoded:
                Image.open(io.BytesIO(image)).convert("RGB")

        def transform_all() -> None:
            for image in encoded:
                pipeline(image)

        def load(dataset: StepDataset) -> Callable[[], StepBatch]:
            steps = iter(range(1, ROUNDS + 1))
            return lambda: dataset[next(steps)]

        work: dict[str, Callable[[], object]] = {"torchvision transforms per PIL image": transform_all}
        work |= {name: load(dataset) for name, dataset in by_name.items()}
        work["colour of a step, on this CPU"] = lambda: colour_crops(batch, recipe.augment)
        work["JPEG decoding alone, loader's decoder"] = decode_all
        work["JPEG decoding alone, Pillow"] = decode_all_with_pillow
        seconds = seconds_of(work)
    colour = seconds["colour of a step, on this CPU"]
    for name in by_name:
        seconds[f"{name}, and colour on this CPU"] = seconds[name] + colour
    base = seconds["torchvision transforms per PIL image"]
    size = sum(map(len, encoded)) / len(encoded) / 1000
    print(f"{SIDE} px JPEGs of {size:.0f} kB, 1 global + {recipe.crops.num_local} local crops, one core")
    print(f"{'':58} images/s  against torchvision")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{name:58} {len(encoded) / spent:8.0f}  x {base / spent:.1f}")


if __name__ == "__main__":
    main()
