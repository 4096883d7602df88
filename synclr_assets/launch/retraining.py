"""Training a recorded model once more from its record, into a folder outside the store."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from synclr_assets.launch.tasks import FitTask
from synclr_assets.launch.training import reading
from synclr_assets.provenance.models import EXCLUDED_FILE, excluded_captions, recipe_of
from synclr_assets.store.errors import StoreError
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_assets.store.unit_rows import UnitRows


def retrain(store: Store, model: dict[str, Any], out_dir: Path) -> dict[str, Any]:
    """Train with the recorded recipe, seed, shards and exclusions in a child process. Returns its result.json.

    Raises StoreError where a shard is gone or the training fails.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    excluded = excluded_captions(store, model)
    exclude_file = out_dir / EXCLUDED_FILE
    if excluded:
        exclude_file.write_text("".join(f"{one}\n" for one in sorted(excluded)), encoding="utf-8")
    task = FitTask(
        recipe=recipe_of(model),
        out_dir=str(out_dir / "model"),
        seed=model["seed"],
        exclude_file=str(exclude_file) if excluded else None,
        **reading(store, _shard_keys(store, model), out_dir),
    )
    task_file = out_dir / "task.json"
    task_file.write_text(task.model_dump_json(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "synclr_assets.launch.refit", str(task_file)],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no word was left"]
        raise StoreError(f"Training model {model['model_id'][:12]} again failed: {said[0]}")
    result = json.loads((out_dir / "model" / "result.json").read_text(encoding="utf-8"))
    assert isinstance(result, dict)
    return result


def _shard_keys(store: Store, model: dict[str, Any]) -> list[str]:
    keys = []
    shards = UnitRows(store.tables, "shards", [entry["bucket"] for entry in model["inputs"]])
    for entry in model["inputs"]:
        unit = Unit(entry["bucket"], entry["generation"])
        rows = shards.read(unit, ["key", "sha256"]).to_pylist()
        key_of = {row["sha256"]: row["key"] for row in rows}
        gone = [digest for digest in entry["shard_sha256s"] if digest not in key_of]
        if gone:
            raise StoreError(
                f"Shard {gone[0][:12]} of {unit} is in no table any more: it cannot be trained on."
            )
        keys += [key_of[digest] for digest in entry["shard_sha256s"]]
    return keys
