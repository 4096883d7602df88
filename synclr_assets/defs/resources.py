"""Typed resources, made from a profile. An asset never knows which profile it runs under."""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import get_dagster_logger
from pydantic import Field

from synclr_assets.compute import captioner_gpus, image_gpus
from synclr_assets.concept_bank.bank import ConceptBank, read_bank
from synclr_assets.cost.budget import Budget, read_budget
from synclr_assets.environment import engine_of
from synclr_assets.launch.gpu_lease import hold_gpus
from synclr_assets.operations.recorded_settings import record_settings
from synclr_assets.profiles import DatasetSection, Profile, TrainerSection, stage_settings
from synclr_assets.stages.captions import CaptionSettings
from synclr_assets.stages.enriched_captions import EnrichmentSettings
from synclr_assets.stages.images import ImageSettings
from synclr_assets.stages.ledger import Prices
from synclr_assets.stages.shards import ShardSettings
from synclr_assets.store.store import Store
from synclr_assets.synthesis.backgrounds import BackgroundSettings, make_background_writer
from synclr_assets.synthesis.captioners import CaptionerSettings, make_captioner
from synclr_assets.synthesis.image_samplers import ImageSamplerSettings, make_image_sampler
from synclr_assets.synthesis.image_text_agreement import AgreementSettings, ImageTextAgreement, make_agreement
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import Captioner, ImageSampler
from synclr_assets.synthesis.purchases import Enricher
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


class DatasetResource(dg.ConfigurableResource):
    """What decides captions and images beyond their generators. Another value needs another generation."""

    settings: str = Field(description="Section `dataset` of the profile, as JSON.")
    budget_file: str | None = Field(default=None, description="Limits on what may be spent (docs/costs.md).")
    stage_settings: str = Field(
        default="{}", description="Stage -> what its rows depend on, as JSON, for `synclr status`."
    )

    def record_settings(self, store: Store, stage: str, fingerprint: str) -> None:
        """Keep in the store that today's settings of the stage give rows of this fingerprint."""
        known = json.loads(self.stage_settings)
        if stage in known:
            record_settings(store, stage, fingerprint, known[stage])

    @property
    def _section(self) -> DatasetSection:
        return DatasetSection.model_validate_json(self.settings)

    @property
    def captions(self) -> CaptionSettings:
        section = self._section
        return CaptionSettings(
            max_attempts=section.max_caption_attempts,
            captions_per_commit=section.captions_per_commit,
            near_duplicate_similarity=section.near_duplicate_similarity,
        )

    @property
    def enrichment(self) -> EnrichmentSettings:
        section = self._section
        return EnrichmentSettings(
            backgrounds_per_concept=section.backgrounds_per_concept,
            max_attempts=section.max_caption_attempts,
            captions_per_commit=section.captions_per_commit,
            near_duplicate_similarity=section.near_duplicate_similarity,
        )

    @property
    def images(self) -> ImageSettings:
        section = self._section
        return ImageSettings(
            quality=section.image_quality,
            max_reseeds=section.max_reseeds,
            captions_per_commit=section.image_captions_per_commit,
            image_format=section.image_format,
        )

    @property
    def shards(self) -> ShardSettings:
        return ShardSettings(captions_per_shard=self._section.captions_per_shard)

    def budget(self) -> Budget | None:
        """The limits, or None where no file names any. Raises SettingsFileError."""
        return read_budget(Path(self.budget_file)) if self.budget_file else None


class CaptionerResource(dg.ConfigurableResource):
    """The language model that writes captions (SynCLR 3.1), and the prompts it completes."""

    settings: str = Field(description="Section `captioner` of the profile, as JSON.")

    def make(self) -> Captioner:
        """The captioner; where it runs on a GPU of this machine, this process holds one from now on."""
        settings = CaptionerSettings.model_validate_json(self.settings)
        _hold_gpus(captioner_gpus(settings))
        return make_captioner(settings)

    def prompts(self) -> PromptSet:
        """The prompt set, which is part of every caption's fingerprint."""
        return CaptionerSettings.model_validate_json(self.settings).prompts()


