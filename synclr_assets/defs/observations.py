"""What people look at in the UI: counts, rates, samples, contact sheets as metadata. Judges nothing."""

import math
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from synclr_assets.cost.summary import ledger_metadata
from synclr_assets.report.previews import caption_table, contact_sheet, count_table, markdown_image
from synclr_assets.stages.progress import StageCounts
from synclr_assets.stages.stored_images import stored_views
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.protocols import ModelProvenance

SECONDS_BETWEEN_LINES = 1.0
"""Each line is an event that Dagster stores, which takes it about ten milliseconds."""
SAMPLE_CAPTIONS = 12
SHEET_CAPTIONS = 8


def progress_log(context: dg.AssetExecutionContext, what: str) -> Callable[[int, int], None]:
    """An OnProgress that writes to the run's log: the first and the last commit, and one a second between."""
    written = -math.inf

    def tell(done: int, total: int) -> None:
        nonlocal written
        if done >= total or time.monotonic() - written >= SECONDS_BETWEEN_LINES:
            written = time.monotonic()
            context.log.info(f"{what} {done} of {total}")

    return tell


def provenance_text(provenance: ModelProvenance) -> str:
    """Model, revision and licence in one line."""
    return f"{provenance.model} @ {provenance.revision}, {provenance.licence}"


def caption_metadata(
    store: Store, counts: StageCounts, provenance: ModelProvenance, stage: str
) -> dict[str, Any]:
    """Counts, rate, provenance and cost of a caption stage."""
    spent = store.tables.read(
        "ledger",
        partitions=counts.unit.partitions,
        columns=["units", "wall_seconds"],
        where=pc.field("stage") == stage,
    )
    seconds = pc.sum(spent["wall_seconds"]).as_py() or 0.0
    return {
        "generation": counts.unit.generation,
        "captions": counts.written,
        "quarantined": counts.num_quarantined,
        "quarantined by reason": dg.MarkdownMetadataValue(count_table(counts.quarantined)),
        "captions per second": round((pc.sum(spent["units"]).as_py() or 0) / seconds, 1) if seconds else 0.0,
        "generator": provenance_text(provenance),
        **ledger_metadata(store, counts.unit, stage),
        "dagster/row_count": counts.written,
    }


def caption_sample(store: Store, unit: Unit, table: str) -> dg.MarkdownMetadataValue:
    """The first finished captions of the shuffled plan as a table."""
    rows = first_captions(store, unit, table, SAMPLE_CAPTIONS)
    return dg.MarkdownMetadataValue(caption_table(rows))


def first_captions(store: Store, unit: Unit, table: str, count: int) -> list[dict[str, Any]]:
    """The first finished captions of the plan; the plan is shuffled, so they are a fair sample."""
    window = pc.field("text").is_valid() & (pc.field("position") < 8 * count)
    rows = store.tables.read(table, partitions=unit.partitions, where=window).sort_by("position")
    return rows.slice(0, count).to_pylist()


def image_sheet(store: Store, unit: Unit) -> dg.MarkdownMetadataValue:
    """A contact sheet: one row per caption, its four views side by side."""
    captions = first_captions(store, unit, "enriched_captions", SHEET_CAPTIONS)
    texts = {row["caption_id"]: row["text"] for row in captions}
    groups: dict[str, list[bytes]] = {}
    for row in stored_views(store, unit, list(texts)):
        groups.setdefault(row["caption_id"], []).append(row["encoded"])
    sheet = contact_sheet([(texts[identity], views) for identity, views in groups.items()])
    return dg.MarkdownMetadataValue(markdown_image(sheet, f"{unit}: four views per caption"))
