"""`fit`: what it writes, that it learns, repeats itself, resumes exactly and stops on NaN."""

import csv
import hashlib
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from synclr_train.metrics import COLUMNS, TrainingEvent
from synclr_train.recorder import NonFiniteLossError
from synclr_train.run_files import CHECKPOINT_FOLDER, latest_checkpoint
from synclr_train.training import fit


class KilledError(Exception):
    """Stands for a kill signal between two steps."""


def weights_of(folder):
    return load_file(folder / "encoder.safetensors")


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_what_a_run_leaves_behind(tmp_path, shards, whole_recipe):
    events: list[TrainingEvent] = []
    recipe = whole_recipe()
    result = fit(recipe, shards, tmp_path / "run", on_event=events.append)
    run = tmp_path / "run"
    assert result.weights_sha256 == hashlib.sha256((run / "encoder.safetensors").read_bytes()).hexdigest()
    written = json.loads((run / "result.json").read_text())
    assert written["weights_sha256"] == result.weights_sha256
    assert written["steps"] == 8
    assert json.loads((run / "recipe.json").read_text()) == recipe.model_dump(mode="json")
    rows = rows_of(run)
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8]
    empty = {name for row in rows for name, value in row.items() if value == ""}
    assert empty == {"loss_concept"}
    assert all(
        math.isfinite(float(value)) for row in rows for name, value in row.items() if name not in empty
    )
    assert [event.step for event in events] == [2, 4, 6, 8]
    assert {event.total_steps for event in events} == {8}
    total = sum(float(rows[-1][f"loss_{term}"]) for term in ("global", "local", "ibot"))
    assert float(rows[-1]["loss"]) == pytest.approx(total, rel=1e-5)
    assert [path.name for path in run.glob(".*")] == []


def test_consumption_counts_every_sample(tmp_path, shards, tiny_recipe):
    result = fit(tiny_recipe(), shards, tmp_path / "run")
    read = result.samples_per_shard
    assert set(read) == {shard.name for shard in shards}
    assert sum(each.captions for each in read.values()) == 8 * 8
    assert sum(each.images for each in read.values()) == 8 * 8 * 2
    assert sum(each.epochs * 16 for each in read.values()) == pytest.approx(64)
    assert all(each.epochs == 2 for each in read.values())


def test_it_learns(tmp_path, shards, tiny_recipe):
    """Captions that differ by colour are told apart: the loss falls far below that of a blind encoder."""
    base = tiny_recipe()
    still = {"jitter_probability": 0.0, "grey_probability": 0.0, "global_solarize_probabilities": (0.0, 0.0)}
    recipe = base.varied(
        augment=base.augment.model_copy(update=still),
        heads=base.heads.model_copy(update={"hidden_dim": 64, "output_dim": 32}),
        optimiser=base.optimiser.model_copy(update={"peak_learning_rate": 5e-3}),
        steps=120,
        log_every_steps=20,
        checkpoint_every_steps=60,
    )
    result = fit(recipe, shards, tmp_path / "run")
    assert result.chance_loss == pytest.approx(math.log(15))
    assert result.final_losses["loss_global"] < 0.6 * result.chance_loss
    assert result.effective_rank > 3


def test_the_same_inputs_give_the_same_weights(tmp_path, shards, whole_recipe):
    first = fit(whole_recipe(), shards, tmp_path / "a")
    second = fit(whole_recipe(), shards[::-1], tmp_path / "b")
    other = fit(whole_recipe(), shards, tmp_path / "c", seed=1)
    assert first.weights_sha256 == second.weights_sha256
    assert first.weights_sha256 != other.weights_sha256


def test_loader_processes_do_not_change_the_weights(tmp_path, shards, tiny_recipe):
    first = fit(tiny_recipe(), shards, tmp_path / "a")
    second = fit(tiny_recipe(num_workers=2, encoded_cache_bytes=0), shards, tmp_path / "b")
    assert first.weights_sha256 == second.weights_sha256


