"""From a slice's inputs to a recorded model: where the files go, which task the child gets, what it reported."""

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from synclr_assets.launch.resume_points import kept_in_store
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.provenance.inputs import TrainingInputs, model_id_of
from synclr_assets.provenance.models import (
    EXCLUDED_FILE,
    TrainedModel,
    model_key,
    record_model,
    recorded_model,
)
from synclr_assets.provenance.scores import record_scores
from synclr_assets.store.store import Store
from synclr_assets.store.tables import rows_of
from synclr_train.recipes import Recipe

RunTask = Callable[[FitTask | ProbeTask | EvalTask], None]
"""Does a task to its end in another process, or raises."""
CACHE_BYTES = 100 * 10**9
"""Images of a remote store that a training keeps on its machine's disk."""
EXPORTED_FILES = ("encoder.safetensors", "config.json", "metrics.csv", "recipe.json", "result.json")


@dataclass(frozen=True)
class Training:
    """One training run: its inputs, its recipe with the seed in it, and so its model id."""

    inputs: TrainingInputs
    recipe: Recipe
    model_id: str


def plan_training(inputs: TrainingInputs, recipe: Recipe) -> Training:
    """The same inputs, recipe and seed are the same model."""
    return Training(inputs, recipe, model_id_of(inputs, recipe.fingerprint, recipe.seed))


def train(
    store: Store, training: Training, run: RunTask, *, nodes: int = 1, cache_bytes: int = CACHE_BYTES
) -> dict[str, Any]:
    """Train on `nodes` machines and record the model, or return the recorded one. A killed run is continued.

    Shards of a remote store are read where they are, and up to `cache_bytes` of them kept on this machine's disk.
    """
    known = recorded_model(store, training.model_id)
    if known is not None:
        return known
    key = model_key(training.model_id)
    out_dir = work_folder(store, key)
    out_dir.mkdir(parents=True, exist_ok=True)
    exclude_file = None
    if training.inputs.excluded:
        kept = f"{key}/{EXCLUDED_FILE}"
        store.blobs.put_bytes(kept, "".join(f"{one}\n" for one in training.inputs.excluded).encode())
        exclude_file = str(store.blobs.fetch(kept, out_dir))
    task = FitTask(
        recipe=training.recipe.model_dump(mode="json"),
        out_dir=str(out_dir),
        seed=training.recipe.seed,
        devices=training.recipe.devices,
        nodes=nodes,
        exclude_file=exclude_file,
        **reading(store, [shard.key for shard in training.inputs.shards], out_dir, cache_bytes),
    )
    with kept_in_store(store.blobs, key, out_dir):
        run(task)
    result = json.loads((out_dir / "result.json").read_text())
    keep_files(store, key, out_dir, EXPORTED_FILES)
    record_model(store, training.inputs, _trained(training, result))
    _record_cost(
        store,
        f"checkpoint/{training.model_id}",
        stage="checkpoint",
        model_id=training.model_id,
        units=result["steps"],
        wall_seconds=result["seconds"],
        gpu_seconds=result["seconds"] * training.recipe.devices * nodes
        if "cuda" in result["device"]
        else 0.0,
    )
    recorded = recorded_model(store, training.model_id)
    assert recorded is not None
    return recorded


def evaluate(
    store: Store,
    model: dict[str, Any],
    task: ProbeTask | EvalTask,
    run: RunTask,
    files: tuple[str, ...] = ("*.png", "*.json", "*.npz"),
) -> list[dict[str, Any]]:
    """Run one evaluation of a recorded model and record its scores. Returns them."""
    out_dir = Path(task.out_dir)
    started = time.monotonic()
    run(task)
    scores = json.loads((out_dir / "scores.json").read_text())["scores"]
    names = tuple(path.name for pattern in files for path in sorted(out_dir.glob(pattern)))
    keep_files(store, f"{model['key']}/evals/{task.kind}", out_dir, names)
    record_scores(store, model["model_id"], task.kind, scores)
    _record_cost(
        store,
        f"{task.kind}/{model['model_id']}/{uuid.uuid4()}",
        stage=task.kind,
        model_id=model["model_id"],
        units=len(scores),
        wall_seconds=time.monotonic() - started,
        gpu_seconds=None,
    )
    return scores


def _record_cost(store: Store, once: str, **cost: object) -> None:
    """A ledger row for work on a model; `once` names the work so that it is counted once."""
    row = {
        **cost,
        "generator": "synclr_train",
        "requests": 0,
        "size_bytes": 0,
        "usd": 0.0,
        "at": datetime.now(UTC),
    }
    store.tables.append_once("ledger", f"ledger/{once}", rows_of("ledger", [row]))


def reading(
    store: Store, keys: Sequence[str], folder: Path, cache_bytes: int = CACHE_BYTES
) -> dict[str, Any]:
    """Fields of a FitTask that say where it reads: paths in a local store; else URIs, and a cache in the folder."""
    location = store.location
    if location.is_local:
        return {"shards": tuple(str(location.local_path(key)) for key in keys)}
    return {
        "shards": tuple(location.blob_uri(key) for key in keys),
        "cache_dir": str(folder / "cache"),
        "cache_bytes": cache_bytes,
    }


def work_folder(store: Store, key: str) -> Path:
    """Where a child writes: the place itself in a local store, else a scratch folder of the same name."""
    if store.location.is_local:
        return store.location.local_path(key)
    return Path(tempfile.gettempdir()) / "synclr" / key


def keep_files(store: Store, key: str, folder: Path, names: tuple[str, ...]) -> None:
    """Upload finished files of a scratch folder; in a local store they are in their place already."""
    if store.location.is_local:
        return
    for name in names:
        store.blobs.put_file(f"{key}/{name}", folder / name)


def fetch_encoder(store: Store, model: dict[str, Any]) -> Path:
    """A local folder with the model's exported encoder."""
    folder = work_folder(store, model["key"])
    for name in EXPORTED_FILES:
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(store.blobs.read(f"{model['key']}/{name}"))
    return folder


def _trained(training: Training, result: dict[str, Any]) -> TrainedModel:
    shard_of_file = {Path(shard.key).name: shard.key for shard in training.inputs.shards}
    read = {shard_of_file[name]: counts for name, counts in result["samples_per_shard"].items()}
    return TrainedModel(
        model_id=training.model_id,
        recipe=training.recipe.name,
        recipe_json=training.recipe.model_dump_json(),
        recipe_fingerprint=training.recipe.fingerprint,
        seed=training.recipe.seed,
        steps=result["steps"],
        final_loss=result["final_losses"]["loss"],
        effective_rank=result["effective_rank"],
        code_version=version("synclr"),
        weights_sha256=result["weights_sha256"],
        seconds=result["seconds"],
        device=result["device"],
        captions_read={key: counts["captions"] for key, counts in read.items()},
        images_read={key: counts["images"] for key, counts in read.items()},
    )
