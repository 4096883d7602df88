"""Captions that turn out broken while training: counted, told, kept over a restart, and too many stop the run."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from synclr_train.batches import StepDataset
from synclr_train.caption_order import CaptionOrder
from synclr_train.cli import main
from synclr_train.config import Recipe
from synclr_train.cropping import Cutter
from synclr_train.run_files import latest_checkpoint
from synclr_train.shards import ShardError, index_shards
from synclr_train.training import fit
from tests.synclr_train.conftest import caption_id, write_shard

UNDECODABLE = (2, 5, 11)
MISSING = 7
CAPTIONS = 32
PROGRAM = """
import sys
from pathlib import Path
from synclr_train.config import Recipe
from synclr_train.training import fit

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fit(Recipe.model_validate_json((folder / "recipe.json").read_text()), [folder / "s.tar"], folder / "run")
"""


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Of 32 captions one lacks a view, which indexing sees, and three cannot be decoded, which only reading sees."""
    broken = {f"{caption_id(number)}.0.jpg": b"no image" for number in UNDECODABLE}
    broken[f"{caption_id(MISSING)}.1.jpg"] = None
    return write_shard(tmp_path / "s.tar", range(CAPTIONS), num_views=2, broken=broken)


def column(run: Path) -> list[int]:
    """`quarantined` of metrics.csv, row by row."""
    with (run / "metrics.csv").open() as file:
        return [int(float(row["quarantined"])) for row in csv.DictReader(file)]


def test_up_to_the_limit_they_are_counted_told_and_reported_once(tmp_path, shard, tiny_recipe):
    """Four of 32 are exactly the limit; three epochs meet each of them three times."""
    messages = []
    recipe = tiny_recipe(max_quarantined_share=4 / CAPTIONS, steps=9, log_every_steps=1)
    result = fit(
        recipe, [shard], tmp_path / "run", on_event=lambda event: messages.append((event.step, event.message))
    )
    ids = [each.caption_id for each in result.quarantined]
    assert sorted(ids) == sorted(caption_id(number) for number in (*UNDECODABLE, MISSING))
    written = json.loads((tmp_path / "run" / "result.json").read_text())["quarantined"]
    assert [each["caption_id"] for each in written] == ids
    counts = column(tmp_path / "run")
    assert counts == sorted(counts)
    assert counts[0] >= 1
    assert counts[-1] == 4
    grown = [step for step, count in enumerate(counts, start=1) if count > ([0, *counts][step - 1])]
    told = [step for step, message in messages if "left out; the last: s.tar, caption" in message]
    assert told == grown
    consumed = sum(each.captions for each in result.samples_per_shard.values())
    assert consumed == 9 * recipe.batch.captions


def test_one_more_than_the_limit_stops_the_run_with_a_sentence(tmp_path, shard, tiny_recipe):
    recipe = tiny_recipe(max_quarantined_share=3.9 / CAPTIONS, log_every_steps=1, checkpoint_every_steps=1)
    with pytest.raises(ShardError) as stopped:
        fit(recipe, [shard], tmp_path / "run")
    sentence = str(stopped.value)
    assert "\n" not in sentence
    assert sentence.startswith("4 of 32 captions are broken, more than max_quarantined_share 0.121875 allows")
    assert f"s.tar, caption {caption_id(MISSING)}: views [1] of 2 are missing" in sentence
    assert sentence.endswith("repair the shards or raise the limit")
    assert not (tmp_path / "run" / "result.json").exists()
    assert not (tmp_path / "run" / "encoder.safetensors").exists()


def test_what_was_left_out_before_a_restart_counts_after_it(tmp_path, shard, tiny_recipe):
    """The part after the restart meets fewer than the limit allows; with those met before they are too many."""
    recipe = tiny_recipe(max_quarantined_share=1.0, steps=9, log_every_steps=1, checkpoint_every_steps=1)
    fit(recipe.varied(checkpoints_kept=9), [shard], tmp_path / "run")
    counts = column(tmp_path / "run")
    last_met = counts.index(4)
    assert 1 < counts[last_met - 1] < 4
    for point in sorted((tmp_path / "run" / "checkpoints").iterdir())[last_met:]:
        point.unlink()
    assert len(met_by(recipe, shard, steps=range(last_met, last_met + 1)) | {caption_id(MISSING)}) < 4
    with pytest.raises(ShardError, match="4 of 32 captions are broken"):
        fit(recipe.varied(max_quarantined_share=3.5 / CAPTIONS), [shard], tmp_path / "run")
    assert len(fit(recipe, [shard], tmp_path / "run").quarantined) == 4


def test_processes_count_together(tmp_path, whole_recipe):
    """Neither process meets more than the limit allows; both together do."""
    recipe = whole_recipe(devices=2, strategy="ddp", steps=3, max_quarantined_share=1.5 / CAPTIONS)
    whole = write_shard(tmp_path / "whole" / "s.tar", range(CAPTIONS), num_views=2)
    index = index_shards([whole], 2)
    rows = CaptionOrder(CAPTIONS, recipe.batch.captions, recipe.seed).rows
    chosen = [index.records["caption_id"][row].decode() for row in (rows(0)[0], rows(1)[-1])]
    broken = {f"{each}.0.jpg": b"no image" for each in chosen}
    shard = write_shard(tmp_path / "s.tar", range(CAPTIONS), num_views=2, broken=broken)
    met = [met_by(recipe, shard, steps=range(3), rank=rank, num_ranks=2) for rank in range(2)]
    assert met == [{chosen[0]}, {chosen[1]}]

    stopped = run_in_processes(tmp_path, recipe)
    assert stopped.returncode
    assert "2 of 32 captions are broken" in stopped.stderr
    assert latest_checkpoint(tmp_path / "run") is None

    finished = run_in_processes(tmp_path, recipe.varied(max_quarantined_share=2 / CAPTIONS))
    assert finished.returncode == 0, finished.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {each["caption_id"] for each in result["quarantined"]} == set(chosen)
    assert column(tmp_path / "run") == [2, 2]
    assert int(load_file(latest_checkpoint(tmp_path / "run"))["samples"].sum()) == 24


def met_by(recipe: Recipe, shard: Path, *, steps: range, rank: int = 0, num_ranks: int = 1) -> set[str]:
    """Captions that one process finds broken at the given steps."""
    index = index_shards([shard], 2)
    dataset = StepDataset(
        index,
        CaptionOrder(index.num_captions, recipe.batch.captions, recipe.seed),
        Cutter(recipe.crops, recipe.augment, recipe.backbone.image_size),
        rank=rank,
        num_ranks=num_ranks,
    )
    return {each.caption_id for step in steps for each in dataset[step].quarantined}


def run_in_processes(folder: Path, recipe: Recipe) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(folder / "program.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


def test_the_command_says_it_in_one_line(tmp_path, shard, tiny_recipe, monkeypatch):
    strict = tiny_recipe(max_quarantined_share=3.5 / CAPTIONS)
    monkeypatch.setattr("synclr_train.cli.get_recipe", lambda name: strict)
    arguments = ["fit", "--recipe", "tiny", "--shards", str(shard), "--out", str(tmp_path / "run")]
    stopped = CliRunner().invoke(main, arguments)
    assert stopped.exit_code == 1
    (line,) = [each for each in stopped.output.splitlines() if "captions are broken" in each]
    assert line.startswith("Error: ")
    assert "Traceback" not in stopped.output
