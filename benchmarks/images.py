"""Image sampling against a plain pipeline call per caption, its overhead, and its memory as a bucket grows.

`python -m benchmarks.images` measures ratios on any machine; `--size sd15` measures seconds per image of a
Stable Diffusion 1.5-sized pipeline with random weights on a GPU. Downloads nothing.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.image_memory import peak_bytes
from benchmarks.random_diffusion import SIZES, PipelineSize, make_pipeline
from synclr_assets.synthesis.diffusion.loading import prepare_networks, use_scheduler
from synclr_assets.synthesis.diffusion.sampler import DiffusersSampler
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.encoding import decode, encode_jpeg
from synclr_assets.synthesis.identity import caption_id
from synclr_assets.synthesis.image_checks import check_group, perceptual_hash
from synclr_assets.synthesis.model_source import ModelSource
from synclr_assets.synthesis.positive_groups import (
    VIEWS_PER_CAPTION,
    CaptionToDraw,
    GroupRules,
    PositiveGroup,
    draw_groups,
)

RULES = GroupRules("jpeg", 95, max_reseeds=4)
SOURCE = ModelSource("random", None, "random", "none", "CC0-1.0")
AIMED_SPEEDUP, AIMED_OVERHEAD, AIMED_GROWTH = 1.5, 0.05, 1.1
MEMORY_CAPTIONS = 96
SD15_BATCHES = (4, 8, 16, 32, 64)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny", help="size of the pipeline")
    parser.add_argument("--captions", type=int, default=32, help="captions per measurement")
    parser.add_argument("--steps", type=int, default=50, help="denoising steps")
    parser.add_argument("--batch", type=int, default=None, help="views per batch of the sampler")
    parser.add_argument("--repeats", type=int, default=3, help="measurements, of which the fastest counts")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default=None)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=SD15_BATCHES, help="batch sizes of --size sd15"
    )
    parser.add_argument("--compile", action="store_true", help="compile the network (--size sd15)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    if arguments.size == "sd15":
        measure_gpu(arguments)
    else:
        measure_ratios(arguments)


def measure_ratios(arguments: argparse.Namespace) -> None:
    """Speed, overhead and memory, each as a ratio with what is aimed at."""
    size = SIZES[arguments.size]
    sampler = sampler_of(arguments, size, arguments.steps)
    plain, ours, shares = [], [], []
    list_groups(sampler, 2)
    plain_call(sampler, captions(1), arguments.steps)
    for _ in range(arguments.repeats):  # taken in turn, so that a busy machine slows both
        plain.append(seconds_of(lambda: plain_call(sampler, captions(arguments.captions), arguments.steps)))
        with network_seconds(pipeline_of(sampler)) as network:
            ours.append(seconds_of(lambda: list_groups(sampler, arguments.captions)))
        shares.append(1 - network() / ours[-1])
    num_images = arguments.captions * VIEWS_PER_CAPTION
    small, large = (peak_bytes(factor * MEMORY_CAPTIONS) for factor in (1, 10))
    print(
        f"{arguments.size} pipeline, {size.size_px} px, {arguments.steps} steps, {num_images} images, "
        f"batches of {sampler.images_per_batch}, random weights\n"
    )
    print(f"{'':58}{'measured':>10}{'aim':>10}")
    print(f"{'plain call per caption, images/s':58}{num_images / min(plain):10.2f}{'':>10}")
    print(f"{'this sampler, encoded and checked, images/s':58}{num_images / min(ours):10.2f}{'':>10}")
    row("this sampler / plain call", min(plain) / min(ours), f">= {AIMED_SPEEDUP}")
    row("share of time outside UNet and VAE", min(shares), f"<= {AIMED_OVERHEAD}")
    row(
        f"peak memory, {10 * MEMORY_CAPTIONS} captions / {MEMORY_CAPTIONS}",
        large / small,
        f"<= {AIMED_GROWTH}",
    )
    print(f"peak memory of the images stage: {small / 1e6:.0f} MB and {large / 1e6:.0f} MB")


def measure_gpu(arguments: argparse.Namespace) -> None:
    """Seconds per image of an SD 1.5-sized pipeline on a GPU."""
    import torch

    if not torch.cuda.is_available():
        sys.exit(
            "benchmarks.images --size sd15 needs a GPU that torch sees; leave --size out for the CPU's ratios."
        )
    measure_batches(arguments)


def measure_batches(arguments: argparse.Namespace) -> None:
    """Seconds per image of a pipeline, by precision and batch size, against the plain call with 4 images."""
    import torch

    on_gpu = torch.cuda.is_available()
    place = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads"
    size_px = SIZES[arguments.size].size_px
    print(f"{arguments.size}, {place}, torch {torch.__version__}, {size_px} px, {arguments.steps} steps")
    print(
        f"{'dtype':10}{'batch':>8}{'s/image':>10}{'images/s':>10}{'vs plain':>10}{'outside':>10}{'peak GB':>10}"
    )
    for dtype in [arguments.dtype] if arguments.dtype else ["float16", "bfloat16"] if on_gpu else ["float32"]:
        plain = plain_seconds(arguments, dtype)
        print(f"{dtype:10}{'plain 4':>8}{plain:10.3f}{1 / plain:10.2f}", flush=True)
        for batch in arguments.batches:
            measure_batch(arguments, dtype, batch, plain)


def plain_seconds(arguments: argparse.Namespace, dtype: str) -> float:
    """Seconds per image of the plain call."""
    size = SIZES[arguments.size]
    sampler = sampler_of(arguments, size, arguments.steps, dtype=dtype, images_per_batch=1)
    sampler.sample(requests_of(1))
    plain_call(sampler, captions(1), 2)
    seconds = seconds_of(lambda: plain_call(sampler, captions(2), arguments.steps))
    return seconds / (2 * VIEWS_PER_CAPTION)


def measure_batch(arguments: argparse.Namespace, dtype: str, batch: int, plain: float) -> None:
    """One line: two batches of whole groups, after one batch to warm up. Peak memory is the GPU's."""
    import torch

    on_gpu = torch.cuda.is_available()
    torch.cuda.empty_cache()
    options = {"channels_last": True, "compile": arguments.compile, "images_per_batch": batch}
    sampler = sampler_of(arguments, SIZES[arguments.size], arguments.steps, dtype=dtype, **options)
    sampler.sample(requests_of(batch))
    num_captions = max(1, 2 * batch // VIEWS_PER_CAPTION)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if arguments.compile:  # timing hooks would be compiled into the network
        seconds, outside = seconds_of(lambda: list_groups(sampler, num_captions)), "-"
    else:
        with network_seconds(pipeline_of(sampler)) as network:
            seconds = seconds_of(lambda: list_groups(sampler, num_captions))
        outside = f"{1 - network() / seconds:.3f}"
    per_image = seconds / (num_captions * VIEWS_PER_CAPTION)
    peak_gb = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if on_gpu else "-"
    print(
        f"{dtype:10}{sampler.images_per_batch:8}{per_image:10.3f}{1 / per_image:10.2f}"
        f"{plain / per_image:10.2f}{outside:>10}{peak_gb:>10}",
        flush=True,
    )


def sampler_of(
    arguments: argparse.Namespace, size: PipelineSize, num_steps: int, **options: Any
) -> DiffusersSampler:
    """The sampler over a pipeline with random weights, made in memory."""
    chosen: dict[str, Any] = {
        "images_per_batch": arguments.batch,
        "dtype": arguments.dtype or "auto",
    } | options
    settings = DiffusersSettings(model="random", num_steps=num_steps, **chosen)

    def load(device: Any, dtype: Any) -> Any:
        with device:  # weights are drawn where they stay
            pipeline = make_pipeline(size)
        pipeline.set_progress_bar_config(disable=True)
        use_scheduler(pipeline, settings, "random")
        prepare_networks(pipeline, settings)
        return pipeline.to(device, dtype)

    return DiffusersSampler(SOURCE, settings, size.size_px, load)


def captions(count: int) -> Iterator[CaptionToDraw]:
    """Captions of different things."""
    for number in range(count):
        identity = caption_id("bench", 0, "apple", "c", number)
        yield CaptionToDraw(
            number, identity, f"A photograph of apple number {number} on an old table.", "apple"
        )


def requests_of(count: int) -> list[Any]:
    """Requests for `count` first views."""
    return [PositiveGroup(caption).request(0) for caption in captions(count)]


def list_groups(sampler: DiffusersSampler, num_captions: int) -> None:
    """Draw, encode and check whole groups; keep none."""
    for group in draw_groups(sampler, captions(num_captions), RULES):
        assert group.reason is None, group.reason


def plain_call(sampler: DiffusersSampler, wanted: Iterator[CaptionToDraw], num_steps: int) -> None:
    """What one would write without this project: the pipeline called per caption for four images, which are then
    encoded and checked alike."""
    import torch

    pipeline = pipeline_of(sampler)
    for caption in wanted:
        seed = int(caption.caption_id, 16) % 2**31
        made = pipeline(
            prompt=caption.text,
            num_images_per_prompt=VIEWS_PER_CAPTION,
            num_inference_steps=num_steps,
            guidance_scale=2.5,
            height=sampler.size_px,
            width=sampler.size_px,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images
        images = [decode(encode_jpeg(image)) for image in (made * 255).round().astype("uint8")]
        assert check_group(images, sampler.size_px) == [None] * VIEWS_PER_CAPTION
        for image in images:
            perceptual_hash(image)


def pipeline_of(sampler: DiffusersSampler) -> Any:
    """The pipeline that the sampler loaded."""
    loop = sampler._loop
    assert loop is not None, "nothing was sampled yet"
    return loop._pipeline


@contextmanager
def network_seconds(pipeline: Any) -> Iterator[Callable[[], float]]:
    """Time spent in UNet and VAE decoder, by CUDA events on a GPU; read it after the block."""
    import torch

    on_gpu = pipeline.unet.device.type == "cuda"
    spans: list[tuple[Any, Any]] = []

    def now() -> Any:
        if not on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    starts: list[Any] = []
    handles = []
    for network in (pipeline.unet, pipeline.vae.post_quant_conv, pipeline.vae.decoder):
        handles.append(network.register_forward_pre_hook(lambda *_: starts.append(now())))
        handles.append(network.register_forward_hook(lambda *_: spans.append((starts.pop(), now()))))

    def total() -> float:
        if on_gpu:
            torch.cuda.synchronize()
            return sum(start.elapsed_time(end) for start, end in spans) / 1000
        return sum(end - start for start, end in spans)

    try:
        yield total
    finally:
        for handle in handles:
            handle.remove()


def seconds_of(work: Callable[[], None]) -> float:
    """Wall time of a call, the device's work included."""
    import torch

    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def row(what: str, measured: float, aim: str) -> None:
    """One ratio of the table."""
    print(f"{what:58}{measured:10.3f}{aim:>10}")


if __name__ == "__main__":
    main()
