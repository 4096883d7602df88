"""Stable Diffusion pipelines and CLIP models with random weights, at a named size. Nothing is downloaded.

The architectures are the real ones; only sizes, weights and the tokenizer's vocabulary are made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

BYTE_SYMBOLS = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
"""The 256 characters that byte-level BPE writes bytes as (Radford et al. 2019)."""
SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")


@dataclass(frozen=True)
class PipelineSize:
    """Sizes of a StableDiffusionPipeline's parts."""

    size_px: int
    """Height and width of its images, in pixels."""
    unet_channels: tuple[int, ...]
    """Channels per resolution; all but the last resolution have cross-attention."""
    unet_layers: int
    attention_heads: int
    vae_channels: tuple[int, ...]
    """Channels per resolution; each but the last halves the image."""
    vae_layers: int
    text_width: int
    text_layers: int
    text_heads: int
    text_tokens: int
    norm_groups: int


SIZES = {
    "tiny": PipelineSize(32, (16, 32), 1, 2, (8, 16, 16), 1, 32, 2, 2, 24, 8),
    "small": PipelineSize(64, (32, 64, 64), 1, 4, (16, 32, 32), 1, 64, 2, 4, 77, 16),
    "sd15": PipelineSize(512, (320, 640, 1280, 1280), 2, 8, (128, 256, 512, 512), 2, 768, 12, 12, 77, 32),
}


def make_pipeline(size: PipelineSize, *, safety_checker: bool = False, seed: int = 0) -> Any:
    """A StableDiffusionPipeline with random weights, float32 on the CPU."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    levels = len(size.unet_channels)
    tokenizer = make_tokenizer(size.text_tokens)
    unet = UNet2DConditionModel(
        sample_size=size.size_px // 2 ** (len(size.vae_channels) - 1),
        block_out_channels=size.unet_channels,
        layers_per_block=size.unet_layers,
        down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        cross_attention_dim=size.text_width,
        attention_head_dim=size.attention_heads,
        norm_num_groups=size.norm_groups,
    )
    vae = AutoencoderKL(
        block_out_channels=size.vae_channels,
        down_block_types=("DownEncoderBlock2D",) * len(size.vae_channels),
        up_block_types=("UpDecoderBlock2D",) * len(size.vae_channels),
        layers_per_block=size.vae_layers,
        norm_num_groups=min(size.norm_groups, size.vae_channels[0]),
        sample_size=size.size_px,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.text_width,
            intermediate_size=4 * size.text_width,
            num_hidden_layers=size.text_layers,
            num_attention_heads=size.text_heads,
            max_position_embeddings=size.text_tokens,
            projection_dim=size.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    checker, extractor = _safety_parts() if safety_checker else (None, None)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=checker,
        feature_extractor=extractor,
        requires_safety_checker=safety_checker,
    )
    parts: list[Any] = [unet, vae, text_encoder]
    for part in parts:
        part.eval()
    return pipeline


def make_tokenizer(num_tokens: int) -> Any:
    """A CLIPTokenizer whose words are spelled byte by byte, cut at `num_tokens`."""
    from transformers import CLIPTokenizer

    words = [*BYTE_SYMBOLS, *(symbol + "</w>" for symbol in BYTE_SYMBOLS), *SPECIAL_TOKENS]
    return CLIPTokenizer(
        vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=num_tokens
    )


def save_clip(folder: Path, *, size_px: int = 32, seed: int = 0) -> Path:
    """A CLIPModel with random weights, its tokenizer and image processor, as an ordinary model folder."""
    import torch
    from transformers import CLIPModel

    torch.manual_seed(seed)
    tokenizer = make_tokenizer(24)
    CLIPModel(_clip_config(tokenizer, size_px)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _image_processor(size_px).save_pretrained(folder)
    return folder


def _clip_config(tokenizer: Any, size_px: int) -> Any:
    from transformers import CLIPConfig

    shared = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **shared,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**shared, "image_size": size_px, "patch_size": size_px // 4}
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)


def _image_processor(size_px: int) -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"shortest_edge": size_px}, crop_size={"height": size_px, "width": size_px}
    )


def _safety_parts() -> tuple[Any, Any]:
    """A safety checker that flags nothing: no picture comes nearer to its concepts than a cosine of 2."""
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    checker = StableDiffusionSafetyChecker(_clip_config(make_tokenizer(24), 32))
    with torch.no_grad():
        for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
            weights.fill_(2.0)
    return checker.eval(), _image_processor(32)
