"""The figures a quote falls back on: counted from the prompt set and the recipe, or assumed and said to be.

Holds no speed of any machine and no price of any provider: those are measured or given, or stay unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import numpy as np

from synclr_assets.cost.rates import Basis, Figure, Figures, known, number
from synclr_assets.stages.images import ImageSettings
from synclr_assets.synthesis.identity import TEMPLATES, digest_hex, draw
from synclr_assets.synthesis.image_samplers import DIFFUSERS_SIZE_PX, REHEARSAL_SIZE_PX, ImageSamplerSettings
from synclr_assets.synthesis.prompts import ARROW, PromptSet
from synclr_train.recipes import Recipe

PROMPTS_COUNTED = 48
"""Prompts rendered per template to take their mean length."""
JPEG_BITS_PER_PIXEL = ((75, 1.58), (85, 2.14), (90, 2.72), (95, 3.98))
"""(quality, bits per pixel) of 4:4:4 JPEGs of scikit-learn's two sample photographs at 512 px."""
PROBE_EPOCH_IMAGES = 1_281_167
PROBE_EPOCHS = 90
"""ImageNet's training images and the passes of its linear probe (SynCLR App. B)."""
SEGMENTATION_IMAGES = 60_000 * 32
"""Steps times batch of the ADE20k fine-tuning of ViT-B (SynCLR App. B)."""
MINIATURE_IMAGES = 1797
"""Digits of the rehearsal's two evaluations, read once each."""


def assumed_figures(
    prompts: PromptSet, recipe: Recipe, sampler: ImageSamplerSettings, given: Figures
) -> dict[str, Figure]:
    """Every figure that can be counted or assumed, given those that others were derived from."""
    figures: dict[str, Figure] = {}

    def assume(place: str, value: float | str, because: str, basis: Basis = "assumed") -> None:
        figures[place] = Figure(value, basis, because)

    for section in ("captioner", "backgrounds", "images", "training"):
        assume(f"{section}.runs_on", "cpu", "where the rehearsal runs")
        assume(f"{section}.workers", 1, "one at a time")
    assume("captioner.attempts_per_caption", 1.05, "one draw in twenty fails a check")
    assume("captioner.characters_per_token", 4.0, "English under byte-pair tokenizers")
    characters_per_token = known(figures | dict(given), "captioner.characters_per_token")
    for place, (length, because) in prompt_characters(prompts).items():
        reason = f"{because}, {length:.0f} characters at {characters_per_token:g} per token"
        assume(place, length / characters_per_token, reason)
    assume("captioner.row_bytes", 250, "compressed rows of captions and enriched_captions, per caption")
    if (figures | dict(given))["backgrounds.runs_on"].value == "cpu":
        assume("backgrounds.attempts_per_list", 1.0, "a dictionary needs no second try")
        assume("backgrounds.lists_per_second", 1000, "looking up a dictionary")
    else:
        assume("backgrounds.attempts_per_list", 1.05, "one list in twenty fails its checks")
    assume("backgrounds.backgrounds_per_list", 100, "as the paper asked for (SynCLR 3.1)")
    assume("backgrounds.prompt_tokens_per_list", 200, "instructions, the concept and the form of the answer")
    assume("backgrounds.completion_tokens_per_background", 8, "a phrase of a few words, quoted and separated")
    assume("images.draws_per_image", 1.01, "one image in a hundred fails a check and is drawn again")
    _image_figures(figures, sampler, given)
    assume("packing.workers", 1, "one at a time")
    assume("packing.record_bytes", 1000, "caption and provenance of one sample")
    _training_figures(figures, recipe, given)
    assume("prices.usd_per_cpu_hour", 0.0, "this machine's own time")
    return figures


def prompt_characters(prompts: PromptSet) -> dict[str, tuple[float, str]]:
    """(mean characters, how counted) of rendered prompts by template and of solved captions, by figure."""
    counted = {}
    for template in TEMPLATES:
        lengths = [len(_rendered(prompts, template, number)) for number in range(PROMPTS_COUNTED)]
        because = f"{PROMPTS_COUNTED} prompts of set {prompts.version}"
        counted[f"captioner.prompt_tokens.{template}"] = (fmean(lengths), because)
    solved = [line.partition(ARROW)[2] for template in TEMPLATES for line in prompts.examples[template]]
    because = f"the {len(solved)} solved captions of set {prompts.version}, which a base model imitates"
    counted["captioner.completion_tokens"] = (fmean(len(caption) + 1 for caption in solved), because)
    return counted


