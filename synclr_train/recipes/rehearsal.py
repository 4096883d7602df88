"""The method in miniature, for two CPU cores, and where it leaves the paper. Imports no torch."""

from synclr_train.config import (
    AugmentConfig,
    BackboneConfig,
    BatchConfig,
    ContrastiveConfig,
    CropsConfig,
    Departure,
    HeadsConfig,
    OptimiserConfig,
    Recipe,
)
from synclr_train.recipes.paper import IMAGENET_MEAN, IMAGENET_STD


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
        crops_per_pass=None,
        recompute_activations=False,
        encoded_cache_bytes=256 * 2**20,
        max_quarantined_share=0.01,
        log_every_steps=10,
        checkpoint_every_steps=100,
        checkpoints_kept=2,
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
