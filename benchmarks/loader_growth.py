"""Steps per second, start and memory of the loader as shards grow a hundredfold: `python -m benchmarks.loader_growth`.

Each number of shards is read by a process of its own with a kept index. Flat is the aim.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.image_memory import own_peak_bytes
from benchmarks.loader import VIEWS, write_shard

CAPTIONS_PER_SHARD, CAPTIONS_PER_STEP, STEPS = 8, 8, 24
SHARD_COUNTS = (2, 20, 200)


def measure(folder: Path, num_shards: int) -> None:
    """Print start and step times and the peak memory of reading the first `num_shards` shards."""
    import torch

    from synclr_train.batches import StepDataset
    from synclr_train.caption_order import CaptionOrder
    from synclr_train.cropping import Cutter
    from synclr_train.recipes import vit_b16
    from synclr_train.shards import index_shards

    torch.set_num_threads(1)
    recipe, started = vit_b16(), time.perf_counter()
    index = index_shards(sorted(folder.glob("*.tar"))[:num_shards], VIEWS, cache_dir=folder / "cache")
    order = CaptionOrder(index.num_captions, CAPTIONS_PER_STEP, seed=0)
    dataset = StepDataset(index, order, Cutter(recipe.crops, recipe.augment, recipe.backbone.image_size))
    dataset[0]
    ready, cpu = time.perf_counter(), time.process_time()
    for step in range(1, STEPS + 1):
        dataset[step]
    print(ready - started, (time.process_time() - cpu) / STEPS, own_peak_bytes())


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_shard(folder / "0000.tar", CAPTIONS_PER_SHARD)
        for number in range(1, SHARD_COUNTS[-1]):
            shutil.copy(folder / "0000.tar", folder / f"{number:04d}.tar")
        print(
            f"{'shards':>8} {'captions':>9} {'first start':>12} {'next start':>11} {'steps/s':>8} {'peak MB':>8}"
        )
        for num_shards in SHARD_COUNTS:
            command = [sys.executable, "-m", "benchmarks.loader_growth", str(folder), str(num_shards)]
            runs = [
                [
                    float(word)
                    for word in subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()
                ]
                for _ in range(2)
            ]
            (first_start, *_), (next_start, seconds, peak) = runs
            print(
                f"{num_shards:8} {num_shards * CAPTIONS_PER_SHARD:9} {first_start:10.2f} s {next_start:9.2f} s "
                f"{1 / seconds:8.2f} {peak / 2**20:8.0f}"
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