@pytest.mark.parametrize("kill_after", [2, 4, 6])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, shards, whole_recipe, kill_after):
    recipe = whole_recipe()
    undisturbed = fit(recipe, shards, tmp_path / "a")

    def kill(event: TrainingEvent) -> None:
        if event.step == kill_after:
            raise KilledError

    with pytest.raises(KilledError):
        fit(recipe, shards, tmp_path / "b", on_event=kill)
    assert not (tmp_path / "b" / "result.json").exists()
    events: list[TrainingEvent] = []
    resumed = fit(recipe, shards, tmp_path / "b", on_event=events.append)
    said = [event.message for event in events if event.message]
    assert said == ([] if kill_after <= 4 else ["continuing after step 4"])
    assert resumed.weights_sha256 == undisturbed.weights_sha256
    assert resumed.samples_per_shard == undisturbed.samples_per_shard
    losses = [[row["loss"] for row in rows_of(tmp_path / name)] for name in "ab"]
    assert losses[0] == losses[1]


def test_a_finished_run_is_not_trained_again(tmp_path, shards, tiny_recipe):
    events: list[TrainingEvent] = []
    first = fit(tiny_recipe(), shards, tmp_path / "run")
    second = fit(tiny_recipe(), shards, tmp_path / "run", on_event=events.append)
    assert events == []
    assert second.weights_sha256 == first.weights_sha256
    assert second.samples_per_shard == first.samples_per_shard


def test_a_folder_of_another_run_is_refused(tmp_path, shards, tiny_recipe):
    fit(tiny_recipe(), shards, tmp_path / "run")
    before = (tmp_path / "run" / "recipe.json").read_bytes()
    with pytest.raises(ValueError, match="holds a run with another recipe or other shards"):
        fit(tiny_recipe(), shards, tmp_path / "run", seed=3)
    with pytest.raises(ValueError, match="holds a run with another recipe or other shards"):
        fit(tiny_recipe(), shards[:1], tmp_path / "run")
    assert (tmp_path / "run" / "recipe.json").read_bytes() == before


def test_a_resume_point_that_is_none_is_refused(tmp_path, shards, tiny_recipe):
    path = tmp_path / "run" / CHECKPOINT_FOLDER / "step-000000000004.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"garbage")
    with pytest.raises(ValueError, match=r"4\.safetensors is no resume point of this trainer"):
        fit(tiny_recipe(), shards, tmp_path / "run")


def test_nan_stops_with_step_term_and_way_back(tmp_path, shards, tiny_recipe, monkeypatch):
    from synclr_train import method

    honest = method.SynCLR.loss_terms

    def poisoned(self, crops, masks, rows, step):
        terms = honest(self, crops, masks, rows, step)
        return {name: term * float("nan") if step == 5 else term for name, term in terms.items()}

    monkeypatch.setattr(method.SynCLR, "loss_terms", poisoned)
    with pytest.raises(
        NonFiniteLossError, match=r"stopped at step 5: the global .*step-000000000004\.safetensors"
    ):
        fit(tiny_recipe(), shards, tmp_path / "run")
    assert not (tmp_path / "run" / "encoder.safetensors").exists()
    monkeypatch.undo()
    healed = fit(tiny_recipe(), shards, tmp_path / "run")
    assert healed.weights_sha256 == fit(tiny_recipe(), shards, tmp_path / "clean").weights_sha256


def test_poisoned_weights_are_never_saved(tmp_path, shards, tiny_recipe, monkeypatch):
    from synclr_train import method

    honest = method.SynCLR.optimizer_step

    def poisoned(self, *arguments, **options):
        honest(self, *arguments, **options)
        if self.step == 1:
            with torch.no_grad():
                next(self.student.parameters()).fill_(float("inf"))

    monkeypatch.setattr(method.SynCLR, "optimizer_step", poisoned)
    with pytest.raises(NonFiniteLossError, match="weights became NaN or infinite; no checkpoint exists yet"):
        fit(tiny_recipe(checkpoint_every_steps=2), shards, tmp_path / "run")
    assert latest_checkpoint(tmp_path / "run") is None


