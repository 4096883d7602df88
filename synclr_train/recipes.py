"""Named, complete recipes. The paper's numbers are written here once; a derived recipe states what differs.

Imports no torch: an orchestrator may read recipes without the trainer's dependencies.
"""

from collections.abc import Callable
from types import MappingProxyType

from synclr_train.config import (
    AugmentConfig,
    BackboneConfig,
    BatchConfig,
    ContrastiveConfig,
    CropsConfig,
    Departure,
    HeadsConfig,
    IbotConfig,
    OptimiserConfig,
    Recipe,
)

__all__ = [
    "RECIPES",
    "Departure",
    "Recipe",
    "get_recipe",
    "rehearsal",
    "rehearsal_simclr",
    "vit_b16",
    "vit_l14",
    "vit_s16",
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

UNSTATED = (
    Departure(
        what="augment.downsample_probability, augment.downsample_sizes",
        paper="names StableRep's random down-sampling without its numbers",
        here="5 % of the images, to 64 or 128 px",
        why="these are the values in StableRep's published training command",
    ),
    Departure(
        what="export_network",
        paper="does not say which network is evaluated",
        here="the EMA teacher",
        why="it is the network that DINO and iBOT evaluate",
    ),
)


def vit_b16() -> Recipe:
    """ViT-B/16 on SynCaps-150M (SynCLR 3.4, table 12)."""
    return Recipe(
        name="vit_b16",
        objective="synclr",
        ema_teacher=True,
        backbone=BackboneConfig(
            stem="patch",
            image_size=224,
            patch_size=16,
            embed_dim=768,
            depth=12,
            num_heads=12,
            pooling="token",
            drop_path_rate=0.1,
        ),
        crops=CropsConfig(
            decode_sharpness=1.0,
            num_global=1,
            global_area=(0.32, 1.0),
            num_local=4,
            local_area=(0.08, 0.32),
            local_size=96,
            aspect_ratio=(3 / 4, 4 / 3),
        ),
        augment=AugmentConfig(
            downsample_probability=0.05,
            downsample_sizes=(64, 128),
            flip_probability=0.5,
            jitter_probability=0.8,
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=0.1,
            grey_probability=0.2,
            global_blur_probabilities=(1.0, 0.1),
            global_solarize_probabilities=(0.0, 0.2),
            local_blur_probability=0.5,
            blur_kernel_size=9,
            blur_sigma=(0.1, 2.0),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
        heads=HeadsConfig(
            hidden_dim=4096, output_dim=256, projector_layers=3, predictor_layers=2, norm="layer"
        ),
        contrastive=ContrastiveConfig(temperature=0.08, exclude_own_image_for_locals=False),
        ibot=IbotConfig(
            num_prototypes=65_536,
            hidden_dim=2048,
            bottleneck_dim=256,
            masked_image_share=0.5,
            masked_patch_share=0.5,
            student_temperature=0.1,
            teacher_temperature_start=0.04,
            teacher_temperature_end=0.07,
            teacher_temperature_steps=4000,
            sinkhorn_iterations=3,
        ),
        optimiser=OptimiserConfig(
            peak_learning_rate=2e-3,
            reference_captions_per_batch=8192,
            warmup_steps=80_000,
            betas=(0.9, 0.999),
            weight_decay_start=0.04,
            weight_decay_end=0.2,
            gradient_clip_norm=None,
            ema_momentum_start=0.994,
            ema_momentum_end=1.0,
        ),
        batch=BatchConfig(captions=8192, views_per_caption=4),
        steps=500_000,
        seed=0,
        precision="auto",
        export_network="teacher",
        devices=1,
        strategy="auto",
        num_workers=8,
        encoded_cache_bytes=0,
        max_quarantined_share=0.01,
        log_every_steps=50,
        checkpoint_every_steps=1000,
        departures=UNSTATED,
    )


def vit_l14() -> Recipe:
    """ViT-L/14 on SynCaps-150M (SynCLR 3.4, table 12)."""
    base = vit_b16()
    return base.varied(
        name="vit_l14",
        backbone=base.backbone.model_copy(
            update={"patch_size": 14, "embed_dim": 1024, "depth": 24, "num_heads": 16, "drop_path_rate": 0.4}
        ),
        crops=base.crops.model_copy(update={"local_size": 98}),
        optimiser=base.optimiser.model_copy(update={"peak_learning_rate": 1.5e-3}),
        departures=(
            *UNSTATED,
            Departure(
                what="crops.local_size",
                paper="96 px local crops",
                here="98 px",
                why="96 is no multiple of the 14 px patch",
            ),
        ),
    )


def vit_s16() -> Recipe:
    """ViT-S/16: no model of the paper; ViT-B/16's recipe with the smaller network."""
    base = vit_b16()
    return base.varied(
        name="vit_s16",
        backbone=base.backbone.model_copy(update={"embed_dim": 384, "num_heads": 6}),
        departures=(
            *UNSTATED,
            Departure(
                what="backbone",
                paper="trains ViT-B/16 and ViT-L/14 only",
                here="ViT-S/16 with every other number of ViT-B/16",
                why="a model for one GPU; its numbers are derived, not published",
            ),
        ),
    )


def rehearsal() -> Recipe:
    """The method in miniature: 32 px drawings, two CPU cores, under two minutes."""
    return Recipe(
        name="rehearsal",
        objective="synclr",
        ema_teacher=True,
        backbone=BackboneConfig(
            stem="conv",
            image_size=32,
            patch_size=8,
            embed_dim=128,
            depth=2,
            num_heads=4,
            pooling="avg",
            drop_path_rate=0.0,
        ),
        crops=CropsConfig(
            decode_sharpness=1.0,
            num_global=1,
            global_area=(0.7, 1.0),
            num_local=0,
            local_area=(0.2, 0.5),
            local_size=16,
            aspect_ratio=(3 / 4, 4 / 3),
        ),
        augment=AugmentConfig(
            downsample_probability=0.05,
            downsample_sizes=(16, 24),
            flip_probability=0.0,
            jitter_probability=0.8,
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=0.1,
            grey_probability=0.2,
            global_blur_probabilities=(0.5, 0.1),
            global_solarize_probabilities=(0.0, 0.2),
            local_blur_probability=0.5,
            blur_kernel_size=5,
            blur_sigma=(0.1, 1.0),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
        heads=HeadsConfig(
            hidden_dim=512, output_dim=128, projector_layers=2, predictor_layers=2, norm="batch"
        ),
        contrastive=ContrastiveConfig(temperature=0.08, exclude_own_image_for_locals=False),
        ibot=None,
        optimiser=OptimiserConfig(
            peak_learning_rate=2e-3,
            reference_captions_per_batch=32,
            warmup_steps=100,
            betas=(0.9, 0.999),
            weight_decay_start=0.04,
            weight_decay_end=0.2,
            gradient_clip_norm=None,
            ema_momentum_start=0.95,
            ema_momentum_end=1.0,
        ),
        batch=BatchConfig(captions=32, views_per_caption=4),
        steps=1000,
        seed=0,
        precision="auto",
        export_network="student",
        devices=1,
        strategy="auto",
        num_workers=0,
        encoded_cache_bytes=256 * 2**20,
        max_quarantined_share=0.01,
        log_every_steps=10,
        checkpoint_every_steps=100,
        departures=(
            Departure(
                what="steps, batch.captions, optimiser.warmup_steps, optimiser.reference_captions_per_batch",
                paper="500 000 steps of 8192 captions, 80 000 of them warm-up, peak rate 2e-3",
                here="1000 steps of 32 captions, a tenth of them warm-up, peak rate 2e-3",
                why="two CPU cores, two minutes; scaled down with the batch, the rate would move nothing",
            ),
            Departure(
                what="backbone.image_size, backbone.patch_size, backbone.embed_dim, backbone.depth, "
                "backbone.num_heads, backbone.drop_path_rate",
                paper="12 or 24 blocks of 768 or 1024 numbers at 224 px in patches of 16 or 14 px",
                here="2 blocks of 128 numbers at 32 px in patches of 8 px, no stochastic depth",
                why="drawings of 48 px hold no more, and two blocks leave none to skip",
            ),
            Departure(
                what="backbone.stem",
                paper="one linear patch embedding",
                here="timm's hybrid stem: 7x7 convolution, GroupNorm, pooling, then 2x2 patches of its cells",
                why="in so few steps a linear patch embedding ends below random weights with this stem",
            ),
            Departure(
                what="backbone.pooling",
                paper="the cls token",
                here="the mean of the patch tokens",
                why="two blocks gather less into one token",
            ),
            Departure(
                what="crops.global_area, augment.blur_kernel_size, augment.blur_sigma, "
                "augment.global_blur_probabilities, augment.downsample_sizes",
                paper="512 px images; crops of 0.32 to 1 of the area; blur with 9 taps, sigma up to 2 px",
                here="48 px images; crops of 0.7 to 1 of the area; rarer blur with 5 taps, sigma up to 1 px",
                why="a third of a 48 px digit is no digit any more, and the paper's blur erases its strokes",
            ),
            Departure(
                what="augment.flip_probability",
                paper="half of the crops are mirrored",
                here="none",
                why="a mirrored digit is another shape or none",
            ),
            Departure(
                what="crops.num_local, crops.local_area, crops.local_size",
                paper="four local crops per image",
                here="none",
                why="at this size local crops cost time and did not raise a score",
            ),
            Departure(
                what="ibot",
                paper="masked patch prediction on half of the images",
                here="none",
                why="with 16 patches per image it lowered the scores on validation data",
            ),
            Departure(
                what="heads.hidden_dim, heads.output_dim, heads.projector_layers, heads.norm",
                paper="3 and 2 layers of 4096 with LayerNorm and GELU, 256 numbers out",
                here="2 and 2 layers of 512 with BatchNorm and ReLU, 128 numbers out",
                why="with LayerNorm heads the same number of steps learns far less",
            ),
            Departure(
                what="optimiser.ema_momentum_start",
                paper="0.994",
                here="0.95",
                why="over so few steps a momentum of 0.994 keeps the teacher close to its random start",
            ),
            Departure(
                what="export_network",
                paper="does not say which network is evaluated",
                here="the student",
                why="in a short run the teacher lags behind; the student scored higher on validation data",
            ),
        ),
    )


def rehearsal_simclr() -> Recipe:
    """The baseline of the rehearsal: SimCLR on the same images and steps; captions are not used.

    Two global crops per image are each other's positives, without teacher and predictor. It computes twice as
    many crops per step as `rehearsal`.
    """
    base = rehearsal()
    return base.varied(
        name="rehearsal_simclr",
        objective="simclr",
        ema_teacher=False,
        crops=base.crops.model_copy(update={"num_global": 2}),
        departures=(
            *base.departures,
            Departure(
                what="objective, ema_teacher, crops.num_global",
                paper="images of one caption are positives; keys come from an EMA teacher",
                here="two crops of one image are positives; the student is contrasted with itself",
                why="this is the baseline, not the method",
            ),
        ),
    )


RECIPES: MappingProxyType[str, Callable[[], Recipe]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (rehearsal, rehearsal_simclr, vit_s16, vit_b16, vit_l14)}
)
"""Every named recipe, by name."""


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises ValueError, listing the known names."""
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} does not exist: choose one of {', '.join(sorted(RECIPES))}")
    return RECIPES[name]()
