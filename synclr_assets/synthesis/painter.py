"""The rehearsal image sampler: a procedural painter that draws what the caption says, without weights or GPU.

It stands where Stable Diffusion stands in SynCLR 3.2; its pictures are drawings, not photographs.
"""

from collections.abc import Sequence

from synclr_assets.synthesis.painting.composition import paint_scene
from synclr_assets.synthesis.painting.draws import Draws
from synclr_assets.synthesis.painting.scene import read_scene
from synclr_assets.synthesis.protocols import ImageRequest, ModelProvenance, UInt8Image, settings_fingerprint

REVISION = "1"
"""Raised whenever the same request would be painted differently."""


class RehearsalPainter:
    """Paints each request by itself: text, concept, caption id, view, reseed and seed decide every pixel."""

    images_per_batch = 64
    num_gpus = 0

    def __init__(self, size_px: int = 48) -> None:
        self.size_px = size_px
        self.provenance = ModelProvenance(
            model="rehearsal-painter",
            revision=REVISION,
            licence="Apache-2.0",
            fingerprint=settings_fingerprint("rehearsal-painter", REVISION, size_px=size_px),
        )

    def sample(self, requests: Sequence[ImageRequest]) -> list[UInt8Image]:
        """One uint8 [size_px, size_px, 3] image per request, in order."""
        return [self._paint(request) for request in requests]

    def _paint(self, request: ImageRequest) -> UInt8Image:
        scene = read_scene(request.text, request.concept)
        draws = Draws.of_keys(
            caption_key=f"{request.caption_id}/{request.text}",
            view_key=f"{request.caption_id}/{request.view}/{request.reseed}/{request.seed}",
        )
        return paint_scene(scene, draws, self.size_px)
