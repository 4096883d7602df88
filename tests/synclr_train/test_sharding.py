"""FSDP: two processes that hold half of every parameter train to the weights of two that hold all of it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from synclr_train.config import Recipe
from synclr_train.run_files import latest_checkpoint
from synclr_train.training import fit

PROGRAM = """
import json
import os
import sys
from pathlib import Path

from synclr_train.config import Recipe
from synclr_train.method import SynCLR
from synclr_train.sharding import own_part
from synclr_train.training import fit

kept = []
update = SynCLR.update_teacher

def counted(self, momentum):
    update(self, momentum)
    kept.append(sum(own_part(p).numel() for p in self.parameters()) / sum(p.numel() for p in self.parameters()))

if __name__ == "__main__":
    folder, name, shards = Path(sys.argv[1]), sys.argv[2], [Path(each) for each in sys.argv[3:]]
    SynCLR.update_teacher = counted
    recipe = Recipe.model_validate_json((folder / f"{name}.json").read_text())
    fit(recipe, shards, folder / name)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        (folder / f"{name}.kept").write_text(json.dumps(kept))
"""


def train(folder: Path, name: str, recipe: Recipe, shards: list[Path]) -> Path:
    """The run's folder, after training in processes of its own."""
    (folder / f"{name}.json").write_text(recipe.model_dump_json())
    program = folder / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(folder), name, *map(str, shards)]
    subprocess.run(command, check=True, timeout=400)
    return folder / name


def largest_difference(first: Path, second: Path) -> float:
    """Over student and teacher, at the newest resume points, which must hold the same tensors."""
    mine, theirs = (load_file(latest_checkpoint(run)) for run in (first, second))
    assert {name: tensor.shape for name, tensor in mine.items()} == {n: t.shape for n, t in theirs.items()}
    networks = [name for name in mine if name.startswith("networks.")]
    return max(float((mine[name].double() - theirs[name].double()).abs().max()) for name in networks)


@pytest.mark.parametrize("spared", [{}, {"recompute_activations": True}, {"crops_per_pass": 3}])
def test_split_networks_learn_what_copied_ones_learn(tmp_path, shards, whole_recipe, spared):
    recipe = whole_recipe(devices=2, steps=6, checkpoint_every_steps=2, **spared)
    copied = train(tmp_path, "copied", recipe.varied(strategy="ddp"), shards)
    split = train(tmp_path, "split", recipe.varied(strategy="fsdp"), shards)
    # AdamW makes whole steps of the rounding in a gradient that is 0, as that of the keys' bias: seen 1.2e-5.
    assert largest_difference(copied, split) < 5e-5
    kept = json.loads((tmp_path / "split.kept").read_text())
    assert len(kept) == 6
    assert all(0.4 < share < 0.62 for share in kept), (
        "a process keeps its half of the parameters, the teacher's too"
    )
    point, exported = load_file(latest_checkpoint(split)), load_file(split / "encoder.safetensors")
    assert exported.keys() == load_file(copied / "encoder.safetensors").keys()
    network = f"networks.{recipe.export_network}.backbone.vit."
    assert all(torch.equal(exported[name], point[network + name]) for name in exported)
    results = [json.loads((run / "result.json").read_text()) for run in (copied, split)]
    assert results[0]["samples_per_shard"] == results[1]["samples_per_shard"]
    assert gradient_norms(split) == pytest.approx(gradient_norms(copied), rel=1e-5)


def test_split_gradients_are_clipped_by_the_norm_of_all_parts(tmp_path, shards, whole_recipe):
    """AdamW hides the scale of a gradient in the weights; its moments show it."""
    limit = 0.05
    optimiser = whole_recipe().optimiser.model_copy(update={"gradient_clip_norm": limit})
    recipe = whole_recipe(devices=2, steps=4, checkpoint_every_steps=2, optimiser=optimiser)
    copied = train(tmp_path, "copied", recipe.varied(strategy="ddp"), shards)
    split = train(tmp_path, "split", recipe.varied(strategy="fsdp"), shards)
    assert min(gradient_norms(copied)) > 10 * limit
    assert gradient_norms(split) == pytest.approx(gradient_norms(copied), rel=1e-5)
    mine, theirs = (load_file(latest_checkpoint(run)) for run in (copied, split))
    moments = [name for name in mine if name.endswith(".exp_avg")]
    largest = max(float(mine[name].abs().max()) for name in moments)
    assert largest > 1e-4
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in moments) < 1e-4 * largest


def gradient_norms(run: Path) -> list[float]:
    """The column of metrics.csv: norms before clipping."""
    with (run / "metrics.csv").open() as file:
        return [float(row["gradient_norm"]) for row in csv.DictReader(file)]


def test_a_split_run_continues_to_the_same_weights_and_on_one_device(tmp_path, shards, whole_recipe):
    recipe = whole_recipe(devices=2, strategy="fsdp", steps=6, checkpoint_every_steps=2, checkpoints_kept=3)
    split = train(tmp_path, "split", recipe, shards)
    points = sorted((split / "checkpoints").iterdir())
    assert len(points) == 3
    for name, changes in (("again", {}), ("alone", {"devices": 1, "strategy": "auto"})):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / points[0].name).write_bytes(points[0].read_bytes())
        train(tmp_path, name, recipe.varied(**changes), shards)
    assert largest_difference(split, tmp_path / "again") == 0
    alone = load_file(latest_checkpoint(tmp_path / "alone"))
    assert alone["samples"].tolist() == load_file(points[2])["samples"].tolist()


def test_one_device_splits_nothing(tmp_path, shards, whole_recipe):
    as_split = fit(whole_recipe(strategy="fsdp", steps=4), shards, tmp_path / "fsdp")
    plain = fit(whole_recipe(steps=4), shards, tmp_path / "plain")
    assert as_split.weights_sha256 == plain.weights_sha256


def test_what_cannot_be_split_is_refused(tiny_recipe):
    with pytest.raises(ValueError, match=r"'fsdp' needs heads\.norm 'layer'"):
        tiny_recipe(strategy="fsdp")


def test_weights_that_are_not_finite_stop_every_process(tmp_path, shards, whole_recipe):
    """A NaN that lies in one process's part is known to the other."""
    recipe = whole_recipe(devices=2, strategy="fsdp", steps=4, checkpoint_every_steps=2)
    (tmp_path / "split.json").write_text(recipe.model_dump_json())
    (tmp_path / "program.py").write_text(
        PROGRAM.replace(
            "    update(self, momentum)\n",
            "    update(self, momentum)\n"
            "    if self.global_rank == 1:\n"
            "        own_part(self.student['projector'][0].weight.data).fill_(float('nan'))\n",
        )
    )
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path), "split", *map(str, shards)]
    finished = subprocess.run(command, timeout=400, stderr=subprocess.PIPE, text=True, check=False)
    assert finished.returncode
    assert "became NaN or infinite" in finished.stderr
    assert latest_checkpoint(tmp_path / "split") is None
