"""What an evaluation did, frozen and fingerprinted: every setting that can move a score.

The defaults were settled without a look at any test part, and are the same for a model and its baselines.
"""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["validation", "test"]


class Protocol(BaseModel):
    """Common to all protocols: what was scored, and the hash that stands with every score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Protocol's name, as printed."""
    version: int = 1
    """Raised whenever code changes what the same settings mean."""
    dataset: str
    """Data set's name."""
    dataset_digest: str
    """Hash of the images and labels, so that another folder of the same name is another protocol."""
    split: Split
    """The part scored. `validation` never reads the test part and chooses constants inside the train part."""
    num_random_encoders: int = Field(default=3, ge=1)
    """Seeds averaged for the random-weights baseline."""
    seed: int = 20231222
    """Seed of every draw: few-shot episodes, bootstrap resamples, random weights."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal characters; equal exactly when every field is equal."""
        fields = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(fields.encode(), digest_size=8).hexdigest()


class ProbeProtocol(Protocol):
    """Linear probe, kNN and few-shot on the frozen representation (SynCLR appendix B, fine-grained sets)."""

    name: str = "linear_probe"
    measure: str = "accuracy"
    """What predictions are scored by: accuracy, mean_per_class or map_11_point."""
    standardise: bool = True
    """Whether the linear probe brings every feature to mean 0 and deviation 1 over the rows it is fitted on, as
    the authors' evaluation script does."""
    num_l2_constants: int = Field(default=45, ge=1)
    """Values swept, log-spaced from `l2_lowest` to `l2_highest`."""
    l2_lowest: float = Field(default=1e-6, gt=0)
    """Weakest ridge, as 1 / C of scikit-learn."""
    l2_highest: float = Field(default=1e5, gt=0)
    """Strongest ridge, as 1 / C of scikit-learn."""
    max_iterations: int = Field(default=1000, ge=1)
    """L-BFGS iterations per ridge constant, at most."""
    relative_tolerance: float = Field(default=1e-4, gt=0)
    """A fit has converged once its gradient is this fraction of the one at zero weights."""
    knn_neighbours: tuple[int, ...] = (1, 3, 5, 10, 20, 50, 100, 200)
    """Numbers of neighbours tried."""
    knn_temperature: float = Field(default=0.07, gt=0)
    """Votes weigh exp(cosine / temperature)."""
    shots: tuple[int, ...] = (1, 5, 10)
    """Labelled images per class in a few-shot episode."""
    num_episodes: int = Field(default=100, ge=2)
    """Few-shot episodes, the same ones for every subject."""
    num_choice_episodes: int = Field(default=20, ge=1)
    """Episodes on which the few-shot ridge is chosen."""
    few_shot_l2_constants: tuple[float, ...] = (1.0, 0.1, 0.01, 0.001, 0.0001)
    """Ridge constants tried for few-shot, on unit-length features."""
    raw_pixel_side: int = Field(default=16, ge=1)
    """Raw pixels are read at the data set's own side length, or at this one where that is larger, in px."""


class SgdProtocol(Protocol):
    """A linear classifier by SGD on augmented images, nine learning rates at once (SynCLR appendix B, ImageNet)."""

    name: str = "sgd_linear_probe"
    base_learning_rates: tuple[float, ...] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    """Swept; each is multiplied by batch / 256."""
    epochs: int = Field(default=90, ge=1)
    """Passes over the train part; the learning rate falls to 0 by a cosine, step by step."""
    batch_size: int = Field(default=1024, ge=2)
    """Images per step."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of SGD; weight decay is 0."""
    batch_norm: bool = True
    """Whether a BatchNorm without affine parameters stands before the classifier."""
    augmented: bool = True
    """Whether images are cropped at random (area 0.08 to 1) and mirrored; if not, features are read once."""
    shorter_side_share: float = Field(default=256 / 224, ge=1)
    """Images that are scored: the shorter side is resized to this many times the crop's side."""


class SegmentationProtocol(Protocol):
    """A linear head on frozen patch features, scored at the masks' own resolution."""

    name: str = "linear_segmentation"
    grid_sides: tuple[int, ...] = (6, 8, 12)
    """Patches per side tried: images are scaled to this many times the encoder's patch size."""
    num_last_blocks: int = Field(default=4, ge=1)
    """Blocks whose patch features are concatenated, or all where the encoder has fewer."""
    l2_constants: tuple[float, ...] = (100.0, 10.0, 1.0, 0.1, 0.01)
    """Ridge constants tried, beside a cross-entropy summed over patches."""
    background_discounts: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 4.0)
    """Amounts tried, taken off the background's logit: most patches that a thin stroke crosses are mostly
    background, so the largest share alone would seldom name the stroke."""
    max_iterations: int = Field(default=200, ge=1)
    """L-BFGS iterations per head, at most."""
    relative_tolerance: float = Field(default=3e-3, gt=0)
    """A head has converged once its gradient is this fraction of the one at zero weights."""
