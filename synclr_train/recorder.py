"""The Lightning callback that watches a run: metrics, events, resume points, who read what.

Knows files and clocks; the method (`synclr_train.method`) knows neither.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from synclr_train.batches import StepBatch
from synclr_train.checkpointing import ResumePoint, save_resume_point
from synclr_train.config import Recipe
from synclr_train.losses import effective_rank, is_shared
from synclr_train.method import SynCLR
from synclr_train.metrics import MetricsTable, TensorBoardCurves, TrainingEvent, Window, peak_memory_bytes
from synclr_train.run_files import latest_checkpoint
from synclr_train.schedules import values_at
from synclr_train.sharding import own_part, whole_optimiser, whole_tensors
from synclr_train.shards import Quarantined, ShardIndex, check_quarantined_share, describe

COLLAPSED_RANK = 1.5
"""Effective rank below which the representations of a batch are one direction and noise."""


class NonFiniteLossError(RuntimeError):
    """Training stopped because a number became NaN or infinite; the message names step, term and way back."""


class RunRecorder(Callback):
    """Records one run into `out_dir`; files are written by the first process alone."""

    def __init__(
        self,
        recipe: Recipe,
        out_dir: Path,
        *,
        run_identity: str,
        index: ShardIndex,
        resumed: ResumePoint | None,
        on_event: Callable[[TrainingEvent], None] | None,
    ) -> None:
        """`resumed` carries the counts and rows of the run so far."""
        self.recipe, self.out_dir, self.run_identity = recipe, out_dir, run_identity
        self.on_event = on_event or (lambda event: None)
        self.table = MetricsTable(out_dir / "metrics.csv")
        self.steps_done = resumed.step if resumed else 0
        self.seconds_before = resumed.seconds if resumed else 0.0
        self.samples_before = resumed.samples if resumed else np.zeros(len(index.shards), dtype=np.int64)
        self.quarantined_before = resumed.quarantined if resumed else ()
        self.table.rows = [dict(row) for row in resumed.metrics] if resumed else []
        self.curves = TensorBoardCurves(out_dir / "tensorboard", self.steps_done)
        self.samples = np.zeros(len(index.shards), dtype=np.int64)
        self.index = index
        self.quarantined: list[Quarantined] = []
        self.num_told = len(self.quarantined_before)
        self.window = Window()
        self.started = self.step_ended = self.step_started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, in seconds, earlier parts included."""
        return self.seconds_before + self.step_ended - self.started

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks; say so when an earlier run is continued."""
        if self.steps_done and trainer.is_global_zero:
            message = f"continuing after step {self.steps_done}"
            self.on_event(TrainingEvent(self.steps_done, self.recipe.steps, {}, message))
        self.started = self.step_ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: StepBatch, batch_idx: int
    ) -> None:
        """Note when the data arrived."""
        self.step_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Count the step; write a row and a resume point when they are due."""
        assert isinstance(pl_module, SynCLR)
        now = time.perf_counter()
        self.steps_done = batch.step + 1
        np.add.at(self.samples, batch.shard_numbers.numpy(), 1)
        self.quarantined += batch.quarantined
        measured = {f"loss_{name}": value for name, value in pl_module.terms.items()}
        measured |= {"loss": sum(pl_module.terms.values()), "gradient_norm": pl_module.gradient_norm}
        self.window.add(
            measured, seconds=now - self.step_ended, waiting_seconds=self.step_started - self.step_ended
        )
        is_last = self.steps_done == self.recipe.steps
        if is_last or self.steps_done % self.recipe.log_every_steps == 0:
            self._log(trainer, pl_module, batch.step)
        if is_last or self.steps_done % self.recipe.checkpoint_every_steps == 0:
            self._save(trainer, pl_module)
        self.step_ended = time.perf_counter()

    def total_samples(self) -> np.ndarray:
        """Per shard: captions read, over all devices and all parts of the run."""
        return self.samples_before + sum_over_devices(torch.from_numpy(self.samples)).numpy()

    def all_quarantined(self) -> tuple[Quarantined, ...]:
        """What was left out, over all devices and all parts of the run, each once."""
        parts = [self.quarantined]
        if is_shared():
            parts = [[] for _ in range(dist.get_world_size())]
            dist.all_gather_object(parts, self.quarantined)
        return tuple(dict.fromkeys([*self.quarantined_before, *(each for part in parts for each in part)]))

    def _check_quarantined(self, trainer: Trainer) -> int:
        """Things left out so far, indexing included; new ones are told.

        Raises ShardError when they are more than the recipe allows.
        """
        at_start = self.index.quarantined
        everything = (*at_start, *self.all_quarantined())
        num_captions = self.index.num_captions + len(at_start)
        check_quarantined_share(everything, num_captions, self.recipe.max_quarantined_share)
        if len(everything) > self.num_told and trainer.is_global_zero:
            message = f"{len(everything)} left out; the last: {describe(everything[-1])}"
            self.on_event(TrainingEvent(self.steps_done, self.recipe.steps, {}, message))
        self.num_told = len(everything)
        return len(everything)

    def _log(self, trainer: Trainer, module: SynCLR, step: int) -> None:
        values, window = values_at(self.recipe, step), self.window
        row = {"step": float(self.steps_done), **mean_over_devices(window.means())}
        row["learning_rate"], row["weight_decay"] = values.learning_rate, values.weight_decay
        if self.recipe.ema_teacher:
            row["ema_momentum"] = values.ema_momentum
        if values.teacher_temperature is not None:
            row["teacher_temperature"] = values.teacher_temperature
        row["images_per_second"] = window.num_steps * self.recipe.batch.num_images / window.seconds
        row["data_wait_share"] = window.waiting_seconds / window.seconds
        row["quarantined"] = float(self._check_quarantined(trainer))
        row["effective_rank"] = effective_rank(module.representations)
        row["peak_memory_bytes"] = float(peak_memory_bytes(module.device))
        self.window = Window()
        if trainer.is_global_zero:
            self.table.add(row)
            self.curves.add(row)
            self.on_event(TrainingEvent(self.steps_done, self.recipe.steps, row, self._alarm(row, step)))
        else:
            self.table.rows.append(row)

    def _alarm(self, row: dict[str, float], step: int) -> str:
        """What a person should look at, or nothing."""
        if step < self.recipe.optimiser.warmup_steps or row["effective_rank"] >= COLLAPSED_RANK:
            return ""
        return (
            f"the representations have collapsed: effective rank {row['effective_rank']:.2f} of "
            f"{self.recipe.backbone.embed_dim}; lower optimiser.peak_learning_rate or lengthen the warm-up"
        )

    def _save(self, trainer: Trainer, module: SynCLR) -> None:
        samples, quarantined = self.total_samples(), self.all_quarantined()
        parts = (own_part(tensor) for tensor in module.state_dict().values())
        broken = sum(not bool(torch.isfinite(part).all()) for part in parts if part.is_floating_point())
        if sum_over_devices(torch.tensor(broken)):
            raise self.non_finite("weights", self.steps_done)
        networks = whole_tensors(module.state_dict(), keep=trainer.is_global_zero)
        optimiser = whole_optimiser(trainer.optimizers[0].state_dict(), keep=trainer.is_global_zero)
        if trainer.is_global_zero:
            point = ResumePoint(
                run_identity=self.run_identity,
                step=self.steps_done,
                seconds=self.seconds_before + time.perf_counter() - self.started,
                networks=networks,
                optimiser=optimiser,
                samples=samples,
                quarantined=quarantined,
                metrics=tuple(self.table.rows),
            )
            save_resume_point(point, self.out_dir, num_kept=self.recipe.checkpoints_kept)

    def non_finite(self, term: str, step: int) -> NonFiniteLossError:
        """The error for a `term` that is not finite at `step`: it names the last good checkpoint."""
        checkpoint = latest_checkpoint(self.out_dir)
        way_back = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint exists yet"
        return NonFiniteLossError(
            f"training stopped at step {step}: the {term} became NaN or infinite; {way_back}; "
            "lower optimiser.peak_learning_rate or set optimiser.gradient_clip_norm"
        )


def mean_over_devices(values: dict[str, float]) -> dict[str, float]:
    """Each value's mean over all processes; the values themselves when there is one."""
    summed = sum_over_devices(torch.tensor(list(values.values()), dtype=torch.float64))
    num_ranks = dist.get_world_size() if is_shared() else 1
    return dict(zip(values, (summed / num_ranks).tolist(), strict=True))


def sum_over_devices(tensor: Tensor) -> Tensor:
    """The sum of a CPU tensor over all processes, again on the CPU."""
    if not is_shared():
        return tensor
    summed = tensor.to("cuda" if dist.get_backend() == "nccl" else "cpu", copy=True)
    dist.all_reduce(summed)
    return summed.cpu()
