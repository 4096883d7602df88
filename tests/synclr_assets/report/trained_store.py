"""A small store, built through the store's own API, with one trained model: two buckets, twelve captions."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from synclr_assets.stages.shards import shard_key
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_assets.store.transactions import Unit
from synclr_assets.synthesis.identity import caption_id
from synclr_assets.synthesis.packing import Sample, pack_shard

HOSTILE_CONCEPT = "<script>alert(1)</script>"
GENERATORS = {
    "captions": {"model": "grammar-7", "revision": "r1", "licence": "Apache-2.0", "fingerprint": "c" * 32},
    "images": {"model": "painter-9", "revision": "r2", "licence": "OpenRAIL-M", "fingerprint": "d" * 32},
}
MODEL_ID = "0123456789abcdef0123456789abcdef"
DEPARTURE = {
    "what": "backbone.depth",
    "paper": "12 blocks",
    "here": "2 blocks",
    "why": "it must fit two cores",
}


@dataclass(frozen=True)
class Trained:
    """The store and what was put into it."""

    store: Store
    units: tuple[Unit, ...]
    caption_ids: dict[Unit, list[str]]
    model: dict[str, Any]


def jpeg(shade: int, side_px: int = 48) -> bytes:
    """A plain grey JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (shade, shade, shade)).save(buffer, "JPEG")
    return buffer.getvalue()


def append(store: Store, table: str, records: list[dict[str, Any]]) -> None:
    """Rows into a table, by the store's own writer."""
    store.tables.append(store.tables.open_or_create(table), table, rows_of(table, records))


