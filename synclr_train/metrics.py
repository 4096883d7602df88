"""The rows of metrics.csv and the events a caller can stream: what they hold and how they are written."""

import csv
import io
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from synclr_train.atomic_files import write_atomically

COLUMNS = (
    "step",
    "loss",
    "loss_global",
    "loss_local",
    "loss_ibot",
    "loss_concept",
    "learning_rate",
    "weight_decay",
    "ema_momentum",
    "teacher_temperature",
    "images_per_second",
    "data_wait_share",
    "quarantined",
    "gradient_norm",
    "effective_rank",
    "peak_memory_bytes",
)
"""Columns of metrics.csv. Losses, speed and gradient norm are means since the row before; a term that the
recipe does not use stays empty."""


KILOBYTE = 1024
"""Unit in which Linux reports the memory of a process."""


@dataclass(frozen=True)
class TrainingEvent:
    """Something a caller may want to show while training runs."""

    step: int
    """Optimiser steps done."""
    total_steps: int
    """Optimiser steps of the whole run."""
    metrics: Mapping[str, float]
    """The row just measured, by column; empty for a message alone."""
    message: str
    """Something out of the ordinary, for a person; empty for a row alone."""


class MetricsTable:
    """The rows of metrics.csv; the file is whole at every moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def add(self, row: Mapping[str, float]) -> None:
        """Append one row and rewrite the file."""
        unknown = set(row) - set(COLUMNS)
        assert not unknown, f"metrics without a column: {unknown}"
        self.rows.append(dict(row))
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.8g}" for name, value in each.items()} for each in self.rows)
        write_atomically(self.path, text.getvalue().encode())


class TensorBoardCurves:
    """The rows of metrics.csv as TensorBoard scalars; a continued run hides the points it measures again."""

    def __init__(self, folder: Path, steps_done: int) -> None:
        """Nothing is written before the first row."""
        self.folder, self.steps_done = folder, steps_done
        self._writer: SummaryWriter | None = None

    def add(self, row: Mapping[str, float]) -> None:
        """Write one row."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=self.steps_done + 1)
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, int(row["step"]))
        self._writer.flush()


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory held so far: on a GPU by its tensors, on a CPU by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


@dataclass
class Window:
    """Sums of the steps since the last row."""

    num_steps: int = 0
    seconds: float = 0.0
    waiting_seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: Mapping[str, float], *, seconds: float, waiting_seconds: float) -> None:
        """Count one step."""
        self.num_steps += 1
        self.seconds += seconds
        self.waiting_seconds += waiting_seconds
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """The mean of every value over the steps of the window."""
        return {name: total / self.num_steps for name, total in self.sums.items()}
