"""Training on a store on S3: shards are read where they are, and a lost machine costs no more than its last steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synclr_assets.concept_bank.bank import ConceptBank
from synclr_assets.launch import resume_points
from synclr_assets.launch.fitting import fit_task
from synclr_assets.launch.retraining import retrain
from synclr_assets.launch.tasks import EvalTask, FitTask, ProbeTask
from synclr_assets.launch.training import plan_training, train, work_folder
from synclr_assets.provenance.inputs import training_inputs
from synclr_assets.provenance.models import model_key
from synclr_assets.store.blobs import Blobs
from synclr_assets.store.store import Store
from synclr_assets.store.transactions import Unit
from synclr_train.run_files import latest_checkpoint
from tests.synclr_assets.conftest import Stages
from tests.synclr_train.conftest import tiny

Task = FitTask | ProbeTask | EvalTask
RECIPE = tiny(steps=8, checkpoint_every_steps=2, log_every_steps=1)


class MachineLostError(Exception):
    """What stops a training in these tests."""


@pytest.fixture
def on_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Be on another machine: its scratch folder is empty."""

    def switch(name: str) -> None:
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))

    return switch


@pytest.fixture
def remote(bank: ConceptBank, new_s3_bucket: Callable[[], str], on_machine: Callable[[str], None]) -> Store:
    """A store on S3 with the bucket of fruit packed."""
    on_machine("packing")
    store = Store(f"s3://{new_s3_bucket()}/prefix")
    Stages(bank, store).run_all(Unit("fruit", 0))
    return store


def model_of(store: Store, run: Callable[[Task], None]) -> dict[str, Any]:
    return train(store, plan_training(training_inputs(store, "fruit", ["fruit"]), RECIPE), run)


def run_here(task: Task) -> None:
    assert isinstance(task, FitTask)
    fit_task(task)


def test_the_weights_are_those_of_a_local_store_and_no_shard_is_copied(
    remote: Store, stages: Stages, on_machine: Callable[[str], None]
) -> None:
    stages.run_all(Unit("fruit", 0))
    expected = model_of(stages.store, run_here)
    on_machine("training")
    tasks: list[Task] = []
    made = model_of(remote, lambda task: (tasks.append(task), run_here(task)))  # type: ignore[func-returns-value]
    assert made["model_id"] == expected["model_id"]
    assert made["weights_sha256"] == expected["weights_sha256"]
    (task,) = tasks
    assert isinstance(task, FitTask)
    assert all(place.startswith(remote.location.uri) for place in task.shards)
    folder = work_folder(remote, made["key"])
    assert list(folder.rglob("*.tar")) == []
    assert any((folder / "cache").iterdir())
    assert task.cache_bytes == 100 * 10**9


def test_a_lost_machines_run_goes_on_elsewhere_to_the_same_weights(
    remote: Store, stages: Stages, on_machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages.run_all(Unit("fruit", 0))
    expected = model_of(stages.store, run_here)
    key = model_key(expected["model_id"])
    monkeypatch.setattr(resume_points, "POLL_SECONDS", 0.01)

    def lose(task: Task) -> None:
        def tell(event: Any) -> None:
            if event.step == 5:
                raise MachineLostError

        assert isinstance(task, FitTask)
        fit_task(task, tell)

    on_machine("lost")
    with pytest.raises(MachineLostError):
        model_of(remote, lose)
    (kept,) = [found for found in remote.blobs.keys(key) if "step-" in found]
    assert kept.endswith("step-000000000004.safetensors")

    steps: list[int] = []

    def go_on(task: Task) -> None:
        assert isinstance(task, FitTask)
        fit_task(task, lambda event: steps.append(event.step))

    on_machine("next")
    made = model_of(remote, go_on)
    assert min(steps) == 4, "it says first where it goes on"
    assert made["weights_sha256"] == expected["weights_sha256"]
    assert not [found for found in remote.blobs.keys(key) if "step-" in found]
    assert latest_checkpoint(work_folder(remote, key)) is not None


def test_a_model_that_is_trained_again_keeps_what_it_read_on_its_disk(
    remote: Store, on_machine: Callable[[str], None], tmp_path: Path
) -> None:
    on_machine("training")
    made = model_of(remote, run_here)
    again = retrain(remote, made, tmp_path / "again")
    assert again["weights_sha256"] == made["weights_sha256"]
    assert list((tmp_path / "again").rglob("*.tar")) == []
    assert any((tmp_path / "again" / "cache").iterdir())


def test_an_upload_that_fails_stops_no_training(
    remote: Store, on_machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    on_machine("training")
    monkeypatch.setattr(resume_points, "POLL_SECONDS", 0.01)
    original = Blobs.copy_file

    def unreachable(blobs: Blobs, key: str, source: Path) -> None:
        if "step-" in key:
            raise OSError("no route to host")
        original(blobs, key, source)

    monkeypatch.setattr(Blobs, "copy_file", unreachable)
    assert model_of(remote, run_here)["steps"] == 8
    assert "did not reach the store (no route to host): it is tried again" in caplog.text