def score(subject: str, metric: str, value: float, **changes: Any) -> dict[str, Any]:
    """A row of evals."""
    row = {
        "model_id": MODEL_ID,
        "asset": "linear_probe",
        "subject": subject,
        "is_baseline": subject != "model",
        "dataset": "sklearn_digits",
        "split": "test",
        "metric": metric,
        "value": value,
        "ci_low": value - 0.01,
        "ci_high": value + 0.01,
        "num_test": 899,
        "protocol": "linear_probe",
        "protocol_fingerprint": "feedfacefeedface",
        "per_class": [{"name": "zero", "value": value}, {"name": "one", "value": value - 0.05}],
        "evaluated_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    return row | changes


def scores() -> list[dict[str, Any]]:
    """A model that beats random weights everywhere and loses to raw pixels in kNN."""
    values = {
        "linear_probe_accuracy": {"model": 0.95, "random_weights": 0.877, "raw_pixels": 0.92},
        "knn_accuracy": {"model": 0.941, "random_weights": 0.802, "raw_pixels": 0.984},
    }
    return [score(subject, metric, value) for metric, row in values.items() for subject, value in row.items()]


def build_trained(root: Path) -> Trained:
    """Two buckets of six captions each; `textures` is in generation 2 and lost one caption to a check."""
    store = Store(root)
    units = (Unit("objects", 0), Unit("textures", 2))
    ids = {unit: _write_unit(store, unit) for unit in units}
    append(store, "quarantine", [_quarantine_row(units[1])])
    model = _model_row(store, units, ids)
    append(store, "models", [model])
    read = zip(units, (3.5, 4.0), strict=True)
    append(store, "consumption", [_consumption_row(store, unit, epochs) for unit, epochs in read])
    folder = store.location.local_path(model["key"])
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text(metrics_csv(40), encoding="utf-8")
    return Trained(store, units, ids, model)


def metrics_csv(num_rows: int) -> str:
    """A falling loss with its terms; the local term stays empty, as the trainer leaves it."""
    lines = ["step,loss,loss_global,loss_local,loss_ibot,learning_rate,effective_rank"]
    for row in range(1, num_rows + 1):
        loss = 1 + math.exp(-row / 10)
        lines.append(f"{10 * row},{loss + 0.5},{loss},,0.5,{0.002 * (1 - row / num_rows)},{20 + row / 10}")
    return "\n".join(lines) + "\n"


def _write_unit(store: Store, unit: Unit) -> list[str]:
    concepts = (HOSTILE_CONCEPT, "teapot") if unit.bucket == "objects" else ("chequered", "marbled")
    templates = ("c", "c_rel", "c_bg") if unit.bucket == "objects" else ("c",) * 3
    slots = [(concept, template, n) for concept in concepts for n, template in enumerate(templates)]
    captions, images, samples = [], [], []
    for position, (concept, template, ordinal) in enumerate(slots):
        identity = caption_id(unit.bucket, unit.generation, concept, template, ordinal)
        text = f"A view of {concept}, number {ordinal}"
        key = {**unit.partitions, "position": position, "caption_id": identity}
        details = {"concept": concept, "template": template, "ordinal": ordinal, "text": text}
        captions.append(
            key
            | details
            | GENERATORS["captions"]
            | {"background": "a | pipe" if template == "c_bg" else None}
        )
        views = tuple(jpeg(40 * position + view) for view in range(4))
        for view, data in enumerate(views):
            facts = {"view": view, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            images.append(key | facts | GENERATORS["images"])
        samples.append(Sample(identity, text, views, {"caption_id": identity}))
    append(store, "enriched_captions", captions)
    append(store, "images", images)
    with store.blobs.scratch() as folder:
        packed = pack_shard(folder / "shard.tar", samples)
        store.blobs.put_file(shard_key(unit, 0), packed.path)
    shard = {
        **unit.partitions,
        "shard_index": 0,
        "key": shard_key(unit, 0),
        "sha256": packed.sha256,
        "size_bytes": packed.size_bytes,
        "num_captions": len(samples),
        "num_images": packed.num_images,
    }
    append(store, "shards", [shard])
    members = [
        {
            **unit.partitions,
            "shard_index": 0,
            "caption_id": member.caption_id,
            "offset_bytes": member.offset_bytes,
            "size_bytes": member.size_bytes,
        }
        for member in packed.members
    ]
    append(store, "shard_members", members)
    spent = {"stage": "images", "position": 0, "units": len(images), "wall_seconds": 90.0, "size_bytes": 5000}
    append(store, "ledger", [unit.partitions | spent])
    return [sample.caption_id for sample in samples]


def _quarantine_row(unit: Unit) -> dict[str, Any]:
    lost = {"stage": "images", "position": 99, "caption_id": "f" * 32, "reason": "blank_image", "attempts": 5}
    return unit.partitions | lost


def _model_row(store: Store, units: tuple[Unit, ...], ids: dict[Unit, list[str]]) -> dict[str, Any]:
    return {
        "slice": "everything",
        "model_id": MODEL_ID,
        "recipe": "rehearsal",
        "recipe_json": json.dumps(
            {"name": "rehearsal", "backbone": {"patch_size": 8}, "departures": [DEPARTURE]}
        ),
        "recipe_fingerprint": "e" * 32,
        "seed": 7,
        "inputs": [
            {
                "bucket": unit.bucket,
                "generation": unit.generation,
                "num_captions": len(ids[unit]),
                "shard_sha256s": store.tables.read("shards", partitions=unit.partitions)[
                    "sha256"
                ].to_pylist(),
            }
            for unit in units
        ],
        "table_versions": [{"table": "shards", "version": 41}],
        "steps": 600,
        "final_loss": 1.234,
        "effective_rank": 23.4,
        "code_version": "0.1.0",
        "weights_sha256": "ab" * 32,
        "key": f"models/{MODEL_ID}",
        "seconds": 74.0,
        "device": "cpu",
        "created_at": datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
    }


def _consumption_row(store: Store, unit: Unit, epochs: float) -> dict[str, Any]:
    shard = store.tables.read("shards", partitions=unit.partitions).to_pylist()[0]
    return {
        **unit.partitions,
        "model_id": MODEL_ID,
        "shard_index": 0,
        "shard_sha256": shard["sha256"],
        "captions_read": int(epochs * shard["num_captions"]),
        "images_read": int(epochs * shard["num_images"]),
        "epochs": epochs,
    }
