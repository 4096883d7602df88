"""The image samplers a configuration may name, and making one from its settings."""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.synthesis.painter import RehearsalPainter
from synclr_assets.synthesis.protocols import ImageSampler


class ImageSamplerSettings(BaseModel):
    """Which sampler draws the images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "rehearsal"
    """One of `IMAGE_SAMPLER_KINDS`."""
    size_px: int = Field(default=48, ge=24, le=512)
    """Height and width of every image, in pixels."""


def make_image_sampler(settings: ImageSamplerSettings) -> ImageSampler:
    """The sampler these settings name. Raises ValueError for an unknown kind."""
    if settings.kind not in _MAKERS:
        known = ", ".join(IMAGE_SAMPLER_KINDS)
        raise ValueError(f"image sampler kind {settings.kind!r} is unknown; use one of: {known}.")
    return _MAKERS[settings.kind](settings)


def _rehearsal(settings: ImageSamplerSettings) -> ImageSampler:
    return RehearsalPainter(settings.size_px)


_MAKERS: Mapping[str, Callable[[ImageSamplerSettings], ImageSampler]] = {"rehearsal": _rehearsal}
IMAGE_SAMPLER_KINDS = tuple(_MAKERS)
