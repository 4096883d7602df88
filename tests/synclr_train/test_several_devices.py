"""`fit` over two processes: every caption once, one writer, losses averaged."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from synclr_train.run_files import latest_checkpoint
from synclr_train.training import fit
from tests.synclr_train.conftest import caption_id

PROGRAM = """
import sys
from pathlib import Path
import torch
from synclr_train.config import Recipe
from synclr_train.training import fit

if __name__ == "__main__":
    folder, shards = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    fit(Recipe.model_validate_json((folder / "recipe.json").read_text()), shards, folder / "run")
    assert not torch.distributed.is_initialized(), "what comes after a run is not shared"
"""


def test_two_processes_share_the_captions_of_each_step(tmp_path, shards, whole_recipe):
    recipe = whole_recipe(devices=2, strategy="ddp", steps=4)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path), *map(str, shards)]
    subprocess.run(command, check=True, timeout=180)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    again = fit(recipe, shards, tmp_path / "run")
    assert again.weights_sha256 == result["weights_sha256"], "a finished run is told again, without processes"
    alone = fit(whole_recipe(steps=4), shards, tmp_path / "alone")
    read = {name: each["captions"] for name, each in result["samples_per_shard"].items()}
    assert read == {name: each.captions for name, each in alone.samples_per_shard.items()}
    assert len(result["weights_sha256"]) == 64
    with (tmp_path / "run" / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4]


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_devices_continues_the_epoch(tmp_path, shards, whole_recipe, before, after):
    """Killed after 7 steps, continued at the resume point of 6 in the middle of the second epoch: the steps that
    count have every caption of each epoch once, by id."""
    base = whole_recipe(checkpoint_every_steps=2)
    for part, devices, last in (("before", before, 7), ("after", after, base.steps)):
        recipe = base.varied(devices=devices, strategy="ddp" if devices > 1 else "auto")
        (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
        program = str(Path(__file__).with_name("recording_run.py"))
        command = [sys.executable, program, str(tmp_path), part, str(last), *map(str, shards)]
        ended = subprocess.run(command, timeout=400, check=False)
        assert ended.returncode == (-signal.SIGKILL if part == "before" else 0)
        for rank in range(devices):
            steps = [step for step, _ in reads_of(tmp_path / f"{part}-{rank}")]
            first = 0 if part == "before" else 6
            assert steps == [step for step in range(first, last) for _ in range(8 // devices)]
    ranks = [("before", rank) for rank in range(before)] + [("after", rank) for rank in range(after)]
    reads = [(part, *read) for part, rank in ranks for read in reads_of(tmp_path / f"{part}-{rank}")]
    for epoch in range(2):
        kept = [
            caption for part, step, caption in reads if step // 4 == epoch and (part == "after" or step < 6)
        ]
        assert sorted(kept) == [caption_id(number) for number in range(32)]
    assert samples_read(tmp_path / "run") == [32, 32]


def reads_of(path: Path) -> list[tuple[int, str]]:
    """Step and caption id of everything that a process read, in order."""
    pairs = [line.split() for line in path.read_text().splitlines()]
    return [(int(step), read) for step, read in pairs]


def samples_read(run) -> list[int]:
    """Captions read of each shard, at the newest resume point."""
    return load_file(latest_checkpoint(run))["samples"].tolist()


def test_batch_norm_over_cpu_processes_is_refused(tmp_path, shards, tiny_recipe):
    with pytest.raises(ValueError, match="shares BatchNorm over its devices"):
        fit(tiny_recipe(devices=2, strategy="ddp"), shards, tmp_path / "run")


def test_one_device_opens_no_port_for_others(tmp_path, shards, whole_recipe, monkeypatch):
    monkeypatch.delenv("MASTER_PORT", raising=False)
    fit(whole_recipe(devices=1, strategy="ddp", steps=4), shards, tmp_path / "run")
    assert not torch.distributed.is_initialized()
    assert "MASTER_PORT" not in os.environ
