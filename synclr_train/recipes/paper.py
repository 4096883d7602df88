"""The paper's two models and a smaller one, every number written once. Imports no torch."""

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
        crops_per_pass=None,
        recompute_activations=False,
        encoded_cache_bytes=0,
        max_quarantined_share=0.01,
        log_every_steps=50,
        checkpoint_every_steps=1000,
        checkpoints_kept=3,
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
