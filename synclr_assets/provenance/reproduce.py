"""Rebuilding a recorded model's data from its record, link by link, and saying of each how exact it is.

Writes nothing into the model's store. A generator is run again only where it is still at hand and costs no money.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synclr_assets.stages.captions import CaptionSettings, write_captions
from synclr_assets.stages.captions import settings_of as caption_settings_of
from synclr_assets.stages.enriched_captions import EnrichmentSettings, write_enriched_captions
from synclr_assets.stages.enriched_captions import settings_of as enrichment_settings_of
from synclr_assets.stages.images import ImageSettings, write_images
from synclr_assets.stages.images import settings_of as image_settings_of
from synclr_assets.stages.shards import ShardSettings, write_shards
from synclr_assets.store.blobs import sha256_of
from synclr_assets.store.errors import SettingsChangedError
from synclr_assets.store.schemas import WALL_CLOCK_COLUMNS
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit, check_settings
from synclr_assets.store.unit_rows import UnitRows
from synclr_assets.synthesis.image_text_agreement import ImageTextAgreement
from synclr_assets.synthesis.prompts import PromptSet
from synclr_assets.synthesis.protocols import Captioner, ImageSampler
from synclr_assets.synthesis.purchases import Enricher

Verdict = Literal["exact", "from stored data", "not exact"]
REGENERATED = ("captions", "enriched_captions", "images", "shards")


@dataclass(frozen=True)
class Link:
    """One step from concepts to weights, and how exactly it could be taken again."""

    name: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Generators:
    """What makes captions, images and shards now."""

    captioner: Captioner
    prompts: PromptSet
    enricher: Enricher
    sampler: ImageSampler
    agreement: ImageTextAgreement | None
    captions: CaptionSettings
    enrichment: EnrichmentSettings
    images: ImageSettings
    shards: ShardSettings

    def settings(self) -> Mapping[str, tuple[str, str]]:
        """By stage: the settings fingerprint its rows would carry, and in which column."""
        return {
            "captions": (caption_settings_of(self.captioner, self.prompts, self.captions), "fingerprint"),
            "enriched_captions": (
                enrichment_settings_of(self.captioner, self.enricher, self.prompts, self.enrichment),
                "settings",
            ),
            "images": (image_settings_of(self.sampler, self.images, self.agreement), "fingerprint"),
            "shards": (self.shards.fingerprint, "fingerprint"),
        }


def stored_shards(store: Store, model: Mapping[str, Any]) -> Iterator[Link]:
    """Whether the shards the model was given are still there, byte by byte, one bucket generation at a time."""
    shards = UnitRows(store.tables, "shards", [entry["bucket"] for entry in model["inputs"]])
    for entry in model["inputs"]:
        unit = Unit(entry["bucket"], entry["generation"])
        rows = shards.read(unit, ["key", "sha256"]).to_pylist()
        key_of = {row["sha256"]: row["key"] for row in rows}
        bad = [
            digest for digest in entry["shard_sha256s"] if not _is_intact(store, key_of.get(digest), digest)
        ]
        wanted = len(entry["shard_sha256s"])
        yield Link(
            f"shards of {unit}",
            "not exact" if bad else "exact",
            f"{len(bad)} of {wanted} are gone or changed: run `synclr verify --repair`"
            if bad
            else f"{wanted} stored files have the recorded SHA-256",
        )


def regenerated_data(
    store: Store, model: Mapping[str, Any], generators: Generators, scratch: Path
) -> Iterator[Link]:
    """Captions, images and shards of every unit made once more from its stored concepts, and compared.

    A unit that other generators or settings made is taken from stored data. `scratch` must be empty and takes as
    much disk as the units.
    """
    for entry in model["inputs"]:
        unit = Unit(entry["bucket"], entry["generation"])
        changed = _changed(store, unit, generators)
        if changed is not None:
            yield Link(f"captions and images of {unit}", "from stored data", changed)
            continue
        again = Store(scratch / f"{unit.bucket}-{unit.generation}")
        _write_again(store, again, unit, generators)
        for table in REGENERATED:
            ours, theirs = (_facts(one, table, unit) for one in (again, store))
            yield Link(
                f"{table} of {unit}",
                "exact" if ours.equals(theirs) else "not exact",
                f"{ours.num_rows} rows made again, {theirs.num_rows} stored, "
                + ("all equal" if ours.equals(theirs) else "they differ"),
            )


def consumption_link(store: Store, model: Mapping[str, Any], samples_per_shard: Mapping[str, Any]) -> Link:
    """Whether a training read from every shard what the record says: `samples_per_shard` of its result.json."""
    rows = store.tables.read("consumption", partitions={"model_id": model["model_id"]}).to_pylist()
    shards = store.tables.read("shards", columns=["sha256", "key"]).to_pylist()
    name_of = {row["sha256"]: Path(row["key"]).name for row in shards}
    recorded = {name_of.get(row["shard_sha256"]): row["captions_read"] for row in rows}
    read = {name: counts["captions"] for name, counts in samples_per_shard.items()}
    same = recorded == read
    return Link(
        "captions read of each shard",
        "exact" if same else "not exact",
        f"{sum(read.values())} in {len(read)} shards" + ("" if same else f", {recorded} are recorded"),
    )


def weights_link(model: Mapping[str, Any], weights_sha256: str, device: str) -> Link:
    """Whether the weights are the recorded ones, and if not, what differs about how they were trained."""
    if weights_sha256 == model["weights_sha256"]:
        return Link("weights", "exact", f"SHA-256 {weights_sha256}")
    return Link(
        "weights",
        "not exact",
        f"SHA-256 {weights_sha256[:12]}, recorded is {model['weights_sha256'][:12]}; trained on {device!r} here, on "
        f"{model['device']!r} by version {model['code_version']} then",
    )


def _is_intact(store: Store, key: str | None, sha256: str) -> bool:
    if key is None or not store.blobs.exists(key):
        return False
    with store.blobs.scratch() as folder:
        return sha256_of(store.blobs.fetch(key, folder)) == sha256


def _changed(store: Store, unit: Unit, generators: Generators) -> str | None:
    """Why the unit cannot be made again with these generators, or None."""
    for stage, (fingerprint, column) in generators.settings().items():
        try:
            check_settings(store.tables, stage, unit, fingerprint, column)
        except SettingsChangedError:
            return f"{stage} were made by another generator or with other settings than this profile's"
    return None


def _write_again(store: Store, again: Store, unit: Unit, generators: Generators) -> None:
    concepts = store.tables.read("concepts", partitions=unit.partitions)
    again.tables.append(again.tables.open_or_create("concepts"), "concepts", concepts)
    write_captions(again, unit, generators.captioner, generators.prompts, generators.captions)
    write_enriched_captions(
        again, unit, generators.captioner, generators.enricher, generators.prompts, generators.enrichment
    )
    write_images(again, unit, generators.sampler, generators.images, agreement=generators.agreement)
    write_shards(again, unit, generators.shards)


def _facts(store: Store, table: str, unit: Unit) -> Any:
    spec = store.tables.spec(table)
    columns = [name for name in spec.schema.names if name not in WALL_CLOCK_COLUMNS]
    rows = store.tables.read(table, partitions=unit.partitions, columns=columns)
    return rows.sort_by([(key, "ascending") for key in spec.key]).combine_chunks()
