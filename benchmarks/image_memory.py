"""Peak memory of the images stage over one bucket: `python -m benchmarks.image_memory CAPTIONS` prints it in bytes.

Random pixels stand for the model, whose own memory does not know the bucket; the stage and the store are the real
ones. An image is about 100 kB, so that one kept per caption would show.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synclr_assets.synthesis.protocols import ImageRequest, ModelProvenance, UInt8Image

SIZE_PX = 256
CAPTIONS_PER_COMMIT = 16


class RandomPixels:
    """An image sampler whose pictures are noise of their seeds."""

    provenance = ModelProvenance("random-pixels", "1", "CC0-1.0", "random-pixels")
    size_px = SIZE_PX
    images_per_batch = 16
    num_gpus = 0

    def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image]:
        """One uint8 [256, 256, 3] image per request."""
        shape = (SIZE_PX, SIZE_PX, 3)
        return [np.random.default_rng(r.seed).integers(0, 256, shape, dtype=np.uint8) for r in requests]


def draw_bucket(num_captions: int, folder: Path) -> None:
    """Concepts to images of a bucket of so many captions, in a store below the folder."""
    from synclr_assets.concept_bank.bank import read_bank
    from synclr_assets.stages.captions import write_captions
    from synclr_assets.stages.concepts import write_concepts
    from synclr_assets.stages.enriched_captions import write_enriched_captions
    from synclr_assets.stages.images import ImageSettings, write_images
    from synclr_assets.store.store import Store
    from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
    from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner

    names = ", ".join(f"thing{number}" for number in range(24))
    (folder / "concepts").mkdir()
    (folder / "concepts" / "things.yaml").write_text(f"captions: {num_captions}\nconcepts: [{names}]\n")
    store = Store(folder / "store")
    unit = write_concepts(store, read_bank(folder / "concepts").buckets["things"])
    captioner, prompts = make_captioner(CaptionerSettings()), CaptionerSettings().prompts()
    write_captions(store, unit, captioner, prompts)
    write_enriched_captions(store, unit, captioner, make_background_writer(BackgroundSettings()), prompts)
    counts = write_images(store, unit, RandomPixels(), ImageSettings(captions_per_commit=CAPTIONS_PER_COMMIT))
    assert counts.written + counts.num_quarantined == counts.allocated


def peak_bytes(num_captions: int) -> int:
    """Peak resident memory of a process of its own that draws such a bucket."""
    command = [sys.executable, "-m", "benchmarks.image_memory", str(num_captions)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(finished.stdout.split()[-1])


def own_peak_bytes() -> int:
    """Peak resident memory of this process. Linux's rusage would count that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    in_bytes = sys.platform == "darwin"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if in_bytes else 1024)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        draw_bucket(int(sys.argv[1]), Path(scratch))
    print(own_peak_bytes())
