"""`synclr reproduce`: a recorded model rebuilt from its record, and which links are exact."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from synclr_assets.commands.lineage import STORE_OPTION, open_store
from synclr_assets.launch.retraining import retrain
from synclr_assets.profiles import Profile, chosen_profile
from synclr_assets.provenance.models import find_model
from synclr_assets.provenance.reproduce import (
    Generators,
    Link,
    consumption_link,
    regenerated_data,
    stored_shards,
    weights_link,
)
from synclr_assets.stages.captions import CaptionSettings
from synclr_assets.stages.enriched_captions import EnrichmentSettings
from synclr_assets.stages.images import ImageSettings
from synclr_assets.stages.shards import ShardSettings
from synclr_assets.synthesis.backgrounds import make_background_writer
from synclr_assets.synthesis.captioners import make_captioner
from synclr_assets.synthesis.image_samplers import make_image_sampler
from synclr_assets.synthesis.image_text_agreement import make_agreement

PAID_KINDS = {"openai_compatible", "list", "rewrite"}
"""Generators that ask an API: never asked again for the sake of a comparison."""


@click.command("reproduce")
@click.argument("model_id")
@click.option(
    "--check-only", is_flag=True, help="Compare stored shards with the record; make and train nothing."
)
@click.option(
    "--stored", is_flag=True, help="Train on stored shards without making captions and images again."
)
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what is made again, kept afterwards; default a temporary one.",
)
@STORE_OPTION
def command(model_id: str, check_only: bool, stored: bool, scratch: Path | None, root: str | None) -> None:
    """Rebuild MODEL_ID (an id or its beginning) from its record and say of each link whether it is exact.

    Captions, images and shards are made again with the profile's generators where these are the recorded ones and
    ask no paid API, else taken from stored data; the encoder is trained again with the recorded recipe, seed, shards
    and exclusions. The store is not changed. Exits with 1 where a link is not exact.
    """
    store = open_store(root)
    model = find_model(store, model_id)
    console, exact = Console(), True

    def links(folder: Path) -> Iterator[Link]:
        yield from stored_shards(store, model)
        if check_only:
            return
        profile = chosen_profile(os.environ)
        paid = {profile.captioner.kind, profile.background_writer.kind} & PAID_KINDS
        if stored or paid:
            why = f"the profile's {', '.join(sorted(paid))} is paid by request" if paid else "as asked"
            yield Link("captions and images", "from stored data", why)
        else:
            yield from regenerated_data(store, model, _generators(profile), folder / "data")
        result = retrain(store, model, folder / "training")
        yield consumption_link(store, model, result["samples_per_shard"])
        yield weights_link(model, result["weights_sha256"], result["device"])

    with tempfile.TemporaryDirectory(prefix="synclr-reproduce-") as temporary:
        for link in links(scratch or Path(temporary)):
            exact &= link.verdict != "not exact"
            console.print(f"{link.verdict:<17} {link.name}: {link.detail}", markup=False, soft_wrap=True)
    if not exact:
        sys.exit(1)


def _generators(profile: Profile) -> Generators:
    section = profile.dataset
    return Generators(
        captioner=make_captioner(profile.captioner),
        prompts=profile.captioner.prompts(),
        enricher=make_background_writer(profile.background_writer),
        sampler=make_image_sampler(profile.image_sampler),
        agreement=make_agreement(profile.agreement),
        captions=CaptionSettings(
            max_attempts=section.max_caption_attempts,
            captions_per_commit=section.captions_per_commit,
            near_duplicate_similarity=section.near_duplicate_similarity,
        ),
        enrichment=EnrichmentSettings(
            backgrounds_per_concept=section.backgrounds_per_concept,
            max_attempts=section.max_caption_attempts,
            captions_per_commit=section.captions_per_commit,
            near_duplicate_similarity=section.near_duplicate_similarity,
        ),
        images=ImageSettings(
            quality=section.image_quality,
            max_reseeds=section.max_reseeds,
            captions_per_commit=section.image_captions_per_commit,
            image_format=section.image_format,
        ),
        shards=ShardSettings(captions_per_shard=section.captions_per_shard),
    )
