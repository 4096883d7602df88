"""Typed resources and the profiles that choose them. An asset never knows which profile it runs under."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from synclr_assets.concept_bank.bank import ConceptBank, read_bank
from synclr_assets.environment import profile_of, store_root
from synclr_assets.stages.captions import CaptionSettings
from synclr_assets.stages.enriched_captions import EnrichmentSettings
from synclr_assets.stages.images import ImageSettings
from synclr_assets.stages.shards import ShardSettings
from synclr_assets.store.store import Store
from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings, make_image_sampler
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import BackgroundWriter, Captioner, ImageSampler
from synclr_train.recipes import Recipe, get_recipe


class StoreResource(dg.ConfigurableResource):
    """Where tables, shards and models live."""

    root: str = Field(description="A folder, a file:// URI or an s3://bucket/prefix URI.")

    def open(self) -> Store:
        """A handle on the store; does no I/O yet."""
        return Store(self.root)


class ConceptBankResource(dg.ConfigurableResource):
    """The folder of bucket files."""

    folder: str = Field(description="Folder with one YAML file per concept bucket.")

    def read(self) -> ConceptBank:
        """The bank as its files are now."""
        return read_bank(Path(self.folder))


class DatasetSettings(dg.ConfigurableResource):
    """What decides captions and images beyond their generators. Another value needs another generation."""

    max_caption_attempts: int = Field(
        default=6, gt=0, description="Draws per caption before it is quarantined."
    )
    backgrounds_per_concept: int = Field(
        default=100, gt=0, description="Backgrounds per concept (paper: about 100)."
    )
    jpeg_quality: int = Field(default=95, ge=1, le=95, description="Quality of stored images, 1 to 95.")
    max_reseeds: int = Field(
        default=4, ge=0, description="New seeds per view before its caption is quarantined."
    )
    captions_per_shard: int = Field(default=256, gt=0, description="Plan positions per tar file.")
    captions_per_commit: int = Field(
        default=1024, gt=0, description="Captions made visible together; changes no row."
    )
    image_captions_per_commit: int = Field(
        default=256, gt=0, description="The same for images; bounds memory."
    )

    @property
    def captions(self) -> CaptionSettings:
        return CaptionSettings(self.max_caption_attempts, self.captions_per_commit)

    @property
    def enrichment(self) -> EnrichmentSettings:
        return EnrichmentSettings(
            self.backgrounds_per_concept, self.max_caption_attempts, self.captions_per_commit
        )

    @property
    def images(self) -> ImageSettings:
        return ImageSettings(self.jpeg_quality, self.max_reseeds, self.image_captions_per_commit)

    @property
    def shards(self) -> ShardSettings:
        return ShardSettings(self.captions_per_shard)


class CaptionerResource(dg.ConfigurableResource):
    """The language model that writes captions (SynCLR 3.1), and the prompts it completes."""

    kind: str = Field(default="rehearsal", description="Kind of captioner.")
    prompt_set: str | None = Field(
        default=None, description="YAML file of solved examples; left out, the shipped set."
    )

    @property
    def _settings(self) -> CaptionerSettings:
        return CaptionerSettings(
            kind=self.kind, prompt_set=Path(self.prompt_set) if self.prompt_set else None
        )

    def make(self) -> Captioner:
        """The captioner, its weights loaded where it has any."""
        return make_captioner(self._settings)

    def prompts(self) -> PromptSet:
        """The prompt set, which is part of every caption's fingerprint."""
        return self._settings.prompts()


class BackgroundWriterResource(dg.ConfigurableResource):
    """Where plausible backgrounds come from (SynCLR 3.1, table 2)."""

    kind: str = Field(default="rehearsal", description="Kind of background writer.")
    path: str | None = Field(default=None, description="JSON dictionary of backgrounds, for kind `frozen`.")

    def make(self) -> BackgroundWriter:
        """The writer."""
        return make_background_writer(
            BackgroundSettings(kind=self.kind, path=Path(self.path) if self.path else None)
        )


class ImageSamplerResource(dg.ConfigurableResource):
    """The text-to-image model (SynCLR 3.2)."""

    kind: str = Field(default="rehearsal", description="Kind of image sampler.")
    size_px: int = Field(default=48, gt=0, description="Height and width of every image.")

    def make(self) -> ImageSampler:
        """The sampler, its weights loaded where it has any."""
        return make_image_sampler(ImageSamplerSettings(kind=self.kind, size_px=self.size_px))


class TrainerResource(dg.ConfigurableResource):
    """What a slice is trained and scored with unless a run says otherwise."""

    recipe: str = Field(default="rehearsal", description="Name of a recipe of synclr_train.")
    probe_dataset: str = Field(default="sklearn_digits", description="Data set of the linear probe.")
    segmentation_dataset: str = Field(
        default="digits_on_photos", description="Data set of the segmentation head."
    )

    def recipe_for(self, name: str | None, seed: int | None, steps: int | None) -> Recipe:
        """The named recipe, else the profile's, with what the run changes. Raises ValueError for a bad name."""
        recipe = get_recipe(name or self.recipe)
        if steps is not None:
            recipe = recipe.with_steps(steps)
        return recipe if seed is None else recipe.varied(seed=seed)


def resources_of(environment: Mapping[str, str], concept_folder: Path) -> dict[str, Any]:
    """The resources of the environment's profile. Raises StoreError for an unknown profile."""
    profile = profile_of(environment)
    assert profile == "rehearsal", profile
    return {
        "store": StoreResource(root=store_root(environment)),
        "concept_bank": ConceptBankResource(folder=str(concept_folder)),
        "dataset_settings": DatasetSettings(),
        "captioner": CaptionerResource(),
        "background_writer": BackgroundWriterResource(),
        "image_sampler": ImageSamplerResource(),
        "trainer": TrainerResource(),
        "pipes": dg.PipesSubprocessClient(),
    }
