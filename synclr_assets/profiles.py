"""Profiles: which generators, recipe and settings the platform uses. One frozen config tree, named functions.

Loads no model and no heavy library; reads one file where SYNCLR_SETTINGS names it.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from synclr_assets.compute import ComputeSection, StepCompute, captioner_gpus, image_gpus
from synclr_assets.cost.settings_files import read_settings
from synclr_assets.environment import profile_of, settings_file
from synclr_assets.stages.captions import NEAR_DUPLICATE_SIMILARITY
from synclr_assets.stages.ledger import Prices
from synclr_assets.synthesis.backgrounds import BackgroundSettings
from synclr_assets.synthesis.captioners import CaptionerSettings
from synclr_assets.synthesis.encoding import ImageFormat
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings
from synclr_assets.synthesis.image_text_agreement import AgreementSettings
from synclr_assets.synthesis.transformers_settings import TransformersCaptionerSettings

EXAMPLE = "captioner: {kind: transformers}"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetSection(_Section):
    """What decides captions and images beyond their generators."""

    max_caption_attempts: int = Field(default=6, gt=0)
    """Draws per caption before it is quarantined."""
    near_duplicate_similarity: float | None = Field(default=NEAR_DUPLICATE_SIMILARITY, gt=0, le=1)
    """Share of common word triples from which a caption repeats an earlier one; None: only exact repeats count."""
    backgrounds_per_concept: int = Field(default=100, gt=0)
    """Backgrounds asked for per concept (the paper: about 100)."""
    image_format: ImageFormat = "jpeg"
    """How images are stored: jpeg or webp."""
    image_quality: int = Field(default=95, ge=1, le=95)
    """Quality of stored images."""
    max_reseeds: int = Field(default=4, ge=0)
    """New seeds per view before its caption is quarantined."""
    captions_per_shard: int = Field(default=256, gt=0)
    """Plan positions per tar file."""
    captions_per_commit: int = Field(default=1024, gt=0)
    """Captions made visible together; changes no row."""
    image_captions_per_commit: int = Field(default=256, gt=0)
    """The same for images; bounds memory."""


class TrainerSection(_Section):
    """What a slice is trained and scored with unless a run says otherwise."""

    recipe: str = "rehearsal"
    """Name of a recipe of synclr_train."""
    probe_dataset: str | tuple[str, ...] = "sklearn_digits"
    """Data set of the linear probe, or a list of them: `sklearn_digits`, `folder:/path` or `flowers:/root`
    (docs/evaluation.md names all)."""
    feature_cache: str | None = None
    """Folder that keeps the probed features of each model and data set; None reads the images every time."""
    segmentation_dataset: str = "digits_on_photos"
    """Data set of the segmentation: `digits_on_photos`, `ade20k:/path`, `voc2012:/path` or `folder:/path`."""
    segmentation_head: str = "linear"
    """`linear`, or the name of a head that is trained, such as `upernet_vit_b16` (docs/segmentation.md)."""
    segmentation_random_weights: bool = False
    """Whether a trained head is trained from random weights too, as a baseline; it doubles the cost."""
    gpus: int = Field(default=0, ge=0)
    """GPUs per machine that a training asks for; 0: one if this machine has any, else its cores."""
    shard_cache_gb: float = Field(default=100.0, ge=0)
    """Images of a store on S3 that a training keeps on its machine's disk; a local store's are read in place."""
    nodes: int = Field(default=1, gt=0)
    """Machines of one training; more than one needs engine k8s or ray."""

    @property
    def probe_datasets(self) -> tuple[str, ...]:
        """The probed data sets, the headline first. Raises ValueError for an empty list."""
        names = (self.probe_dataset,) if isinstance(self.probe_dataset, str) else self.probe_dataset
        if not names:
            raise ValueError("trainer.probe_dataset is an empty list: name at least one data set")
        return names


class Profile(_Section):
    """Everything that a profile chooses."""

    captioner: CaptionerSettings = CaptionerSettings()
    background_writer: BackgroundSettings = BackgroundSettings()
    image_sampler: ImageSamplerSettings = ImageSamplerSettings()
    agreement: AgreementSettings | None = None
    """A CLIP-type model that must see the caption in each view; None asks none."""
    image_prices: Prices = Prices()
    """What an hour of the GPU that draws costs."""
    dataset: DatasetSection = DatasetSection()
    trainer: TrainerSection = TrainerSection()
    compute: ComputeSection = ComputeSection()
    """What each step asks of its machine."""

    def step(self, name: str) -> StepCompute:
        """What the step asks for, its GPUs resolved: those it is given, else what its generator or trainer needs."""
        asked = self.compute.of(name)
        if asked.gpus is not None:
            return asked
        return asked.model_copy(update={"gpus": float(self._gpus_needed(name))})

    def _gpus_needed(self, step: str) -> int:
        if step in ("captions", "enriched_captions"):
            return captioner_gpus(self.captioner)
        if step == "images":
            return image_gpus(self.image_sampler, self.agreement)
        if step == "checkpoint":
            return self.trainer.gpus
        return min(self.trainer.gpus, 1) if step in ("linear_probe", "segmentation") else 0


def rehearsal() -> Profile:
    """Two CPU cores, no weights, no key: the generators that draw and write by rule."""
    return Profile()


def gpu() -> Profile:
    """One machine with a GPU: Llama-class captions, Stable Diffusion images, ViT-B/16 (SynCLR 3.1, 3.2, 3.4)."""
    return Profile(
        captioner=CaptionerSettings(kind="transformers", transformers=TransformersCaptionerSettings()),
        image_sampler=ImageSamplerSettings(kind="diffusers"),
        dataset=DatasetSection(
            captions_per_shard=1000, captions_per_commit=4096, image_captions_per_commit=64
        ),
        trainer=TrainerSection(recipe="vit_b16", gpus=1),
    )


def cluster() -> Profile:
    """The generators of `gpu` on many machines: sized for one 40 GB GPU per generating step, eight for training."""
    generating = StepCompute(cpus=7, memory_gib=48, spot=True)
    scoring = StepCompute(cpus=7, memory_gib=48)
    return gpu().model_copy(
        update={
            "trainer": TrainerSection(recipe="vit_b16", gpus=8),
            "compute": ComputeSection(
                steps={
                    "captions": generating,
                    "enriched_captions": generating,
                    "images": generating,
                    "syncaps_shards": StepCompute(cpus=2, memory_gib=8, spot=True),
                    "checkpoint": StepCompute(cpus=88, memory_gib=512),
                    "linear_probe": scoring,
                    "segmentation": scoring,
                }
            ),
        }
    )


PROFILES: Mapping[str, Callable[[], Profile]] = {
    "rehearsal": rehearsal,
    "gpu": gpu,
    "cluster": cluster,
}


def chosen_profile(environment: Mapping[str, str]) -> Profile:
    """The profile of SYNCLR_PROFILE; sections of the file SYNCLR_SETTINGS names take the place of its own.

    Raises ValueError in one sentence for an unknown profile or a bad file.
    """
    profile = PROFILES[profile_of(environment)]()
    path = settings_file(environment)
    if path is None:
        return profile
    given = read_settings(Path(path), Profile, EXAMPLE)
    return profile.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def stage_settings(profile: Profile) -> dict[str, dict[str, Any]]:
    """Stage -> the settings of the profile that its rows depend on, as plain data."""
    section = profile.dataset
    drawn = {
        "max_caption_attempts": section.max_caption_attempts,
        "near_duplicate_similarity": section.near_duplicate_similarity,
    }
    words = {"captioner": _in_use(profile.captioner), "prompts": _content_of(profile.captioner.prompt_set)}
    agreement = profile.agreement
    return {
        "captions": {**words, "dataset": drawn},
        "enriched_captions": {
            **words,
            "background_writer": _in_use(profile.background_writer),
            "backgrounds": _content_of(profile.background_writer.path),
            "dataset": {**drawn, "backgrounds_per_concept": section.backgrounds_per_concept},
        },
        "images": {
            "image_sampler": _in_use(profile.image_sampler),
            "agreement": None if agreement is None else agreement.model_dump(mode="json"),
            "dataset": {
                "image_format": section.image_format,
                "image_quality": section.image_quality,
                "max_reseeds": section.max_reseeds,
            },
        },
    }


_SECTION_OF = {"openai_compatible": "openai", "list": "openai", "rewrite": "openai"}
"""Kind of a generator -> its section, where they are not of one name."""


def _in_use(settings: BaseModel) -> dict[str, Any]:
    """Settings without the sections of kinds that are not chosen."""
    given = settings.model_dump(mode="json")
    chosen = _SECTION_OF.get(given["kind"], given["kind"])
    return {name: value for name, value in given.items() if not isinstance(value, dict) or name == chosen}


def _content_of(path: Path | None) -> str:
    """What a data file of the user's holds, as a hash."""
    if path is None:
        return "shipped"
    return sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "missing"
