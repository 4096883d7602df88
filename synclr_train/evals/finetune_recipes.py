"""The paper's ImageNet fine-tuning as named, complete configs (SynCLR table 14). Imports no torch.

ViT-B/16's numbers stand in the authors' published command. Of ViT-L/14's, the number of epochs, the warm-up, the
peak rate and the smallest rate follow from their published log; the rest is named in `unconfirmed`.
"""

from collections.abc import Callable
from types import MappingProxyType

from pydantic import Field

from synclr_train.config import Config, NonNegativeFloat, PositiveFloat, PositiveInt, Probability
from synclr_train.evals.protocol import Protocol


class FinetuneRecipe(Config):
    """Everything `finetune` needs to know apart from the encoder and the images."""

    name: str
    """Name under which the recipe is found."""
    epochs: PositiveInt
    """Passes over the images."""
    warmup_epochs: NonNegativeFloat
    """Linear warm-up, in epochs; then a cosine to `smallest_learning_rate`."""
    batch_size: PositiveInt
    """Images per step; even, because mixup pairs them."""
    base_learning_rate: PositiveFloat
    """Peak rate of the last layer for 256 images; multiplied by batch / 256."""
    smallest_learning_rate: NonNegativeFloat
    """Rate of the last layer at the end."""
    layer_decay: PositiveFloat
    """Each layer's rate is this share of the layer's above it."""
    weight_decay: NonNegativeFloat
    """Of AdamW (betas 0.9, 0.999), on matrices alone."""
    drop_path_rate: Probability
    """Stochastic depth of the last block; earlier blocks less, linearly."""
    rand_augment: str
    """timm's name of the augmentation policy."""
    label_smoothing: Probability
    """Share of a label that is spread over all classes."""
    erasing_probability: Probability
    """Chance that a box of the image is replaced by noise."""
    mixup_alpha: NonNegativeFloat
    """Parameter of mixup's Beta distribution."""
    cutmix_alpha: NonNegativeFloat
    """Parameter of cutmix's Beta distribution; each batch takes mixup or cutmix with equal chance."""
    ema_decay: Probability
    """Decay per step of the running average of the weights, which is scored beside the weights."""
    crop_share: PositiveFloat
    """Scored images: the side of the centre crop as a share of the resized shorter side."""
    seed: int = Field(default=0, ge=0)
    """Seed of order, augmentation, mixup, stochastic depth and the new last layer."""
    unconfirmed: tuple[str, ...] = ()
    """Fields whose value the paper's table states and that no published command or log confirmed."""


class FinetuneProtocol(Protocol):
    """The whole network trained on labelled images, starting from the encoder."""

    name: str = "finetune"
    recipe: FinetuneRecipe
    """The recipe."""


def finetune_vit_b16() -> FinetuneRecipe:
    """ViT-B/16 (`SynCLR/eval/EVALUATE.md` and `main_finetune.py` of google-research/syn-rep-learn)."""
    return FinetuneRecipe(
        name="finetune_vit_b16",
        epochs=100,
        warmup_epochs=20,
        batch_size=1024,
        base_learning_rate=5e-5,
        smallest_learning_rate=1e-6,
        layer_decay=0.65,
        weight_decay=0.05,
        drop_path_rate=0.1,
        rand_augment="rand-m9-mstd0.5-inc1",
        label_smoothing=0.1,
        erasing_probability=0.25,
        mixup_alpha=0.8,
        cutmix_alpha=1.0,
        ema_decay=0.9999,
        crop_share=0.95,
    )


def finetune_vit_l14() -> FinetuneRecipe:
    """ViT-L/14: half the epochs, a shorter warm-up (`SynCLR/eval/logs/vit_l_imagenet_log.txt`)."""
    return FinetuneRecipe.model_validate(
        {
            **finetune_vit_b16().model_dump(),
            "name": "finetune_vit_l14",
            "epochs": 50,
            "warmup_epochs": 5,
            "layer_decay": 0.8,
            "drop_path_rate": 0.3,
            "unconfirmed": ("layer_decay", "drop_path_rate"),
        }
    )


FINETUNE_RECIPES: MappingProxyType[str, Callable[[], FinetuneRecipe]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (finetune_vit_b16, finetune_vit_l14)}
)
"""Every named fine-tuning recipe."""


def get_finetune_recipe(
    name: str, epochs: int | None = None, batch_size: int | None = None
) -> FinetuneRecipe:
    """The recipe called `name`, over other epochs (the warm-up keeps its share) or another batch if given.

    Raises ValueError, listing the known names.
    """
    if name not in FINETUNE_RECIPES:
        raise ValueError(f"recipe {name!r} does not exist: choose one of {', '.join(FINETUNE_RECIPES)}")
    recipe = FINETUNE_RECIPES[name]()
    if epochs is not None:
        warmup = recipe.warmup_epochs * epochs / recipe.epochs
        recipe = recipe.model_copy(update={"epochs": epochs, "warmup_epochs": warmup})
    if batch_size is not None:
        recipe = recipe.model_copy(update={"batch_size": batch_size})
    return recipe