def test_broken_samples_are_left_out_and_named(tmp_path, make_shard, tiny_recipe):
    """One view is missing, one cannot be decoded: training goes on, and the result says so."""
    broken = {f"{3:032x}.1.jpg": None, f"{5:032x}.0.jpg": b"no image"}
    shard = make_shard(tmp_path / "s.tar", range(18), num_views=2, broken=broken)
    result = fit(tiny_recipe(), [shard], tmp_path / "run")
    reasons = {each.caption_id: each.reason for each in result.quarantined}
    assert set(reasons) == {f"{3:032x}", f"{5:032x}"}
    assert "missing" in reasons[f"{3:032x}"]
    assert "cannot be decoded" in reasons[f"{5:032x}"]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["quarantined"][0]["shard"] == "s.tar"


def test_the_global_random_state_is_left_alone(tmp_path, shards, tiny_recipe):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(tiny_recipe(), shards, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)


def test_simclr_trains_too(tmp_path, shards, tiny_recipe):
    base = tiny_recipe()
    recipe = base.varied(
        objective="simclr",
        ema_teacher=False,
        export_network="student",
        crops=base.crops.model_copy(update={"num_global": 2}),
    )
    result = fit(recipe, shards, tmp_path / "run")
    assert result.chance_loss == pytest.approx(math.log(31))
    assert set(result.final_losses) == {"loss", "loss_global"}


def test_supervised_tells_concepts_apart(tmp_path, shards, tiny_recipe):
    recipe = tiny_recipe(objective="supervised", ema_teacher=False)
    result = fit(recipe, shards, tmp_path / "run")
    assert result.chance_loss == pytest.approx(math.log(4))
    assert set(result.final_losses) == {"loss", "loss_concept"}


@pytest.mark.parametrize("kill_after", [3, 7])
def test_a_process_killed_by_the_system_resumes_exactly(tmp_path, shards, whole_recipe, kill_after):
    """SIGKILL, then another number of loader processes: same losses of every step, same weights."""
    recipe = whole_recipe(log_every_steps=1, checkpoint_every_steps=2)
    undisturbed = fit(recipe, shards, tmp_path / "a")
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    program = str(Path(__file__).with_name("killed_run.py"))
    command = [sys.executable, program, str(tmp_path), str(kill_after), *map(str, shards)]
    assert subprocess.run(command, timeout=300, check=False).returncode == -signal.SIGKILL
    assert load_steps(tmp_path / "run") == kill_after - 1
    resumed = fit(recipe.varied(num_workers=1), shards, tmp_path / "run")
    assert resumed.weights_sha256 == undisturbed.weights_sha256
    for column in ("step", "loss", "loss_global", "loss_local", "loss_ibot", "gradient_norm"):
        ours, theirs = rows_of(tmp_path / "run"), rows_of(tmp_path / "a")
        assert [row[column] for row in ours] == [row[column] for row in theirs]


def load_steps(run) -> int:
    """The steps done at the newest resume point."""
    return int(latest_checkpoint(run).stem.removeprefix("step-"))


def test_the_newest_resume_points_are_kept_without_pickle(tmp_path, shards, whole_recipe):
    fit(whole_recipe(checkpoint_every_steps=2, checkpoints_kept=2), shards, tmp_path / "run")
    files = sorted((tmp_path / "run" / CHECKPOINT_FOLDER).iterdir())
    assert [file.name for file in files] == ["step-000000000006.safetensors", "step-000000000008.safetensors"]
    networks = {name for name in load_file(files[-1]) if name.startswith("networks.")}
    assert {name.split(".")[1] for name in networks} == {"student", "teacher"}


def test_tensorboard_shows_every_row(tmp_path, shards, tiny_recipe):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(tiny_recipe(), shards, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    rows = rows_of(tmp_path / "run")
    assert set(events.Tags()["scalars"]) == {name for name, value in rows[0].items() if value} - {"step"}
    shown = {point.step: point.value for point in events.Scalars("loss")}
    assert shown == {int(row["step"]): pytest.approx(float(row["loss"]), rel=1e-5) for row in rows}


def test_a_collapse_is_told(tmp_path, shards, tiny_recipe, monkeypatch):
    from synclr_train import recorder

    monkeypatch.setattr(recorder, "effective_rank", lambda features: 1.2)
    events: list[TrainingEvent] = []
    fit(tiny_recipe(), shards, tmp_path / "run", on_event=events.append)
    said = [
        event.step
        for event in events
        if "representations have collapsed: effective rank 1.20" in event.message
    ]
    assert said == [4, 6, 8]
