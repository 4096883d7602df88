"""The `diffusers` image sampler: weights on first use, batches that fit, provenance of what it draws (SynCLR 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from synclr_assets.synthesis.diffusion.loading import WHAT, load_pipeline
from synclr_assets.synthesis.diffusion.own_loop import OwnLoop
from synclr_assets.synthesis.diffusion.pipeline_loop import PipelineLoop
from synclr_assets.synthesis.diffusion.settings import (
    DEFAULT_LICENCE,
    DEFAULT_MODEL,
    DEFAULT_REVISION,
    DiffusersSettings,
)
from synclr_assets.synthesis.diffusion.shrinking_batch import ShrinkingBatch
from synclr_assets.synthesis.model_source import ModelError, ModelSource, resolve_model
from synclr_assets.synthesis.protocols import (
    ImageRequest,
    ModelProvenance,
    RefusedView,
    UInt8Image,
    settings_fingerprint,
)

if TYPE_CHECKING:
    import torch

PIXELS_PER_GPU_BATCH = 32 * 512**2
PIXELS_PER_CPU_BATCH = 8 * 512**2
MAX_IMAGES_PER_BATCH = 32
"""Unless settings say otherwise: small images go together in larger batches, up to this many."""


class DiffusersSampler:
    """Draws views with a text-to-image pipeline, which is loaded by the first `sample`.

    Every view has a noise generator of its own, seeded by its request, and every caption is embedded by itself, so
    batches share nothing but arithmetic: kernels may sum in another order at another batch size. On a CPU in float32
    that moves no pixel by more than 2 of 255 (measured: 0 or 1); on a GPU in float16 it is rounding of that type, and
    images of one batch size repeat.
    """

    def __init__(
        self,
        source: ModelSource,
        settings: DiffusersSettings,
        size_px: int,
        load: Callable[[torch.device, torch.dtype], Any],
    ) -> None:
        """`load` gives the pipeline, ready on its device. Raises ModelError for a device that is not there."""
        device = _device(settings.device)
        dtype = _dtype_name(settings, device)
        self._settings = settings
        self._load = load
        self._device = device
        self._dtype_name = dtype
        self._loop: OwnLoop | PipelineLoop | None = None
        self._batch = ShrinkingBatch(
            settings.images_per_batch or _images_per_batch(device, size_px), pad=settings.compile
        )
        self.size_px = size_px
        self.num_gpus = int(device.type == "cuda")
        self.provenance = ModelProvenance(
            model=source.name,
            revision=source.revision,
            licence=source.licence,
            fingerprint=settings_fingerprint(
                source.name,
                source.revision,
                size_px=size_px,
                num_steps=settings.num_steps,
                guidance=settings.guidance,
                scheduler=settings.scheduler,
                loop=settings.loop,
                safety_checker=int(settings.safety_checker),
                dtype=dtype,
            ),
        )

    @property
    def images_per_batch(self) -> int:
        """Views denoised together; fewer than the settings say once memory ran out."""
        return self._batch.size

    def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
        """One uint8 [size_px, size_px, 3] image per request, in order, or the reason there is none.

        Raises ModelError where the model cannot be loaded, OutOfMemoryError where one view does not fit.
        """
        if self._loop is None:
            self._loop = self._make_loop()
        return self._batch.run(requests, self._loop.draw)

    def _make_loop(self) -> OwnLoop | PipelineLoop:
        import torch

        pipeline = self._load(self._device, getattr(torch, self._dtype_name))
        if self._settings.loop == "own":
            return OwnLoop(pipeline, self._settings, self.size_px)
        return PipelineLoop(pipeline, self._settings, self.size_px)


def make_diffusers_sampler(settings: DiffusersSettings, size_px: int) -> DiffusersSampler:
    """The sampler these settings name, its weights not yet loaded. Raises ModelError."""
    is_default = settings.model == DEFAULT_MODEL
    revision = settings.revision or (DEFAULT_REVISION if is_default else None)
    licence = settings.licence or (DEFAULT_LICENCE if is_default else None)
    source = resolve_model(WHAT, settings.model, revision, licence)
    return DiffusersSampler(
        source, settings, size_px, lambda device, dtype: load_pipeline(source, settings, device, dtype)
    )


def _device(name: str | None) -> torch.device:
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(
            f"image sampler device {name!r} is unknown; name cpu, cuda or cuda:<index>."
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"image sampler device {name!r}: torch sees {torch.cuda.device_count()} GPUs; set device to cpu or "
            "leave it out."
        )
    return device


def _images_per_batch(device: torch.device, size_px: int) -> int:
    pixels = PIXELS_PER_GPU_BATCH if device.type == "cuda" else PIXELS_PER_CPU_BATCH
    return max(1, min(pixels // size_px**2, MAX_IMAGES_PER_BATCH))


def _dtype_name(settings: DiffusersSettings, device: torch.device) -> str:
    if settings.dtype != "auto":
        return settings.dtype
    return "float16" if device.type == "cuda" else "float32"