class BackgroundWriterResource(dg.ConfigurableResource):
    """Where plausible backgrounds come from (SynCLR 3.1, table 2)."""

    settings: str = Field(description="Section `background_writer` of the profile, as JSON.")

    def make(self) -> Enricher:
        """The writer of lists, or the rewriter of captions."""
        return make_background_writer(BackgroundSettings.model_validate_json(self.settings))


class ImageSamplerResource(dg.ConfigurableResource):
    """The text-to-image model (SynCLR 3.2)."""

    settings: str = Field(description="Section `image_sampler` of the profile, as JSON.")
    agreement_settings: str | None = Field(
        default=None, description="Section `agreement` of the profile, as JSON."
    )
    price_settings: str = Field(description="Section `image_prices` of the profile, as JSON.")

    def make(self) -> ImageSampler:
        """The sampler; where it or the agreement runs on a GPU of this machine, this process holds one from now on."""
        settings = ImageSamplerSettings.model_validate_json(self.settings)
        _hold_gpus(image_gpus(settings, self._agreement))
        return make_image_sampler(settings)

    def agreement(self) -> ImageTextAgreement | None:
        """The model that must see the caption in the image, if one is given. Ask for it after `make`."""
        return make_agreement(self._agreement)

    @property
    def _agreement(self) -> AgreementSettings | None:
        given = self.agreement_settings
        return None if given is None else AgreementSettings.model_validate_json(given)

    @property
    def prices(self) -> Prices:
        return Prices.model_validate_json(self.price_settings)


class TrainerResource(dg.ConfigurableResource):
    """What a slice is trained and scored with unless a run says otherwise."""

    settings: str = Field(description="Section `trainer` of the profile, as JSON.")

    @property
    def section(self) -> TrainerSection:
        return TrainerSection.model_validate_json(self.settings)

    def recipe_for(self, name: str | None, seed: int | None, steps: int | None) -> Recipe:
        """The named recipe, else the profile's, with what the run changes. Raises ValueError for a bad name."""
        section = self.section
        recipe = get_recipe(name or section.recipe)
        if section.gpus > 1 or section.nodes > 1:
            recipe = recipe.varied(devices=max(section.gpus, 1), strategy="ddp")
        if steps is not None:
            recipe = recipe.with_steps(steps)
        return recipe if seed is None else recipe.varied(seed=seed)


def _hold_gpus(count: int) -> None:
    """Lease GPUs of this machine before torch looks for any; a cluster's engine gave the step its own."""
    if count and engine_of(os.environ) == "local":
        hold_gpus(count, os.environ, get_dagster_logger().info)


SECTIONS = ("captioner", "background_writer", "image_sampler", "image_prices", "dataset", "trainer")


def resources_of(
    profile: Profile, store_root: str, concept_folder: Path, budget_file: str | None
) -> dict[str, Any]:
    """The resources of a profile."""
    sections = {name: getattr(profile, name).model_dump_json() for name in SECTIONS}
    agreement = profile.agreement.model_dump_json() if profile.agreement else None
    return {
        "store": StoreResource(root=store_root),
        "concept_bank": ConceptBankResource(folder=str(concept_folder)),
        "dataset": DatasetResource(
            settings=sections["dataset"],
            budget_file=budget_file,
            stage_settings=json.dumps(stage_settings(profile)),
        ),
        "captioner": CaptionerResource(settings=sections["captioner"]),
        "background_writer": BackgroundWriterResource(settings=sections["background_writer"]),
        "image_sampler": ImageSamplerResource(
            settings=sections["image_sampler"],
            agreement_settings=agreement,
            price_settings=sections["image_prices"],
        ),
        "trainer": TrainerResource(settings=sections["trainer"]),
        "pipes": dg.PipesSubprocessClient(),
    }
