"""The config tree of one training run: every number the trainer uses, with its unit.

Frozen pydantic models that refuse unknown keys and contradictions. Holds no named recipe (see
`synclr_train.recipes`) and imports no torch, so that an orchestrator can read recipes cheaply.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AreaRange = tuple[Probability, Probability]
Rgb = tuple[float, float, float]


class Config(BaseModel):
    """Base of the tree: immutable, no unknown keys, a docstring under each field."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", revalidate_instances="always", use_attribute_docstrings=True
    )


class BackboneConfig(Config):
    """The vision transformer, as arguments of a timm architecture (SynCLR 3.4)."""

    stem: Literal["patch", "conv"]
    """`patch`: one linear patch embedding (a plain ViT). `conv`: timm's convolutional hybrid stem."""
    image_size: PositiveInt
    """Side of a global crop, in pixels."""
    patch_size: PositiveInt
    """Side of a patch, in pixels."""
    embed_dim: PositiveInt
    """Width of a token, in numbers."""
    depth: PositiveInt
    """Number of transformer blocks."""
    num_heads: PositiveInt
    """Number of attention heads per block."""
    pooling: Literal["token", "avg"]
    """The representation: `token` is the cls token, `avg` the mean of the patch tokens."""
    drop_path_rate: Probability
    """Stochastic depth: the chance to skip the last block; earlier blocks less, linearly."""

    @model_validator(mode="after")
    def _check(self) -> "BackboneConfig":
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}"
            )
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} must be a multiple of num_heads {self.num_heads}")
        if self.stem == "conv" and self.patch_size % 4:
            raise ValueError(f"a conv stem needs a patch_size that is a multiple of 4, not {self.patch_size}")
        return self

    @property
    def num_patches(self) -> int:
        """Number of patch tokens of a global crop."""
        return (self.image_size // self.patch_size) ** 2


class CropsConfig(Config):
    """Multi-crop: which parts of an image are seen (SynCLR 3.3)."""

    decode_sharpness: PositiveFloat
    """Decoded pixels per pixel of a crop, at least, where the stored image has them. 1: a JPEG is decoded no
    smaller than any of its crops needs; less is faster and softer."""
    num_global: PositiveInt
    """Global crops per image. The contrastive keys are the teacher's view of these."""
    global_area: AreaRange
    """Smallest and largest share of the image's area in a global crop."""
    num_local: Annotated[int, Field(ge=0)]
    """Local crops per image; 0 switches multi-crop off."""
    local_area: AreaRange
    """Smallest and largest share of the image's area in a local crop."""
    local_size: PositiveInt
    """Side of a local crop, in pixels."""
    aspect_ratio: tuple[PositiveFloat, PositiveFloat]
    """Narrowest and widest width/height of a crop, drawn log-uniformly."""

    @model_validator(mode="after")
    def _check(self) -> "CropsConfig":
        for name in ("global_area", "local_area", "aspect_ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a rising pair above 0, not ({low}, {high})")
        return self


class AugmentConfig(Config):
    """What happens to pixels before and after cropping (SynCLR 3.3; StableRep's random down-sampling)."""

    downsample_probability: Probability
    """Chance that an image is shrunk and enlarged again before cropping."""
    downsample_sizes: tuple[PositiveInt, ...]
    """Sides to shrink to, in pixels; one is drawn uniformly."""
    flip_probability: Probability
    """Chance of a horizontal flip."""
    jitter_probability: Probability
    """Chance that a crop's colours are jittered."""
    brightness: NonNegativeFloat
    """Half-width of the brightness factor's range around 1."""
    contrast: NonNegativeFloat
    """Half-width of the contrast factor's range around 1."""
    saturation: NonNegativeFloat
    """Half-width of the saturation factor's range around 1."""
    hue: Annotated[float, Field(ge=0, le=0.5)]
    """Half-width of the hue shift, in turns."""
    grey_probability: Probability
    """Chance that a crop turns grey."""
    global_blur_probabilities: tuple[Probability, Probability]
    """Chance of a blur under the two recipes of BYOL; each global crop follows either with equal chance."""
    global_solarize_probabilities: tuple[Probability, Probability]
    """Chance of solarizing under the same two recipes."""
    local_blur_probability: Probability
    """Chance of a blur of a local crop."""
    blur_kernel_size: PositiveInt
    """Taps of the Gaussian blur, in pixels (odd)."""
    blur_sigma: tuple[PositiveFloat, PositiveFloat]
    """Smallest and largest standard deviation of the blur, in pixels."""
    mean: Rgb
    """Mean subtracted per channel, on a 0 to 1 scale."""
    std: Rgb
    """Standard deviation divided by per channel, on a 0 to 1 scale."""

    @model_validator(mode="after")
    def _check(self) -> "AugmentConfig":
        if self.blur_kernel_size % 2 == 0:
            raise ValueError(f"blur_kernel_size must be odd, not {self.blur_kernel_size}")
        if self.downsample_probability > 0 and not self.downsample_sizes:
            raise ValueError("downsample_sizes must name a size when downsample_probability is above 0")
        return self


class HeadsConfig(Config):
    """Projector of student and teacher, predictor of the student (MoCo v3's form; SynCLR 3.4)."""

    hidden_dim: PositiveInt
    """Width of the hidden layers, in numbers."""
    output_dim: PositiveInt
    """Width of the embedding that is contrasted, in numbers."""
    projector_layers: PositiveInt
    """Linear layers of the projector."""
    predictor_layers: PositiveInt
    """Linear layers of the predictor."""
    norm: Literal["layer", "batch"]
    """`layer`: LayerNorm and GELU. `batch`: BatchNorm over all devices and ReLU."""


class ContrastiveConfig(Config):
    """The multi-positive contrastive loss (SynCLR eq. 1 to 4)."""

    temperature: PositiveFloat
    """Softmax temperature."""
    exclude_own_image_for_locals: bool
    """Whether a local anchor, too, ignores the key of the image it was cut from."""


class IbotConfig(Config):
    """Masked patch prediction against the teacher's prototypes (SynCLR 3.3; iBOT)."""

    num_prototypes: PositiveInt
    """Outputs of the head."""
    hidden_dim: PositiveInt
    """Width of the head's hidden layers, in numbers."""
    bottleneck_dim: PositiveInt
    """Width of the L2-normalised layer before the prototypes, in numbers."""
    masked_image_share: Probability
    """Share of the images of a batch that are masked."""
    masked_patch_share: Probability
    """Share of the patches of a masked image that are masked."""
    student_temperature: PositiveFloat
    """Softmax temperature of the student."""
    teacher_temperature_start: PositiveFloat
    """Teacher temperature at step 0."""
    teacher_temperature_end: PositiveFloat
    """Teacher temperature after its warm-up."""
    teacher_temperature_steps: PositiveInt
    """Length of the linear teacher temperature warm-up, in steps."""
    sinkhorn_iterations: PositiveInt
    """Sinkhorn-Knopp iterations on the teacher's scores."""


class OptimiserConfig(Config):
    """AdamW and its schedules (SynCLR table 12)."""

    peak_learning_rate: PositiveFloat
    """Learning rate after warm-up at `reference_captions_per_batch`."""
    reference_captions_per_batch: PositiveInt
    """Batch, in captions, for which the peak is meant; other batches scale it linearly."""
    warmup_steps: Annotated[int, Field(ge=0)]
    """Length of the linear warm-up, in steps; then a cosine to 0."""
    betas: tuple[Probability, Probability]
    """Decay of AdamW's two running averages."""
    weight_decay_start: NonNegativeFloat
    """Weight decay at step 0, then a cosine."""
    weight_decay_end: NonNegativeFloat
    """Weight decay at the last step."""
    gradient_clip_norm: PositiveFloat | None
    """Largest gradient L2 norm; None clips nothing."""
    ema_momentum_start: Probability
    """Teacher momentum at step 0, then a cosine."""
    ema_momentum_end: Probability
    """Teacher momentum at the last step."""


class BatchConfig(Config):
    """What one optimiser step sees, over all devices together."""

    captions: PositiveInt
    """Captions per step, over all devices."""
    views_per_caption: PositiveInt
    """Images of each caption."""

    @property
    def num_images(self) -> int:
        """Images per step, over all devices."""
        return self.captions * self.views_per_caption


class Departure(Config):
    """One place where a recipe leaves the paper, and why."""

    what: str
    """The setting."""
    paper: str
    """What the paper does."""
    here: str
    """What the recipe does."""
    why: str
    """The reason, in one sentence."""


MACHINE_SETTINGS = (
    "devices",
    "strategy",
    "compiles",
    "num_workers",
    "encoded_cache_bytes",
    "max_quarantined_share",
    "crops_per_pass",
    "recompute_activations",
    "log_every_steps",
    "checkpoint_every_steps",
    "checkpoints_kept",
)
"""Fields of a recipe that may differ when a run is continued on another machine."""


class Recipe(Config):
    """Everything `fit` needs to know apart from the shards: one complete, frozen config."""

    name: str
    """Name under which the recipe is found."""
    objective: Literal["synclr", "simclr", "supervised"]
    """What belongs together: images of one caption (`synclr`), crops of one image (`simclr`), or images of one
    concept, told apart by a linear classifier on the representation (`supervised`)."""
    ema_teacher: bool
    """Whether keys come from an EMA teacher and anchors pass a predictor; False contrasts the student with
    itself, as StableRep and SimCLR do."""
    backbone: BackboneConfig
    """The vision transformer."""
    crops: CropsConfig
    """Multi-crop."""
    augment: AugmentConfig
    """Pixel augmentation."""
    heads: HeadsConfig
    """Projector and predictor."""
    contrastive: ContrastiveConfig
    """The contrastive loss."""
    ibot: IbotConfig | None
    """Masked patch prediction; None leaves it out."""
    optimiser: OptimiserConfig
    """Optimiser and schedules."""
    batch: BatchConfig
    """Batch."""
    steps: PositiveInt
    """Optimiser steps."""
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Seed of initial weights, order of captions, crops, masks and stochastic depth."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Arithmetic of the networks; `auto` takes bfloat16 where the device computes in it."""
    export_network: Literal["student", "teacher"]
    """Whose backbone is exported."""
    devices: PositiveInt
    """Devices per machine."""
    strategy: Literal["auto", "ddp", "fsdp"]
    """How several devices share the work: `ddp` copies the networks to each, `fsdp` splits parameters, gradients,
    optimiser and teacher over them; `auto` is one device, or DDP over several."""
    compiles: bool = False
    """Whether torch.compile translates the blocks of the ViTs, once per kind of crop, in the first steps."""
    num_workers: Annotated[int, Field(ge=0)]
    """Processes per device that read and decode; 0 reads in the training process."""
    crops_per_pass: PositiveInt | None
    """Crops that pass the encoders at once on a device; None takes all. With fewer, the student's activations
    are computed again in the backward pass, one part after another: memory follows this number, while losses,
    BatchNorm and gradients still see the whole batch."""
    recompute_activations: bool
    """Whether the activations inside the student's blocks are computed again in the backward pass."""
    encoded_cache_bytes: Annotated[int, Field(ge=0)]
    """Memory for encoded images that later epochs read again, per loading process, in bytes."""
    max_quarantined_share: Probability
    """Largest share of the shards' captions that may be left out because they are broken; more stops the run."""
    log_every_steps: PositiveInt
    """Distance of two rows of metrics.csv, in steps."""
    checkpoint_every_steps: PositiveInt
    """Distance of two resume points, in steps."""
    checkpoints_kept: PositiveInt
    """Resume points that stay on disk, the newest ones."""
    departures: tuple[Departure, ...]
    """Where this recipe leaves the paper, and why."""

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.crops.num_local and self.crops.local_size % self.backbone.patch_size:
            raise ValueError(
                f"crops.local_size {self.crops.local_size} must be a multiple of "
                f"backbone.patch_size {self.backbone.patch_size}"
            )
        if self.ibot is not None and not self.ema_teacher:
            raise ValueError("ibot needs ema_teacher: its targets are the teacher's")
        if self.objective == "synclr" and self.batch.views_per_caption < 2:
            raise ValueError("objective 'synclr' needs batch.views_per_caption of at least 2")
        if self.objective == "simclr" and self.crops.num_global < 2:
            raise ValueError("objective 'simclr' needs crops.num_global of at least 2")
        if self.objective == "supervised" and (self.ema_teacher or self.crops.num_local):
            raise ValueError(
                "objective 'supervised' has no keys: set ema_teacher to false and crops.num_local to 0"
            )
        if (
            self.objective == "simclr"
            and self.crops.num_local
            and self.contrastive.exclude_own_image_for_locals
        ):
            raise ValueError(
                "contrastive.exclude_own_image_for_locals leaves local crops of 'simclr' no positive"
            )
        if self.checkpoint_every_steps % self.log_every_steps:
            raise ValueError(
                f"checkpoint_every_steps {self.checkpoint_every_steps} must be a multiple of "
                f"log_every_steps {self.log_every_steps}"
            )
        if self.optimiser.warmup_steps >= self.steps:
            raise ValueError(f"optimiser.warmup_steps must be below steps {self.steps}")
        if self.strategy == "fsdp" and self.heads.norm == "batch":
            raise ValueError(
                "strategy 'fsdp' needs heads.norm 'layer': BatchNorm is not shared over its devices"
            )
        if not self.ema_teacher and self.export_network == "teacher":
            raise ValueError("export_network 'teacher' needs ema_teacher")
        return self

    @property
    def learning_rate(self) -> float:
        """Peak learning rate of this batch: linear in the number of captions (SynCLR table 12)."""
        return (
            self.optimiser.peak_learning_rate
            * self.batch.captions
            / self.optimiser.reference_captions_per_batch
        )

    @property
    def fingerprint(self) -> str:
        """32 hex characters that name every setting; the prose of `departures` is not part of it."""
        return _digest(self.model_dump(mode="json", exclude={"departures"}))

    @property
    def run_fingerprint(self) -> str:
        """Like `fingerprint`, without what may change when a run is continued: machine and bookkeeping."""
        return _digest(self.model_dump(mode="json", exclude={"departures", *MACHINE_SETTINGS}))

    def varied(self, **changes: object) -> "Recipe":
        """This recipe with top-level fields replaced, checked again as a whole."""
        return Recipe.model_validate({**self.model_dump(), **changes})

    def with_steps(self, steps: int) -> "Recipe":
        """This recipe over another number of steps; both warm-ups keep their share of the run."""
        if steps < 1:
            raise ValueError(f"steps must be at least 1, not {steps}")
        share = steps / self.steps
        optimiser = self.optimiser.model_copy(
            update={"warmup_steps": min(round(self.optimiser.warmup_steps * share), steps - 1)}
        )
        ibot = self.ibot and self.ibot.model_copy(
            update={"teacher_temperature_steps": max(1, round(self.ibot.teacher_temperature_steps * share))}
        )
        return self.varied(steps=steps, optimiser=optimiser, ibot=ibot)


def _digest(content: dict[str, object]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
