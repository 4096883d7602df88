"""Sampling Stable Diffusion 1.x and 2.x: one batch holds views of any captions, each with noise of its own.

Follows the arithmetic of diffusers' StableDiffusionPipeline; differs in what is shared. A caption is embedded once,
by itself; the empty prompt once per run; timesteps stay off the device, so no step waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synclr_assets.synthesis.diffusion.settings import DiffusersSettings
from synclr_assets.synthesis.diffusion.shrinking_batch import ShrinkingBatch
from synclr_assets.synthesis.model_source import ModelError
from synclr_assets.synthesis.protocols import ImageRequest, RefusedView, UInt8Image

if TYPE_CHECKING:
    import torch

UNSAFE = "unsafe"
KEPT_EMBEDDINGS = 256
IMAGES_PER_DECODING = 8


class OwnLoop:
    """Draws batches with the parts of a StableDiffusionPipeline."""

    def __init__(self, pipeline: Any, settings: DiffusersSettings, size_px: int) -> None:
        """Raises ModelError for networks that need more than noise, time and text, or another image size."""
        factor = pipeline.vae_scale_factor
        if size_px % factor:
            raise ModelError(
                f"size_px {size_px}: the image sampler model draws multiples of {factor} pixels."
            )
        latent_channels = pipeline.vae.config.latent_channels
        if pipeline.unet.config.in_channels != latent_channels or pipeline.unet.config.time_cond_proj_dim:
            raise ModelError(
                "image sampler model: its network takes more than noise, time and text; set loop to pipeline."
            )
        self._pipeline = pipeline
        self._settings = settings
        self._latent_shape = (latent_channels, size_px // factor, size_px // factor)
        self._decoding = ShrinkingBatch(IMAGES_PER_DECODING)
        self._device = pipeline.unet.device
        self._dtype = pipeline.unet.dtype
        self._embeddings: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._empty: torch.Tensor | None = None

    def draw(self, requests: Sequence[ImageRequest]) -> list[UInt8Image | RefusedView]:
        """One uint8 [size_px, size_px, 3] image per request, in order, or the reason there is none."""
        import torch

        with torch.no_grad():
            text = torch.cat([self.embedding(request.text) for request in requests])
            latents = self._denoise(self.noise([request.seed for request in requests]), text)
            return self._decoding.run(list(latents), self._decode)

    def noise(self, seeds: Sequence[int]) -> torch.Tensor:
        """float32 [len(seeds), channels, height, width] on the device; each row from a CPU generator of its own."""
        import torch

        rows = [
            torch.randn(self._latent_shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds
        ]
        return torch.stack(rows).to(self._device)

    def embedding(self, text: str) -> torch.Tensor:
        """[1, tokens, channels]; text beyond the encoder's length is cut off, as the pipeline does."""
        if text in self._embeddings:
            self._embeddings.move_to_end(text)
        else:
            self._embeddings[text] = self._embed(text)
            if len(self._embeddings) > KEPT_EMBEDDINGS:
                self._embeddings.popitem(last=False)
        return self._embeddings[text]

    def _embed(self, text: str) -> torch.Tensor:
        encoder, tokenizer = self._pipeline.text_encoder, self._pipeline.tokenizer
        tokens = tokenizer(
            text,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        masked = getattr(encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask.to(self._device) if masked else None
        states = encoder(tokens.input_ids.to(self._device), attention_mask=mask)[0]
        return states.to(self._dtype)

    def _denoise(self, latents: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Latents at time 0, float32, for noise [batch, channels, height, width] and text [batch, tokens, channels]."""
        import torch

        scheduler, guidance = self._pipeline.scheduler, self._settings.guidance
        guided = guidance > 1.0
        if guided:
            if self._empty is None:
                self._empty = self._embed("")
            text = torch.cat([self._empty.expand_as(text), text])
        scheduler.set_timesteps(
            self._settings.num_steps
        )  # left on the CPU: reading one must not wait for the GPU
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        on_device = scheduler.timesteps.to(self._device)
        latents = latents * scheduler.init_noise_sigma
        for step, timestep in enumerate(scheduler.timesteps):
            seen = scheduler.scale_model_input(latents, timestep).to(self._dtype)
            predicted = self._pipeline.unet(
                torch.cat([seen, seen]) if guided else seen,
                on_device[step],
                encoder_hidden_states=text,
                return_dict=False,
            )[0].float()
            if guided:
                without, with_text = predicted.chunk(2)
                predicted = without + guidance * (with_text - without)
            latents = scheduler.step(predicted, timestep, latents, return_dict=False)[0]
        return latents

    def _decode(self, latents: Sequence[torch.Tensor]) -> list[UInt8Image | RefusedView]:
        """Images of latents [channels, height, width]. What overflowed to NaN comes out black, which is refused."""
        import torch

        vae = self._pipeline.vae
        scaled = torch.stack(list(latents)) / vae.config.scaling_factor
        pixels = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        flags = [False] * len(latents)
        if self._settings.safety_checker:
            flags = self._pipeline.run_safety_checker(pixels.clone(), self._device, self._dtype)[1]
        unit = (pixels.float() / 2 + 0.5).nan_to_num(0.0).clamp(0, 1)
        images: np.ndarray = (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [RefusedView(UNSAFE) if flag else image for image, flag in zip(images, flags, strict=True)]
