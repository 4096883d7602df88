"""Recording trained models and what they really read, and finding them again by id or prefix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from synclr_assets.provenance.inputs import TrainingInputs, excluded_digest
from synclr_assets.store.errors import StoreError, UnknownIdError
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of, sql_literal
from synclr_assets.store.transactions import Unit


@dataclass(frozen=True)
class TrainedModel:
    """What the trainer reports about a finished run."""

    model_id: str
    recipe: str
    recipe_json: str
    recipe_fingerprint: str
    seed: int
    steps: int
    final_loss: float
    effective_rank: float
    code_version: str
    weights_sha256: str
    seconds: float
    device: str
    captions_read: Mapping[str, int]
    """Positive groups read, by shard key."""
    images_read: Mapping[str, int]
    """Images read, by shard key."""


EXCLUDED_FILE = "excluded.txt"
"""In the folder of a model that was kept from recalled captions: their ids, one a line."""


def model_key(model_id: str) -> str:
    """Folder of a model below the store's root."""
    return f"models/{model_id}"


def record_model(store: Store, inputs: TrainingInputs, trained: TrainedModel) -> None:
    """Commit what the model read, then the model itself; a recorded model is left as it is."""
    consumption = [
        {
            "model_id": trained.model_id,
            "bucket": shard.bucket,
            "generation": shard.generation,
            "shard_index": shard.shard_index,
            "shard_sha256": shard.sha256,
            "captions_read": trained.captions_read.get(shard.key, 0),
            "images_read": trained.images_read.get(shard.key, 0),
            "epochs": trained.captions_read.get(shard.key, 0) / shard.num_captions,
        }
        for shard in inputs.shards
    ]
    store.tables.replace(
        "consumption", f"model_id = {sql_literal(trained.model_id)}", rows_of("consumption", consumption)
    )
    row = {
        "slice": inputs.slice_name,
        "model_id": trained.model_id,
        "recipe": trained.recipe,
        "recipe_json": trained.recipe_json,
        "recipe_fingerprint": trained.recipe_fingerprint,
        "seed": trained.seed,
        "inputs": [
            {
                "bucket": unit.bucket,
                "generation": unit.generation,
                "num_captions": sum(shard.num_captions for shard in inputs.shards_of(unit)),
                "shard_sha256s": [shard.sha256 for shard in inputs.shards_of(unit)],
            }
            for unit in inputs.units
        ],
        "table_versions": [{"table": t, "version": v} for t, v in sorted(inputs.table_versions.items())],
        "num_excluded": len(inputs.excluded),
        "excluded_digest": excluded_digest(inputs.excluded),
        "steps": trained.steps,
        "final_loss": trained.final_loss,
        "effective_rank": trained.effective_rank,
        "code_version": trained.code_version,
        "weights_sha256": trained.weights_sha256,
        "key": model_key(trained.model_id),
        "seconds": trained.seconds,
        "device": trained.device,
        "created_at": datetime.now(UTC),
    }
    store.tables.append_once("models", f"models/{trained.model_id}", rows_of("models", [row]))


def recorded_model(store: Store, model_id: str) -> dict[str, Any] | None:
    """The row of models with exactly this id, or None."""
    rows = store.tables.read("models", where=pc.field("model_id") == model_id).to_pylist()
    return rows[0] if rows else None


def find_model(store: Store, prefix: str) -> dict[str, Any]:
    """The one recorded model whose id begins with the prefix. Raises UnknownIdError for none or several."""
    rows = store.tables.read("models", where=pc.starts_with(pc.field("model_id"), prefix.lower())).to_pylist()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        known = ", ".join(row["model_id"][:12] for row in models(store)[:5]) or "none yet"
        raise UnknownIdError(f"No model {prefix!r} in {store.location.uri}; known models: {known}.")
    raise UnknownIdError(f"{prefix!r} fits {len(rows)} models: give more of the id.")


def models(store: Store, slice_name: str | None = None) -> list[dict[str, Any]]:
    """All recorded models, newest first."""
    where = None if slice_name is None else pc.field("slice") == slice_name
    return store.tables.read("models", where=where).sort_by([("created_at", "descending")]).to_pylist()


def excluded_captions(store: Store, model: Mapping[str, Any]) -> frozenset[str]:
    """Captions of the model's shards that its training was kept from. Raises StoreError for a changed list."""
    if not model["num_excluded"]:
        return frozenset()
    listed = store.blobs.read(f"{model['key']}/{EXCLUDED_FILE}").decode().split()
    if excluded_digest(listed) != model["excluded_digest"]:
        raise StoreError(
            f"{model['key']}/{EXCLUDED_FILE} is not the list that model {model['model_id']} was trained with: "
            "the store is damaged, take the file from a copy."
        )
    return frozenset(listed)


def units_of_model(model: Mapping[str, Any]) -> list[Unit]:
    """The bucket generations that a row of models was made from."""
    return [Unit(entry["bucket"], entry["generation"]) for entry in model["inputs"]]


def recipe_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """The complete recipe of a recorded model."""
    recipe = json.loads(model["recipe_json"])
    assert isinstance(recipe, dict)
    return recipe