def jpeg_bytes(size_px: float, quality: float) -> float:
    """Bytes of a photograph of size_px x size_px as a 4:4:4 JPEG, by the table above, its header included."""
    qualities, bits = zip(*JPEG_BITS_PER_PIXEL, strict=True)
    return size_px**2 * float(np.interp(quality, qualities, bits)) / 8 + 620


def _rendered(prompts: PromptSet, template: str, number: int) -> str:
    """A prompt with the query of one of the set's own examples."""
    identity = digest_hex("quote", template, number)
    query = draw("query", identity, choices=prompts.examples[template]).partition(ARROW)[0]
    concept, _, detail = query.rpartition(", ") if template != "c" else (query, "", "")
    return prompts.request(
        caption_id=identity,
        concept=concept,
        template=template,
        relation=detail if template == "c_rel" else None,
        background=detail if template == "c_bg" else None,
        attempt=0,
    ).prompt


def _image_figures(figures: dict[str, Figure], sampler: ImageSamplerSettings, given: Figures) -> None:
    default_px = REHEARSAL_SIZE_PX if sampler.kind == "rehearsal" else DIFFUSERS_SIZE_PX
    figures["images.size_px"] = Figure(
        sampler.size_px or default_px, "counted", f"the {sampler.kind} sampler's size"
    )
    figures["images.jpeg_quality"] = Figure(ImageSettings().quality, "assumed", "the images stage's default")
    both = figures | dict(given)
    size_px, quality = known(both, "images.size_px"), known(both, "images.jpeg_quality")
    because = f"photographs of {size_px:g} px at JPEG quality {quality:g}; drawings differ"
    figures["images.bytes_per_image"] = Figure(jpeg_bytes(size_px, quality), "assumed", because)


def _training_figures(figures: dict[str, Figure], recipe: Recipe, given: Figures) -> None:
    name = recipe.name
    figures["training.recipe"] = Figure(name, "assumed", "the rehearsal profile's")
    figures["training.steps"] = Figure(recipe.steps, "counted", f"recipe {name}")
    figures["training.images_per_step"] = Figure(recipe.batch.num_images, "counted", f"recipe {name}")
    parameters = encoder_parameters(recipe)
    because = f"{parameters / 1e6:.3g} million encoder weights of 4 bytes"
    figures["training.encoder_bytes"] = Figure(4.0 * parameters, "counted", because)
    figures["training.forwards_per_image"] = Figure(
        training_forwards(recipe),
        "counted",
        f"tokens of all crops, a backward as two forwards, over a {recipe.backbone.image_size} px image's",
    )
    is_miniature = name.startswith("rehearsal")
    probe = MINIATURE_IMAGES if is_miniature else PROBE_EPOCH_IMAGES * PROBE_EPOCHS
    segmentation = MINIATURE_IMAGES if is_miniature else SEGMENTATION_IMAGES
    whose = "the rehearsal's digits" if is_miniature else "the paper's protocols (SynCLR App. B)"
    figures["evaluations.start_seconds"] = Figure(10, "assumed", "a process, its imports, fitting the head")
    figures["evaluations.probe_image_passes"] = Figure(probe, "assumed", whose)
    figures["evaluations.segmentation_image_passes"] = Figure(segmentation, "assumed", whose)
    side = recipe.backbone.image_size if is_miniature else 512
    figures["evaluations.segmentation_forwards_per_image"] = Figure(
        3.0 * (side / recipe.backbone.image_size) ** 2,
        "assumed",
        f"forward and backward at {side} px, without the head",
    )
    if number(given, "training.steps") is not None:
        del figures["training.steps"]


def encoder_parameters(recipe: Recipe) -> float:
    """Weights of the backbone: twelve squares of the width per block, and the patch embedding."""
    backbone = recipe.backbone
    width = backbone.embed_dim
    return 12.0 * width**2 * backbone.depth + 3 * backbone.patch_size**2 * width


def training_forwards(recipe: Recipe) -> float:
    """Forwards of one whole image that a training image costs, counted in patch tokens; heads left out."""
    crops, patch = recipe.crops, recipe.backbone.patch_size
    one = recipe.backbone.num_patches
    seen = crops.num_global * one + crops.num_local * (crops.local_size // patch) ** 2
    taught = crops.num_global * one if recipe.ema_teacher else 0
    return (3.0 * seen + taught) / one


def layered(*layers: Mapping[str, Figure]) -> dict[str, Figure]:
    """Figures by place, the later layer replacing the earlier one."""
    merged: dict[str, Figure] = {}
    for layer in layers:
        merged |= layer
    return merged
