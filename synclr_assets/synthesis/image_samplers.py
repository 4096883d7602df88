"""The image samplers a configuration may name, and making one from its settings."""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.painter import RehearsalPainter
from synclr_assets.synthesis.protocols import ImageSampler

REHEARSAL_SIZE_PX = 48
DIFFUSERS_SIZE_PX = 512


class ImageSamplerSettings(BaseModel):
    """Which sampler draws the images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "rehearsal"
    """One of `IMAGE_SAMPLER_KINDS`."""
    size_px: int | None = Field(default=None, ge=24, le=2048)
    """Height and width of every image, in pixels; None for 48 (rehearsal) or 512 (diffusers, SynCLR 3.2)."""
    diffusers: DiffusersSettings | None = None
    """Model and sampling of kind `diffusers`; None for the paper's."""


def make_image_sampler(settings: ImageSamplerSettings) -> ImageSampler:
    """The sampler these settings name. Raises ValueError for an unknown kind or a model that cannot be used."""
    if settings.kind not in _MAKERS:
        known = ", ".join(IMAGE_SAMPLER_KINDS)
        raise ValueError(f"image sampler kind {settings.kind!r} is unknown; use one of: {known}.")
    return _MAKERS[settings.kind](settings)


def _rehearsal(settings: ImageSamplerSettings) -> ImageSampler:
    if settings.diffusers is not None:
        raise ValueError("image sampler kind 'rehearsal' has no diffusers settings; set kind to diffusers.")
    return RehearsalPainter(settings.size_px or REHEARSAL_SIZE_PX)


def _diffusers(settings: ImageSamplerSettings) -> ImageSampler:
    from synclr_assets.synthesis.diffusion.sampler import make_diffusers_sampler

    return make_diffusers_sampler(
        settings.diffusers or DiffusersSettings(), settings.size_px or DIFFUSERS_SIZE_PX
    )


_MAKERS: Mapping[str, Callable[[ImageSamplerSettings], ImageSampler]] = {
    "rehearsal": _rehearsal,
    "diffusers": _diffusers,
}
IMAGE_SAMPLER_KINDS = tuple(_MAKERS)
