"""Sampling with a pipeline's own call, for pipelines whose parts this project does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synclr_assets.synthesis.diffusion.own_loop import UNSAFE
from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.protocols import ImageRequest, RefusedView, UInt8Image


class PipelineLoop:
    """Calls the pipeline with one prompt and one CPU generator per view, so that a view keeps its noise."""

    def __init__(self, pipeline: Any, settings: DiffusersSettings, size_px: int) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._size_px = size_px

    def draw(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
        """One uint8 [size_px, size_px, 3] image per request, in order, or the reason there is none."""
        import torch

        output = self._pipeline(
            prompt=[request.text for request in requests],
            generator=[torch.Generator().manual_seed(request.seed) for request in requests],
            num_inference_steps=self._settings.num_steps,
            guidance_scale=self._settings.guidance,
            height=self._size_px,
            width=self._size_px,
            output_type="np",
        )
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(requests)
        images = (np.nan_to_num(output.images).clip(0, 1) * 255).round().astype(np.uint8)
        return [RefusedView(UNSAFE) if flag else image for image, flag in zip(images, flags, strict=True)]
