"""`fit` over two processes: every caption once, one writer, losses averaged."""

import csv
import json
import subprocess
import sys

import pytest
from safetensors.torch import load_file

from synclr_train.checkpointing import latest_checkpoint
from synclr_train.metrics import TrainingEvent
from synclr_train.training import fit

PROGRAM = """
import sys
from pathlib import Path
from synclr_train.config import Recipe
from synclr_train.training import fit

if __name__ == "__main__":
    folder, shards = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    fit(Recipe.model_validate_json((folder / "recipe.json").read_text()), shards, folder / "run")
"""


def test_two_processes_share_the_captions_of_each_step(tmp_path, shards, whole_recipe):
    recipe = whole_recipe(devices=2, strategy="ddp", steps=4)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path), *map(str, shards)]
    subprocess.run(command, check=True, timeout=180)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    alone = fit(whole_recipe(steps=4), shards, tmp_path / "alone")
    read = {name: each["captions"] for name, each in result["samples_per_shard"].items()}
    assert read == {name: each.captions for name, each in alone.samples_per_shard.items()}
    assert len(result["weights_sha256"]) == 64
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4]


def test_another_number_of_devices_continues_the_epoch(tmp_path, shards, whole_recipe):
    """One process stops in the middle of an epoch, two go on: no caption is repeated or skipped."""
    recipe = whole_recipe(checkpoint_every_steps=2)

    def stop(event: TrainingEvent) -> None:
        if event.step == 8:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(recipe, shards, tmp_path / "run", on_event=stop)
    assert sum(samples_read(tmp_path / "run")) == 6 * 8
    (tmp_path / "recipe.json").write_text(recipe.varied(devices=2, strategy="ddp").model_dump_json())
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path), *map(str, shards)]
    subprocess.run(command, check=True, timeout=400)
    assert samples_read(tmp_path / "run") == [32, 32]


def samples_read(run) -> list[int]:
    """Captions read of each shard, at the newest resume point."""
    return load_file(latest_checkpoint(run))["samples"].tolist()


def test_batch_norm_over_cpu_processes_is_refused(tmp_path, shards, tiny_recipe):
    with pytest.raises(ValueError, match="shares BatchNorm over its devices"):
        fit(tiny_recipe(devices=2, strategy="ddp"), shards, tmp_path / "run")
