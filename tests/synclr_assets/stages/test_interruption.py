"""A stage killed by SIGKILL at any write and run again leaves what an undisturbed run leaves."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from tests.synclr_assets.conftest import DATASET_STAGES, Stages, content_of

FRUIT = Unit("fruit", 0)
SCRIPT = Path(__file__).with_name("killed_stage.py")
PROJECT = Path(__file__).parents[3]
CHOSEN = [
    ("concepts", 1, "before"),
    ("concepts", 1, "after"),
    ("captions", 3, "after"),
    ("captions", 4, "before"),
    ("captions", 6, "after"),
    ("enriched_captions", 2, "before"),
    ("enriched_captions", 7, "after"),
    ("enriched_captions", 10, "before"),
    ("images", 5, "after"),
    ("images", 6, "before"),
    ("images", 12, "after"),
    ("shards", 4, "after"),
    ("shards", 5, "before"),
    ("shards", 9, "after"),
]


@pytest.mark.parametrize(("stage", "fatal_write", "moment"), CHOSEN)
def test_a_killed_stage_run_again_gives_the_same_tables_and_shards(
    stages: Stages, tmp_path: Path, stage: str, fatal_write: int, moment: str
) -> None:
    before = DATASET_STAGES[: DATASET_STAGES.index(stage)]
    for earlier in before:
        stages.run(earlier, FRUIT)
    undisturbed = Stages(stages.bank, Store(tmp_path / "undisturbed"))
    if before:
        shutil.copytree(stages.store.location.folder, undisturbed.store.location.folder)
    arguments = [str(stages.bank.folder), str(stages.store.location.folder), "fruit", stage]
    killed = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments, str(fatal_write), moment],
        env={"PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    for later in DATASET_STAGES[len(before) :]:
        stages.run(later, FRUIT)
        undisturbed.run(later, FRUIT)
    assert content_of(stages.store) == content_of(undisturbed.store)
