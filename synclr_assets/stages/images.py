"""Stage 4: four checked views per caption (SynCLR 3.2). A caption keeps its whole positive group or is quarantined."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.compute as pc

from synclr_assets.stages.ledger import ledger_row
from synclr_assets.stages.progress import (
    OnProgress,
    StageCounts,
    planned_captions,
    quarantined_by_reason,
    require_complete,
    silent,
)
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, windows
from synclr_assets.store.transactions import StageWriter, Unit, check_settings, stage_cursor
from synclr_assets.synthesis.encoding import decode, encode_jpeg
from synclr_assets.synthesis.identity import digest_hex, image_seed
from synclr_assets.synthesis.image_checks import GROUP_CHECKS, check_group, perceptual_hash
from synclr_assets.synthesis.protocols import ImageRequest, ImageSampler, UInt8Image

STAGE = "images"
VIEWS_PER_CAPTION = 4


@dataclass(frozen=True)
class ImageSettings:
    """How images are drawn and kept, whatever the generator."""

    jpeg_quality: int = 95
    """Quality of the stored JPEG, 1 to 95."""
    max_reseeds: int = 4
    """New seeds per view before its caption is quarantined."""
    captions_per_commit: int = 256
    """Captions that become visible together; changes no image."""


@dataclass
class Group:
    """The positive group of one caption while it is drawn. A view is checked as it will be read: decoded again."""

    caption: dict[str, Any]
    reseeds: list[int] = field(default_factory=lambda: [0] * VIEWS_PER_CAPTION)
    encoded: list[bytes | None] = field(default_factory=lambda: [None] * VIEWS_PER_CAPTION)
    images: list[UInt8Image | None] = field(default_factory=lambda: [None] * VIEWS_PER_CAPTION)
    reason: str | None = None

    def put(self, view: int, image: UInt8Image, jpeg_quality: int) -> None:
        """Take a drawn view, encoded and decoded again."""
        data = encode_jpeg(image, jpeg_quality)
        self.encoded[view], self.images[view] = data, decode(data)


def settings_of(sampler: ImageSampler, settings: ImageSettings) -> str:
    """Fingerprint of everything an image depends on beyond its caption and view."""
    return digest_hex(
        STAGE, sampler.provenance.fingerprint, sampler.size_px, settings.jpeg_quality, settings.max_reseeds
    )


def write_images(
    store: Store,
    unit: Unit,
    sampler: ImageSampler,
    settings: ImageSettings = ImageSettings(),  # noqa: B008 - frozen
    *,
    run_id: str = "",
    on_progress: OnProgress = silent,
) -> StageCounts:
    """Draw and commit what is missing of the unit's images; a complete unit is left as it is.

    Raises SettingsChangedError, FencedError, NotReadyError.
    """
    tables = store.tables
    fingerprint = settings_of(sampler, settings)
    check_settings(tables, STAGE, unit, fingerprint)
    total = planned_captions(tables, unit)
    require_complete(tables, "enriched_captions", unit, total)
    if stage_cursor(tables, STAGE, unit) < total:
        writer = StageWriter.open(
            tables, STAGE, unit, sides=("image_bytes", "quarantine", "ledger"), run_id=run_id
        )
        corpus = tables.snapshot("enriched_captions", unit.partitions)
        assert corpus is not None
        columns = ["position", "caption_id", "text", "concept"]
        spoken = _display_texts(store, unit)
        for start, end, rows in windows(
            corpus, "position", writer.cursor, total, settings.captions_per_commit, columns
        ):
            started = time.monotonic()
            groups = [Group(row | {"concept": spoken[row["concept"]]}) for row in rows.to_pylist()]
            num_requests = draw_groups(sampler, groups, settings)
            facts, encoded = _rows(unit, groups, sampler, fingerprint)
            spent = ledger_row(
                STAGE,
                unit,
                start,
                units=len(facts),
                generator=sampler.provenance.model,
                requests=num_requests,
                wall_seconds=time.monotonic() - started,
                size_bytes=sum(fact["size_bytes"] for fact in facts),
            )
            sides = {
                "image_bytes": rows_of("image_bytes", encoded),
                "quarantine": rows_of("quarantine", _quarantined(unit, groups)),
                "ledger": spent,
            }
            writer.commit(end, rows_of(STAGE, facts), sides)
            on_progress(end, total)
    return StageCounts(
        unit,
        allocated=tables.count("enriched_captions", partitions=unit.partitions),
        written=tables.count(STAGE, partitions=unit.partitions, where=pc.field("view") == 0),
        quarantined=quarantined_by_reason(tables, STAGE, unit),
    )


def draw_groups(sampler: ImageSampler, groups: Sequence[Group], settings: ImageSettings) -> int:
    """Draw every view of every group, reseeding views that fail a check. Returns the images asked for.

    A group whose view fails once more than it may be reseeded gets the last reason and counts as lost.
    """
    num_requests = 0
    pending = list(groups)
    while pending:
        wanted = [(group, view) for group in pending for view, image in enumerate(group.images) if image is None]
        drawn = sampler.sample([_request(group, view) for group, view in wanted])
        num_requests += len(wanted)
        for (group, view), image in zip(wanted, drawn, strict=True):
            group.put(view, image, settings.jpeg_quality)
        pending = [g for g in pending if _reseed_failures(g, sampler.size_px, settings.max_reseeds)]
    return num_requests


def _reseed_failures(group: Group, size_px: int, max_reseeds: int) -> bool:
    """Whether the group has views to draw again; sets its reason once a view has no reseeds left."""
    complete = [image for image in group.images if image is not None]
    assert len(complete) == VIEWS_PER_CAPTION
    failed = [(view, reason) for view, reason in enumerate(check_group(complete, size_px)) if reason]
    for view, reason in failed:
        if group.reseeds[view] == max_reseeds:
            group.reason = reason
            return False
        group.reseeds[view] += 1
        group.images[view] = None
    return bool(failed)


def _request(group: Group, view: int) -> ImageRequest:
    identity = group.caption["caption_id"]
    reseed = group.reseeds[view]
    return ImageRequest(
        caption_id=identity,
        view=view,
        reseed=reseed,
        seed=image_seed(identity, view, reseed),
        text=group.caption["text"],
        concept=group.caption["concept"],
    )


def _display_texts(store: Store, unit: Unit) -> dict[str, str]:
    rows = store.tables.read("concepts", partitions=unit.partitions, columns=["concept", "display_text"])
    return dict(zip(rows["concept"].to_pylist(), rows["display_text"].to_pylist(), strict=True))


def _rows(
    unit: Unit, groups: Sequence[Group], sampler: ImageSampler, fingerprint: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Facts and bytes of all groups that passed."""
    provenance = asdict(sampler.provenance) | {"fingerprint": fingerprint}
    facts, encoded = [], []
    for group in groups:
        if group.reason is not None:
            continue
        key = {
            **unit.partitions,
            "position": group.caption["position"],
            "caption_id": group.caption["caption_id"],
        }
        for view, (data, image) in enumerate(zip(group.encoded, group.images, strict=True)):
            assert data is not None
            assert image is not None
            encoded.append({**key, "view": view, "encoded": data})
            facts.append(
                {
                    **key,
                    "view": view,
                    "seed": image_seed(key["caption_id"], view, group.reseeds[view]),
                    "reseeds": group.reseeds[view],
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "size_bytes": len(data),
                    "width": image.shape[1],
                    "height": image.shape[0],
                    "perceptual_hash": perceptual_hash(image),
                    "checks_passed": list(GROUP_CHECKS),
                    **provenance,
                }
            )
    return facts, encoded


def _quarantined(unit: Unit, groups: Sequence[Group]) -> list[dict[str, Any]]:
    return [
        {
            **unit.partitions,
            "stage": STAGE,
            "position": group.caption["position"],
            "caption_id": group.caption["caption_id"],
            "reason": group.reason,
            "detail": group.caption["text"][:200],
            "attempts": max(group.reseeds) + 1,
        }
        for group in groups
        if group.reason is not None
    ]
